/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/wait.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "conf.h"

static char	    path[UNIT_PATH];
static char	   *errors;
static struct conf *conf;

/* Loads a configuration of this text; errors holds what was said of it. */
static struct conf *
load(const char *text)
{
	FILE  *fp;
	size_t len;

	conf_free(conf);
	free(errors);
	fp = open_memstream(&errors, &len);
	assert_non_null(fp);
	unit_write_file(path, text, strlen(text));
	conf = conf_load(path, fp);
	fclose(fp);
	unlink(path);
	return (conf);
}

static int
clean_up(void **state)
{
	(void)state;
	conf_free(conf);
	conf = NULL;
	free(errors);
	errors = NULL;
	return (0);
}

static void
must_load(const char *text)
{
	if (load(text) == NULL)
		fail_msg("%s: %s", text, errors);
	assert_string_equal(errors, "");
}

/* The text is refused with these words, at that line of the file (0: none). */
static void
must_fail(const char *text, int line, const char *words)
{
	char where[UNIT_PATH + 16];

	if (load(text) != NULL)
		fail_msg("taken: %s", text);
	if (line == 0)
		snprintf(where, sizeof(where), "%s: ", path);
	else
		snprintf(where, sizeof(where), "%s:%d: ", path, line);
	if (strncmp(errors, where, strlen(where)) != 0)
		fail_msg("%s: \"%s\" does not begin with \"%s\"", text, errors,
		    where);
	assert_contains(errors, words);
	assert_int_equal(errors[strlen(errors) - 1], '\n');
}

static char *
printed(const struct conf *c)
{
	char  *text;
	size_t len;
	FILE  *fp = open_memstream(&text, &len);

	assert_non_null(fp);
	conf_print(c, fp);
	fclose(fp);
	return (text);
}

static void
test_defaults(void **state)
{
	size_t i;

	(void)state;
	must_load("");
	assert_string_equal(conf->redis, "unix:/run/redis/redis-server.sock");
	assert_int_equal(conf->places.at[0].transport, REDIS_UNIX);
	assert_string_equal(conf->places.at[0].host,
	    "/run/redis/redis-server.sock");
	assert_null(conf->redis_user);
	assert_null(conf->redis_password);
	assert_null(conf->redis_ca);
	assert_int_equal(conf->redis_db, 0);
	assert_int_equal(conf->redis_timeout, 500);
	assert_int_equal(conf->redis_replicas, 0);
	assert_string_equal(conf->prefix, "smtp:");
	assert_true(conf->relay_name[0] != '\0');
	assert_string_equal(conf->report_url, "https://reports.example.net/");
	assert_int_equal(conf->enforce, ENFORCE_ENVELOPE | ENFORCE_HEADER);
	assert_int_equal(conf->spf, SPF_PUBLISHED);
	assert_int_equal(conf->nspf_include, 0);
	assert_int_equal(conf->nspf_relays, 0);
	assert_int_equal(conf->spf_timeout, 5000);
	assert_int_equal(conf->spf_workers, 4);
	assert_null(conf->spf_resolver);
	assert_int_equal(conf->auth_failures, 0);
	assert_int_equal(conf->bounds.over, OVER_DEFER);
	assert_int_equal(conf->bounds.max_recipients, LIMIT_UNSET);
	assert_int_equal(conf->bounds.max_size, LIMIT_UNSET);
	assert_int_equal(conf->quota_period, 86400);
	assert_int_equal(conf->quota_unit, UNIT_MESSAGE);
	assert_int_equal(conf->local, LOCAL_TRUST);
	assert_int_equal(conf->source_refusal, REFUSE_AT_AUTH);
	for (i = 0; i < ALARM_KINDS; i++)
		assert_int_equal(conf->alarms[i].action, ALARM_OFF);
	must_load("# nothing but a comment\n\n");
	must_load("// likewise\n/* and\n this */");
}

static const char
    every_key[] = "redis = \"tls:redis.example.net:6380\"\n"
		  "redis_ca = '/dev/null'\n"
		  "redis_db = 3\n"
		  "redis_timeout = 250\n"
		  "redis_replicas = 2\n"
		  "prefix = relay1:\n"
		  "relay_name = mx-1.example_A\n"
		  "report_url = \"https://example.org/r\"\n"
		  "report_title = \"B\xc3\xbc"
		  "cher & Co\"\n"
		  "report_logo = https://example.org/logo.svg\n"
		  "report_contact = \"Call 1\"\n"
		  "enforce = {header}\n"
		  "spf = pass\n"
		  "spf_include = {spf.example.net, \"_spf.example.org\"}\n"
		  "spf_relays = {192.0.2.25, \"[2001:DB8::25]\"}\n"
		  "spf_timeout = 1000\n"
		  "spf_workers = 64\n"
		  "spf_resolver = \"[2001:db8::53]:5353\"\n"
		  "auth_failures = \"20/10m\"\n"
		  "over = reject\nmax_recipients = 100\nmax_size = 25M\n"
		  "quota_period = 30d\n"
		  "quota_unit = recipient\n"
		  "local = enforce\n"
		  "source_refusal = mail-from\n"
		  "alarm sources { limit = 5 period = 10m action = block "
		  "for = 2h }\nalarm volume {}\n";

static void
test_every_key(void **state)
{
	char buf[NETADDR_TEXT];

	(void)state;
	must_load(every_key);
	assert_string_equal(conf->redis, "tls:redis.example.net:6380");
	assert_int_equal(conf->places.at[0].transport, REDIS_TLS);
	assert_string_equal(conf->places.at[0].host, "redis.example.net");
	assert_int_equal(conf->places.at[0].port, 6380);
	assert_int_equal(conf->redis_db, 3);
	assert_int_equal(conf->redis_timeout, 250);
	assert_int_equal(conf->redis_replicas, 2);
	assert_string_equal(conf->prefix, "relay1:");
	assert_string_equal(conf->relay_name, "mx-1.example_A");
	assert_string_equal(conf->report_url, "https://example.org/r");
	assert_int_equal(conf->enforce, ENFORCE_HEADER);
	assert_int_equal(conf->spf, SPF_PASS);
	assert_int_equal(conf->nspf_include, 2);
	assert_string_equal(conf->spf_include[0], "spf.example.net");
	assert_string_equal(conf->spf_include[1], "_spf.example.org");
	assert_int_equal(conf->nspf_relays, 2);
	assert_string_equal(netaddr_text(&conf->spf_relays[0], buf),
	    "192.0.2.25");
	assert_string_equal(netaddr_text(&conf->spf_relays[1], buf),
	    "2001:db8::25");
	assert_int_equal(conf->spf_timeout, 1000);
	assert_int_equal(conf->spf_workers, 64);
	assert_string_equal(conf->spf_resolver, "[2001:db8::53]:5353");
	assert_int_equal(conf->quota_period, 30 * 86400);
	assert_int_equal(conf->auth_failures, 20);
	assert_int_equal(conf->bounds.over, OVER_REJECT);
	assert_int_equal(conf->bounds.max_recipients, 100);
	assert_int_equal(conf->bounds.max_size, 25 << 20);
	assert_int_equal(conf->auth_failures_period, 600);
	assert_int_equal(conf->quota_unit, UNIT_RECIPIENT);
	assert_int_equal(conf->local, LOCAL_ENFORCE);
	assert_int_equal(conf->source_refusal, REFUSE_AT_MAIL_FROM);
}

static void
test_words(void **state)
{
	(void)state;
	must_load("enforce = {envelope}");
	assert_int_equal(conf->enforce, ENFORCE_ENVELOPE);
	must_load("enforce = {header, envelope, header}");
	assert_int_equal(conf->enforce, ENFORCE_ENVELOPE | ENFORCE_HEADER);
	must_load("spf = off");
	assert_int_equal(conf->spf, SPF_OFF);
	must_load("spf = include\nspf_include = {a.example}");
	assert_int_equal(conf->spf, SPF_INCLUDE);
	must_load("local = trust\nquota_unit = message\nspf = published");
	must_load("source_refusal = 'auth'");
}

static void
test_redis_places(void **state)
{
	static const struct {
		const char	    *text;
		const char	    *host;
		enum redis_transport transport;
		int		     port;
	} cases[] = { { "unix:/s", "/s", REDIS_UNIX, 0 },
		{ "unix:/a:b", "/a:b", REDIS_UNIX, 0 },
		{ "tcp:127.0.0.1:6379", "127.0.0.1", REDIS_TCP, 6379 },
		{ "tcp:[::1]:1", "::1", REDIS_TCP, 1 },
		{ "tcp:localhost:65535", "localhost", REDIS_TCP, 65535 },
		{ "tls:r.example:6379", "r.example", REDIS_TLS, 6379 } };
	char   text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "redis = \"%s\"\n", cases[i].text);
		must_load(text);
		assert_int_equal(conf->places.at[0].transport,
		    cases[i].transport);
		assert_string_equal(conf->places.at[0].host, cases[i].host);
		assert_int_equal(conf->places.at[0].port, cases[i].port);
	}
}

static void
test_many_places(void **state)
{
	static const struct {
		const char	   *text;
		enum redis_topology topology;
		const char	   *name;
		size_t		    n;
		const char	   *last;
	} cases[] = { { "tcp:h:1", REDIS_ONE, "", 1, "h:1" },
		{ "sentinel:main@a:1", REDIS_SENTINEL, "main", 1, "a:1" },
		{ "sentinel:my_main-1.2@a:1,b:2,c", REDIS_SENTINEL,
		    "my_main-1.2", 3, "c:26379" },
		{ "sentinel+tls:m@a,[2001:db8::1]:7", REDIS_SENTINEL, "m", 2,
		    "[2001:db8::1]:7" },
		{ "cluster:a", REDIS_CLUSTER, "", 1, "a:6379" },
		{ "cluster+tls:a,[::1]", REDIS_CLUSTER, "", 2, "[::1]:6379" },
		{ "cluster:a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,o:1", REDIS_CLUSTER,
		    "", 16, "o:1" } };
	const struct places *places;
	char		     text[256], buf[PLACE_TEXT];
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "redis = \"%s\"\n", cases[i].text);
		must_load(text);
		places = &conf->places;
		assert_int_equal(places->topology, cases[i].topology);
		assert_string_equal(places->name, cases[i].name);
		assert_int_equal(places->n, cases[i].n);
		assert_string_equal(place_text(&places->at[places->n - 1], buf),
		    cases[i].last);
		assert_int_equal(places->at[0].transport,
		    strstr(cases[i].text, "+tls:") != NULL ? REDIS_TLS
							   : REDIS_TCP);
	}
}

static void
test_bad_redis(void **state)
{
	static const char *const cases[] = { "", "unix:", "unix:s",
		"/run/redis.sock", "tcp:", "tcp:6379", "tcp::6379",
		"tcp:h:", "tcp:h:0", "tcp:h:65536", "tcp:h:4295033215",
		"tcp:h:+1", "tcp:h:1x", "tcp:h", "tcp:::1:6379",
		"tcp:2001:db8::1:6379", "tcp:[]:6379", "tcp:a b:1", "udp:h:1",
		"TCP:h:1", "redis://h:1", "tls:h", "tcp:h:1,g:1",
		"sentinel:h:1", "sentinel:@h:1", "sentinel:m@", "sentinel:m@h,",
		"sentinel:m@,h", "sentinel:m@h,h:26379", "sentinel:m@h,H",
		"sentinel:m/n@h", "sentinel+tcp:m@h", "sentinel+tlsm@h",
		"sentinelm@h", "sentinel:m@::1", "sentinel:m@h:0",
		"cluster:", "cluster:h,,i", "cluster:m@h", "cluster:[h",
		"cluster:h:6379,h", "cluster+tls", "cluster:unix:/s",
		"cluster:a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q" };
	char			 text[256];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "\nredis = \"%s\"\n", cases[i]);
		must_fail(text, 2,
		    "is not unix:/path, tcp:host:port, "
		    "tls:host:port, sentinel:NAME@host:port,... or "
		    "cluster:host:port,...");
	}
	/* As long as a socket's address may be, and longer. */
	snprintf(text, sizeof(text), "redis = \"unix:/%0106d\"\n", 0);
	must_load(text);
	snprintf(text, sizeof(text), "redis = \"unix:/%0107d\"\n", 0);
	must_fail(text, 1, "is not unix:/path");
}

static void
test_bad_values(void **state)
{
	static const struct {
		const char *text;
		int	    line;
		const char *words;
	} cases[] = { { "redis_timeout = 9", 1,
			  "redis_timeout: 9 is not between "
			  "10 and 60000" },
		{ "\n\nredis_timeout = 60001", 3, "not between" },
		{ "redis_timeout = -500", 1, "not between" },
		{ "redis_timeout = fast", 1, "redis_timeout" },
		{ "redis_timeout = 500ms", 1, "redis_timeout" },
		{ "redis_timeout = 99999999999999999999", 1, "redis_timeout" },
		{ "redis_replicas = -1", 1, "is not between 0 and 9" },
		{ "redis_replicas = 10", 1, "is not between 0 and 9" },
		{ "redis = 'cluster:h'\nredis_db = 1", 1,
		    "redis is a cluster, which has no redis_db" },
		{ "redis_db = -1", 1, "redis_db: -1 is not between" },
		{ "redis_db = 65536", 1, "not between" },
		{ "redis_db = 4294967296", 1, "not between" },
		{ "spf_timeout = 0", 1, "spf_timeout: 0 is not between" },
		{ "spf_workers = 0", 1, "spf_workers: 0 is not between 1" },
		{ "spf_workers = 65", 1, "not between 1 and 64" },
		{ "prefix = ''", 1, "prefix: \"\" is not" },
		{ "prefix = 'a b'", 1, "prefix" },
		{ "prefix = '{x}:'", 1, "prefix" },
		{ "prefix = 'x}'", 1, "prefix" },
		{ "prefix = \"\xc3\xa9\"", 1, "prefix" },
		{ "prefix = 01234567890123456789012345678901234567890123456789"
		  "012345678901234",
		    1, "prefix" },
		{ "relay_name = ''", 1, "relay_name" },
		{ "relay_name = 'a}b'", 1, "relay_name" },
		{ "relay_name = 'a:b'", 1, "relay_name" },
		{ "relay_name = 'a b'", 1, "relay_name" },
		{ "relay_name = 'b\xc3\xbc'", 1, "relay_name" },
		{ "relay_name = '123456789012345678901234567890123456789"
		  "01234567890123456789012345'",
		    1, "relay_name" },
		{ "report_url = ''", 1, "report_url" },
		{ "report_url = 'ftp://example.net/'", 1, "report_url" },
		{ "report_url = 'https://a b/'", 1, "report_url" },
		{ "report_url = \"https://a/\\r\\nx\"", 1, "report_url" },
		{ "report_title = \"\xff\"", 1,
		    "report_title: not a line of UTF-8" },
		{ "report_contact = \"a\\nb\"", 1,
		    "report_contact: not a line of UTF-8" },
		{ "report_logo = 'http://a/'", 1, "is not an https URL" },
		{ "report_logo = 'javascript:x'", 1, "is not an https URL" },
		{ "redis_user = ''", 1, "redis_user" },
		{ "redis_user = 'a b'", 1, "redis_user" },
		{ "enforce = {envelope, body}", 1,
		    "enforce: unknown word \"body\"" },
		{ "enforce = {Envelope}", 1, "unknown word" },
		{ "enforce = {''}", 1, "unknown word" },
		{ "spf = on", 1, "spf: unknown word \"on\"" },
		{ "spf = ''", 1, "unknown word" },
		{ "quota_unit = bytes", 1, "quota_unit: unknown word" },
		{ "over = drop", 1, "over: unknown word" },
		{ "max_recipients = many", 1, "is not a number" },
		{ "max_size = 25m", 1, "is not a size like 25M" },
		{ "auth_failures = 20", 1,
		    "auth_failures: \"20\" is not a rate like 20/10m" },
		{ "auth_failures = 0/10m", 1, "is not a rate" },
		{ "auth_failures = /10m", 1, "is not a rate" },
		{ "auth_failures = -1/10m", 1, "is not a rate" },
		{ "auth_failures = 1000001/10m", 1, "is not a rate" },
		{ "auth_failures = 99999999999999999999/1m", 1,
		    "is not a rate" },
		{ "auth_failures = '5/'", 1, "is not a rate" },
		{ "auth_failures = '5/1m 9/1h'", 1, "is not a rate" },
		{ "auth_failures = '5 /1m'", 1, "is not a rate" },
		{ "local = ignore", 1, "local: unknown word" },
		{ "source_refusal = rcpt", 1, "source_refusal: unknown word" },
		{ "spf_include = {a.example, 'b c'}", 1, "spf_include" },
		{ "spf_include = {''}", 1, "spf_include" },
		{ "spf_relays = {192.0.2.1,\n192.0.2.0/24}", 2,
		    "spf_relays: \"192.0.2.0/24\" is not an address" },
		{ "spf_relays = {relay.example}", 1, "is not an address" },
		{ "spf_resolver = dns.example", 1, "spf_resolver" },
		{ "spf_resolver = '192.0.2.1:0'", 1, "spf_resolver" },
		{ "spf_resolver = '192.0.2.1:65536'", 1, "spf_resolver" },
		{ "spf_resolver = ''", 1, "spf_resolver" },
		{ "quota_period = 0", 1,
		    "quota_period: \"0\" is not a "
		    "period" },
		{ "quota_period = 1y", 1, "is not a period" },
		{ "quota_period = -1d", 1, "is not a period" } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		must_fail(cases[i].text, cases[i].line, cases[i].words);
}

static void
test_bad_syntax(void **state)
{
	(void)state;
	must_fail("\nredis_tiemout = 500\n", 2, "redis_tiemout");
	must_fail("prefix = a\nREDIS = 'unix:/s'\n", 2, "REDIS");
	must_fail("redis_db 3\n", 1, "");
	must_fail("prefix = a\nredis_db =\nredis_timeout = 5\n", 3, "redis_db");
	must_fail("prefix = a\nredis_db = {\n", 2, "");
	must_fail("= 3\n", 1, "");
	must_fail("prefix = a\n'' = 3\n", 2, "");
	must_fail("enforce = {envelope", 1, "");
	must_fail("prefix = {a, b}\n", 1, "");
	must_fail("prefix = \"a", 1, "");
	must_fail("section {\n}\n", 1, "section");
	must_fail("include(\"/dev/null\")\n", 1, "include");
}

/* Standard output belongs to smtpd, whatever the file holds. */
static void
test_silent(void **state)
{
	static const char *const cases[] = { "prefix = \"a\\", "prefix = 'a\\",
		"\\", "prefix = a\\", "prefix = \"a", "/* a", "prefix = \"${",
		"@", "prefix = )\n" };
	FILE			*fp = unit_tmpfile();
	size_t			 i;
	int			 saved;

	(void)state;
	fflush(stdout);
	saved = unit_divert(STDOUT_FILENO, fileno(fp));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		load(cases[i]);
	fflush(stdout);
	unit_restore(STDOUT_FILENO, saved);
	assert_int_equal(lseek(fileno(fp), 0, SEEK_END), 0);
	fclose(fp);
}

/* What one key says of another is judged when all are read. */
static void
test_whole(void **state)
{
	(void)state;
	must_fail("enforce = {}", 0, "neither envelope nor header");
	must_fail("spf = include", 1, "spf_include is empty");
	must_fail("spf = pass", 1, "spf_relays is empty");
	must_fail("redis_user = relay", 1, "needs a redis_password_file");
}

static void
test_no_file(void **state)
{
	FILE  *fp;
	size_t len;

	(void)state;
	fp = open_memstream(&errors, &len);
	assert_non_null(fp);
	assert_null(conf_load("/nonexistent/smtpusers.conf", fp));
	fclose(fp);
	assert_string_equal(errors,
	    "/nonexistent/smtpusers.conf: "
	    "No such file or directory\n");
}

/* In a process of its own: smtpd would end with one that this ends. */
static void
test_directory(void **state)
{
	int   status;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0)
		_exit(conf_load("/tmp", stderr) == NULL ? 42 : 43);
	assert_int_not_equal(pid, -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

/* Loads with a password file of these bytes. */
static struct conf *
load_with_password(const char *bytes, size_t len)
{
	char	     secret[UNIT_PATH], text[128];
	struct conf *c;

	unit_write_file(secret, bytes, len);
	snprintf(text, sizeof(text),
	    "redis_user = relay\n\nredis_password_file = '%s'\n", secret);
	c = load(text);
	unlink(secret);
	return (c);
}

static void
test_password(void **state)
{
	char longest[514], *text;

	(void)state;
	assert_non_null(load_with_password("s3cr et\n", 8));
	assert_string_equal(conf->redis_password, "s3cr et");
	assert_string_equal(conf->redis_user, "relay");
	text = printed(conf);
	assert_lacks(text, "s3cr et");
	assert_contains(text, "redis_user = \"relay\"\n");
	assert_contains(text, "redis_password_file = \"/tmp/unit.");
	free(text);
	assert_non_null(load_with_password("s3cret", 6));
	assert_string_equal(conf->redis_password, "s3cret");
	assert_non_null(load_with_password("s3cret\r\nmore\n", 13));
	assert_string_equal(conf->redis_password, "s3cret");
	memset(longest, 'p', sizeof(longest));
	longest[512] = '\n';
	assert_non_null(load_with_password(longest, 513));
	assert_int_equal(strlen(conf->redis_password), 512);
}

static void
test_bad_password(void **state)
{
	char toolong[600];

	(void)state;
	assert_null(load_with_password("", 0));
	assert_contains(errors, "the first line is empty or over 512 bytes");
	assert_null(load_with_password("\ns3cret\n", 8));
	assert_contains(errors, "the first line is empty");
	memset(toolong, 'p', sizeof(toolong));
	toolong[513] = '\n';
	assert_null(load_with_password(toolong, 514));
	assert_contains(errors, "over 512 bytes");
	assert_lacks(errors, "ppp");
	assert_null(load_with_password(toolong, 513));
	assert_null(load("redis_password_file = /nonexistent/secret\n"));
	assert_contains(errors,
	    "/nonexistent/secret: No such file or directory");
	assert_null(load("redis_password_file = /tmp\n"));
	assert_contains(errors, "redis_password_file: /tmp");
}

static void
test_alarms(void **state)
{
	const struct alarm_limit *limit;

	(void)state;
	must_load("alarm \"sources\" { limit = 5 period = 10m action = block "
		  "for = \"2h\" }\n"
		  "alarm blocked {\n\tlimit = \"1000000\"\n}\n");
	limit = conf->alarm_limits.of;
	assert_int_equal(limit[ALARM_SOURCES].count, 5);
	assert_int_equal(limit[ALARM_SOURCES].period, 600);
	assert_int_equal(conf->alarms[ALARM_SOURCES].action, ALARM_BLOCK);
	assert_int_equal(conf->alarms[ALARM_SOURCES].lasts, 7200);
	assert_int_equal(limit[ALARM_BLOCKED].count, 1000000);
	assert_int_equal(limit[ALARM_BLOCKED].period, 3600);
	assert_int_equal(conf->alarms[ALARM_BLOCKED].action, ALARM_NOTICE);
	assert_int_equal(conf->alarms[ALARM_BLOCKED].lasts, 0);
	assert_int_equal(conf->alarms[ALARM_VOLUME].action, ALARM_OFF);
	assert_int_equal(limit[ALARM_VOLUME].count, LIMIT_UNSET);
	must_load("alarm volume {}\nalarm senders { action = sandbox }\n"
		  "alarm failures {}");
	limit = conf->alarm_limits.of;
	assert_int_equal(limit[ALARM_VOLUME].count, 50000);
	assert_int_equal(limit[ALARM_SENDERS].count, 20);
	assert_int_equal(limit[ALARM_FAILURES].count, 1000);
	assert_int_equal(conf->alarms[ALARM_SENDERS].action, ALARM_SANDBOX);
	assert_int_equal(conf->alarms[ALARM_SENDERS].lasts, 0);
}

static void
test_bad_alarms(void **state)
{
	(void)state;
	must_fail("\nalarm source {}\n", 2, "alarm: \"source\" is not");
	must_fail("alarm {}\n", 1, "");
	must_fail("alarm sources {\nlimit = 0\n}\n", 2, "limit: \"0\"");
	must_fail("alarm sources { limit = 1000001 }", 1, "limit: ");
	must_fail("alarm sources { limit = -1 }", 1, "limit: ");
	must_fail("alarm sources { period = 0 }", 1, "period: ");
	must_fail("alarm sources { for = soon action = block }", 1, "for: ");
	must_fail("alarm sources { action = off }", 1, "action: ");
	must_fail("alarm sources { action = kill }", 1, "action: ");
	must_fail("alarm sources { for = 1h }", 1, "a notice has no for");
	must_fail("alarm sources { reason = x }", 1, "reason");
	must_fail("alarm sources {}\nalarm sources {}\n", 2, "sources");
	must_fail("limit = 5", 1, "limit");
}

/* What is printed parses again, to the same. */
static void
check_round_trip(const char *text)
{
	char *once, *again;

	must_load(text);
	once = printed(conf);
	must_load(once);
	again = printed(conf);
	assert_string_equal(once, again);
	free(once);
	free(again);
}

static void
test_print(void **state)
{
	char *text;

	(void)state;
	must_load(every_key);
	text = printed(conf);
	assert_string_equal(text,
	    "redis = \"tls:redis.example.net:6380\"\n"
	    "redis_ca = \"/dev/null\"\n"
	    "redis_db = 3\n"
	    "redis_timeout = 250\n"
	    "redis_replicas = 2\n"
	    "prefix = \"relay1:\"\n"
	    "relay_name = \"mx-1.example_A\"\n"
	    "report_url = \"https://example.org/r\"\n"
	    "report_title = \"B\xc3\xbc"
	    "cher & Co\"\n"
	    "report_logo = \"https://example.org/logo.svg\"\n"
	    "report_contact = \"Call 1\"\n"
	    "spf = \"pass\"\n"
	    "enforce = {\"header\"}\n"
	    "spf_include = {\"spf.example.net\", \"_spf.example.org\"}\n"
	    "spf_relays = {\"192.0.2.25\", \"2001:db8::25\"}\n"
	    "spf_timeout = 1000\n"
	    "spf_workers = 64\n"
	    "spf_resolver = \"[2001:db8::53]:5353\"\n"
	    "auth_failures = \"20/600\"\n"
	    "over = \"reject\"\nmax_recipients = 100\n"
	    "max_size = 26214400\n"
	    "quota_period = 2592000\n"
	    "quota_unit = \"recipient\"\n"
	    "local = \"enforce\"\n"
	    "source_refusal = \"mail-from\"\n"
	    "alarm \"sources\" { limit = 5 period = 600 action = \"block\""
	    " for = 7200 }\n"
	    "alarm \"volume\" { limit = 50000 period = 3600 "
	    "action = \"notice\" }\n");
	free(text);
	check_round_trip("");
	check_round_trip(every_key);
	check_round_trip("enforce = {envelope}\nspf = off\n");
	check_round_trip("prefix = 'a\"b\\c'\n");
}

/* libconfuse puts the environment in place of ${...} between double quotes. */
static void
test_print_dollar(void **state)
{
	(void)state;
	setenv("UNIT_VALUE", "other", 1);
	must_load("report_url = 'https://example.net/${UNIT_VALUE}'\n");
	assert_string_equal(conf->report_url,
	    "https://example.net/${UNIT_VALUE}");
	check_round_trip("report_url = 'https://example.net/${UNIT_VALUE}'\n");
	assert_string_equal(conf->report_url,
	    "https://example.net/${UNIT_VALUE}");
}

static void
test_deadline(void **state)
{
	struct timeval tv;

	(void)state;
	must_load("redis_timeout = 500");
	tv = conf_deadline(conf);
	assert_int_equal(tv.tv_sec, 0);
	assert_in_range(tv.tv_usec, 400000, 499999);
	must_load("redis_timeout = 60000");
	tv = conf_deadline(conf);
	assert_in_range(tv.tv_sec, 55, 59);
	assert_in_range(tv.tv_usec, 0, 999999);
}

/* What differs in one key only: is it another to Redis, to SPF? */
static void
test_same(void **state)
{
	static const struct {
		const char *text;
		bool	    redis, spf;
	} rows[] = { { "", true, true }, { "redis_db = 1", false, true },
		{ "redis = 'tcp:localhost:1'", false, true },
		{ "redis_timeout = 501", false, true },
		{ "redis_replicas = 1", false, true },
		{ "redis_ca = '/dev/null'", false, true },
		{ "redis_password_file = '/proc/self/comm'", false, true },
		{ "spf = off", true, false },
		{ "spf_timeout = 10", true, false },
		{ "spf_timeout = 5000", true, true },
		{ "spf_workers = 5", true, false },
		{ "spf_resolver = '192.0.2.1'", true, false },
		{ "spf_include = {a.example}", true, false },
		{ "spf_relays = {192.0.2.1}", true, false },
		{ "prefix = 'x:'", true, true },
		{ "local = enforce", true, true },
		{ "quota_unit = recipient", true, true } };
	const struct conf *plain;
	size_t		   i;

	(void)state;
	must_load("");
	plain = conf;
	conf = NULL;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		must_load(rows[i].text);
		if (conf_same_redis(plain, conf) != rows[i].redis ||
		    conf_same_spf(conf, plain) != rows[i].spf)
			fail_msg("%s", rows[i].text);
	}
	conf_free(plain);
}

static void
test_same_lists(void **state)
{
	const struct conf *one;

	(void)state;
	must_load("spf_include = {a.example}\nspf_relays = {192.0.2.1}");
	one = conf;
	conf = NULL;
	must_load("spf_include = {a.example}\nspf_relays = {192.0.2.1}");
	assert_true(conf_same_spf(one, conf));
	must_load("spf_include = {b.example}\nspf_relays = {192.0.2.1}");
	assert_false(conf_same_spf(one, conf));
	must_load("spf_include = {a.example}\nspf_relays = {192.0.2.2}");
	assert_false(conf_same_spf(one, conf));
	conf_free(one);
}

/* It is there until the last who holds it has freed it: or memory leaks. */
static void
test_hold(void **state)
{
	const struct conf *held;

	(void)state;
	must_load("prefix = 'x:'");
	held = conf_ref(conf);
	conf_free(conf);
	conf = NULL;
	assert_string_equal(held->prefix, "x:");
	conf_free(held);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults, clean_up),
		cmocka_unit_test_teardown(test_every_key, clean_up),
		cmocka_unit_test_teardown(test_words, clean_up),
		cmocka_unit_test_teardown(test_redis_places, clean_up),
		cmocka_unit_test_teardown(test_many_places, clean_up),
		cmocka_unit_test_teardown(test_bad_redis, clean_up),
		cmocka_unit_test_teardown(test_bad_values, clean_up),
		cmocka_unit_test_teardown(test_bad_syntax, clean_up),
		cmocka_unit_test_teardown(test_silent, clean_up),
		cmocka_unit_test_teardown(test_whole, clean_up),
		cmocka_unit_test_teardown(test_no_file, clean_up),
		cmocka_unit_test_teardown(test_directory, clean_up),
		cmocka_unit_test_teardown(test_password, clean_up),
		cmocka_unit_test_teardown(test_bad_password, clean_up),
		cmocka_unit_test_teardown(test_alarms, clean_up),
		cmocka_unit_test_teardown(test_bad_alarms, clean_up),
		cmocka_unit_test_teardown(test_print, clean_up),
		cmocka_unit_test_teardown(test_print_dollar, clean_up),
		cmocka_unit_test_teardown(test_deadline, clean_up),
		cmocka_unit_test_teardown(test_same, clean_up),
		cmocka_unit_test_teardown(test_same_lists, clean_up),
		cmocka_unit_test_teardown(test_hold, clean_up)
	};

	return (cmocka_run_group_tests_name("conf", tests, NULL, NULL));
}
