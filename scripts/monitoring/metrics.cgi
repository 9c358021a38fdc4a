#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

# Shows what the relays count to Prometheus: see smtpusers(8). The environment
# may name another configuration.

text=$("@SBINDIR@/smtpusers" -f "${SMTPUSERS_CONF:-@SYSCONFDIR@/smtpusers.conf}" metrics)
case $text in
*"# EOF")
	type="application/openmetrics-text; version=1.0.0; charset=utf-8" ;;
*)	printf 'Status: 500 Internal Server Error\r\n'
	type="text/plain" text="The log of the web server says why." ;;
esac
printf 'Content-Type: %s\r\nCache-Control: no-store\r\n\r\n%s\n' "$type" "$text"
