/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * GMime's reading of messages: each line of standard input is one, in
 * hexadecimal; a line of output has the addresses of its From fields, each
 * in hexadecimal.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmime/gmime.h>

static void
print_address(const char *address)
{
	printf(" ");
	for (; *address != '\0'; address++)
		printf("%02x", (unsigned char)*address);
}

static void
print_list(InternetAddressList *list)
{
	InternetAddress	       *address;
	InternetAddressMailbox *mailbox;
	InternetAddressGroup   *group;
	int			i, n;

	n = list == NULL ? 0 : internet_address_list_length(list);
	for (i = 0; i < n; i++) {
		address = internet_address_list_get_address(list, i);
		if (INTERNET_ADDRESS_IS_GROUP(address)) {
			group = INTERNET_ADDRESS_GROUP(address);
			print_list(internet_address_group_get_members(group));
			continue;
		}
		mailbox = INTERNET_ADDRESS_MAILBOX(address);
		if (mailbox->addr != NULL)
			print_address(mailbox->addr);
	}
}

/* The value as a mail program that looks for it itself would give it. */
static void
read_values(GMimeHeaderList *headers)
{
	InternetAddressList *list;
	GMimeHeader	    *header;
	int		     i, n = g_mime_header_list_get_count(headers);

	for (i = 0; i < n; i++) {
		header = g_mime_header_list_get_header_at(headers, i);
		if (g_ascii_strcasecmp(g_mime_header_get_name(header),
			"from") != 0)
			continue;
		list = internet_address_list_parse(NULL,
		    g_mime_header_get_raw_value(header));
		print_list(list);
		if (list != NULL)
			g_object_unref(list);
	}
}

static void
read_message(const char *text, size_t len)
{
	GMimeStream  *stream = g_mime_stream_mem_new_with_buffer(text, len);
	GMimeParser  *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

	if (message != NULL) {
		print_list(g_mime_message_get_from(message));
		read_values(
		    g_mime_object_get_header_list(GMIME_OBJECT(message)));
		g_object_unref(message);
	}
	g_object_unref(parser);
	g_object_unref(stream);
	printf("\n");
	fflush(stdout);
}

static size_t
decode_hex(char *line)
{
	char byte[3] = "", *out = line, *p;

	for (p = line; p[0] != '\0' && p[0] != '\n'; p += 2) {
		memcpy(byte, p, 2);
		*out++ = (char)strtoul(byte, NULL, 16);
	}
	return ((size_t)(out - line));
}

int
main(void)
{
	char  *line = NULL;
	size_t size = 0;

	g_mime_init();
	while (getline(&line, &size, stdin) != -1)
		read_message(line, decode_hex(line));
	free(line);
	g_mime_shutdown();
	return (0);
}
