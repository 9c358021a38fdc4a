/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * A configuration file.  What is taken is whole, and what is printed of it is
 * taken again and printed the same.
 */

#include <sys/mman.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "period.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Loads a configuration of these bytes; *said tells whether it complained. */
static struct conf *
load(const void *data, size_t size, bool *said)
{
	int	     fd = memfd_create("conf", MFD_CLOEXEC);
	char	     path[64], *text = NULL;
	size_t	     len;
	struct conf *conf;
	FILE	    *errors = open_memstream(&text, &len);

	CHECK(fd != -1 && errors != NULL);
	CHECK(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf = conf_load(path, errors);
	fclose(errors);
	*said = len > 0;
	free(text);
	close(fd);
	return (conf);
}

static char *
printed(const struct conf *conf)
{
	char  *text = NULL;
	size_t len;
	FILE  *fp = open_memstream(&text, &len);

	CHECK(fp != NULL);
	conf_print(conf, fp);
	fclose(fp);
	return (text);
}

static void
check_places(const struct places *places)
{
	size_t i;

	CHECK(places->n > 0 && places->n <= PLACES_MAX);
	CHECK((places->topology == REDIS_SENTINEL) ==
	    (places->name[0] != '\0'));
	for (i = 0; i < places->n; i++) {
		CHECK(places->at[i].host[0] != '\0');
		CHECK(places->at[i].transport == REDIS_UNIX ||
		    places->at[i].port != 0);
	}
}

static void
check_whole(const struct conf *conf)
{
	check_places(&conf->places);
	CHECK(conf->redis_replicas >= 0 && conf->redis_replicas <= 9);
	CHECK(conf->prefix != NULL && strpbrk(conf->prefix, "{}") == NULL);
	CHECK(conf->report_url != NULL);
	CHECK(conf->enforce != 0 &&
	    !(conf->enforce & ~(ENFORCE_ENVELOPE | ENFORCE_HEADER)));
	CHECK(conf->redis_timeout > 0 && conf->spf_timeout > 0);
	CHECK(conf->spf_workers > 0 && conf->redis_db >= 0);
	CHECK(conf->quota_period > 0 && conf->quota_period <= PERIOD_MAX);
	CHECK(conf->redis_user == NULL || conf->redis_password != NULL);
	CHECK(conf_deadline(conf).tv_usec >= 0);
}

static void
check_printed(const struct conf *conf)
{
	char	    *once = printed(conf), *twice;
	struct conf *again;
	bool	     said;

	again = load(once, strlen(once), &said);
	CHECK(again != NULL && !said);
	twice = printed(again);
	CHECK(strcmp(once, twice) == 0);
	conf_free(again);
	free(once);
	free(twice);
}

/* A file that does not end, as a terminal, is not for a fuzzer to name. */
static bool
names_files(const uint8_t *data, size_t size)
{
	return (memmem(data, size, "_file", 5) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *conf;
	bool	     said;

	if (names_files(data, size))
		return (0);
	conf = load(data, size, &said);
	CHECK((conf != NULL) == !said);
	if (conf == NULL)
		return (0);
	check_whole(conf);
	check_printed(conf);
	conf_free(conf);
	return (0);
}
