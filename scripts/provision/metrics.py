# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The numbers of the relays for Prometheus: as OpenMetrics has them, or in the
text format that came before it, which node_exporter reads."""

import os
import sys
import tempfile
import time
from collections import namedtuple

from .connection import Away
from .failure import EX_CANTCREAT, Failure
from .relays import read_relays
from .text import visible

BEFORE = "smtpusers_"

# One number: the labels besides relay and program, the field it is from and
# by what it is divided.
Value = namedtuple("Value", "labels field divisor", defaults=(1,))
Family = namedtuple("Family", "name kind help values")


def counter(name, words, field):
    return Family(name, "counter", words, [Value({}, field)])


def gauge(name, words, field):
    return Family(name, "gauge", words, [Value({}, field)])


def by_result(name, words, results):
    return Family(name, "counter", words, [
        Value({"result": result}, "%s_%s" % (name, result))
        for result in results])


REFUSALS = ("refused", "deferred")

# Of the totals by event, result and reason: which of these are labels, and
# whether a total is of the family.
Totals = namedtuple("Totals", "name help labels takes")

TOTALS = (
    Totals("refusals", "Connections, logins, messages and recipients that were "
           "refused for good or deferred, by reason, which may be empty.", ("event", "result", "reason"),
           lambda event, result, reason: result in REFUSALS),
    Totals("recipients", "Recipients of messages, by the result of the message.",
           ("result",), lambda event, result, reason:
           event == "recipient" and result not in REFUSALS and not reason),
    Totals("message_bytes", "Bytes of messages, by the result of the message.",
           ("result",), lambda event, result, reason:
           event == "bytes" and not reason))

MICROSECONDS = 1000000

FAMILIES = (
    gauge("start_time_seconds", "When the program was started.", "started"),
    gauge("sessions", "SMTP sessions that are open.", "sessions"),
    counter("connections", "SMTP sessions that were opened.", "connections"),
    counter("connections_refused", "SMTP sessions that were refused, since "
            "too many logins of their source had failed.",
            "connections_refused"),
    by_result("logins", "Logins: accepted, failed (name or password are "
              "wrong), or refused by the filter.",
              ("accepted", "failed", "refused")),
    by_result("messages", "Messages: accepted, sandboxed (accepted, and "
              "delivered nowhere), trusted (of the host itself), refused for "
              "good, deferred, or failed (in smtpd, behind the filter).",
              ("accepted", "sandboxed", "trusted", "refused", "deferred",
               "failed")),
    counter("recipients_refused", "Recipients that were refused.",
            "recipients_refused"),
    counter("temporary_failures", "Temporary errors, since something could not "
            "be decided.", "temporary_failures"),
    gauge("writes_waiting", "Entries of logs and counters that wait for "
          "Redis.", "writes_waiting"),
    counter("writes_lost", "Entries of logs and counters that are "
            "lost.", "writes_lost"),
    counter("alarms", "Alarms that went off.", "alarms"),
    counter("limits_reached", "Quotas of users and accounts that were used "
            "up.", "limits_reached"),
    counter("spf_questions", "Domains that the DNS was asked about.",
            "spf_questions"),
    counter("spf_failures", "Domains about which the DNS gave no answer.",
            "spf_failures"),
    by_result("lookups", "Answers of the table to smtpd.",
              ("found", "not_found", "failed")),
    counter("redis_unanswered_requests", "Requests to Redis that had no "
            "reply.", "redis_unanswered"),
    Family("redis_reply_seconds", "summary", "How long Redis took to reply: "
           "quantiles of the last minute.", [
               Value({"quantile": "0.5"}, "redis_median", MICROSECONDS),
               Value({"quantile": "0.99"}, "redis_p99", MICROSECONDS),
               Value({"quantile": "1"}, "redis_worst", MICROSECONDS),
               Value("sum", "redis_time", MICROSECONDS),
               Value("count", "redis_requests")]),
    gauge("redis_timeout_seconds", "How long Redis may take, by the "
          "relay's configuration.", "redis_timeout")._replace(values=[
              Value({}, "redis_timeout", 1000)]))


class Page:
    """The lines of what is printed."""

    def __init__(self, text):
        self.text = text
        self.lines = []

    def family(self, name, kind, words):
        """Where text is asked for, a counter is named as its number is."""
        name = BEFORE + name
        if self.text and kind == "counter":
            name += "_total"
        if self.text and kind == "info":
            name, kind = name + "_info", "gauge"
        self.lines += ["# HELP %s %s" % (name, words),
                       "# TYPE %s %s" % (name, kind)]

    def sample(self, name, labels, value):
        some = ",".join('%s="%s"' % (label, escaped(text))
                        for label, text in labels.items())
        self.lines.append("%s%s%s %s" % (
            BEFORE, name, "{%s}" % some if some else "", number(value)))

    def whole(self):
        end = [] if self.text else ["# EOF"]
        return "".join(line + "\n" for line in self.lines + end)


def escaped(text):
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')


def number(value):
    """Floats with as many digits as they need, never with an exponent."""
    if isinstance(value, int):
        return str(value)
    return ("%.6f" % value).rstrip("0").rstrip(".")


def do_metrics(args):
    """Whether Redis can be asked is a number as well."""
    page, lost = Page(args.text), None
    try:
        relays, _ = read_relays(args.connect())
    except Away as failure:
        relays, lost = {}, failure
    now = time.time()
    page.family("time_seconds", "gauge", "When this was written.")
    page.sample("time_seconds", {}, int(now))
    page.family("redis_up", "gauge", "Whether Redis could be asked.")
    page.sample("redis_up", {}, int(lost is None))
    if lost is None:
        add_relays(page, relays, now)
    write(args.output, page.whole())
    if lost:
        raise lost


def add_relays(page, relays, now):
    each = [({"relay": relay, "program": program}, found)
            for relay, programs in relays.items()
            for program, found in programs.items()]
    page.family("relay_up", "gauge", "Whether the program has been heard of "
                "just now.")
    for labels, found in each:
        page.sample("relay_up", labels, int(not found.is_gone(now)))
    page.family("relay_seen_timestamp_seconds", "gauge", "When the program "
                "was heard of last.")
    for labels, found in each:
        page.sample("relay_seen_timestamp_seconds", labels, int(found.seen))
    alive = [(labels, found) for labels, found in each
             if not found.is_gone(now)]
    page.family("relay", "info", "The program's version.")
    for labels, found in alive:
        page.sample("relay_info", {**labels, "version": found.version or ""},
                    1)
    for family in FAMILIES:
        page.family(family.name, family.kind, family.help)
        for labels, found in alive:
            for value in family.values:
                add_value(page, family, labels, found, value)
    for family in TOTALS:
        page.family(family.name, "counter", family.help)
        for labels, found in alive:
            add_totals(page, family, labels, found.totals)


def add_totals(page, family, labels, totals):
    for total, count in totals.items():
        if family.takes(*total):
            named = dict(zip(("event", "result", "reason"), total))
            page.sample(family.name + "_total", {
                **labels, **{name: named[name] or ""
                             for name in family.labels}}, count)


def add_value(page, family, labels, found, value):
    if value.field not in found.numbers:
        return
    amount = found.numbers[value.field]
    if value.divisor != 1:
        amount /= value.divisor
    name, more = family.name, value.labels
    if family.kind == "counter":
        name += "_total"
    elif isinstance(more, str):
        name, more = "%s_%s" % (name, more), {}
    page.sample(name, {**labels, **more}, amount)


def write(output, text):
    """A file is replaced as a whole: who reads it sees no half of it."""
    if output is None:
        sys.stdout.write(text)
        return
    directory, name = os.path.split(os.path.abspath(output))
    path = None
    try:
        descriptor, path = tempfile.mkstemp(dir=directory, prefix="." + name)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(descriptor, 0o644)
        os.rename(path, output)
    except OSError as error:
        if path:
            os.unlink(path)
        raise Failure(EX_CANTCREAT, "%s: %s" % (
            visible(output), error.strerror)) from None
