/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/stat.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unistr.h>

#include "conf.h"
#include "confvalue.h"
#include "confword.h"
#include "count.h"
#include "domain.h"
#include "period.h"

#define REPORT_URL_MAX 256 /* the reply line has 512 bytes, RFC 5321 */
#define REDIS_MAX 2048
#define PREFIX_MAX 64
#define PASSWORD_MAX 512

/* Where these keys stand: libconfuse's callbacks take no argument of ours. */
static struct {
	int user; /* 0: nowhere */
	int spf;
	int redis;
} lines;

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

	if (confword_find(words, value) != -1)
		return (0);
	cfg_error(cfg, "%s: unknown word \"%s\"", cfg_opt_name(opt), value);
	return (-1);
}

static int
valid_enforce(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, confword_enforce));
}

static int
valid_spf(cfg_t *cfg, cfg_opt_t *opt)
{
	lines.spf = cfg->line;
	return (valid_keyword(cfg, opt, confword_spf));
}

static int
valid_over(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, confword_over));
}

static int
valid_unit(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, confword_unit));
}

static int
valid_local(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, confword_local));
}

static int
valid_refusal(cfg_t *cfg, cfg_opt_t *opt)
{
	return (valid_keyword(cfg, opt, confword_refusal));
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

static int
valid_relay_name(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	size_t	    len = strlen(value);

	if (len > 0 && len <= CONF_RELAY_NAME &&
	    strspn(value, confword_relay_name) == len)
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
	lines.user = cfg->line;
	return (valid_word(cfg, opt));
}

static int
valid_redis(cfg_t *cfg, cfg_opt_t *opt)
{
	const char   *value = cfg_opt_getnstr(opt, 0);
	struct places places;

	lines.redis = cfg->line;
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

	if (confword_find(alarm_words, kind) == -1)
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

void
confvalue_check(cfg_t *cfg)
{
	size_t i;

	memset(&lines, 0, sizeof(lines));
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		cfg_set_validate_func(cfg, checks[i].name, checks[i].check);
}

int
confvalue_check_whole(struct conf *conf, cfg_t *cfg)
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
		cfg->line = lines.user;
		cfg_error(cfg, "redis_user needs a redis_password_file");
		return (-1);
	}
	if (conf->places.topology == REDIS_CLUSTER && conf->redis_db != 0) {
		cfg->line = lines.redis;
		cfg_error(cfg, "redis is a cluster, which has no redis_db");
		return (-1);
	}
	if (conf->enforce == 0) {
		cfg_error(cfg, "enforce: neither envelope nor header");
		return (-1);
	}
	cfg->line = lines.spf;
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
