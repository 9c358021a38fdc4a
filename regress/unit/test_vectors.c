/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Texts that other languages read as well: regress/vectors/README. */

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "alarm.h"
#include "count.h"
#include "domain.h"
#include "netaddr.h"
#include "passwd.h"
#include "period.h"
#include "place.h"
#include "resp.h"
#include "serverinfo.h"
#include "user.h"
#include "utc.h"

#define DIRECTORY "regress/vectors/"
#define LONGEST 4096
#define COLUMNS 3
#define REFUSED "!"
#define HEX "0123456789abcdef"

struct vector {
	const char *given; /* as it stands in the file */
	char	    text[LONGEST];
	size_t	    len;
	char	    canonical[LONGEST];
	bool	    taken;
	const char *rest; /* the third column; "": none */
};

/* Turns the escapes of a column into bytes; returns their number. */
static size_t
unescape(char *out, const char *in)
{
	char   hex[3] = "";
	size_t n = 0;

	for (; *in != '\0'; in++) {
		if (*in != '\\') {
			out[n++] = *in;
			continue;
		}
		in++;
		if (*in == '\\')
			out[n++] = '\\';
		else if (*in == 'x' && strspn(in + 1, HEX) >= 2) {
			memcpy(hex, in + 1, 2);
			out[n++] = (char)strtoul(hex, NULL, 16);
			in += 2;
		} else if (*in != 'e')
			fail_msg("no such escape: \\%s", in);
	}
	out[n] = '\0';
	return (n);
}

static void
read_vector(struct vector *v, char *line)
{
	const char *column[COLUMNS];
	size_t	    i;

	for (i = 0; i < COLUMNS; i++) {
		column[i] = line == NULL ? "" : line;
		if (line != NULL && (line = strchr(line, '\t')) != NULL)
			*line++ = '\0';
	}
	v->given = column[0];
	v->len = unescape(v->text, column[0]);
	v->taken = strcmp(column[1], REFUSED) != 0;
	if (column[1][0] == '\0')
		memcpy(v->canonical, v->text, v->len + 1);
	else
		unescape(v->canonical, column[1]);
	v->rest = column[2];
}

/*
 * Reads a text into out; false where it is refused.  May look at the rest of
 * a vector that is to be taken.
 */
typedef bool (*reader)(const struct vector *, char *out);

static void
check_file(const char *name, reader read)
{
	static struct vector v;
	static char	     line[LONGEST];
	char		     path[128], out[LONGEST];
	size_t		     taken = 0, refused = 0;
	FILE		    *fp;
	bool		     good;

	snprintf(path, sizeof(path), DIRECTORY "%s", name);
	if ((fp = fopen(path, "r")) == NULL)
		fail_msg("%s cannot be read", path);
	while (fgets(line, sizeof(line), fp) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		read_vector(&v, line);
		good = read(&v, out);
		if (good != v.taken)
			fail_msg("%s: %s: \"%s\"", name,
			    good ? "taken" : "refused", v.given);
		if (good && strcmp(out, v.canonical) != 0)
			fail_msg("%s: \"%s\" becomes \"%s\"", name, v.given,
			    out);
		if (good)
			taken++;
		else
			refused++;
	}
	fclose(fp);
	assert_true(taken > 5 && refused > 5);
}

/* C has no string with a NUL in it; its callers refuse such a text. */
static bool
is_string(const struct vector *v)
{
	return (strlen(v->text) == v->len);
}

static bool
read_name(const struct vector *v, char *out)
{
	return (is_string(v) && user_fold_name(v->text, out));
}

static bool
read_address(const struct vector *v, char *out)
{
	struct netaddr na;

	if (!is_string(v) || !netaddr_parse(v->text, &na))
		return (false);
	netaddr_text(&na, out);
	return (true);
}

static bool
read_range(const struct vector *v, char *out)
{
	struct netaddr na;

	if (!is_string(v) || !netaddr_parse_range(v->text, &na))
		return (false);
	netaddr_text(&na, out);
	return (true);
}

static bool
read_domain(const struct vector *v, char *out)
{
	return (domain_alabel(v->text, v->len, out));
}

/* What is asked about for an author that the text would be. */
static bool
read_sender(const struct vector *v, char *out)
{
	const char    *at = memrchr(v->text, '@', v->len);
	struct domains domains = { .n = 0 };
	size_t	       start;

	if (at == NULL)
		return (read_domain(v, out));
	start = (size_t)(at - v->text);
	if (!domain_alabel(at + 1, v->len - start - 1, out))
		return (false);
	domains_add(&domains, out, v->text, start);
	if (domains.naddresses == 0)
		return (false);
	strcpy(out, domains.address[0].text);
	return (true);
}

static bool
read_period(const struct vector *v, char *out)
{
	int64_t seconds = -1;

	if (!is_string(v) || !period_parse(v->text, &seconds)) {
		assert_int_equal(seconds, -1);
		return (false);
	}
	assert_int_equal(seconds, strtoll(v->rest, NULL, 10));
	/* Nobody writes it again. */
	strcpy(out, v->canonical);
	return (true);
}

/* Reads a record with this password, and no more. */
static const char *
parse_password(struct user *user, const char *text)
{
	const char *const fields[] = { text, NULL, NULL };
	const char	 *bytes = resp_array(fields, 3), *bad;
	redisReply	 *reply = resp_read(bytes, strlen(bytes));
	bool		  exists;

	memset(user, 0, sizeof(*user));
	bad = user_parse(user, &exists, reply, USER_BRIEF);
	freeReplyObject(reply);
	return (bad);
}

static void
assert_nothing_right(const char *hash)
{
	static const char *const words[] = { "", "*", "!", "x", "plain",
		"secret", "*0", "*1", "Open-Sesame1" };
	size_t			 i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (passwd_verify(words[i], hash) == PASSWD_RIGHT)
			fail_msg("\"%s\" is right for \"%s\"", words[i], hash);
	assert_int_not_equal(passwd_verify(hash, hash), PASSWD_RIGHT);
}

/* C takes more than the list has: what the third column says of it. */
static bool
read_hash(const struct vector *v, char *out)
{
	const bool  locked = v->text[0] == '!' || v->text[0] == '*';
	struct user user;
	bool	    taken = parse_password(&user, v->text) == NULL;

	strcpy(out, v->canonical);
	if (!v->taken || locked)
		assert_nothing_right(v->text);
	if (taken)
		assert_string_equal(user.password, locked ? "" : v->text);
	if (v->taken)
		return (taken);
	assert_int_equal(taken, strcmp(v->rest, "crypt") == 0);
	return (false);
}

static bool
read_places(const struct vector *v, char *out)
{
	static const char *const topologies[] = { "one", "sentinel",
		"cluster" };
	static const char *const transports[] = { "unix", "tcp", "tls" };
	struct places		 places;
	char			 text[PLACE_TEXT];
	size_t			 i, n;

	if (!is_string(v) || !places_parse(&places, v->text))
		return (false);
	n = (size_t)snprintf(out, LONGEST, "%s %s", topologies[places.topology],
	    places.name[0] == '\0' ? "-" : places.name);
	for (i = 0; i < places.n; i++)
		n += (size_t)snprintf(out + n, LONGEST - n, " %s:%s",
		    transports[places.at[i].transport],
		    place_text(&places.at[i], text));
	return (true);
}

/* Sound, or refused for what the third column says. */
static bool
read_info(const struct vector *v, char *out)
{
	static const char replicas[] = "redis_replicas:";
	char		  text[DANGERS][DANGER_TEXT], all[LONGEST] = "";
	size_t		  i, n = 0;
	int		  wanted = 0;

	if (strncmp(v->text, replicas, sizeof(replicas) - 1) == 0)
		wanted = (int)strtol(v->text + sizeof(replicas) - 1, NULL, 10);
	serverinfo_read(v->text, wanted, text);
	for (i = 0; i < DANGERS; i++)
		if (text[i][0] != '\0')
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s|",
			    text[i]);
	assert_string_equal(all, v->rest);
	out[0] = '\0';
	return (n == 0);
}

static void
test_names(void **state)
{
	(void)state;
	check_file("names", read_name);
}

static void
test_addresses(void **state)
{
	(void)state;
	check_file("addresses", read_address);
}

static void
test_ranges(void **state)
{
	(void)state;
	check_file("ranges", read_range);
}

static void
test_domains(void **state)
{
	(void)state;
	check_file("domains", read_domain);
}

static void
test_senders(void **state)
{
	(void)state;
	check_file("senders", read_sender);
}

static void
test_ulabels(void **state)
{
	(void)state;
	check_file("ulabels", read_domain);
}

static bool
read_count(const struct vector *v, char *out)
{
	int64_t n = -1;

	if (!is_string(v) || !count_parse(v->text, &n)) {
		assert_int_equal(n, -1);
		return (false);
	}
	sprintf(out, "%" PRId64, n);
	return (true);
}

/* The configuration has one limit, and no more than RATE_MAX: see the file. */
static bool
read_rate(const struct vector *v, char *out)
{
	int64_t count = -1, seconds = -1;
	bool	taken;

	strcpy(out, v->canonical);
	taken = is_string(v) && rate_parse(v->text, &count, &seconds);
	assert_int_equal(taken, v->rest[0] != '\0');
	assert_int_equal(count, taken ? strtoll(v->canonical, NULL, 10) : -1);
	assert_int_equal(seconds, taken ? strtoll(v->rest, NULL, 10) : -1);
	return (v->taken);
}

static bool
read_size(const struct vector *v, char *out)
{
	int64_t n = -1;

	if (!is_string(v) || !size_parse(v->text, &n)) {
		assert_int_equal(n, -1);
		return (false);
	}
	sprintf(out, "%" PRId64, n);
	return (true);
}

/* In any order that the kinds have there. */
static bool
read_alarms(const struct vector *v, char *out)
{
	struct alarm_limits limits, again;

	if (!is_string(v) || !alarm_parse(v->text, &limits))
		return (false);
	assert_true(alarm_parse(v->canonical, &again));
	assert_memory_equal(&limits, &again, sizeof(limits));
	strcpy(out, v->canonical);
	return (true);
}

static bool
read_time(const struct vector *v, char *out)
{
	if (!is_string(v) || !utc_valid(v->text))
		return (false);
	strcpy(out, v->canonical);
	return (true);
}

static void
test_alarms(void **state)
{
	(void)state;
	check_file("alarms", read_alarms);
}

static void
test_times(void **state)
{
	(void)state;
	check_file("times", read_time);
}

static void
test_counts(void **state)
{
	(void)state;
	check_file("counts", read_count);
}

static void
test_sizes(void **state)
{
	(void)state;
	check_file("sizes", read_size);
}

static void
test_periods(void **state)
{
	(void)state;
	check_file("periods", read_period);
}

static void
test_rates(void **state)
{
	(void)state;
	check_file("rates", read_rate);
}

static void
test_hashes(void **state)
{
	(void)state;
	check_file("hashes", read_hash);
}

static void
test_places(void **state)
{
	(void)state;
	check_file("places", read_places);
}

static void
test_serverinfo(void **state)
{
	(void)state;
	check_file("serverinfo", read_info);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_domains), cmocka_unit_test(test_senders),
		cmocka_unit_test(test_ulabels), cmocka_unit_test(test_counts),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_periods),
		cmocka_unit_test(test_rates), cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_serverinfo),
		cmocka_unit_test(test_alarms), cmocka_unit_test(test_times) };

	return (cmocka_run_group_tests_name("vectors", tests, NULL, NULL));
}
