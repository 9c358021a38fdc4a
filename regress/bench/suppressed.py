# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What recipients that get no mail cost who has them, and who has none."""

import statistics

from linedriver import FilterDriver
from places import configuration, workdir
from sources import SOURCE, timed_request
from users import Users

LENGTHS = (0, 10, 100000)
TURNS = 3000
WARM_UP = 200
PASSWORD = "Open-Sesame1"


def fill(users, length):
    """A user of an account, both with as many."""
    account = users.account("of%d" % length, "example.test")
    name = users.add("has%d" % length, PASSWORD, account=account)
    members = ["r%d@example.com" % number for number in range(length)]
    with users.redis.connect(60) as connection:
        for key in (users.key(name), "smtp:account:{%s}" % account):
            for first in range(0, length, 1000):
                connection.command("ZADD", key + ":suppressed", *(
                    word for member in members[first:first + 1000]
                    for word in ("+inf", member)))
    return name


def bench_suppressed(table, redis):
    users = Users(redis)
    names = {length: fill(users, length) for length in LENGTHS}
    times = {(phase, length): [] for phase in ("mail-from", "rcpt-to")
             for length in LENGTHS}
    conf = configuration(redis=redis.url, spf="off")
    with FilterDriver(workdir("filter"), conf, kind="rel") as driver:
        for length in LENGTHS:
            driver.connect("%016x" % length, SOURCE + ":40000")
            driver.authenticate("%016x" % length, names[length])
        for turn in range(WARM_UP + TURNS):
            for length in sorted(LENGTHS, reverse=turn % 2 == 1):
                for phase, word in (("mail-from", "alice@example.org"),
                                    ("rcpt-to", "bob@example.net")):
                    took = timed_request(driver, phase, "%016x" % length, word)
                    if turn >= WARM_UP:
                        times[phase, length].append(took * 1e6)
    for phase, what in (("mail-from", "MAIL FROM"), ("rcpt-to", "RCPT TO")):
        median = {length: statistics.median(times[phase, length])
                  for length in LENGTHS}
        table.note("%s, user and account with %d, %d and %d suppressed, "
                   "median" % (what, *LENGTHS), ", ".join(
                       "%.0f" % value for value in median.values()) + " us")
        table.at_most("%s, %d / %d suppressed" % (
            what, LENGTHS[2], LENGTHS[1]), median[LENGTHS[2]] /
            median[LENGTHS[1]], 1.2)
