/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ID_H
#define ID_H

/* 64 random bits as hexadecimal digits, and a NUL. */
#define ID_TEXT 17

/* Draws the id of something that is told to Redis and must count once. */
void id_draw(char[ID_TEXT]);

#endif /* ID_H */
