/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#ifndef SPFWORKER_H
#define SPFWORKER_H

#include "spfcheck.h"

/*
 * A worker process: the same program, started anew with the option -W so that
 * it shares no memory with the filter.  It has one descriptor, a socket of
 * type SOCK_SEQPACKET on standard input, from which it gets a struct
 * spfcheck first and then domains, each answered by a struct spf_answer.
 */

/*
 * Runs until the other end is closed.  Lets go of every other descriptor and
 * of all privileges, and puts on a seccomp(2) filter that leaves the DNS: it
 * can open no file, start no program and no process.  Never returns.
 */
void spfworker(void) __attribute__((__noreturn__));

#endif /* SPFWORKER_H */
