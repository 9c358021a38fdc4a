/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CONFWORD_H
#define CONFWORD_H

/*
 * The words that keys of smtpusers.conf(5) take, in the order of the enums of
 * conf.h; NULL behind the last.
 */

extern const char *const confword_enforce[];
extern const char *const confword_spf[];
extern const char *const confword_unit[];
extern const char *const confword_over[];
extern const char *const confword_local[];
extern const char *const confword_refusal[];

/* The characters of a relay_name. */
extern const char confword_relay_name[];

/* The position of a word, counted from 0; -1 if it is not among them. */
int confword_find(const char *const *words, const char *);

/* The same of one that was found valid when it was read. */
unsigned int confword_get(const char *const *words, const char *);

#endif /* CONFWORD_H */
