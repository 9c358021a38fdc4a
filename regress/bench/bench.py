#!/usr/bin/env python3
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Measures; see `make bench`.

Every figure is a comparison within this run: what is compared takes turns,
and each of them is the median of its turns.
"""

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from events import bench_events                           # noqa: E402
from linedriver import FilterDriver                       # noqa: E402
from guesses import bench_guesses                         # noqa: E402
from places import (build, configuration, free_port,      # noqa: E402
                    program, suite, workdir)
from provisioning import bench_provisioning               # noqa: E402
from redisserver import RedisServer, wait_until           # noqa: E402
from relay import Relay, certificate                      # noqa: E402
from relays import EmptyFilterRelay                       # noqa: E402
from sizes import bench_sizes                             # noqa: E402
from sources import bench_crowd, bench_sources            # noqa: E402
from suppressed import bench_suppressed                   # noqa: E402
from spf import (bench_spf_known, bench_spf_others,       # noqa: E402
                 bench_spf_silent)
from table import Table                                   # noqa: E402
from users import Users                                   # noqa: E402

MIB = 1 << 20
PASSWORD = "Open-Sesame1"
TABLE_REDIS = "/usr/libexec/opensmtpd/table-redis"

ECHO_TURNS = 7
ECHO_SECONDS = 0.5      # about what a turn of each takes
BLOCK_LINES = 4000
LOOKUPS = 10000
LOOKUP_USERS = 1000
LOOKUP_ROUNDS = 9
LOAD_TURNS = {"on disk": 21, "in memory": 9}
CLIENTS = 8
OURS = "table and filter"
# What each client does: so many sessions, each with so many messages.
SHAPES = {"1 a session": (60, 1), "25 a session": (4, 25)}
# And so many times that in memory, which takes seconds either way: smtpd's
# outgoing side may pause for one, and then leaves the processors to the rest.
TIMES = {"on disk": 1, "in memory": 6}
OPEN_SESSIONS = 10000
CHARGES, CHARGES_DEPTH, CHARGES_TURNS = 50000, 16, 5
MANY_USERS = 1000000
SCAN_TURNS = 15
SCAN_MESSAGES = 400
DOMAINS = (10, 1000000)
WARM_UP = 500
DECISIONS = 5000

SESSION, TOKEN = "317375cd1ab40357", "e094d913f60559e8"


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def run(*command, **options):
    """The numbers that a measuring program prints, a row for each line."""
    done = subprocess.run(list(map(str, command)), check=True, text=True,
                          stdout=subprocess.PIPE, **options)
    return [[float(word) for word in line.split()]
            for line in done.stdout.splitlines()]


# data-lines through a filter


def hello():
    return "".join(line + "\n" for line in (
        "config|smtpd-version|7.6.0-portable", "config|protocol|0.7",
        "config|smtp-session-timeout|300", "config|subsystem|smtp-in",
        "config|admd|mx.test", "config|ready"))


def message():
    """A message with an attachment, as smtpd hands it on."""
    lines = ["Received: from client.test (localhost [127.0.0.1])",
             "\tby mx.test (OpenSMTPD) with ESMTPSA id 8d221206",
             "From: User <user0@example.test>", "To: someone@example.net",
             "Subject: a message", ""]
    while len(lines) < BLOCK_LINES - 1:
        lines.append(("%04d" % len(lines)) * 19)
    return lines + ["."]


def block():
    return "".join(
        "filter|0.7|1795237821.576651|smtp-in|data-line|%s|%s|%s\n"
        % (SESSION, TOKEN, line) for line in message())


def echo_rate(files, repeats, command):
    lines, seconds = run(build() / "bench/feed", *files, repeats, *command)[0]
    return lines / seconds


def bench_echo(table, redis):
    directory = workdir("echo")
    conf = directory / "smtpusers.conf"
    conf.write_text(configuration(redis=redis.url))
    files = [directory / "hello", directory / "block"]
    for path, text in zip(files, (hello(), block())):
        path.write_text(text)
    commands = {
        "filter-smtpusers": [program("filter-smtpusers", "rel"), "-f", conf],
        "libopensmtpd": [build() / "bench/echo-libopensmtpd"],
        "bare loop": [build() / "bench/echo-loop"]}
    repeats = {}
    for name, command in commands.items():
        rate = echo_rate(files, 20, command)
        repeats[name] = max(20, round(rate * ECHO_SECONDS / BLOCK_LINES))
    rates = {name: [] for name in commands}
    for _ in range(ECHO_TURNS):
        for name, command in commands.items():
            rates[name].append(echo_rate(files, repeats[name], command))
    median = {name: statistics.median(row) for name, row in rates.items()}
    for name, rate in median.items():
        table.note("data-lines, " + name, "%.2f M/s" % (rate / 1e6))
    for other, least in (("libopensmtpd", 8), ("bare loop", 0.9)):
        table.at_least("data-lines, filter / " + other,
                       compared(rates, other, "filter-smtpusers"), least)


# The header, read on the way


def header():
    """As long a header as a message has that comes from far away."""
    lines = ["Received: from client.test (localhost [127.0.0.1])",
             "\tby mx.test (OpenSMTPD) with ESMTPSA id 8d221206",
             "\t(TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO)",
             "\tfor <someone@example.net>;",
             "\tSat, 21 Nov 2026 05:10:21 +0000 (UTC)",
             "DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=mail;",
             "\th=From:To:Subject:Date:Message-ID;"]
    lines += ["\t" + "b3JkZXI4" * 9] * 6
    lines += ["From: =?utf-8?q?A_User?= (at home) <user0@example.test>",
              "To: someone@example.net, \"Else, Someone\" <se@example.net>",
              "Subject: a message", "Date: Sat, 21 Nov 2026 05:10:21 +0000",
              "Message-ID: <20261121051021.8d221206@example.test>",
              "MIME-Version: 1.0", "Content-Type: application/octet-stream",
              "Content-Transfer-Encoding: base64"]
    return lines + ["X-Number-%d: %s" % (number, "x" * 50)
                    for number in range(10)]


def session_block(scanned):
    """A session on smtpd's own socket with a message of 1 MB. Only what has
    begun with MAIL FROM has a header that is read."""
    def line(kind, event, *rest):
        return "|".join((kind, "0.7", "1795237821.576651", "smtp-in", event,
                         SESSION) + rest) + "\n"
    body = ["b3JkZXI4" * 9 + "b3Jk"] * (MIB // 78)
    lines = [line("report", "link-connect", "localhost", "pass",
                  "unix:/var/run/smtpd.sock", "unix:/var/run/smtpd.sock")]
    if scanned:
        lines.append(line("filter", "mail-from", TOKEN, "user0@example.test"))
    lines += [line("filter", "data-line", TOKEN, text)
              for text in header() + [""] + body + ["."]]
    return "".join(lines + [line("report", "link-disconnect")])


def bench_scan(table, redis):
    directory = workdir("scan")
    conf, greeting = directory / "smtpusers.conf", directory / "hello"
    conf.write_text(configuration(redis=redis.url))
    greeting.write_text(hello())
    plain, scanned = directory / "plain", directory / "scanned"
    for path in (plain, scanned):
        path.write_text(session_block(path == scanned))
    ours = [program("filter-smtpusers", "rel"), "-f", conf]
    ways = {"header read": (scanned, ours), "plain echo": (plain, ours),
            "bare loop": (scanned, [build() / "bench/echo-loop"])}
    rates = {name: [] for name in ways}
    for turn in range(SCAN_TURNS):
        for name in sorted(ways, reverse=turn % 2 == 1):
            path, command = ways[name]
            rates[name].append(echo_rate([greeting, path], SCAN_MESSAGES,
                                         command))
    for name, row in rates.items():
        table.note("data-lines of 1 MB messages, " + name,
                   "%.2f M/s" % (statistics.median(row) / 1e6))
    for other, least in (("plain echo", 0.9), ("bare loop", 0.85)):
        table.at_least("data-lines of 1 MB messages, header read / " + other,
                       compared(rates, other, "header read"), least)


# Decisions


class Decider(FilterDriver):
    """Sends messages by the line protocol, with as little as it can around
    what it measures."""

    def log_in(self, session, name):
        self.connect(session, "192.0.2.1:40000")
        self.authenticate(session, name)

    def request(self, phase, session, parameter):
        """The seconds until a request is let through."""
        line = ("filter|0.7|1795237821.576651|smtp-in|%s|%s|%s|%s\n" % (
            phase, session, TOKEN, parameter)).encode()
        want = ("filter-result|%s|%s|proceed\n" % (session, TOKEN)).encode()
        began = time.perf_counter()
        self.socket.sendall(line)
        got = self.socket.recv(8192)
        took = time.perf_counter() - began
        if got != want:
            raise AssertionError(got)
        return took

    def message(self, session, domain):
        """The seconds that the decisions about a message take."""
        sender = "user@" + domain
        took = self.request("mail-from", session, sender)
        self.report("tx-begin", session, "8d221206")
        lines = ["filter|0.7|1795237821.576651|smtp-in|data-line|%s|%s|%s"
                 % (session, TOKEN, text)
                 for text in ("From: User <%s>" % sender, "", "text", ".")]
        self.send(*lines)
        for _ in lines:
            self.line()
        took += self.request("commit", session, "")
        self.report("tx-commit", session, "8d221206", "522")
        return took


def assign(redis, users, name, count):
    with redis.connect(60) as connection:
        for first in range(0, count, 1000):
            connection.command("SADD", users.key(name, "domains"), *(
                "d%d.example.test" % number
                for number in range(first, min(first + 1000, count))))


def bench_decisions(table, redis):
    users = Users(redis)
    secret = crypted(users)
    order = random.Random(1)
    sessions, times = {}, {count: [] for count in DOMAINS}
    conf = configuration(redis=redis.url)
    with Decider(workdir("decisions"), conf, kind="rel") as driver:
        for count in DOMAINS:
            name, session = "has%d" % count, "%016x" % count
            users.set(name, password=secret, status="allowed",
                      mode="default")
            assign(redis, users, name, count)
            driver.log_in(session, name)
            sessions[count] = session
        for turn in range(WARM_UP + DECISIONS):
            for count in sorted(DOMAINS, reverse=turn % 2 == 1):
                took = driver.message(sessions[count], "d%d.example.test"
                                      % order.randrange(count))
                if turn >= WARM_UP:
                    times[count].append(took * 1e6)
    for count, row in times.items():
        table.note("decision on a message, %d domains, median and 99th "
                   "percentile" % count, "%.0f, %.0f us" % (
                       statistics.median(row),
                       statistics.quantiles(row, n=100)[98]))
    few, many = map(statistics.median, times.values())
    table.note("decision on a message, %d / %d domains" % DOMAINS[::-1],
               "%.2f" % (many / few))


# Limits

LIMITS = {
    "none": ({}, {}),
    "the user's": ({"quota": "100000000", "rate": "100000000/1h"}, {}),
    "sender domains'": ({"sender_quota": "100000000",
                         "sender_rate": "100000000/1h"}, {}),
    "the account's": ({}, {"quota": "100000000", "rate": "100000000/1h"}),
    "all of these": ({"quota": "100000000", "rate": "100000000/1h",
                      "sender_quota": "100000000"},
                     {"quota": "100000000", "rate": "100000000/1h"})}


def bench_limits(table, redis):
    """What limits cost a message, from MAIL FROM to the end of data."""
    users = Users(redis)
    secret = crypted(users)
    sessions, times = {}, {name: [] for name in LIMITS}
    conf = configuration(redis=redis.url)
    with Decider(workdir("limits"), conf, kind="rel") as driver:
        for number, (name, (own, accounts)) in enumerate(LIMITS.items()):
            user, sessions[name] = "limited%d" % number, "%016x" % number
            users.account("account%d" % number, **accounts)
            users.set(user, password=secret, account="account%d" % number,
                      **own)
            users.domains(user, "example.org")
            driver.log_in(sessions[name], user)
        for turn in range(WARM_UP + DECISIONS):
            for name in sorted(LIMITS, reverse=turn % 2 == 1):
                took = driver.message(sessions[name], "example.org")
                if turn >= WARM_UP:
                    times[name].append(took * 1e6)
    medians = {name: statistics.median(row) for name, row in times.items()}
    for name, median in medians.items():
        table.note("decision on a message, limits: " + name,
                   "%.0f us" % median)
    for name in ("sender domains'", "the account's", "all of these"):
        table.note("limits, %s / the user's" % name,
                   "%.2f" % (medians[name] / medians["the user's"]))


# Alarms

ALARMS = {kind: {"period": "1h"} for kind in (
    "sources", "senders", "recipients", "volume", "blocked", "failures")}


def bench_alarms(table, redis):
    """What all of them cost a message, of a user with limits and of one
    without, beside a filter that has none."""
    users = Users(redis)
    secret = crypted(users)
    own = {"no limits": {}, "limits": LIMITS["the user's"][0]}
    ways = [(name, alarm) for name in own for alarm in (False, True)]
    times = {way: [] for way in ways}
    with Decider(workdir("quiet"), configuration(redis=redis.url),
                 kind="rel") as quiet, \
            Decider(workdir("alarmed"), configuration(
                redis=redis.url, alarm=ALARMS), kind="rel") as alarmed:
        for number, (name, alarm) in enumerate(ways):
            user = "alarmed%d" % number
            users.set(user, password=secret, **own[name])
            users.domains(user, "example.org")
            (alarmed if alarm else quiet).log_in("%016x" % number, user)
        for turn in range(WARM_UP + DECISIONS):
            order = list(enumerate(ways))
            for number, way in order[::-1] if turn % 2 else order:
                took = (alarmed if way[1] else quiet).message(
                    "%016x" % number, "example.org")
                if turn >= WARM_UP:
                    times[way].append(took * 1e6)
    for name in own:
        quiet, alarmed = (statistics.median(times[name, alarm])
                          for alarm in (False, True))
        table.note("decision on a message, %s, without alarms; with all"
                   % name, "%.0f; %.0f us" % (quiet, alarmed))
        table.note("the same, with all alarms / without",
                   "%.2f" % (alarmed / quiet))


# Credential lookups


def bench_lookups(table, redis):
    """The same users twice: as they are, and with an account each."""
    secret = crypted(Users(redis))
    plain, with_account = Users(redis), Users(redis, "account:")
    with_account.account("acme", "example.test", plan="pro")
    for number in range(LOOKUP_USERS):
        name = "user%d" % number
        plain.set(name, password=secret, status="allowed", mode="default")
        with_account.set(name, password=secret, status="allowed", mode="all",
                         account="acme")
        redis.cli("HSET", "plain:" + name, "name", name, "password", secret)
    directory = workdir("lookup")
    ours, others, theirs = (directory / name for name in (
        "smtpusers.conf", "account.conf", "redis.conf"))
    ours.write_text(configuration(redis=redis.url))
    others.write_text(configuration(redis=redis.url, prefix="account:"))
    theirs.write_text("master unix:%s\nquery_credentials "
                      "HMGET plain:%%s name password\n" % redis.socket)
    mine = program("table-smtpusers", "rel")
    names = ("table-smtpusers", "table-smtpusers, with an account",
             "table-redis")
    rounds = {name: [] for name in names}
    for _ in range(LOOKUP_ROUNDS):
        with open(directory / "stderr", "w") as errors:
            rows = run(build() / "bench/lookup", LOOKUPS, LOOKUP_USERS,
                       mine, ours, mine, others, TABLE_REDIS, theirs,
                       stderr=errors)
        for name, row in zip(names, rows):
            rounds[name].append(row)
    for name, rows in rounds.items():
        table.note("lookups, %s, median and 99th percentile" % name,
                   "%.1f, %.1f us" % tuple(map(statistics.median, zip(*rows))))
    for name in names[:2]:
        medians, highs = ([mine[i] / its[i] for mine, its in zip(
            rounds[name], rounds["table-redis"])] for i in (0, 1))
        table.at_most("lookups, median, %s / table-redis" % name,
                      statistics.median(medians), 1)
        table.note("lookups, 99th percentile, the same",
                   "%.2f" % statistics.median(highs))


def crypted(users):
    """A hash of the password, by way of a user that has one."""
    users.add("hashed", PASSWORD)
    return users.redis.cli("HGET", users.key("hashed"), "password")


# Messages through smtpd


def load_rate(shape, queue, tls, kind, options):
    """Messages accepted in a second, by a relay just started that passes them
    on meanwhile. The last ones may stay a while: smtpd's outgoing side has
    timers, of which nothing here should be made."""
    directory = workdir("relay")
    sessions, messages = SHAPES[shape]
    with spool(queue) as place:
        rate = relay_rate((sessions * TIMES[queue], messages), kind(
            directory, *tls, free_port(), spool=place, **options))
    shutil.rmtree(directory)
    return rate


def relay_rate(shape, relay):
    with relay:
        messages, seconds = run(
            build() / "bench/load", relay.sink_port, CLIENTS, *shape,
            relay.smtps, input="user0\n%s\n" % PASSWORD)[0]
        relay.check((PASSWORD.encode(),))
    return messages / seconds


@contextlib.contextmanager
def spool(queue):
    """Where smtpd's queue is: on the disk that the build is on, so that
    smtpd's fsync(2) costs what it costs, or in memory."""
    if queue == "in memory":
        yield ""
        return
    with tempfile.TemporaryDirectory(dir=build() / "bench") as directory:
        os.chmod(directory, 0o755)
        yield directory


def bench_messages(table, redis):
    users = Users(redis)
    users.add("user0", PASSWORD, domains=["example.test"])
    static = {"user0": redis.cli("HGET", users.key("user0"), "password")}
    tls = certificate(workdir("tls"))
    ours = {"conf": configuration(redis=redis.url), "kind": "rel"}
    ways = {OURS: (Relay, ours),
            "an empty filter": (EmptyFilterRelay, ours),
            "smtpd alone": (Relay, {"static": static})}
    for queue, turns in LOAD_TURNS.items():
        for shape in SHAPES:
            rates = {name: [] for name in ways}
            for turn in range(turns):
                for name in sorted(ways, reverse=turn % 2 == 1):
                    rates[name].append(load_rate(shape, queue, tls,
                                                 *ways[name]))
            judge_messages(table, "messages, queue %s, %s" % (queue, shape),
                           rates)


def judge_messages(table, what, rates):
    for name, row in rates.items():
        table.note("%s, %s" % (what, name), "%.0f/s" % statistics.median(row))
    table.at_least("%s, / an empty filter" % what,
                   compared(rates, "an empty filter", OURS), 0.95)
    table.note("%s, / smtpd alone" % what,
               "%.2f" % compared(rates, "smtpd alone", OURS))


def compared(rates, other, mine):
    """The median of the rounds' ratios: a disk is not as fast all the time,
    but neighbours in time see much the same."""
    return statistics.median(rate / its for rate, its in zip(
        rates[mine], rates[other]))


# Memory


def bench_memory(table, redis):
    users = Users(redis)
    for number in range(LOOKUP_USERS):
        users.set("user%d" % number, password="$6$x$y", status="allowed",
                  mode="default")
        users.domains("user%d" % number, "example.test")
    conf = configuration(redis=redis.url)
    with FilterDriver(workdir("memory"), conf, kind="rel") as driver:
        wait_until(lambda: connected(redis), 10, "the filter to connect")
        at_start = driver.resident()
        for number in range(OPEN_SESSIONS):
            driver.connect(nth_session(number), "192.0.2.%d:%d" % (
                number % 250 + 1, 10000 + number))
            driver.authenticate(nth_session(number),
                                "user%d" % (number % LOOKUP_USERS))
        # Its answer comes behind all that the logins have asked for.
        begin_message(driver, OPEN_SESSIONS - 1)
        opened = driver.resident()
        for number in range(OPEN_SESSIONS - 1):
            begin_message(driver, number)
        begun = driver.resident()
    table.at_most("memory, filter at start", at_start / MIB, 10, " MiB")
    table.at_most("memory, for each open session",
                  (opened - at_start) / OPEN_SESSIONS, 1024, " bytes")
    table.note("memory, the same with a message begun",
               "%.2f bytes" % ((begun - at_start) / OPEN_SESSIONS))


def nth_session(number):
    return "%016x" % (number + 1)


def begin_message(driver, number):
    verdict = driver.ask("mail-from", nth_session(number), "a@example.test")
    if verdict != "proceed":
        raise AssertionError("a user may not send: " + verdict)


# Charges of a quota


def bench_charges(table, redis):
    """Both reserve with a hold of its own each time."""
    populate(redis)
    conf = workdir("charges") / "smtpusers.conf"
    conf.write_text(configuration(redis=redis.url))
    user = "smtp:user:{user0}"
    call = ["FCALL", "smtpusers_reserve", 4, user, user + ":used:quota",
            user + ":used:rate"]
    rates = {"one user": [], "1,000,000 users": [], "redis-benchmark": []}
    for turn in range(CHARGES_TURNS):
        rates["one user"].append(charge_rate(conf, 1))
        rates["1,000,000 users"].append(charge_rate(conf, MANY_USERS))
        # What redis-benchmark draws may come again in another turn.
        hold = "%s:used:hold:%d.__rand_int__" % (user, turn)
        rates["redis-benchmark"].append(
            benchmark_rate(redis, [*call, hold, 86400, 1]))
    median = {name: statistics.median(row) for name, row in rates.items()}
    for name, rate in median.items():
        table.note("charges, " + name, "%.0f/s" % rate)
    table.at_least("charges, one user / redis-benchmark",
                   median["one user"] / median["redis-benchmark"], 0.8)
    table.note("charges, 1,000,000 users / one user", "%.2f" % (
        median["1,000,000 users"] / median["one user"]))


def populate(redis):
    """All users by one script: there are many."""
    redis.cli("EVAL", "for i = 0, ARGV[1] - 1 do redis.call('HSET', "
              "'smtp:user:{user' .. string.format('%.0f', i) .. '}', "
              "'quota', '100000000', 'quota_period', '1d') end",
              0, MANY_USERS, timeout=120)


def charge_rate(conf, users):
    count, seconds = run(build() / "bench/charges", conf, users, CHARGES,
                         CHARGES_DEPTH)[0]
    return count / seconds


def benchmark_rate(redis, call):
    before = int(redis.cli("GET", call[4]).split()[1])
    done = subprocess.run(
        ["redis-benchmark", "-s", redis.socket, "-c", "1", "--csv",
         "-P", str(CHARGES_DEPTH), "-n", str(CHARGES), "-r", "2000000000",
         *map(str, call)], check=True, text=True, stdout=subprocess.PIPE)
    used = redis.cli("GET", call[4]).split()[1]
    if int(used) - before < CHARGES * 0.99:
        raise AssertionError("redis-benchmark did not charge")
    return float(done.stdout.splitlines()[-1].split(",")[-7].strip('"'))


def connected(redis):
    """Whether anyone but us is there."""
    return len(redis.cli("CLIENT", "LIST").splitlines()) > 1


# What needs smtpd 7.9 is measured with that alone.
BENCHES = {"forky": (bench_guesses,)}
BENCHES_ELSE = (
    bench_echo, bench_scan, bench_lookups, bench_decisions, bench_limits,
    bench_alarms, bench_sources, bench_sizes, bench_suppressed, bench_crowd,
    bench_spf_known, bench_spf_others, bench_spf_silent, bench_charges,
    bench_provisioning, bench_memory, bench_events, bench_messages)


def main():
    """All, or those that are named on the command line."""
    table, wanted = Table(), sys.argv[1:]
    say("%d cores" % len(os.sched_getaffinity(0)))
    for what in BENCHES.get(suite(), BENCHES_ELSE):
        name = what.__name__.removeprefix("bench_")
        if wanted and name not in wanted:
            continue
        say(name)
        with RedisServer(workdir("redis")) as redis:
            what(table, redis)
    table.print()


if __name__ == "__main__":
    main()
