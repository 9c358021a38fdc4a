/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef LINEIO_H
#define LINEIO_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct lineio;

/*
 * Reads and writes lines on a pair of descriptors, and never blocks.
 *
 * Input is handed out line by line.  Output is gathered and written once per
 * read.  Back-pressure: input stops while more than LINEIO_HIGH bytes of output
 * wait, and resumes below LINEIO_LOW.  Lines may hold passwords and their
 * hashes: each is wiped once it was handed out or written.
 */

/* Longest line taken, without its newline. */
#define LINEIO_MAX (1 << 20)

/* How much of a longer line is handed out. */
#define LINEIO_HEAD 512

#define LINEIO_HIGH (512 * 1024)
#define LINEIO_LOW (64 * 1024)

struct lineio_handler {
	/*
	 * A line, without its newline.  line[len] is NUL; bytes before it may
	 * be NUL too.  The callback may change the line, which is freed when it
	 * returns.  first: the line is the first of a read, and so was not sent
	 * together with the one before.
	 */
	void (*line)(void *, char *line, size_t len, bool first);
	/* The first LINEIO_HEAD bytes of a line over LINEIO_MAX bytes. */
	void (*overlong)(void *, char *head, size_t len);
	/* The peer is gone, on either descriptor.  Comes once, and must not
	 * free the lineio. */
	void (*eof)(void *);
};

/*
 * Makes both descriptors non-blocking and starts to read.  The handler must
 * outlive it.  NULL when out of memory.
 */
struct lineio *lineio_new(struct event_base *, int in, int out,
    const struct lineio_handler *, void *);

/* Frees it; the descriptors stay open. */
void lineio_free(struct lineio *);

/*
 * Appends to the output what the line that is handed out holds: no secret, so
 * neither is wiped from memory, as all else is.  Once out of memory, or when
 * the peer has gone, it drops it, and eof has been or will be called.
 */
void lineio_echo(struct lineio *, const void *, size_t);

/*
 * Appends a formatted line, which must end in a newline, and wipes it once it is
 * written.  It fails as above.
 */
void lineio_printf(struct lineio *, const char *, ...)
    __attribute__((__format__(printf, 2, 3)));

#endif /* LINEIO_H */
