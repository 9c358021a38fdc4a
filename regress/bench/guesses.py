# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What guessing at passwords costs a session that sends, with smtpd 7.9, which
has the table verify them."""

import itertools
import multiprocessing
import os
import shutil
import statistics
import threading
import time

from places import configuration, workdir
from relay import Relay, certificate
from relays import OwnTableRelay
from session import Session
from users import MADE, Users, crypt

CLIENTS = 64
NAMES = 8
TURNS = 5
WARM_UP = 3             # seconds until the guessers are at it
SECONDS = 5
PASSWORD = "Open-Sesame1"
# What the command makes, and what is often brought along.
HASHES = {"yescrypt": MADE, "sha512": ("$6$", 5000),
          "bcrypt 10": ("$2b$", 10)}
KNOWN = ["user%d" % number for number in range(NAMES)]
UNKNOWN = ["nobody%d" % number for number in range(NAMES)]
OURS, OWN = "our table", "smtpd's own table"


def guess(session, name, ident, refused):
    """Never twice the same, and the next one at once."""
    for number in itertools.count():
        reply = session.login(name, "wrong-%s-%d" % (ident, number))
        if not reply.startswith("535"):
            raise AssertionError(reply)
        with refused.get_lock():
            refused.value += 1


def guess_all(relay, names, refused):
    """A process of its own, so that it does not hold up who measures. They
    connect one after another: smtpd's queue of those not accepted is short."""
    threads = [threading.Thread(target=guess, daemon=True, args=(
        Session(relay, implicit=True), names[number % len(names)], number,
        refused)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(1)         # all of them have failed


def latencies(session, seconds):
    """Of MAIL FROM, in milliseconds."""
    taken, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        reply = session.mail("user0@example.test")
        taken.append((time.perf_counter() - began) * 1e3)
        if not reply.startswith("250"):
            raise AssertionError(reply)
        session.command("RSET")
    return taken


def measure(relay, names):
    """The latencies of MAIL FROM under guesses, and those in a second."""
    fork = multiprocessing.get_context("fork")
    refused = fork.Value("l", 0)
    others = fork.Process(target=guess_all, daemon=True,
                          args=(relay, names, refused))
    with Session(relay, implicit=True) as session:
        reply = session.plain("sender", PASSWORD)
        if not reply.startswith("235"):
            raise AssertionError(reply)
        if names:
            others.start()
        try:
            while names and refused.value < CLIENTS and others.is_alive():
                latencies(session, 0.1)
            latencies(session, WARM_UP)
            before, began = refused.value, time.monotonic()
            taken = latencies(session, SECONDS)
            rate = (refused.value - before) / (time.monotonic() - began)
            if names and (not others.is_alive() or rate == 0):
                raise AssertionError("nobody guesses")
        finally:
            if names:
                others.kill()
                others.join()
    return taken, rate


def bench_guesses(table, redis):
    users = Users(redis)
    tls = certificate(workdir("tls"))
    # What stalls should be measured, not refused.
    conf = configuration(redis=redis.url, redis_timeout=5000)
    users.add("sender", PASSWORD, domains=["example.test"])
    for scheme, setting in HASHES.items():
        secret = crypt(PASSWORD, *setting)
        for name in KNOWN:
            users.set(name, password=secret, status="allowed", mode="default")
        static = {name: redis.cli("HGET", users.key(name), "password")
                  for name in ["sender", *KNOWN]}
        options = {"conf": conf, "kind": "rel", "static": static}
        ways = {OURS: (Relay, options), OWN: (OwnTableRelay, options)}
        judge(table, "known names, " + scheme, tls, ways, KNOWN)
    judge(table, "unknown names", tls, ways, UNKNOWN)
    judge(table, "no guesses", tls, ways, [])


def judge(table, what, tls, ways, names):
    rounds = {name: [] for name in ways}
    for turn in range(TURNS):
        for name in sorted(ways, reverse=turn % 2 == 1):
            directory = workdir("relay")
            kind, options = ways[name]
            with kind(directory, *tls, 0, **options) as relay:
                rounds[name].append(measure(relay, names))
                relay.check((PASSWORD.encode(),))
            shutil.rmtree(directory)
    high = {name: [statistics.quantiles(taken, n=100)[98] for taken, _ in row]
            for name, row in rounds.items()}
    for name, row in rounds.items():
        table.note("MAIL FROM, %s, %s: 99th percentile, worst; guesses" % (
            what, name), "%.2f, %.0f ms; %.0f/s" % (
                statistics.median(high[name]),
                statistics.median(max(taken) for taken, _ in row),
                statistics.median(rate for _, rate in row)))
    text = "MAIL FROM, %s, 99th percentile, / %s" % (what, OWN)
    ratio = statistics.median(
        mine / its for mine, its in zip(high[OURS], high[OWN]))
    if names:
        table.at_most(text, ratio, 1)
    else:
        table.note(text, "%.2f" % ratio)
