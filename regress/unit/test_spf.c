/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * The questions and answers of spf.h, with workers that are this program's
 * own and do as the domain's first label says.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "conf.h"
#include "domain.h"
#include "log.h"
#include "spf.h"
#include "spfstarter.h"
#include "spfworkers.h"

/* Milliseconds, of a question: what is waited for, and what should not be. */
#define TIMEOUT 2000
#define PATIENCE (UNIT_PATIENCE / 3)
#define SLACK 4000 /* for a busy machine */

/* What workers are asked is written here, a byte for each question. */
static char		  asked[UNIT_PATH];
static struct event_base *base;
static struct spf	 *spf;
static struct spfworkers *workers;
static struct conf	  conf;

/* The worker. */

static char answered[DOMAIN_TEXT]; /* the domain under way */

static void
answer(enum spf_verdict verdict, const char *record)
{
	struct spf_answer a = { .verdict = verdict, .ttl = 300 };

	strlcpy(a.domain, answered, sizeof(a.domain));
	snprintf(a.record, sizeof(a.record), "%s", record);
	if (send(STDIN_FILENO, &a, sizeof(a), 0) != (ssize_t)sizeof(a))
		_exit(1);
}

static void
send_raw(size_t len, int fill)
{
	char buf[sizeof(struct spf_answer) + 64];

	memset(buf, fill, sizeof(buf));
	if (send(STDIN_FILENO, buf, len, 0) != (ssize_t)len)
		_exit(1);
}

/* How many processes have been asked this. */
static int
times_asked(const char *domain)
{
	char	    path[UNIT_PATH + DOMAIN_TEXT + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/count.%s", asked, domain);
	return (stat(path, &st) == 0 ? (int)st.st_size : 0);
}

/* Whether an earlier process has been asked this; now one has. */
static bool
is_second(const char *domain)
{
	char path[UNIT_PATH + DOMAIN_TEXT + 16];
	int  fd;

	snprintf(path, sizeof(path), "%s/%s", asked, domain);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd != -1)
		close(fd);
	return (fd == -1);
}

static void
count(const char *domain)
{
	char path[UNIT_PATH + DOMAIN_TEXT + 16];
	int  fd;

	snprintf(path, sizeof(path), "%s/count.%s", asked, domain);
	fd = open(path, O_CREAT | O_APPEND | O_WRONLY, 0600);
	if (fd == -1 || write(fd, "x", 1) != 1)
		_exit(1);
	close(fd);
}

static bool
is(const char *domain, const char *word)
{
	return (strncmp(domain, word, strlen(word)) == 0);
}

static void
serve_one(const char *domain)
{
	count(domain);
	strlcpy(answered, domain, sizeof(answered));
	if (is(domain, "none"))
		answer(SPF_VERDICT_NONE, "");
	else if (is(domain, "unknown"))
		answer(SPF_VERDICT_UNKNOWN, "");
	else if (is(domain, "short"))
		send_raw(sizeof(struct spf_answer) - 1, 0);
	else if (is(domain, "byte"))
		send_raw(1, 0);
	else if (is(domain, "long"))
		send_raw(sizeof(struct spf_answer) + 1, 1);
	else if (is(domain, "verdict"))
		answer((enum spf_verdict)(SPF_VERDICT_UNKNOWN + 1), "");
	else if (is(domain, "negative"))
		answer((enum spf_verdict) - 1, "");
	else if (is(domain, "open"))
		send_raw(sizeof(struct spf_answer), 'x');
	else if (is(domain, "exit"))
		_exit(0);
	else if (is(domain, "hang"))
		pause();
	else if (is(domain, "once") && !is_second(domain))
		_exit(0);
	else if (is(domain, "stall") && !is_second(domain))
		pause();
	else if (is(domain, "third") && times_asked(domain) < 3)
		pause();
	else if (is(domain, "twice")) {
		answer(SPF_VERDICT_OK, "v=spf1 first");
		answer(SPF_VERDICT_OK, "v=spf1 second");
	} else
		answer(SPF_VERDICT_OK, "v=spf1 -all");
}

static int
work(void)
{
	struct spf_orders check;
	char		  domain[DOMAIN_TEXT + 1];
	ssize_t		  n;

	if (recv(STDIN_FILENO, &check, sizeof(check), 0) !=
	    (ssize_t)sizeof(check))
		return (1);
	/* Where the test was when it had its starter started. */
	strlcpy(asked, ".", sizeof(asked));
	while ((n = recv(STDIN_FILENO, domain, sizeof(domain) - 1, 0)) > 0) {
		domain[n] = '\0';
		serve_one(domain);
	}
	return (0);
}

/* The tests. */

struct wait {
	int		  calls;
	struct spf_answer answer;
};

static void
on_answer(void *arg, const struct spf_answer *a)
{
	struct wait *w = arg;

	w->calls++;
	w->answer = *a;
}

static int
start_workers(void **state, int nworkers)
{
	unit_make_dir(asked);
	conf.spf = SPF_PUBLISHED;
	conf.spf_timeout = *(int *)*state;
	conf.spf_workers = nworkers;
	base = event_base_new();
	if (chdir(asked) == -1 || (workers = spfworkers_new()) == NULL)
		return (-1);
	spf = spf_new(base, &conf, workers);
	return (spf == NULL ? -1 : 0);
}

static int
start(void **state)
{
	return (start_workers(state, 2));
}

static int
start_three(void **state)
{
	return (start_workers(state, 3));
}

static void
remove_files(void)
{
	char	       path[UNIT_PATH + 256];
	struct dirent *de;
	DIR	      *dir = opendir(asked);

	assert_non_null(dir);
	while ((de = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", asked, de->d_name);
		if (de->d_name[0] != '.')
			unlink(path);
	}
	closedir(dir);
	rmdir(asked);
}

static int
end(void **state)
{
	(void)state;
	spf_free(spf);
	/* Waits for the starter, and that for every worker. */
	alarm(UNIT_PATIENCE / 1000);
	spfworkers_free(workers);
	alarm(0);
	event_base_free(base);
	remove_files();
	return (waitpid(-1, NULL, 0) == -1 && errno == ECHILD ? 0 : -1);
}

static void
ask_and_wait(const char *domain, struct wait *w)
{
	memset(w, 0, sizeof(*w));
	assert_non_null(spf_ask(spf, "alice", "", domain, on_answer, w));
	assert_int_equal(w->calls, 0);
	unit_run_until(base, w->calls > 0);
	assert_int_equal(w->calls, 1);
}

static void
test_answer(void **state)
{
	struct wait w;

	(void)state;
	assert_null(spf_known(spf, "good.test"));
	ask_and_wait("good.test", &w);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
	assert_string_equal(w.answer.record, "v=spf1 -all");
	assert_non_null(spf_known(spf, "good.test"));
	ask_and_wait("none.test", &w);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_NONE);
	assert_int_equal(spf_known(spf, "none.test")->verdict,
	    SPF_VERDICT_NONE);
	ask_and_wait("unknown.test", &w);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_UNKNOWN);
	assert_null(spf_known(spf, "unknown.test"));
}

static void
test_asked_once(void **state)
{
	struct wait w[50] = { { 0 } };
	size_t	    i;

	(void)state;
	for (i = 0; i < 50; i++)
		assert_non_null(spf_ask(spf, "alice", "", "good.test",
		    on_answer, &w[i]));
	unit_run_until(base, w[49].calls > 0);
	for (i = 0; i < 50; i++) {
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].answer.verdict, SPF_VERDICT_OK);
	}
	assert_int_equal(times_asked("good.test"), 1);
}

static void
test_nobody_waits(void **state)
{
	(void)state;
	assert_non_null(spf_ask(spf, "alice", "", "good.test", NULL, NULL));
	unit_run_until(base, spf_known(spf, "good.test") != NULL);
}

static void
test_cancel(void **state)
{
	struct wait	  w[3] = { { 0 } };
	struct spf_query *q;

	(void)state;
	assert_non_null(spf_ask(spf, "alice", "", "good.test", on_answer,
	    &w[0]));
	q = spf_ask(spf, "alice", "", "good.test", on_answer, &w[1]);
	assert_non_null(q);
	assert_non_null(spf_ask(spf, "alice", "", "good.test", on_answer,
	    &w[2]));
	spf_cancel(q);
	unit_run_until(base, w[2].calls > 0);
	assert_int_equal(w[0].calls, 1);
	assert_int_equal(w[1].calls, 0);
}

/* Whoever learns the answer may ask at once for the next. */
static void
on_answer_ask(void *arg, const struct spf_answer *a)
{
	on_answer(arg, a);
	assert_non_null(spf_ask(spf, "alice", "", "good.test", on_answer, arg));
}

static void
test_ask_from_the_callback(void **state)
{
	struct wait w = { 0 };

	(void)state;
	assert_non_null(spf_ask(spf, "alice", "", "none.test", on_answer_ask,
	    &w));
	unit_run_until(base, w.calls == 2);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
}

/* A worker that says what it should not is replaced, and asked once more. */
static void
test_nonsense(void **state)
{
	static const char *const domains[] = { "short.test", "byte.test",
		"long.test", "verdict.test", "negative.test", "open.test",
		"exit.test" };
	struct unit_capture	 c;
	struct wait		 w;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		unit_capture(&c);
		ask_and_wait(domains[i], &w);
		assert_contains(unit_captured(&c), "worker");
		assert_int_equal(w.answer.verdict, SPF_VERDICT_UNKNOWN);
		assert_int_equal(times_asked(domains[i]), 2);
		assert_null(spf_known(spf, domains[i]));
		ask_and_wait("good.test", &w);
		assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
	}
}

static void
test_hang(void **state)
{
	struct unit_capture c;
	struct wait	    w;
	int64_t		    began = unit_now(), took;

	(void)state;
	unit_capture(&c);
	ask_and_wait("hang.test", &w);
	assert_contains(unit_captured(&c), "in time");
	took = unit_now() - began;
	assert_int_equal(w.answer.verdict, SPF_VERDICT_UNKNOWN);
	assert_in_range(took, TIMEOUT, TIMEOUT * 2 + SLACK);
	ask_and_wait("good.test", &w);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
}

static void
test_second_try(void **state)
{
	static const char *const domains[] = { "once.test", "stall.test" };
	struct unit_capture	 c;
	struct wait		 w;
	size_t			 i;

	(void)state;
	for (i = 0; i < 2; i++) {
		unit_capture(&c);
		ask_and_wait(domains[i], &w);
		unit_captured(&c);
		assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
		assert_int_equal(times_asked(domains[i]), 2);
	}
}

/* An answer to nothing is not one to the next question. */
static void
test_two_answers(void **state)
{
	struct unit_capture c;
	struct wait	    w[2] = { { 0 } };

	(void)state;
	unit_capture(&c);
	ask_and_wait("twice.test", &w[0]);
	assert_string_equal(w[0].answer.record, "v=spf1 first");
	ask_and_wait("good.test", &w[1]);
	assert_string_equal(w[1].answer.record, "v=spf1 -all");
	unit_captured(&c);
	assert_string_equal(spf_known(spf, "twice.test")->record,
	    "v=spf1 first");
}

/* While all workers hang, no question waits longer than two timeouts. */
static void
test_queue(void **state)
{
	struct unit_capture c;
	struct wait	    w[20] = { { 0 } };
	char		    domain[32];
	int64_t		    began = unit_now();
	size_t		    i, n = 0;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 20; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		assert_non_null(spf_ask(spf, "alice", "", domain, on_answer,
		    &w[i]));
	}
	for (i = 0; i < 20; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
	assert_in_range(unit_now() - began, TIMEOUT, TIMEOUT * 2 + SLACK);
	for (i = 0; i < 20; i++) {
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].answer.verdict, SPF_VERDICT_UNKNOWN);
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		n += (size_t)times_asked(domain);
	}
	/* Those that no worker had time for were not asked. */
	assert_in_range(n, 1, 8);
}

static void
test_bound(void **state)
{
	struct unit_capture c;
	struct wait	    w = { 0 };
	char		    domain[32], user[32];
	int		    i, n;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 1000000; i++) {
		snprintf(domain, sizeof(domain), "hang%d.test", i);
		if (spf_ask(spf, "alice", "", domain, on_answer, &w) == NULL)
			break;
	}
	assert_in_range(i, 1000, 2000);
	/* One that is asked already is one more all the same. */
	assert_null(spf_ask(spf, "alice", "", "hang7.test", on_answer, &w));
	n = i;
	/* The users of an account together, */
	for (i = 0; i < 1000000; i++) {
		snprintf(user, sizeof(user), "user%d", i / 500);
		if (spf_ask(spf, user, "shop", "hang.test", on_answer, &w) ==
		    NULL)
			break;
	}
	assert_in_range(i, 2000, 3000);
	n += i;
	/* and all together may not ask without end either. */
	for (i = 0; i < 1000000; i++, n++) {
		snprintf(domain, sizeof(domain), "hang%d.test", i);
		snprintf(user, sizeof(user), "user%d", i / 500);
		if (spf_ask(spf, user, "", domain, on_answer, &w) == NULL)
			break;
	}
	assert_in_range(n, 8000, 9000);
	unit_run_until(base, w.calls == n);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_UNKNOWN);
	ask_and_wait("good.test", &w);
	unit_captured(&c);
	assert_int_equal(w.answer.verdict, SPF_VERDICT_OK);
}

/* The time of those who ask about names that never answer is not over yet. */
static void
assert_all_wait(const struct wait *w, size_t n)
{
	while (n-- > 0)
		assert_int_equal(w[n].calls, 0);
}

/* Somebody's names that never answer keep nobody else waiting. */
static void
test_turns(void **state)
{
	struct unit_capture c;
	struct wait	    w[50] = { { 0 } }, good = { 0 };
	char		    domain[32];
	size_t		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 50; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		assert_non_null(spf_ask(spf, "eve", "", domain, on_answer,
		    &w[i]));
	}
	assert_non_null(spf_ask(spf, "bob", "", "good.test", on_answer, &good));
	unit_run_until(base, good.calls > 0);
	assert_int_equal(good.answer.verdict, SPF_VERDICT_OK);
	assert_all_wait(w, 50);
	for (i = 0; i < 50; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
}

/* With all workers taken by others, the next one is for who had none. */
static void
test_turns_of_several(void **state)
{
	struct unit_capture c;
	struct wait	    w[40] = { { 0 } }, good = { 0 };
	char		    domain[32];
	size_t		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 40; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		assert_non_null(spf_ask(spf, i % 2 == 0 ? "eve" : "mallory", "",
		    domain, on_answer, &w[i]));
	}
	assert_non_null(spf_ask(spf, "bob", "", "good.test", on_answer, &good));
	unit_run_until(base, good.calls > 0);
	assert_int_equal(good.answer.verdict, SPF_VERDICT_OK);
	for (i = 0; i < 40; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
}

/* An account with many users is served no more often than one with few. */
static void
test_turns_of_an_account(void **state)
{
	struct unit_capture c;
	struct wait	    w[20] = { { 0 } }, good[2] = { { 0 } };
	char		    domain[32], user[32];
	size_t		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 20; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		snprintf(user, sizeof(user), "user%zu", i);
		assert_non_null(spf_ask(spf, user, "shop", domain, on_answer,
		    &w[i]));
	}
	assert_non_null(spf_ask(spf, "bob", "", "good.test", on_answer,
	    &good[0]));
	assert_non_null(spf_ask(spf, "carol", "cafe", "good2.test", on_answer,
	    &good[1]));
	unit_run_until(base, good[0].calls > 0 && good[1].calls > 0);
	assert_all_wait(w, 20);
	assert_int_equal(good[0].answer.verdict, SPF_VERDICT_OK);
	assert_int_equal(good[1].answer.verdict, SPF_VERDICT_OK);
	for (i = 0; i < 20; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
}

/* Whoever else has asked, and how far behind that one is. */
static void
test_own_turn(void **state)
{
	struct unit_capture c;
	struct wait	    w[20] = { { 0 } }, good[2] = { { 0 } };
	char		    domain[32];
	size_t		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 20; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		assert_non_null(spf_ask(spf, "eve", "", domain, on_answer,
		    &w[i]));
	}
	assert_non_null(spf_ask(spf, "eve", "", "good.test", on_answer,
	    &good[0]));
	assert_non_null(spf_ask(spf, "bob", "", "good.test", on_answer,
	    &good[1]));
	unit_run_until(base, good[0].calls > 0 && good[1].calls > 0);
	assert_all_wait(w, 20);
	assert_int_equal(good[0].answer.verdict, SPF_VERDICT_OK);
	assert_int_equal(good[1].answer.verdict, SPF_VERDICT_OK);
	assert_int_equal(times_asked("good.test"), 1);
	for (i = 0; i < 20; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
}

/* Who asks when the tries of another are used up has all of his own. */
static void
test_own_time(void **state)
{
	struct unit_capture c;
	struct wait	    w[2] = { { 0 } };

	(void)state;
	unit_capture(&c);
	assert_non_null(spf_ask(spf, "eve", "", "third.test", on_answer,
	    &w[0]));
	unit_run_until(base, times_asked("third.test") == 2);
	assert_non_null(spf_ask(spf, "bob", "", "third.test", on_answer,
	    &w[1]));
	unit_run_until(base, w[0].calls > 0 && w[1].calls > 0);
	unit_captured(&c);
	assert_int_equal(w[0].answer.verdict, SPF_VERDICT_UNKNOWN);
	assert_int_equal(w[1].answer.verdict, SPF_VERDICT_OK);
	assert_int_equal(times_asked("third.test"), 3);
}

/* With two workers for an account, each of its users may have one. */
static void
test_turns_within_an_account(void **state)
{
	struct unit_capture c;
	struct wait	    w[20] = { { 0 } }, good = { 0 };
	char		    domain[32];
	size_t		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 20; i++) {
		snprintf(domain, sizeof(domain), "hang%zu.test", i);
		assert_non_null(spf_ask(spf, "eve", "shop", domain, on_answer,
		    &w[i]));
	}
	assert_non_null(spf_ask(spf, "bob", "shop", "good.test", on_answer,
	    &good));
	unit_run_until(base, good.calls > 0);
	assert_all_wait(w, 20);
	assert_int_equal(good.answer.verdict, SPF_VERDICT_OK);
	for (i = 0; i < 20; i++)
		unit_run_until(base, w[i].calls > 0);
	unit_captured(&c);
}

/* Questions that nobody waits for are few. */
static void
test_early(void **state)
{
	struct unit_capture c;
	struct wait	    w[2] = { { 0 } };
	char		    domain[32];
	int		    i;

	(void)state;
	unit_capture(&c);
	for (i = 0; i < 1000; i++) {
		snprintf(domain, sizeof(domain), "hang%d.test", i);
		if (spf_ask(spf, "eve", "", domain, NULL, NULL) == NULL)
			break;
	}
	assert_in_range(i, DOMAINS_MAX, 100);
	assert_non_null(spf_ask(spf, "bob", "", "good.test", NULL, NULL));
	assert_non_null(spf_ask(spf, "eve", "", "more.test", on_answer, &w[0]));
	assert_non_null(spf_ask(spf, "bob", "", "good.test", on_answer, &w[1]));
	unit_run_until(base, w[0].calls + w[1].calls == 2);
	unit_captured(&c);
	assert_int_equal(w[1].answer.verdict, SPF_VERDICT_OK);
}

/* end() frees what is under way. */
static void
test_free_under_way(void **state)
{
	static struct wait w;

	(void)state;
	assert_non_null(spf_ask(spf, "alice", "", "hang.test", on_answer, &w));
	assert_non_null(spf_ask(spf, "bob", "", "hang2.test", on_answer, &w));
	assert_non_null(spf_ask(spf, "alice", "", "good.test", on_answer, &w));
	unit_run_until(base, times_asked("hang2.test") == 1);
	assert_int_equal(w.calls, 0);
}

static void
test_bad_conf(void **state)
{
	static char	    bad[] = "not a domain";
	char		   *names[] = { bad };
	struct unit_capture c;
	struct conf	    other = conf;

	(void)state;
	other.spf = SPF_INCLUDE;
	other.spf_include = names;
	other.nspf_include = 1;
	unit_capture(&c);
	assert_null(spf_new(base, &other, workers));
	unit_captured(&c);
	other.nspf_include = CONF_INCLUDES + 1;
	assert_null(spf_new(base, &other, workers));
	spf_free(NULL);
	spfworkers_free(NULL);
}

int
main(int argc, char *argv[])
{
#define TEST(f, t) cmocka_unit_test_prestate_setup_teardown(f, start, end, &(t))
	static int		soon = TIMEOUT, stalled = 3 * TIMEOUT;
	static int		never = PATIENCE;
	const struct CMUnitTest tests[] = { TEST(test_answer, never),
		TEST(test_asked_once, never), TEST(test_nobody_waits, never),
		TEST(test_cancel, never),
		TEST(test_ask_from_the_callback, never),
		TEST(test_nonsense, never), TEST(test_hang, soon),
		TEST(test_second_try, stalled), TEST(test_two_answers, never),
		TEST(test_queue, soon), TEST(test_bound, soon),
		TEST(test_turns, soon), TEST(test_turns_of_several, soon),
		TEST(test_turns_of_an_account, soon),
		cmocka_unit_test_prestate_setup_teardown(
		    test_turns_within_an_account, start_three, end, &soon),
		TEST(test_own_turn, soon), TEST(test_own_time, soon),
		TEST(test_early, soon), TEST(test_free_under_way, never),
		TEST(test_bad_conf, never) };

	if (argc == 2 && strcmp(argv[1], "-W") == 0)
		return (work());
	if (argc == 2 && strcmp(argv[1], "-S") == 0)
		spfstarter();
	log_init("test_spf");
	signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests_name("spf", tests, NULL, NULL));
}
