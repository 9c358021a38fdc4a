/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "digest.h"

static void
digest2(uint8_t digest[DIGEST_LEN], const char *a, const char *b)
{
	const char *strings[] = { a, b };

	digest_strings(digest, 2, strings);
}

static void
test_same(void **state)
{
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];

	(void)state;
	digest2(a, "secret", "hash");
	digest2(b, "secret", "hash");
	assert_memory_equal(a, b, DIGEST_LEN);
	digest2(a, "", "");
	digest2(b, "", "");
	assert_memory_equal(a, b, DIGEST_LEN);
}

/* Lists that read alike when run together are still different lists. */
static void
test_different(void **state)
{
	static const char *const lists[][2] = { { "secret", "hash" },
		{ "secret", "hasi" }, { "Secret", "hash" },
		{ "secreth", "ash" }, { "", "secrethash" },
		{ "secrethash", "" }, { "hash", "secret" }, { "", "" } };
	const size_t		 n = sizeof(lists) / sizeof(lists[0]);
	const char		*one[] = { "" };
	uint8_t			 digests[8][DIGEST_LEN], single[DIGEST_LEN];
	size_t			 i, j;

	(void)state;
	digest_strings(single, 1, one);
	for (i = 0; i < n; i++) {
		digest2(digests[i], lists[i][0], lists[i][1]);
		assert_memory_not_equal(digests[i], single, DIGEST_LEN);
		for (j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j],
			    DIGEST_LEN);
	}
}

/* Nothing of the text is left in it, and all of it depends on the text. */
static void
test_spread(void **state)
{
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];
	size_t	i, same = 0;

	(void)state;
	digest2(a, "aaaaaaaaaaaaaaaa", "b");
	digest2(b, "aaaaaaaaaaaaaaaa", "c");
	for (i = 0; i < DIGEST_LEN; i++)
		same += a[i] == b[i];
	assert_in_range(same, 0, DIGEST_LEN / 2);
}

static void
test_never_zero(void **state)
{
	static const uint8_t zero[DIGEST_LEN];
	uint8_t		     d[DIGEST_LEN];
	char		     text[16];
	int		     i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		digest2(d, text, "");
		assert_memory_not_equal(d, zero, DIGEST_LEN);
		assert_int_equal(d[0] & 1, 1);
	}
}

/* What does not fit is equal to nothing, not even to itself. */
static void
test_too_long(void **state)
{
	static char big[5000], fits[2046];
	uint8_t	    a[DIGEST_LEN], b[DIGEST_LEN];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	digest2(a, big, "hash");
	digest2(b, big, "hash");
	assert_memory_not_equal(a, b, DIGEST_LEN);
	memset(fits, 'x', sizeof(fits) - 1);
	digest2(a, fits, fits);
	digest2(b, fits, fits);
	assert_memory_equal(a, b, DIGEST_LEN);
}

/* The same for all, whatever the letters' case is. */
static void
test_public(void **state)
{
	static char big[5000];
	char	    a[65], b[17];

	(void)state;
	digest_public("abc", a, sizeof(a));
	assert_string_equal(a,
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_public("ABC", b, sizeof(b));
	assert_string_equal(b, "ba7816bf8f01cfea");
	digest_public("", b, sizeof(b));
	assert_string_equal(b, "e3b0c44298fc1c14");
	memset(big, 'x', sizeof(big) - 1);
	digest_public(big, b, sizeof(b));
	assert_int_equal(strlen(b), 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same),
		cmocka_unit_test(test_different), cmocka_unit_test(test_spread),
		cmocka_unit_test(test_never_zero),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_public) };

	return (cmocka_run_group_tests_name("digest", tests, NULL, NULL));
}
