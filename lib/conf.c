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
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "confvalue.h"
#include "confword.h"
#include "count.h"
#include "log.h"
#include "period.h"

#define FILE_MAX (1 << 20)

/* Where libconfuse's scanner echoes what it cannot make sense of. */
extern FILE *cfg_yyout;

/* What is being read: libconfuse's callbacks take no argument of ours. */
static struct {
	FILE	    *errors;
	const char  *file;
	unsigned int nerrors;
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

static char *
dup_str(cfg_t *cfg, const char *name)
{
	const char *value = cfg_getstr(cfg, name);

	return (value == NULL ? NULL : strdup(value));
}

static int
take_lists(struct conf *conf, cfg_t *cfg)
{
	unsigned int i, n;

	for (i = 0; i < cfg_size(cfg, "enforce"); i++)
		conf->enforce |= 1U << confword_get(confword_enforce,
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
	const unsigned int  kind = confword_get(alarm_words, cfg_title(sec));
	struct alarm_limit *limit = &conf->alarm_limits.of[kind];
	struct alarm	   *alarm = &conf->alarms[kind];

	limit->count = alarm_counts[kind];
	if (cfg_getstr(sec, "limit") != NULL)
		count_parse(cfg_getstr(sec, "limit"), &limit->count);
	period_parse(cfg_getstr(sec, "period"), &limit->period);
	alarm->action = (enum alarm_action)confword_get(alarm_actions,
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
		if (strchr(confword_relay_name, name[i]) == NULL)
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
	conf->spf = (enum spf_mode)confword_get(confword_spf,
	    cfg_getstr(cfg, "spf"));
	conf->spf_timeout = (int)cfg_getint(cfg, "spf_timeout");
	conf->spf_workers = (int)cfg_getint(cfg, "spf_workers");
	conf->spf_resolver = dup_str(cfg, "spf_resolver");
	conf->quota_unit = (enum quota_unit)confword_get(confword_unit,
	    cfg_getstr(cfg, "quota_unit"));
	conf->local = (enum local_policy)confword_get(confword_local,
	    cfg_getstr(cfg, "local"));
	conf->source_refusal = (enum source_refusal)
	    confword_get(confword_refusal, cfg_getstr(cfg, "source_refusal"));
	rate_parse(cfg_getstr(cfg, "auth_failures"), &conf->auth_failures,
	    &conf->auth_failures_period);
	conf->bounds.over = (enum over)(OVER_DEFER +
	    confword_get(confword_over, cfg_getstr(cfg, "over")));
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

	if (cfg == NULL)
		return (NULL);
	cfg_set_error_function(cfg, report);
	confvalue_check(cfg);
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
		ok = take_values(conf, cfg) == 0 &&
		    confvalue_check_whole(conf, cfg) == 0;
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
