# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What smtpusers-notify sends: a head of lines, an empty line, and what the
panel said, as it is.

    smtpusers-notify 1
    id 6e0f...              32 hexadecimal digits, another for each message
    created 1795250000      when the panel said it, by the sender's clock
    host server1.example    the name of the server, if it has one
    panel directadmin       or cpanel; event and sync are the operator's words
    hook domain_create_post
    known alice DNS1 a.example      what the panel's files say, any number

DirectAdmin's variables, and the fields of an event, are name=value, each
followed by NUL; cPanel's input is JSON; sync says nothing.
"""

import re
import time

from provision.names import NAME

from .cpanel import BadInput, cpanel_events
from .directadmin import HOOKS, directadmin_events
from .events import BadEvent, FIELDS, check_sent, make_event
from .restore import restored
from .spool import hashed
from .text import decode, domain_key, looks_like_domain

MAGIC = b"smtpusers-notify 1\n"
LINE = re.compile(r"(id|created|host|panel|hook|known) ([!-~]+(?: [!-~]+)*)")
KNOWN = re.compile(r"([^ ]+) ([A-Z]+[0-9]*) ([^ ]+)")
IDENTITY = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"[0-9]{1,12}")
DAY = 86400
# Seconds that two clocks may differ.
SKEW = 86400


class Message:
    """id, created in seconds, host or None, panel, hook, known by user and
    key, and the payload in bytes."""

    def __init__(self, body):
        """BadEvent where it is none."""
        head, empty, self.payload = body.partition(b"\n\n")
        if not body.startswith(MAGIC) or not empty:
            raise BadEvent("not a message of smtpusers-notify")
        fields = {"host": None}
        self.known = {}
        for line in head.decode("latin-1").split("\n")[1:]:
            match = LINE.fullmatch(line)
            if not match or match[1] in fields and fields[match[1]]:
                raise BadEvent("the head is broken")
            if match[1] == "known":
                self.add_known(match[2])
            else:
                fields[match[1]] = match[2]
        self.id = self.need(fields, "id", IDENTITY)
        self.created = int(self.need(fields, "created", TIME))
        self.panel = self.need(fields, "panel")
        self.hook = self.need(fields, "hook")
        self.host = host_name(fields["host"])

    @staticmethod
    def need(fields, name, pattern=re.compile(".*")):
        if not pattern.fullmatch(fields.get(name, "\n")):
            raise BadEvent("the head is broken: %s" % name)
        return fields[name]

    def add_known(self, text):
        match = KNOWN.fullmatch(text)
        if not match or not NAME.fullmatch(match[1]):
            raise BadEvent("the head is broken: known")
        found = self.known.setdefault(match[1], {})
        found.setdefault(match[2], []).append(match[3])

    def check_age(self, days):
        """After that it is not known whether it has been had."""
        if self.created + days * DAY < time.time() - SKEW:
            raise BadEvent("older than %d days" % days)

    def variables(self):
        """Where one is there twice, nothing is certain."""
        found = {}
        for pair in self.payload.split(b"\0")[:-1]:
            name, _, value = map(decode, pair.partition(b"="))
            if name in found:
                raise BadEvent("%s: twice" % name)
            found[name] = value
        return found


def host_name(text):
    """None for what no mail could come from."""
    key = domain_key(text or "")
    return key if looks_like_domain(key) else None


class Keeper:
    """What a server said before a change, apart from the others'."""

    def __init__(self, spool, server):
        self.spool = spool
        self.server = server

    def keep(self, directory, name, value):
        if name:
            self.spool.keep(directory, self.file(name), value)

    def kept(self, directory, name):
        return self.spool.kept(directory, self.file(name)) if name else None

    def file(self, name):
        """Both together may be longer than the name of a file."""
        return hashed("%s,%s" % (self.server, name))


def events_of(message, conf, keeper, log):
    """The events that a message comes to; BadEvent where it is none."""
    if message.panel == "directadmin" and message.hook in HOOKS:
        return directadmin_events(message.hook, message.variables())
    if message.panel == "cpanel":
        try:
            return cpanel_events(conf, keeper, message.payload,
                                 message.known, log)
        except BadInput as reason:
            raise BadEvent(str(reason)) from None
    if message.panel == "event":
        return [check_sent(make_event(message.hook, "notify", **{
            field: value for field, value in message.variables().items()
            if field in FIELDS}))]
    if message.panel == "sync":
        return restored(conf, "notify", message.hook,
                        message.known.get(message.hook, {}))
    raise BadEvent("no panel, or no hook, that is known here")
