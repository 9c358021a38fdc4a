/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * The report page: a query and the headers Accept and Accept-Language from the
 * client, and the fields of a report, which strangers have written.  Lines of the input are these, in
 * that order.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "cgi.h"
#include "page.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char *
page_of(const struct cgi *cgi, const struct page_report *report)
{
	const struct page_form form = { .json = cgi->json,
		.language = cgi->language };
	char		      *text = NULL;
	size_t		       size;
	FILE		      *fp = open_memstream(&text, &size);

	CHECK(fp != NULL);
	page_report(fp, &form, report);
	CHECK(fclose(fp) == 0);
	CHECK(size == strlen(text) && strstr(text, "\n\n") != NULL);
	CHECK(u8_check((const uint8_t *)text, size) == NULL);
	CHECK(memchr(text, '\r', size) == NULL);
	return (text);
}

static size_t
count(const char *text, const char *chars)
{
	size_t n = 0;

	while ((text = strpbrk(text, chars)) != NULL) {
		n++;
		text++;
	}
	return (n);
}

/* Whatever is in the fields, the marks are those of a report that is plain. */
static void
check_page(const struct cgi *cgi, const struct page_report *report)
{
	struct page_report plain = *report;
	char		  *text = page_of(cgi, report), *plain_text;
	const char	  *marks = cgi->json ? "\"" : "<>\"'";
	size_t		   i;

	for (i = 0; i < PAGE_FIELDS; i++)
		if (i != PAGE_REASON && plain.field[i][0] != '\0')
			plain.field[i] = "x";
	plain_text = page_of(cgi, &plain);
	CHECK(count(text, marks) == count(plain_text, marks));
	free(text);
	free(plain_text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		  *copy = malloc(size + 1), *p = copy;
	struct page_report report;
	struct cgi	   cgi;
	const char	  *query, *accept, *language;
	size_t		   i;

	CHECK(copy != NULL);
	memcpy(copy, data, size);
	copy[size] = '\0';
	query = strsep(&p, "\n");
	accept = strsep(&p, "\n");
	language = strsep(&p, "\n");
	cgi_parse(&cgi, "GET", query, accept, language);
	CHECK(cgi.id[0] == '\0' || strspn(cgi.id, "0123456789") == REPORT_ID);
	report.id = cgi.id;
	for (i = 0; i < PAGE_FIELDS; i++) {
		report.field[i] = strsep(&p, "\n");
		if (report.field[i] == NULL)
			report.field[i] = "";
	}
	check_page(&cgi, &report);
	free(copy);
	return (0);
}
