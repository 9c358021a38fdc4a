/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CONF_H
#define CONF_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "alarm.h"
#include "bounds.h"
#include "netaddr.h"
#include "place.h"

enum spf_mode {
	SPF_OFF,
	SPF_PUBLISHED,
	SPF_INCLUDE,
	SPF_PASS
};

enum quota_unit {
	UNIT_MESSAGE,
	UNIT_RECIPIENT
};

enum local_policy {
	LOCAL_TRUST,
	LOCAL_ENFORCE
};

enum source_refusal {
	REFUSE_AT_AUTH,
	REFUSE_AT_MAIL_FROM
};

/* Most entries of spf_include and spf_relays. */
#define CONF_INCLUDES 32
#define CONF_RELAYS 64

/* Longest relay_name, as the name of a host is on Linux. */
#define CONF_RELAY_NAME 64

#define ENFORCE_ENVELOPE 0x01
#define ENFORCE_HEADER 0x02

/* smtpusers.conf(5) in effect; every member is set and valid, and stays so. */
struct conf {
	unsigned int	holders; /* besides whoever has loaded it */
	char	       *redis;	 /* as written */
	struct places	places;
	char	       *redis_user; /* NULL: none */
	char	       *redis_password_file;
	char	       *redis_password;
	char	       *redis_ca;      /* NULL: the system's */
	struct timespec redis_ca_time; /* of its last change */
	int		redis_db;
	int		redis_timeout; /* milliseconds */
	int		redis_replicas;
	char	       *prefix;
	char	       *relay_name;
	char	       *report_url;
	char	       *report_title;	/* of the page; "": none */
	char	       *report_logo;	/* URL; "": none */
	char	       *report_contact; /* "": none */
	bool		reader;	 /* only reads: set by the program itself */
	unsigned int	enforce; /* ENFORCE_* */
	enum spf_mode	spf;
	char	      **spf_include;
	size_t		nspf_include;
	struct netaddr *spf_relays;
	size_t		nspf_relays;
	int		spf_timeout; /* milliseconds */
	int		spf_workers;
	char	       *spf_resolver; /* NULL: the system's */
	int64_t		quota_period; /* seconds */
	struct bounds	bounds; /* where neither user nor account has them */
	int64_t		auth_failures; /* of a source; 0: as many as ever */
	int64_t		auth_failures_period; /* in so many seconds */
	struct alarm	alarms[ALARM_KINDS];
	struct alarm_limits alarm_limits; /* none for ALARM_OFF */
	enum quota_unit	    quota_unit;
	enum local_policy   local;
	enum source_refusal source_refusal;
};

/*
 * Reads the file.  Returns NULL after having told every error to errors, a
 * line each that starts with file:line.  The caller ends with conf_free().
 */
struct conf *conf_load(const char *file, FILE *errors);

/* The same, where every error is a line of the log. */
struct conf *conf_load_logged(const char *file);

/* Prints the configuration in effect, `key = value` a line, no password. */
void conf_print(const struct conf *, FILE *);

/*
 * Holds a configuration for one more, who outlives its replacement by another
 * and ends with a conf_free() of its own.  Returns it.
 */
const struct conf *conf_ref(const struct conf *);

/* Frees it, unless another holds it still. */
void conf_free(const struct conf *);

/*
 * Whether two are the same to a connection to Redis, the password included;
 * and to what asks about SPF.
 */
bool conf_same_redis(const struct conf *, const struct conf *);
bool conf_same_spf(const struct conf *, const struct conf *);

/*
 * How long after its arrival a question of smtpd's is answered at the latest:
 * redis_timeout less what it takes to write the answer.
 */
struct timeval conf_deadline(const struct conf *);

#endif /* CONF_H */
