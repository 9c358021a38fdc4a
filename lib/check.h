/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CHECK_H
#define CHECK_H

struct conf;
struct event_base;
struct servers;

/*
 * What the option -n of both programs looks at, besides the configuration: it
 * becomes who smtpd runs them as, and tries what they do in Redis, in forms
 * that change nothing there.  What is wrong goes to the log.
 */

/* They differ: smtpd gives a table the groups of its user, and a filter one. */
enum check_program {
	CHECK_TABLE,
	CHECK_FILTER
};

/*
 * Becomes a user, "name" or "name:group"; NULL: smtpd's own.  Only root can;
 * others are told as whom they look.  Then reads the file.  Returns 0, or the
 * status to exit with: 1 where the configuration has errors, otherwise one of
 * sysexits(3).
 */
int check_conf(const char *who, enum check_program, const char *file,
    struct conf **);

/*
 * Waits for a connection, and tries the commands that the program needs.
 * Returns 0, or the status to exit with.
 */
int check_redis(struct event_base *, const struct conf *, struct servers *,
    enum check_program);

#endif /* CHECK_H */
