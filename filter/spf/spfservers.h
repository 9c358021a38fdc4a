/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFSERVERS_H
#define SPFSERVERS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

/* The name servers that are asked: resolv.conf(5). */

#define SPFSERVERS_MAX 3

struct spfservers {
	size_t n;
	struct {
		struct sockaddr_storage addr;
		socklen_t		len;
	} server[SPFSERVERS_MAX];
};

/*
 * Reads a resolver: address, address:port or [address]:port.  "" means those of
 * /etc/resolv.conf, or 127.0.0.1 if that has none.
 */
void spfservers_read(struct spfservers *, const char *resolver);

/* Those of a file like that. */
void spfservers_read_file(struct spfservers *, const char *path);

/*
 * Returns a new socket to a server, non-blocking and closed at execve(2); a TCP
 * socket may still be connecting.  -1 if that fails.
 */
int spfservers_connect(const struct spfservers *, size_t, bool stream);

#endif /* SPFSERVERS_H */
