# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Finds what is inconsistent, and mends what is safe: check."""

import json
import re
import time
from collections import deque

from .conversations import Conversation, converse, scan
from .failure import EX_DATAERR, EX_NOUSER, Failure, note
from .inspection import (
    Finding, Inspection, inspect_account, inspect_claim, inspect_companions,
    inspect_user, release_claim)
from .records import NAME, user_key
from .connection import glob_escape
from .text import visible
from .transfer import connect, counted

COMPANIONS = {"user": ("domains", "ips", "log", "last"),
              "account": ("domains",)}
KEY = re.compile(r"(user|account|ip):\{(.*?)\}(?::(.*))?", re.DOTALL)
OURS = ("user:", "account:", "ip:")
TOGETHER = 100          # companions that are looked for at once
# A claim is followed by the record within seconds.
GRACE = 3
LATER = 1000            # claims that are looked at again at once


def do_check(args):
    run = Inspection(connect(args.connect), args.fix)
    report = Report(args.json)
    if args.name:
        check_users(run, args.name, report)
    else:
        check_all(run, report)
    if report.left:
        raise Failure(EX_DATAERR, "%s left" % counted(report.left, "problem"))


class Report:
    """What is told, and how much of it is left."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.left = 0

    def tell(self, finding):
        if finding.fixed is None:
            self.left += 1
        print(json.dumps(finding.as_json()) if self.as_json else
              text_of(finding))


def text_of(finding):
    text = "%s: %s" % (visible(finding.name), finding.problem)
    return text if finding.fixed is None else "%s; %s" % (text, finding.fixed)


def check_all(run, report):
    later = Later(run, report)
    for _, findings in converse(run.redis, inspections(run)):
        for finding in findings:
            if run.fix and is_claim(finding):
                later.add(finding)
            else:
                report.tell(finding)
    later.mend_all()


def is_claim(finding):
    """Of an address, for a user who does not have it."""
    return (finding.kind == "claim" and finding.fixable and
            not finding.fixed and finding.key.endswith(
                "ip:{%s}" % finding.name))


class Later:
    """Claims that are given time to become what they were made for."""

    def __init__(self, run, report):
        self.run = run
        self.report = report
        self.findings = deque()

    def add(self, finding):
        self.findings.append((time.monotonic() + GRACE, finding))
        if len(self.findings) >= LATER and (
                self.findings[LATER - 1][0] < time.monotonic()):
            self.mend(LATER)

    def mend_all(self):
        while self.findings:
            count = min(LATER, len(self.findings))
            left = self.findings[count - 1][0] - time.monotonic()
            time.sleep(max(left, 0))
            self.mend(count)

    def mend(self, count):
        due = [self.findings.popleft()[1] for _ in range(count)]
        mends = [Conversation(finding, release_claim(self.run, finding))
                 for finding in due]
        for _, findings in converse(self.run.redis, mends):
            for finding in findings:
                self.report.tell(finding)


def inspections(run):
    """A conversation for every key, and for companions many at a time."""
    prefix = run.redis.key()
    companions = []
    for key in scan(run.redis, glob_escape(prefix) + "*"):
        rest = key[len(prefix):]
        match = KEY.fullmatch(rest)
        if match and match[3] is None:
            yield Conversation(key, inspect_key(run, match[1], match[2], key))
        elif match and match[3] in COMPANIONS.get(match[1], ()):
            owner = key[:-1 - len(match[3])]
            companions.append((match[1], match[2], owner, key))
        elif rest.startswith(OURS) and not is_counter(match):
            yield Conversation(key, strange(key))
        if len(companions) == TOGETHER:
            yield Conversation(None, inspect_companions(run, companions))
            companions = []
    yield Conversation(None, inspect_companions(run, companions))


def is_counter(match):
    """Counters go by themselves."""
    return match and match[1] == "user" and (match[3] or "").startswith(
        "used:")


def inspect_key(run, kind, name, key):
    if kind == "ip":
        return inspect_claim(run, name, key)
    if not NAME.fullmatch(name):
        return strange(key, name)
    inspect = inspect_user if kind == "user" else inspect_account
    return inspect(run, name, key)


def strange(key, name=None):
    """A key that the relay never looks for."""
    yield from ()
    what = "not a name" if name is not None else "not a key of the relay's"
    return [Finding("name", key if name is None else name, key,
                    what + ", so it is nobody's")]


# Some users alone

def check_users(run, names, report):
    missing = 0
    users = (Conversation(name, inspect_one(run, name))
             for name in names)
    for name, findings in converse(run.redis, users):
        if findings is None:
            missing += 1
            note("%s: no such user" % name)
        for finding in findings or ():
            report.tell(finding)
    if missing:
        raise Failure(EX_NOUSER, "%s not found" % counted(missing, "user"))


def inspect_one(run, name):
    """None where there is nothing of the name."""
    key = user_key(run.redis, name)
    companions = [("user", name, key, key + ":" + suffix)
                  for suffix in COMPANIONS["user"]]
    there, *found = yield [("EXISTS", key)] + [
        ("EXISTS", companion[3]) for companion in companions]
    if there:
        return (yield from inspect_user(run, name, key))
    left = [companion for companion, reply in zip(companions, found)
            if reply]
    if not left:
        return None
    return (yield from inspect_companions(run, left))
