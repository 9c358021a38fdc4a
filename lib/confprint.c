/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <inttypes.h>
#include <stdio.h>

#include "conf.h"
#include "confword.h"

static void
print_quoted(FILE *fp, const char *text)
{
	fputc('"', fp);
	for (; *text != '\0'; text++) {
		/* "${" would be taken for a variable of the environment. */
		if (*text == '"' || *text == '\\' || *text == '$')
			fputc('\\', fp);
		fputc(*text, fp);
	}
	fputc('"', fp);
}

static void
print_str(FILE *fp, const char *key, const char *value)
{
	if (value == NULL)
		return;
	fprintf(fp, "%s = ", key);
	print_quoted(fp, value);
	fputc('\n', fp);
}

static void
print_lists(const struct conf *conf, FILE *fp)
{
	char   buf[NETADDR_TEXT];
	size_t i;

	fprintf(fp, "enforce = {%s%s%s}\n",
	    conf->enforce & ENFORCE_ENVELOPE ? "\"envelope\"" : "",
	    conf->enforce == (ENFORCE_ENVELOPE | ENFORCE_HEADER) ? ", " : "",
	    conf->enforce & ENFORCE_HEADER ? "\"header\"" : "");
	fprintf(fp, "spf_include = {");
	for (i = 0; i < conf->nspf_include; i++) {
		fputs(i > 0 ? ", " : "", fp);
		print_quoted(fp, conf->spf_include[i]);
	}
	fprintf(fp, "}\nspf_relays = {");
	for (i = 0; i < conf->nspf_relays; i++)
		fprintf(fp, "%s\"%s\"", i > 0 ? ", " : "",
		    netaddr_text(&conf->spf_relays[i], buf));
	fprintf(fp, "}\n");
}

static void
print_alarms(const struct conf *conf, FILE *fp)
{
	const struct alarm_limit *limit = conf->alarm_limits.of;
	const struct alarm	 *alarm = conf->alarms;
	size_t			  i;

	for (i = 0; i < ALARM_KINDS; i++) {
		if (alarm[i].action == ALARM_OFF)
			continue;
		fprintf(fp,
		    "alarm \"%s\" { limit = %" PRId64 " period = %" PRId64
		    " action = \"%s\"",
		    alarm_words[i], limit[i].count, limit[i].period,
		    alarm_actions[alarm[i].action]);
		if (alarm[i].lasts > 0)
			fprintf(fp, " for = %" PRId64, alarm[i].lasts);
		fprintf(fp, " }\n");
	}
}

void
conf_print(const struct conf *conf, FILE *fp)
{
	print_str(fp, "redis", conf->redis);
	print_str(fp, "redis_user", conf->redis_user);
	print_str(fp, "redis_password_file", conf->redis_password_file);
	print_str(fp, "redis_ca", conf->redis_ca);
	fprintf(fp, "redis_db = %d\n", conf->redis_db);
	fprintf(fp, "redis_timeout = %d\n", conf->redis_timeout);
	fprintf(fp, "redis_replicas = %d\n", conf->redis_replicas);
	print_str(fp, "prefix", conf->prefix);
	print_str(fp, "relay_name", conf->relay_name);
	print_str(fp, "report_url", conf->report_url);
	print_str(fp, "report_title", conf->report_title);
	print_str(fp, "report_logo", conf->report_logo);
	print_str(fp, "report_contact", conf->report_contact);
	print_str(fp, "spf", confword_spf[conf->spf]);
	print_lists(conf, fp);
	fprintf(fp, "spf_timeout = %d\n", conf->spf_timeout);
	fprintf(fp, "spf_workers = %d\n", conf->spf_workers);
	print_str(fp, "spf_resolver", conf->spf_resolver);
	fprintf(fp, "auth_failures = \"");
	if (conf->auth_failures > 0)
		fprintf(fp, "%" PRId64 "/%" PRId64, conf->auth_failures,
		    conf->auth_failures_period);
	fprintf(fp, "\"\n");
	print_str(fp, "over", confword_over[conf->bounds.over - OVER_DEFER]);
	fprintf(fp, "max_recipients = %" PRId64 "\nmax_size = %" PRId64 "\n",
	    conf->bounds.max_recipients, conf->bounds.max_size);
	fprintf(fp, "quota_period = %" PRId64 "\n", conf->quota_period);
	print_str(fp, "quota_unit", confword_unit[conf->quota_unit]);
	print_str(fp, "local", confword_local[conf->local]);
	print_str(fp, "source_refusal", confword_refusal[conf->source_refusal]);
	print_alarms(conf, fp);
}
