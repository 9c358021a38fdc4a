# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Finds what is inconsistent, and mends what is safe: check."""

import json
import re
import time
from collections import deque

from .failure import EX_DATAERR, EX_NOUSER, Failure, note
from .functions import prepare, schema_of
from .inspection import (
    ACCOUNT, Inspection, inspect_account, inspect_claim, inspect_prefixes,
    inspect_users, orphan, release_claim, strange)
from .pages import judged_rows, rows_of, strays
from .progress import Progress, counted, make_way, watched
from .records import user_key
from .server import check_server
from .text import visible

COMPANIONS = ("domains", "ips", "last", "suppressed")
ADDRESS = re.compile(r"ip:\{(.*)\}", re.DOTALL)
# A claim may be followed by the record within seconds.
GRACE = 3
LATER = 1000            # claims that are looked at again at once
NAMES = 100             # users that are looked at together
TICK = 0.1              # seconds


def do_check(args):
    report = Report(args.json)
    if args.server:
        report.tell(check_server(args.file, args.relay_user))
        report.end()
        return
    redis = args.connect()
    prepare(redis)
    run = Inspection(redis, args.fix, schema_of(redis).limits)
    if args.name:
        check_users(run, args.name, report)
    else:
        check_all(run, report)
    report.end()


class Report:
    """What is told, and how much of it is left."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.left = 0

    def tell(self, findings):
        for finding in findings:
            if finding.fixed is None:
                self.left += 1
            make_way()
            print(json.dumps(finding.as_json()) if self.as_json else
                  text_of(finding))


    def end(self):
        if self.left:
            raise Failure(EX_DATAERR, "%s left" % counted(self.left,
                                                          "problem"))


def text_of(finding):
    text = "%s: %s" % (visible(finding.name), finding.problem)
    return text if finding.fixed is None else "%s; %s" % (text, finding.fixed)


def check_all(run, report):
    later = Later(run, report)
    for page in watched("account", judged_rows(run.redis, "account",
                                               ACCOUNT)):
        for row in page:
            report.tell(inspect_account(run, row))
    report.tell(inspect_prefixes(run))
    for page in watched("user", judged_rows(run.redis, "user", run.user)):
        report.tell(inspect_users(run, page))
    for page in watched("key page", strays(run.redis), lambda _: 1):
        for stray in page:
            for finding in inspect_stray(run, *stray):
                if run.fix and is_claim(finding):
                    later.add(finding)
                else:
                    report.tell([finding])
    later.mend_all()


def inspect_stray(run, key, what, name):
    rest = key[len(run.redis.prefix):]
    address = ADDRESS.fullmatch(rest)
    if address:
        return inspect_claim(run, address[1], key)
    if what == "left":
        return orphan(run, rest.partition(":")[0], name, key)
    return strange(key, name if what == "name" else None)


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
        progress = Progress("claim")
        while self.findings:
            count = min(LATER, len(self.findings))
            while self.findings[count - 1][0] > time.monotonic():
                progress.add(0)
                time.sleep(TICK)
            progress.add(count)
            self.mend(count)
        progress.clear()

    def mend(self, count):
        for _ in range(count):
            self.report.tell(release_claim(self.run,
                                           self.findings.popleft()[1]))


# Some users alone

def check_users(run, names, report):
    missing = 0
    for start in range(0, len(names), NAMES):
        some = names[start:start + NAMES]
        rows = rows_of(run.redis, "user", some, "fields", " ".join(run.user))
        for name, row in zip(some, rows):
            if row:
                report.tell(inspect_users(run, [row]))
            elif not tell_left(run, name, report):
                missing += 1
                note("%s: no such user" % name)
    if missing:
        raise Failure(EX_NOUSER, "%s not found" % counted(missing, "user"))


def tell_left(run, name, report):
    """Whether there is something of a user who is not there."""
    keys = [user_key(run.redis, name, ":" + suffix) for suffix in COMPANIONS]
    there = run.redis.each([("EXISTS", key) for key in keys])
    for key, found in zip(keys, there):
        if found:
            report.tell(orphan(run, "user", name, key))
    return any(there)
