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
 * The option -n of both programs: becomes the user that smtpd runs them as, and
 * tries each command that they send to Redis, in a form that changes nothing
 * there.  Errors go to the log.
 */

/* smtpd gives a table all groups of its user, and a filter only one. */
enum check_program {
	CHECK_TABLE,
	CHECK_FILTER
};

/*
 * Becomes a user, "name" or "name:group", or smtpd's own if it is NULL.  Only
 * root can; otherwise logs which user this is.  Then reads the file.  Returns
 * 0, and the configuration, which the caller frees; or the status to exit with:
 * 1 if the configuration has errors, else one of sysexits(3).
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
