/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "escape.h"
#include "language.h"
#include "page.h"
#include "wording.h"

const char *const page_fields[PAGE_FIELDS] = { "reason", "time", "relay",
	"user", "account", "domain", "spf", "envelope_sender", "from", "source",
	"message_id", "msgid" };

static const char *const labels[PAGE_FIELDS] = { N_("Reason"), N_("Time"),
	N_("Relay"), N_("User"), N_("Account"), N_("Domain"), N_("SPF record"),
	N_("Envelope sender"), N_("From header"), N_("Sent from"),
	N_("Message-ID"), N_("Message in the relay's log") };

static const struct {
	const char *part;
	const char *title;
} parts[] = { { "what", N_("What happened") }, { "why", N_("Why") },
	{ "fix", N_("What to do") } };

#define NPARTS (sizeof(parts) / sizeof(parts[0]))

static const struct {
	const char *status;
	const char *header;
	const char *title;
	const char *text;
} errors[] = {
	[PAGE_NOT_FOUND] = { "404 Not Found", "", N_("No such report"),
	    N_("There is no report at this address. Copy the whole link "
	       "from the error message; reports are kept for 30 days.") },
	[PAGE_NOT_ALLOWED] = { "405 Method Not Allowed", "Allow: GET, HEAD\n",
	    N_("Not allowed"), N_("Open the link from the error message.") },
	[PAGE_UNAVAILABLE] = { "503 Service Unavailable", "Retry-After: 60\n",
	    N_("Try again later"),
	    N_("The report cannot be read now. Try again in a minute.") },
	[PAGE_BROKEN] = { "500 Internal Server Error", "", N_("Not set up"),
	    N_("The report cannot be read. The log of the web server says why.") }
};

/* Dark where the reader wants that; without colours in print. */
const char page_style[] =
    ":root{color-scheme:light dark}"
    "*{box-sizing:border-box}"
    "body{margin:0;font:1rem/1.55 system-ui,sans-serif;color:#1c1c1e;"
    "background:#f4f4f6}"
    "header,main,footer{max-width:44rem;margin:0 auto;padding:1rem 1.25rem}"
    "header img{max-height:3rem;max-width:100%}"
    "main{background:#fff;border-radius:.5rem;padding:1.25rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}"
    "h2{font-size:1.1rem;margin:1.5rem 0 .25rem}"
    "p{margin:0;overflow-wrap:anywhere}"
    "dl{margin:0;display:grid;grid-template-columns:minmax(8rem,1fr) 3fr;"
    "gap:.35rem 1rem}"
    "dt{color:#55555c}"
    "dd{margin:0;overflow-wrap:anywhere;font-family:ui-monospace,monospace}"
    "footer{color:#55555c}"
    "@media(max-width:34rem){dl{display:block}dd{margin:0 0 .6rem}"
    "main{border-radius:0}}"
    "@media screen and (prefers-color-scheme:dark){"
    "body{color:#ececf0;background:#161618}"
    "main{background:#222226}dt,footer{color:#b4b4bd}}"
    "@media print{:root{color-scheme:light}"
    "body,main{background:none;color:#000}main{padding:0 1.25rem}}";

const char page_style_digest[] = "pMCbDH+Cj0hu3y+I1qNkW4VSwN6TXwbbwiEkGdiAEmM=";

/* What the program says, in the language of the page. */
static void
print_text(FILE *fp, const struct page_form *form, const char *english)
{
	char *text = language_text(form->language, english);

	escape_html(fp, text != NULL ? text : english);
	free(text);
}

static void
put_header(FILE *fp, const struct page_form *form, const char *status,
    const char *more)
{
	fprintf(fp,
	    "Status: %s\n%sContent-Type: %s; charset=utf-8\n"
	    "Content-Language: %s\n"
	    "Content-Security-Policy: default-src 'none'; style-src 'sha256-%s'; "
	    "img-src https:; base-uri 'none'; form-action 'none'; "
	    "frame-ancestors 'none'\n"
	    "Cache-Control: no-store\nReferrer-Policy: no-referrer\n"
	    "Vary: Accept, Accept-Language\nX-Content-Type-Options: nosniff\n"
	    "X-Robots-Tag: noindex\n\n",
	    status, more, form->json ? "application/json" : "text/html",
	    form->language->tag, page_style_digest);
}

static void
put_top(FILE *fp, const struct page_form *form, const char *title)
{
	const struct conf *conf = form->conf;

	fprintf(fp,
	    "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
	    "content=\"width=device-width, initial-scale=1\">\n<title>",
	    form->language->tag);
	print_text(fp, form, title);
	fprintf(fp, "</title>\n<style>%s</style>\n</head>\n<body>\n<header>\n",
	    page_style);
	if (conf != NULL && conf->report_logo[0] != '\0') {
		fputs("<img src=\"", fp);
		escape_html(fp, conf->report_logo);
		fputs("\" alt=\"\">\n", fp);
	}
	if (conf != NULL && conf->report_title[0] != '\0') {
		fputs("<p>", fp);
		escape_html(fp, conf->report_title);
		fputs("</p>\n", fp);
	}
	fputs("</header>\n<main>\n<h1>", fp);
	print_text(fp, form, title);
	fputs("</h1>\n", fp);
}

static void
put_bottom(FILE *fp, const struct page_form *form)
{
	const struct conf *conf = form->conf;

	fputs("</main>\n", fp);
	if (conf != NULL && conf->report_contact[0] != '\0') {
		fputs("<footer>\n<p>", fp);
		escape_html(fp, conf->report_contact);
		fputs("</p>\n</footer>\n", fp);
	}
	fputs("</body>\n</html>\n", fp);
}

struct filling {
	const struct page_report *report;
	const char		 *none; /* for an empty field */
};

/* What the words of a reason leave to be filled in. */
static const char *
filled_in(void *arg, const char *name)
{
	const struct filling *filling = arg;
	const char	     *value;
	size_t		      i;

	for (i = 0; i < PAGE_FIELDS; i++) {
		if (strcmp(page_fields[i], name) != 0)
			continue;
		value = filling->report->field[i];
		return (value[0] != '\0' ? value : filling->none);
	}
	return (NULL);
}

static char *
reason_text(const struct page_form *form, const struct page_report *report,
    size_t part)
{
	static const char english[] = N_("(none)");
	char		 *none = language_text(form->language, english), *text;
	struct filling	  filling = { report, none != NULL ? none : english };

	text = wording_of(form->language, report->field[PAGE_REASON],
	    parts[part].part, filled_in, &filling);
	free(none);
	return (text);
}

static void
put_words(FILE *fp, const struct page_form *form,
    const struct page_report *report)
{
	char  *text;
	size_t i;

	for (i = 0; i < NPARTS; i++) {
		if ((text = reason_text(form, report, i)) == NULL)
			continue;
		fputs("<h2>", fp);
		print_text(fp, form, parts[i].title);
		fputs("</h2>\n<p>", fp);
		escape_html(fp, text);
		fputs("</p>\n", fp);
		free(text);
	}
}

static void
put_row(FILE *fp, const struct page_form *form, const char *label,
    const char *text)
{
	fputs("<dt>", fp);
	print_text(fp, form, label);
	fputs("</dt><dd>", fp);
	escape_html(fp, text);
	fputs("</dd>\n", fp);
}

static void
put_report_html(FILE *fp, const struct page_form *form,
    const struct page_report *report)
{
	size_t i;

	put_top(fp, form, N_("Message blocked"));
	put_words(fp, form, report);
	fputs("<h2>", fp);
	print_text(fp, form, N_("Details"));
	fputs("</h2>\n<dl>\n", fp);
	put_row(fp, form, N_("Report"), report->id);
	for (i = 0; i < PAGE_FIELDS; i++)
		if (report->field[i][0] != '\0')
			put_row(fp, form, labels[i], report->field[i]);
	fputs("</dl>\n", fp);
	put_bottom(fp, form);
}

static void
put_member(FILE *fp, const char *name, const char *text)
{
	fprintf(fp, ",\n\"%s\": ", name);
	escape_json(fp, text);
}

static void
put_report_json(FILE *fp, const struct page_form *form,
    const struct page_report *report)
{
	char  *text;
	size_t i;

	fputs("{\"id\": ", fp);
	escape_json(fp, report->id);
	for (i = 0; i < PAGE_FIELDS; i++)
		put_member(fp, page_fields[i], report->field[i]);
	for (i = 0; i < NPARTS; i++) {
		if ((text = reason_text(form, report, i)) == NULL)
			continue;
		put_member(fp, parts[i].part, text);
		free(text);
	}
	fputs("}\n", fp);
}

void
page_report(FILE *fp, const struct page_form *form,
    const struct page_report *report)
{
	put_header(fp, form, "200 OK", "");
	if (form->head)
		return;
	if (form->json)
		put_report_json(fp, form, report);
	else
		put_report_html(fp, form, report);
}

void
page_error(FILE *fp, const struct page_form *form, enum page_error error)
{
	put_header(fp, form, errors[error].status, errors[error].header);
	if (form->head)
		return;
	if (form->json) {
		fputs("{\"error\": ", fp);
		escape_json(fp, errors[error].text);
		fputs("}\n", fp);
		return;
	}
	put_top(fp, form, errors[error].title);
	fputs("<p>", fp);
	print_text(fp, form, errors[error].text);
	fputs("</p>\n", fp);
	put_bottom(fp, form);
}
