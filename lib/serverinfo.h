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
 * Writes the sentence that says so for each; "" where there is none.
 * replicas is how many a reservation waits for, 0: for none.
 */
void serverinfo_read(const char *info, int replicas,
    char text[DANGERS][DANGER_TEXT]);

#endif /* SERVERINFO_H */
