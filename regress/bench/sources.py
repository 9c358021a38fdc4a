# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the length of a list of sources costs its user, and others."""

import base64
import multiprocessing
import os
import shutil
import statistics
import threading
import time

from guesses import latencies
from linedriver import FilterDriver, TableDriver
from places import configuration, workdir
from relay import Relay, certificate
from session import Session
from users import Users, crypt

LENGTHS = (10, 10000, 65000)
TURNS = 3000
WARM_UP = 200
SOURCE = "192.0.2.1"
PASSWORD = "Open-Sesame1"
TOKEN = "e094d913f60559e8"

CROWD, ROUNDS, SECONDS = 40, 3, 4


def fill(users, name, length):
    """Ranges that do not hold the source, and one that does."""
    key = users.key(name, "ips")
    entries = ["10.%d.%d.%d/31" % (number >> 15, number >> 7 & 255,
                                   number % 128 * 2)
               for number in range(length - 1)] + ["192.0.2.0/24"]
    with users.redis.connect(60) as connection:
        for first in range(0, length, 1000):
            connection.command("SADD", key, *entries[first:first + 1000])


def populate(users):
    secret = crypt(PASSWORD, "$6$", 1000)
    for number, length in enumerate(LENGTHS):
        name = "has%d" % length
        users.set(name, password=secret, status="allowed", mode="default",
                  ip_auth="192.0.2.%d" % (number + 1))
        users.domains(name, "example.test")
        users.redis.cli("SET", "smtp:ip:{192.0.2.%d}" % (number + 1), name)
        fill(users, name, length)


def timed_request(driver, phase, session, parameter):
    """The seconds until a request is let through."""
    line = ("filter|0.7|1795237821.576651|smtp-in|%s|%s|%s|%s\n" % (
        phase, session, TOKEN, parameter)).encode()
    want = ("filter-result|%s|%s|proceed\n" % (session, TOKEN)).encode()
    began = time.perf_counter()
    driver.socket.sendall(line)
    got = driver.socket.recv(8192)
    took = time.perf_counter() - began
    if got != want:
        raise AssertionError(got)
    return took


def compare(table, what, ask):
    """The medians of all lengths, which take turns."""
    times = {length: [] for length in LENGTHS}
    for turn in range(WARM_UP + TURNS):
        for length in sorted(LENGTHS, reverse=turn % 2 == 1):
            took = ask(length)
            if turn >= WARM_UP:
                times[length].append(took * 1e6)
    median = {length: statistics.median(row) for length, row in times.items()}
    table.note("%s, %d, %d and %d sources, median" % (what, *LENGTHS),
               ", ".join("%.0f" % value for value in median.values()) + " us")
    for length in LENGTHS[1:]:
        table.at_most("%s, %d / %d sources" % (what, length, LENGTHS[0]),
                      median[length] / median[LENGTHS[0]], 1.2)


def bench_sources(table, redis):
    users = Users(redis)
    populate(users)
    conf = configuration(redis=redis.url, spf="off")
    with FilterDriver(workdir("filter"), conf, kind="rel") as driver:
        for length in LENGTHS:
            session = "%016x" % length
            driver.connect(session, SOURCE + ":40000")
            driver.authenticate(session, "has%d" % length)
        compare(table, "MAIL FROM", lambda length: timed_request(
            driver, "mail-from", "%016x" % length, "a@example.test"))
        credential = {length: base64.b64encode(
            b"\0has%d\0%s" % (length, PASSWORD.encode())).decode()
            for length in LENGTHS}
        driver.connect("f" * 16, SOURCE + ":40000")
        compare(table, "AUTH", lambda length: timed_request(
            driver, "auth", "f" * 16, "PLAIN " + credential[length]))
    with TableDriver(workdir("table"), conf, kind="rel") as driver:
        def check(length):
            address = "192.0.2.%d" % (LENGTHS.index(length) + 1)
            began = time.perf_counter()
            if driver.check("netaddr", address) != "found":
                raise AssertionError(length)
            return time.perf_counter() - began
        compare(table, "netaddr", check)


# Another user's mail, while a crowd sends as one with a long list


def loop(session):
    while True:
        reply = session.mail("user@example.test")
        if not reply.startswith("250"):
            raise AssertionError(reply)
        session.command("RSET")


def crowd(relay, name, ready):
    """A process of its own, so that it does not hold up who measures."""
    threads = []
    for _ in range(CROWD):
        session = Session(relay, implicit=True)
        reply = session.plain(name, PASSWORD)
        if not reply.startswith("235"):
            raise AssertionError(reply)
        threads.append(threading.Thread(target=loop, args=(session,),
                                        daemon=True))
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join()
    os._exit(1)         # all of them have failed


def beside(relay, name):
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    others = fork.Process(target=crowd, daemon=True, args=(relay, name, ready))
    with Session(relay, implicit=True) as session:
        reply = session.plain("innocent", PASSWORD)
        if not reply.startswith("235"):
            raise AssertionError(reply)
        if name:
            others.start()
            ready.wait(60)
        try:
            latencies(session, 1)
            taken = latencies(session, SECONDS)
            if name and not others.is_alive():
                raise AssertionError("nobody else sends")
        finally:
            if name:
                others.kill()
                others.join()
    return statistics.median(taken)


def bench_crowd(table, redis):
    users = Users(redis)
    populate(users)
    for length in LENGTHS:      # those in the crowd come from loopback
        users.redis.cli("SADD", users.key("has%d" % length, "ips"),
                        "127.0.0.0/8")
    users.add("innocent", PASSWORD, domains=["example.test"])
    names = {"nobody": None, "a crowd with few sources": "has10",
             "a crowd with 65000": "has65000"}
    rounds = {what: [] for what in names}
    tls = certificate(workdir("tls"))
    conf = configuration(redis=redis.url)
    for turn in range(ROUNDS):
        for what in sorted(names, reverse=turn % 2 == 1):
            directory = workdir("relay")
            with Relay(directory, *tls, 0, conf=conf, kind="rel") as relay:
                rounds[what].append(beside(relay, names[what]))
                relay.check((PASSWORD.encode(),))
            shutil.rmtree(directory)
    for what, row in rounds.items():
        table.note("MAIL FROM of another user beside %s, median" % what,
                   "%.2f ms" % statistics.median(row))
    few, many, alone = (rounds[what] for what in (
        "a crowd with few sources", "a crowd with 65000", "nobody"))
    table.at_most("MAIL FROM of another user, crowd with 65000 / few",
                  statistics.median(a / b for a, b in zip(many, few)), 1.5)
    table.note("the same / nobody", "%.2f" % statistics.median(
        a / b for a, b in zip(many, alone)))
