/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SERVERINFO_H
#define SERVERINFO_H

/*
 * What a server says of itself (INFO's sections memory, persistence and
 * replication) that endangers users or counters.
 */
enum danger {
	DANGER_EVICTION,
	DANGER_PERSISTENCE,
	DANGER_REPLICAS,
	DANGERS
};

#define DANGER_TEXT 200

/*
 * Writes a sentence about each danger, or "" if it does not exist.  replicas is
 * redis_replicas of the configuration.
 */
void serverinfo_read(const char *info, int replicas,
    char text[DANGERS][DANGER_TEXT]);

#endif /* SERVERINFO_H */
