# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Delivers the events of the relay, each at least once: posts them, or mails
them.

Every section has a consumer group of its own, and a thread. An event is
acknowledged when it is delivered, or given up. Until then it is pending in the
group: whoever finds it there, when it has been left alone for long enough, has
the next try, be it this process or another one of many. So nothing is kept
here that could be lost.
"""

import fnmatch
import hashlib
import os
import threading
import time
import traceback

from provision.configuration import read_configuration
from provision.connection import ReplyError
from provision.events import event_of, events_key
from provision.failure import Failure
from provision.servers import connect

from .config import ConfigError
from .mail import Mailer
from .post import Poster, Undelivered
from .text import visible

# All processes have the one: who left an event behind does not matter.
CONSUMER = "smtpusers-hook"
PAGE = 100
HOUR = 3600
# Seconds: the longest from one try to the next of an event; between two when
# nothing is taken, or Redis is away; between two looks for what is due.
RETRY_LAST = 3600
PAUSE_LAST = 60
LOOK = 1
EX_SOFTWARE = 70


def deliver(conf, log):
    """Until ended."""
    if not conf.deliveries:
        raise ConfigError("there is no section [deliver NAME]")
    carriers = [Carrier(conf, section, log)
                for section in conf.deliveries.values()]
    for carrier in carriers:
        threading.Thread(target=carrier.run, daemon=True).start()
    log("delivering events: %s" % " ".join(conf.deliveries))
    threading.Event().wait()


def medium_of(section):
    """What delivers for a section; ConfigError where it cannot."""
    if bool(section.url) == bool(section.mail):
        raise ConfigError("[deliver %s] url or mail: one of them" %
                          section.name)
    if section.retry <= section.timeout:
        raise ConfigError("[deliver %s] retry: no more than timeout" %
                          section.name)
    if section.url:
        if not section.secret_file:
            raise ConfigError("[deliver %s] secret_file: missing" %
                              section.name)
        return Poster(section)
    if not section.sender:
        raise ConfigError("[deliver %s] sender: missing" % section.name)
    return Mailer(section)


class Carrier:
    """Delivers for one section."""

    def __init__(self, conf, section, log):
        self.path = section.config or conf.config
        self.section = section
        self.medium = medium_of(section)
        self.log = lambda text: log("%s: %s" % (section.name, text))
        self.redis = self.key = None
        self.failed = 0         # events in a row
        self.last_failed = None
        self.rest = 0           # until when nothing is tried
        self.trouble = None     # what has been told
        self.due = []           # pending events to look at
        self.looked = 0

    def run(self):
        try:
            self.serve()
        except BaseException:
            self.log(visible(traceback.format_exc()))
            os._exit(EX_SOFTWARE)

    def serve(self):
        """However often Redis goes."""
        away = 0
        while True:
            try:
                self.enter()
                if away:
                    self.tell(None)
                while True:
                    self.turn()
                    away = 0
            except Failure as failure:
                self.tell(str(failure).splitlines()[0])
            self.leave()
            away = min(away * 2 or 1, PAUSE_LAST)
            time.sleep(away)

    def enter(self):
        self.redis = connect(read_configuration(self.path))
        self.key = events_key(self.redis)
        try:
            self.ask("XGROUP", "CREATE", self.key, self.section.name, "0",
                     "MKSTREAM")
        except ReplyError as error:
            if error.kind != "BUSYGROUP":
                raise

    def leave(self):
        if self.redis:
            self.redis.close()
        self.redis, self.due = None, []

    def ask(self, *words):
        return self.redis.one(*words)

    def turn(self):
        """One new event, and one that is due again: neither keeps the other
        waiting for long."""
        time.sleep(max(0, self.rest - time.monotonic()))
        self.look()
        for entry in self.fresh():
            self.handle(entry)
        if self.due:
            ident, idle = self.due.pop(0)
            for entry in self.ask("XCLAIM", self.key, self.section.name,
                                  CONSUMER, str(idle), ident):
                self.handle(entry)

    def fresh(self):
        wait = max(1, int(min(LOOK, self.redis.timeout / 2) * 1000))
        block = () if self.due else ("BLOCK", str(wait))
        found = self.ask("XREADGROUP", "GROUP", self.section.name, CONSUMER,
                         "COUNT", "1", *block, "STREAMS", self.key, ">")
        return found[0][1] if found else ()

    def look(self):
        """Which pending events have been left alone for long enough."""
        if self.due or time.monotonic() < self.looked + LOOK:
            return
        start, rows = "-", None
        while rows is None or len(rows) == PAGE:
            rows = self.ask("XPENDING", self.key, self.section.name, "IDLE",
                            str(self.patience(1)), start, "+", str(PAGE))
            self.due += [(ident, self.patience(tries))
                         for ident, _, idle, tries in rows
                         if idle >= self.patience(tries)]
            start = "(" + rows[-1][0] if rows else start
        self.looked = time.monotonic()

    def patience(self, tries):
        """Milliseconds from this try of an event to the next."""
        longest = max(RETRY_LAST, self.section.retry)
        return 1000 * min(self.section.retry << min(max(tries, 1) - 1, 20),
                          longest)

    def handle(self, entry):
        try:
            self.carry(entry)
        except Undelivered as reason:
            if reason.never:
                self.give_up(entry, str(reason))
            else:
                self.note_failure(entry[0], str(reason))
                return
        except Failure:
            raise
        except Exception as error:  # Of one event, which is not the others'.
            self.give_up(entry, repr(error))
        self.ask("XACK", self.key, self.section.name, entry[0])

    def note_failure(self, ident, reason):
        """One event that is never taken is its own fault. Where others are
        not either, there are pauses."""
        if ident != self.last_failed:
            self.failed, self.last_failed = self.failed + 1, ident
        if self.failed > 1:
            self.rest = time.monotonic() + min(2 ** (self.failed - 2),
                                               PAUSE_LAST)
        self.tell(reason)

    def carry(self, entry):
        event = event_of(entry)
        if not self.is_wanted(event):
            return
        seconds = time.time() - int(entry[0].partition("-")[0]) / 1000
        if seconds > self.section.max_age:
            self.give_up(entry, "it is older than %d s" %
                         self.section.max_age)
        elif self.section.url or self.is_first(event):
            self.medium.deliver(event)
            self.failed = 0
            self.tell(None)

    def is_wanted(self, event):
        kind = event.get("kind", "")
        return any(fnmatch.fnmatchcase(kind, pattern)
                   for pattern in self.section.kinds) and (
            self.section.url or self.medium.addressee(event) is not None)

    def is_first(self, event):
        """Of its kind about the user, or the account, within an hour. Who
        tries again finds that it was."""
        about = [self.section.name, event.get("kind", ""),
                 event.get("user", ""), event.get("account", "")]
        digest = hashlib.sha256("\0".join(
            "%d:%s" % (len(word), word) for word in about).encode(
                "utf-8", "surrogateescape")).hexdigest()
        first = self.ask("SET", self.redis.key("mailed:", digest[:32]),
                         event["entry"], "NX", "GET", "EX", str(HOUR))
        return first in (None, event["entry"])

    def give_up(self, entry, reason):
        self.log("event %s is given up: %s" % (entry[0], visible(reason)))

    def tell(self, trouble):
        """When it begins, when its cause changes, and when it is over."""
        if trouble == self.trouble:
            return
        self.trouble = trouble
        self.log("events wait: %s" % trouble if trouble else
                 "events are delivered again")
