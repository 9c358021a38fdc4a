/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unistr.h>

#include "conf.h"
#include "count.h"
#include "domain.h"
#include "log.h"
#include "period.h"

#define REPORT_URL_MAX 256 /* the reply line has 512 bytes, RFC 5321 */
#define REDIS_MAX 2048
#define PREFIX_MAX 64
#define PASSWORD_MAX 512
#define FILE_MAX (1 << 20)

/* Where libconfuse's scanner echoes what it cannot make sense of. */
extern FILE *cfg_yyout;

/* What is being read: libconfuse's callbacks take no argument of ours. */
static struct {
	FILE	    *errors;
	const char  *file;
	unsigned int nerrors;
	int	     user_line; /* where these keys stand; 0: nowhere */
	int	     spf_line;
	int	     redis_line;
} reading;

static void
report(cfg_t *cfg, const char *fmt, va_list ap)
{
	reading.nerrors++;
	if (cfg != NULL && cfg->line > 0)
		fprintf(reading.errors, "%s:%d: ", reading.file, cfg->line);
	else
		fprintf(reading.errors, "%s: ", reading.file);
	vfprintf(reading.errors, fmt, ap);
	fputc('\n', reading.errors);
}

static int
keyword(const char *const *words, const char *value)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], value) == 0)
			return (i);
	return (-1);
}

static const char *const enforce_words[] = { "envelope", "header", NULL };
static const char *const spf_words[] = { "off", "published", "include", "pass",
	NULL };
static const char *const unit_words[] = { "message", "recipient", NULL };
static const char *const over_words[] = { "defer", "reject", "sandbox", NULL };
static const char *const local_words[] = { "trust", "enforce", NULL };
static const char *const refusal_words[] = { "auth", "mail-from", NULL };

/* Whether text is not empty and printable ASCII with no space. */
static int
is_graphic(const char *text, size_t max)
{
	size_t n;

	for (n = 0; text[n] != '\0'; n++)
		if (text[n] <= ' ' || text[n] > '~' || n >= max)
			return (0);
	return (n > 0);
}

static int
valid_keyword(cfg_t *cfg, cfg_opt_t *opt, const char *const *words)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (keyword(words, value) != -1)
		return (0);
	cfg_error(cfg, "%s: unknown word \"%s\"", cfg_opt_name(opt), value);
	return (-1);
}

static int
valid_enforce(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, enforce_words));
}

static int
valid_spf(cfg_t *cfg, cfg_opt_t *opt)
{
	reading.spf_line = cfg->line;
	return (valid_keyword(cfg, opt, spf_words));
}

static int
valid_over(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, over_words));
}

static int
valid_unit(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, unit_words));
}

static int
valid_local(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, local_words));
}

static int
valid_refusal(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, refusal_words));
}

static int
valid_number(cfg_t *cfg, cfg_opt_t *opt, long min, long max)
{
	long n = cfg_opt_getnint(opt, 0);

	if (n >= min && n <= max)
		return (0);
	cfg_error(cfg, "%s: %ld is not between %ld and %ld", cfg_opt_name(opt),
	    n, min, max);
	return (-1);
}

static int
valid_timeout(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_number(cfg, opt, 10, 60000));
}

static int
valid_replicas(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_number(cfg, opt, 0, 9));
}

static int
valid_workers(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_number(cfg, opt, 1, 64));
}

static int
valid_db(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_number(cfg, opt, 0, 65535));
}

/*
 * Braces in front of a key would take the place of the user's name as what
 * Redis Cluster hashes.
 */
static int
valid_prefix(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);

	if (is_graphic(value, PREFIX_MAX) && strpbrk(value, "{}") == NULL)
		return (0);
	cfg_error(cfg,
	    "prefix: \"%s\" is not 1 to %d printable characters "
	    "without space and braces",
	    value, PREFIX_MAX);
	return (-1);
}

static int
valid_url(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);

	if (is_graphic(value, REPORT_URL_MAX) &&
	    (strncmp(value, "https://", 8) == 0 ||
		strncmp(value, "http://", 7) == 0))
		return (0);
	cfg_error(cfg,
	    "report_url: \"%s\" is not an http or https URL of at "
	    "most %d characters",
	    value, REPORT_URL_MAX);
	return (-1);
}

static int
valid_word(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (is_graphic(value, 253))
		return (0);
	cfg_error(cfg, "%s: \"%s\" is empty, too long, or holds spaces",
	    cfg_opt_name(opt), value);
	return (-1);
}

static int
valid_period(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	int64_t	    seconds;

	if (period_parse(value, &seconds))
		return (0);
	cfg_error(cfg, "%s: \"%s\" is not a period like 1h, 1d, 30d or 3600",
	    cfg_opt_name(opt), value);
	return (-1);
}

static int
valid_count(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	int64_t	    n;

	if (count_parse(value, &n))
		return (0);
	cfg_error(cfg, "%s: \"%s\" is not a number", cfg_opt_name(opt), value);
	return (-1);
}

static int
valid_size(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	int64_t	    n;

	if (size_parse(value, &n))
		return (0);
	cfg_error(cfg, "%s: \"%s\" is not a size like 25M", cfg_opt_name(opt),
	    value);
	return (-1);
}

static const char relay_ok[] = "abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

static int
valid_relay_name(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	size_t	    len = strlen(value);

	if (len > 0 && len <= CONF_RELAY_NAME && strspn(value, relay_ok) == len)
		return (0);
	cfg_error(cfg,
	    "relay_name: \"%s\" is not 1 to %d letters, digits, dots, "
	    "hyphens and underscores",
	    value, CONF_RELAY_NAME);
	return (-1);
}

/* A line for people, in UTF-8. */
static int
valid_line(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	size_t	    len = strlen(value), i;

	for (i = 0; i < len && (unsigned char)value[i] >= ' '; i++)
		continue;
	if (i == len && len <= REPORT_URL_MAX &&
	    u8_check((const uint8_t *)value, len) == NULL)
		return (0);
	cfg_error(cfg, "%s: not a line of UTF-8 of at most %d bytes",
	    cfg_opt_name(opt), REPORT_URL_MAX);
	return (-1);
}

static int
valid_logo(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);

	if (value[0] == '\0' ||
	    (is_graphic(value, REPORT_URL_MAX) &&
		strncmp(value, "https://", 8) == 0))
		return (0);
	cfg_error(cfg, "report_logo: \"%s\" is not an https URL", value);
	return (-1);
}

static int
valid_failures(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	int64_t	    count, seconds;

	if (value[0] == '\0' || rate_parse(value, &count, &seconds))
		return (0);
	cfg_error(cfg, "auth_failures: \"%s\" is not a rate like 20/10m",
	    value);
	return (-1);
}

static int
valid_include(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	char	    name[DOMAIN_TEXT];

	if (domain_underscored(value, strlen(value), name))
		return (0);
	cfg_error(cfg, "spf_include: \"%s\" is not a domain", value);
	return (-1);
}

static int
valid_relay(cfg_t *cfg, cfg_opt_t *opt)
{
	const char    *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct netaddr na;

	if (netaddr_parse(value, &na))
		return (0);
	cfg_error(cfg, "spf_relays: \"%s\" is not an address", value);
	return (-1);
}

static int
valid_user(cfg_t *cfg, cfg_opt_t *opt)
{
	reading.user_line = cfg->line;
	return (valid_word(cfg, opt));
}

static int
valid_redis(cfg_t *cfg, cfg_opt_t *opt)
{
	const char   *value = cfg_opt_getnstr(opt, 0);
	struct places places;

	reading.redis_line = cfg->line;
	if (is_graphic(value, REDIS_MAX) && places_parse(&places, value))
		return (0);
	cfg_error(cfg,
	    "redis: \"%s\" is not unix:/path, tcp:host:port, "
	    "tls:host:port, sentinel:NAME@host:port,... or "
	    "cluster:host:port,...",
	    value);
	return (-1);
}

static int
valid_resolver(cfg_t *cfg, cfg_opt_t *opt)
{
	const char    *value = cfg_opt_getnstr(opt, 0);
	char	       host[PLACE_HOST];
	struct netaddr na;
	uint16_t       port = 0;

	if (netaddr_parse(value, &na) ||
	    (place_parse_host(value, strlen(value), host, &port) &&
		netaddr_parse(host, &na)))
		return (0);
	cfg_error(cfg,
	    "spf_resolver: \"%s\" is not an address or "
	    "address:port",
	    value);
	return (-1);
}

/*
 * Reads the password, the first line of the file.  NULL, and what is wrong,
 * when there is none.
 */
static char *
read_password(const char *file, const char **wrong)
{
	FILE *fp;
	char  line[PASSWORD_MAX + 2], *password = NULL;

	if ((fp = fopen(file, "re")) == NULL) {
		*wrong = strerror(errno);
		return (NULL);
	}
	if (fgets(line, sizeof(line), fp) == NULL)
		line[0] = '\0';
	fclose(fp);
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] != '\0' && strlen(line) <= PASSWORD_MAX)
		password = strdup(line);
	explicit_bzero(line, sizeof(line));
	*wrong = "the first line is empty or over 512 bytes";
	return (password);
}

static int
valid_password_file(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *file = cfg_opt_getnstr(opt, 0), *wrong;
	char	   *password = read_password(file, &wrong);

	if (password == NULL) {
		cfg_error(cfg, "redis_password_file: %s: %s", file, wrong);
		return (-1);
	}
	freezero(password, strlen(password));
	return (0);
}

static int
valid_ca(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *file = cfg_opt_getnstr(opt, 0);

	if (access(file, R_OK) == 0)
		return (0);
	cfg_error(cfg, "redis_ca: %s: %s", file, strerror(errno));
	return (-1);
}

/* A number from 1 to a million, as rates have it. */
static int
valid_alarm_limit(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	int64_t	    n;

	if (count_parse(value, &n) && n >= 1 && n <= RATE_MAX)
		return (0);
	cfg_error(cfg, "limit: \"%s\" is not a number from 1 to %d", value,
	    RATE_MAX);
	return (-1);
}

static int
valid_alarm_action(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, alarm_actions + ALARM_NOTICE));
}

/* The section that was last read. */
static int
valid_alarm(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t	   *sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	const char *kind = cfg_title(sec);

	if (keyword(alarm_words, kind) == -1)
		cfg_error(cfg,
		    "alarm: \"%s\" is not sources, senders, recipients, "
		    "volume, blocked or failures",
		    kind);
	else if (cfg_getstr(sec, "for") != NULL &&
	    strcmp(cfg_getstr(sec, "action"), "notice") == 0)
		cfg_error(cfg, "alarm \"%s\": a notice has no for", kind);
	else
		return (0);
	return (-1);
}

static const struct {
	const char *name;
	int (*check)(cfg_t *, cfg_opt_t *);
} checks[] = { { "redis", valid_redis }, { "redis_user", valid_user },
	{ "redis_password_file", valid_password_file },
	{ "redis_ca", valid_ca }, { "redis_timeout", valid_timeout },
	{ "redis_db", valid_db }, { "redis_replicas", valid_replicas },
	{ "prefix", valid_prefix }, { "relay_name", valid_relay_name },
	{ "report_url", valid_url }, { "report_title", valid_line },
	{ "report_logo", valid_logo }, { "report_contact", valid_line },
	{ "enforce", valid_enforce }, { "spf", valid_spf },
	{ "spf_include", valid_include }, { "spf_relays", valid_relay },
	{ "spf_timeout", valid_timeout }, { "spf_workers", valid_workers },
	{ "spf_resolver", valid_resolver }, { "auth_failures", valid_failures },
	{ "over", valid_over }, { "max_recipients", valid_count },
	{ "max_size", valid_size }, { "quota_period", valid_period },
	{ "quota_unit", valid_unit }, { "local", valid_local },
	{ "source_refusal", valid_refusal }, { "alarm", valid_alarm },
	{ "alarm|limit", valid_alarm_limit }, { "alarm|period", valid_period },
	{ "alarm|for", valid_period }, { "alarm|action", valid_alarm_action } };

static char *
dup_str(cfg_t *cfg, const char *name)
{
	const char *value = cfg_getstr(cfg, name);

	return (value == NULL ? NULL : strdup(value));
}

/* The word has been found valid when it was read. */
static unsigned int
get_keyword(const char *const *words, const char *value)
{
	int i = keyword(words, value);

	return (i < 0 ? 0 : (unsigned int)i);
}

static int
take_lists(struct conf *conf, cfg_t *cfg)
{
	unsigned int i, n;

	for (i = 0; i < cfg_size(cfg, "enforce"); i++)
		conf->enforce |= 1U << get_keyword(enforce_words,
				     cfg_getnstr(cfg, "enforce", i));

	n = cfg_size(cfg, "spf_include");
	conf->spf_include = calloc(n + 1, sizeof(*conf->spf_include));
	conf->spf_relays = calloc(cfg_size(cfg, "spf_relays") + 1,
	    sizeof(*conf->spf_relays));
	if (conf->spf_include == NULL || conf->spf_relays == NULL)
		return (-1);
	for (i = 0; i < n; i++) {
		conf->spf_include[i] = strdup(cfg_getnstr(cfg, "spf_include",
		    i));
		if (conf->spf_include[i] == NULL)
			return (-1);
		conf->nspf_include++;
	}
	n = cfg_size(cfg, "spf_relays");
	for (i = 0; i < n; i++)
		if (netaddr_parse(cfg_getnstr(cfg, "spf_relays", i),
			&conf->spf_relays[conf->nspf_relays]))
			conf->nspf_relays++;
	return (0);
}

/*
 * More than this is not what people do, nor a shop that writes to its customers
 * through one server: smtpusers.conf(5) says why.
 */
static const int64_t alarm_counts[ALARM_KINDS] = { [ALARM_SOURCES] = 20,
	[ALARM_SENDERS] = 20,
	[ALARM_RECIPIENTS] = 20000,
	[ALARM_VOLUME] = 50000,
	[ALARM_BLOCKED] = 100,
	[ALARM_FAILURES] = 1000 };

static void
take_alarm(struct conf *conf, cfg_t *sec)
{
	const unsigned int  kind = get_keyword(alarm_words, cfg_title(sec));
	struct alarm_limit *limit = &conf->alarm_limits.of[kind];
	struct alarm	   *alarm = &conf->alarms[kind];

	limit->count = alarm_counts[kind];
	if (cfg_getstr(sec, "limit") != NULL)
		count_parse(cfg_getstr(sec, "limit"), &limit->count);
	period_parse(cfg_getstr(sec, "period"), &limit->period);
	alarm->action = (enum alarm_action)get_keyword(alarm_actions,
	    cfg_getstr(sec, "action"));
	if (cfg_getstr(sec, "for") != NULL)
		period_parse(cfg_getstr(sec, "for"), &alarm->lasts);
}

/* The host's, with "_" in place of what a relay_name must not have. */
static char *
relay_name(cfg_t *cfg)
{
	char   name[CONF_RELAY_NAME + 1] = "";
	size_t i;

	if (cfg_getstr(cfg, "relay_name") != NULL)
		return (dup_str(cfg, "relay_name"));
	(void)gethostname(name, sizeof(name) - 1);
	for (i = 0; name[i] != '\0'; i++)
		if (strchr(relay_ok, name[i]) == NULL)
			name[i] = '_';
	return (strdup(i > 0 ? name : "localhost"));
}

static int
take_values(struct conf *conf, cfg_t *cfg)
{
	unsigned int i;

	for (i = 0; i < cfg_size(cfg, "alarm"); i++)
		take_alarm(conf, cfg_getnsec(cfg, "alarm", i));
	conf->redis = dup_str(cfg, "redis");
	conf->redis_user = dup_str(cfg, "redis_user");
	conf->redis_password_file = dup_str(cfg, "redis_password_file");
	conf->redis_ca = dup_str(cfg, "redis_ca");
	conf->redis_db = (int)cfg_getint(cfg, "redis_db");
	conf->redis_timeout = (int)cfg_getint(cfg, "redis_timeout");
	conf->redis_replicas = (int)cfg_getint(cfg, "redis_replicas");
	conf->prefix = dup_str(cfg, "prefix");
	conf->relay_name = relay_name(cfg);
	conf->report_url = dup_str(cfg, "report_url");
	conf->report_title = dup_str(cfg, "report_title");
	conf->report_logo = dup_str(cfg, "report_logo");
	conf->report_contact = dup_str(cfg, "report_contact");
	conf->spf = (enum spf_mode)get_keyword(spf_words,
	    cfg_getstr(cfg, "spf"));
	conf->spf_timeout = (int)cfg_getint(cfg, "spf_timeout");
	conf->spf_workers = (int)cfg_getint(cfg, "spf_workers");
	conf->spf_resolver = dup_str(cfg, "spf_resolver");
	conf->quota_unit = (enum quota_unit)get_keyword(unit_words,
	    cfg_getstr(cfg, "quota_unit"));
	conf->local = (enum local_policy)get_keyword(local_words,
	    cfg_getstr(cfg, "local"));
	conf->source_refusal = (enum source_refusal)get_keyword(refusal_words,
	    cfg_getstr(cfg, "source_refusal"));
	rate_parse(cfg_getstr(cfg, "auth_failures"), &conf->auth_failures,
	    &conf->auth_failures_period);
	conf->bounds.over = (enum over)(OVER_DEFER +
	    get_keyword(over_words, cfg_getstr(cfg, "over")));
	count_parse(cfg_getstr(cfg, "max_recipients"),
	    &conf->bounds.max_recipients);
	size_parse(cfg_getstr(cfg, "max_size"), &conf->bounds.max_size);
	if (conf->redis == NULL || conf->prefix == NULL ||
	    conf->relay_name == NULL || conf->report_url == NULL ||
	    conf->report_title == NULL || conf->report_logo == NULL ||
	    conf->report_contact == NULL ||
	    !places_parse(&conf->places, conf->redis) ||
	    !period_parse(cfg_getstr(cfg, "quota_period"), &conf->quota_period))
		return (-1);
	return (take_lists(conf, cfg));
}

/* What one key says of another. */
static int
valid_whole(struct conf *conf, cfg_t *cfg)
{
	const char *wrong = "cannot be read";
	struct stat st;

	if (conf->redis_ca != NULL && stat(conf->redis_ca, &st) == 0)
		conf->redis_ca_time = st.st_mtim;
	if (conf->redis_password_file != NULL) {
		conf->redis_password = read_password(conf->redis_password_file,
		    &wrong);
		if (conf->redis_password == NULL) {
			cfg_error(cfg, "redis_password_file: %s", wrong);
			return (-1);
		}
	} else if (conf->redis_user != NULL) {
		cfg->line = reading.user_line;
		cfg_error(cfg, "redis_user needs a redis_password_file");
		return (-1);
	}
	if (conf->places.topology == REDIS_CLUSTER && conf->redis_db != 0) {
		cfg->line = reading.redis_line;
		cfg_error(cfg, "redis is a cluster, which has no redis_db");
		return (-1);
	}
	if (conf->enforce == 0) {
		cfg_error(cfg, "enforce: neither envelope nor header");
		return (-1);
	}
	cfg->line = reading.spf_line;
	if (conf->spf == SPF_INCLUDE && conf->nspf_include == 0) {
		cfg_error(cfg, "spf is include, but spf_include is empty");
		return (-1);
	}
	if (conf->nspf_include > CONF_INCLUDES ||
	    conf->nspf_relays > CONF_RELAYS) {
		cfg_error(cfg,
		    "more than %d names in spf_include, or more "
		    "than %d addresses in spf_relays",
		    CONF_INCLUDES, CONF_RELAYS);
		return (-1);
	}
	if (conf->spf == SPF_PASS && conf->nspf_relays == 0) {
		cfg_error(cfg, "spf is pass, but spf_relays is empty");
		return (-1);
	}
	return (0);
}

static cfg_t *
new_parser(void)
{
	static char enforce_default[] = "{envelope, header}";
	cfg_opt_t   alarm[] = { CFG_STR("limit", NULL, CFGF_NONE),
		  CFG_STR("period", "1h", CFGF_NONE),
		  CFG_STR("action", "notice", CFGF_NONE),
		  CFG_STR("for", NULL, CFGF_NONE), CFG_END() };
	cfg_opt_t   opts[] = { CFG_STR("redis",
				   "unix:/run/redis/redis-server.sock",
				   CFGF_NONE),
		  CFG_STR("redis_user", NULL, CFGF_NONE),
		  CFG_STR("redis_password_file", NULL, CFGF_NONE),
		  CFG_STR("redis_ca", NULL, CFGF_NONE),
		  CFG_INT("redis_db", 0, CFGF_NONE),
		  CFG_INT("redis_timeout", 500, CFGF_NONE),
		  CFG_INT("redis_replicas", 0, CFGF_NONE),
		  CFG_STR("prefix", "smtp:", CFGF_NONE),
		  CFG_STR("relay_name", NULL, CFGF_NONE),
		  CFG_STR("report_url", "https://reports.example.net/",
		      CFGF_NONE),
		  CFG_STR("report_title", "", CFGF_NONE),
		  CFG_STR("report_logo", "", CFGF_NONE),
		  CFG_STR("report_contact", "", CFGF_NONE),
		  CFG_STR_LIST("enforce", enforce_default, CFGF_NONE),
		  CFG_STR("spf", "published", CFGF_NONE),
		  CFG_STR_LIST("spf_include", NULL, CFGF_NONE),
		  CFG_STR_LIST("spf_relays", NULL, CFGF_NONE),
		  CFG_INT("spf_timeout", 5000, CFGF_NONE),
		  CFG_INT("spf_workers", 4, CFGF_NONE),
		  CFG_STR("spf_resolver", NULL, CFGF_NONE),
		  CFG_STR("auth_failures", "", CFGF_NONE),
		  CFG_STR("over", "defer", CFGF_NONE),
		  CFG_STR("max_recipients", "0", CFGF_NONE),
		  CFG_STR("max_size", "0", CFGF_NONE),
		  CFG_STR("quota_period", "1d", CFGF_NONE),
		  CFG_STR("quota_unit", "message", CFGF_NONE),
		  CFG_STR("local", "trust", CFGF_NONE),
		  CFG_STR("source_refusal", "auth", CFGF_NONE),
		  CFG_SEC("alarm", alarm,
		      CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		  CFG_END() };
	cfg_t	   *cfg = cfg_init(opts, CFGF_NONE);
	size_t	    i;

	if (cfg == NULL)
		return (NULL);
	cfg_set_error_function(cfg, report);
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		cfg_set_validate_func(cfg, checks[i].name, checks[i].check);
	return (cfg);
}

/* Reads a whole file, which must be a regular one and text. */
static char *
read_file(const char *file, const char **wrong)
{
	struct stat st;
	char	   *text = NULL;
	ssize_t	    n = -1;
	int	    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*wrong = "not a regular file, or too large";
	if (fd == -1 || fstat(fd, &st) == -1)
		*wrong = strerror(errno);
	else if (S_ISREG(st.st_mode) && st.st_size <= FILE_MAX &&
	    (text = calloc(1, FILE_MAX + 1)) != NULL &&
	    (n = read(fd, text, FILE_MAX)) == -1)
		*wrong = strerror(errno);
	if (fd != -1)
		close(fd);
	if (n != -1 && memchr(text, '\0', (size_t)n) != NULL) {
		*wrong = "holds a NUL";
		n = -1;
	}
	if (n != -1)
		return (text);
	free(text);
	return (NULL);
}

/* The scanner must not write to what is smtpd's end. */
static int
parse(cfg_t *cfg, const char *text)
{
	FILE  *was = cfg_yyout;
	char  *written = NULL;
	size_t size;
	int    ret;

	if ((cfg_yyout = open_memstream(&written, &size)) == NULL) {
		cfg_yyout = was;
		fprintf(reading.errors, "%s\n", strerror(errno));
		return (-1);
	}
	ret = cfg_parse_buf(cfg, text);
	fclose(cfg_yyout);
	cfg_yyout = was;
	free(written);
	if (ret == CFG_SUCCESS)
		return (0);
	if (reading.nerrors == 0)
		cfg_error(cfg, "syntax error");
	return (-1);
}

struct conf *
conf_load(const char *file, FILE *errors)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	cfg_t	    *cfg = new_parser();
	const char  *wrong = strerror(ENOMEM);
	char	    *text = NULL;
	int	     ok = 0;

	memset(&reading, 0, sizeof(reading));
	reading.errors = errors;
	reading.file = file;
	if (conf == NULL || cfg == NULL ||
	    (text = read_file(file, &wrong)) == NULL)
		fprintf(errors, "%s: %s\n", file, wrong);
	else if (parse(cfg, text) == 0) {
		cfg->line = 0;
		ok = take_values(conf, cfg) == 0 && valid_whole(conf, cfg) == 0;
		if (!ok && reading.nerrors == 0)
			cfg_error(cfg, "out of memory");
	}
	free(text);
	if (cfg != NULL)
		cfg_free(cfg);
	if (ok)
		return (conf);
	conf_free(conf);
	return (NULL);
}

struct conf *
conf_load_logged(const char *file)
{
	struct conf *conf;
	char	    *text = NULL, *rest, *line;
	size_t	     size;
	FILE	    *errors;

	if ((errors = open_memstream(&text, &size)) == NULL) {
		log_err("%s: %s", file, strerror(errno));
		return (NULL);
	}
	conf = conf_load(file, errors);
	fclose(errors);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0')
			log_err("%s", line);
	free(text);
	return (conf);
}

static void
print_quoted(FILE *fp, const char *text)
{
	fputc('"', fp);
	for (; *text != '\0'; text++) {
		/* "${" would be taken for a variable of the environment. */
		if (*text == '"' || *text == '\\' || *text == '$')
			fputc('\\', fp);
		fputc(*text, fp);
	}
	fputc('"', fp);
}

static void
print_str(FILE *fp, const char *key, const char *value)
{
	if (value == NULL)
		return;
	fprintf(fp, "%s = ", key);
	print_quoted(fp, value);
	fputc('\n', fp);
}

static void
print_lists(const struct conf *conf, FILE *fp)
{
	char   buf[NETADDR_TEXT];
	size_t i;

	fprintf(fp, "enforce = {%s%s%s}\n",
	    conf->enforce & ENFORCE_ENVELOPE ? "\"envelope\"" : "",
	    conf->enforce == (ENFORCE_ENVELOPE | ENFORCE_HEADER) ? ", " : "",
	    conf->enforce & ENFORCE_HEADER ? "\"header\"" : "");
	fprintf(fp, "spf_include = {");
	for (i = 0; i < conf->nspf_include; i++) {
		fputs(i > 0 ? ", " : "", fp);
		print_quoted(fp, conf->spf_include[i]);
	}
	fprintf(fp, "}\nspf_relays = {");
	for (i = 0; i < conf->nspf_relays; i++)
		fprintf(fp, "%s\"%s\"", i > 0 ? ", " : "",
		    netaddr_text(&conf->spf_relays[i], buf));
	fprintf(fp, "}\n");
}

static void
print_alarms(const struct conf *conf, FILE *fp)
{
	const struct alarm_limit *limit = conf->alarm_limits.of;
	const struct alarm	 *alarm = conf->alarms;
	size_t			  i;

	for (i = 0; i < ALARM_KINDS; i++) {
		if (alarm[i].action == ALARM_OFF)
			continue;
		fprintf(fp,
		    "alarm \"%s\" { limit = %" PRId64 " period = %" PRId64
		    " action = \"%s\"",
		    alarm_words[i], limit[i].count, limit[i].period,
		    alarm_actions[alarm[i].action]);
		if (alarm[i].lasts > 0)
			fprintf(fp, " for = %" PRId64, alarm[i].lasts);
		fprintf(fp, " }\n");
	}
}

void
conf_print(const struct conf *conf, FILE *fp)
{
	print_str(fp, "redis", conf->redis);
	print_str(fp, "redis_user", conf->redis_user);
	print_str(fp, "redis_password_file", conf->redis_password_file);
	print_str(fp, "redis_ca", conf->redis_ca);
	fprintf(fp, "redis_db = %d\n", conf->redis_db);
	fprintf(fp, "redis_timeout = %d\n", conf->redis_timeout);
	fprintf(fp, "redis_replicas = %d\n", conf->redis_replicas);
	print_str(fp, "prefix", conf->prefix);
	print_str(fp, "relay_name", conf->relay_name);
	print_str(fp, "report_url", conf->report_url);
	print_str(fp, "report_title", conf->report_title);
	print_str(fp, "report_logo", conf->report_logo);
	print_str(fp, "report_contact", conf->report_contact);
	print_str(fp, "spf", spf_words[conf->spf]);
	print_lists(conf, fp);
	fprintf(fp, "spf_timeout = %d\n", conf->spf_timeout);
	fprintf(fp, "spf_workers = %d\n", conf->spf_workers);
	print_str(fp, "spf_resolver", conf->spf_resolver);
	fprintf(fp, "auth_failures = \"");
	if (conf->auth_failures > 0)
		fprintf(fp, "%" PRId64 "/%" PRId64, conf->auth_failures,
		    conf->auth_failures_period);
	fprintf(fp, "\"\n");
	print_str(fp, "over", over_words[conf->bounds.over - OVER_DEFER]);
	fprintf(fp, "max_recipients = %" PRId64 "\nmax_size = %" PRId64 "\n",
	    conf->bounds.max_recipients, conf->bounds.max_size);
	fprintf(fp, "quota_period = %" PRId64 "\n", conf->quota_period);
	print_str(fp, "quota_unit", unit_words[conf->quota_unit]);
	print_str(fp, "local", local_words[conf->local]);
	print_str(fp, "source_refusal", refusal_words[conf->source_refusal]);
	print_alarms(conf, fp);
}

const struct conf *
conf_ref(const struct conf *conf)
{
	((struct conf *)(uintptr_t)conf)->holders++;
	return (conf);
}

static void
destroy(struct conf *conf)
{
	size_t i;

	for (i = 0; i < conf->nspf_include; i++)
		free(conf->spf_include[i]);
	if (conf->redis_password != NULL)
		freezero(conf->redis_password, strlen(conf->redis_password));
	free(conf->redis);
	free(conf->redis_user);
	free(conf->redis_password_file);
	free(conf->redis_ca);
	free(conf->prefix);
	free(conf->relay_name);
	free(conf->report_url);
	free(conf->report_title);
	free(conf->report_logo);
	free(conf->report_contact);
	free(conf->spf_include);
	free(conf->spf_relays);
	free(conf->spf_resolver);
	free(conf);
}

void
conf_free(const struct conf *held)
{
	struct conf *conf = (struct conf *)(uintptr_t)held;

	if (conf == NULL)
		return;
	if (conf->holders == 0)
		destroy(conf);
	else
		conf->holders--;
}

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

bool
conf_same_redis(const struct conf *a, const struct conf *b)
{
	return (same_text(a->redis, b->redis) &&
	    same_text(a->redis_user, b->redis_user) &&
	    same_text(a->redis_password, b->redis_password) &&
	    same_text(a->redis_ca, b->redis_ca) &&
	    a->redis_ca_time.tv_sec == b->redis_ca_time.tv_sec &&
	    a->redis_ca_time.tv_nsec == b->redis_ca_time.tv_nsec &&
	    a->redis_db == b->redis_db &&
	    a->redis_timeout == b->redis_timeout &&
	    a->redis_replicas == b->redis_replicas);
}

bool
conf_same_spf(const struct conf *a, const struct conf *b)
{
	size_t i;

	if (a->nspf_include != b->nspf_include ||
	    a->nspf_relays != b->nspf_relays)
		return (false);
	for (i = 0; i < a->nspf_include; i++)
		if (strcmp(a->spf_include[i], b->spf_include[i]) != 0)
			return (false);
	for (i = 0; i < a->nspf_relays; i++)
		if (!netaddr_equal(&a->spf_relays[i], &b->spf_relays[i]))
			return (false);
	return (a->spf == b->spf && a->spf_timeout == b->spf_timeout &&
	    a->spf_workers == b->spf_workers &&
	    same_text(a->spf_resolver, b->spf_resolver));
}

struct timeval
conf_deadline(const struct conf *conf)
{
	int	       usec = conf->redis_timeout * 950;
	struct timeval tv = { usec / 1000000, usec % 1000000 };

	return (tv);
}
