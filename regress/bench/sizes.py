# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a decision costs as what it looks things up in grows, as a figure."""

import statistics
import subprocess

from linedriver import FilterDriver
from places import SOURCE, configuration, workdir
from redisserver import wait_until
from sources import fill as fill_sources, timed_request
from users import Users

SIZES = (16, 256, 4096, 65536)
ROUNDS, TURNS, WARM_UP = 3, 1000, 100
PASSWORD = "Open-Sesame1"
CLIENT = "192.0.2.1"
FIGURES = SOURCE / "regress" / "bench" / "figures.svg"

PLOT = """
set terminal svg size 760,420 font 'sans-serif,13' background '#ffffff'
set output '%s'
set logscale x 2
set xtics (16, 256, 4096, 65536)
set xrange [16:65536]
set yrange [0:*]
set xlabel 'how many there are'
set ylabel 'MAIL FROM, median, microseconds'
set key bottom left
set grid
set rmargin 6
plot %s
"""


class Growing:
    """A filter, its Redis, and what there is of each kind by now."""

    def __init__(self, redis, driver):
        self.redis, self.driver = redis, driver
        self.users = Users(redis)
        self.domain = "d0.example.test"
        self.sessions = 0

    def log_in(self, name):
        session = "%016x" % (1 << 60 | hash(name) & 0xffffffff)
        self.driver.connect(session, CLIENT + ":40000")
        self.driver.authenticate(session, name)
        return session

    def add_user(self, name):
        self.users.add(name, PASSWORD)
        self.users.domains(name, self.domain)
        return name

    def sources(self, size):
        name = self.add_user("sources%d" % size)
        fill_sources(self.users, name, size)
        return self.log_in(name)

    def domains(self, size):
        name = self.add_user("domains%d" % size)
        self.send(["SADD", self.users.key(name, "domains"), *(
            "d%d.example.test" % number for number in range(first, min(
                first + 1000, size)))] for first in range(0, size, 1000))
        return self.log_in(name)

    def users_there(self, size):
        self.send(["HSET", self.users.key("other%d" % number), "password",
                   "!", "account", "acme"] for number in range(size))
        return self.log_in(self.add_user("users%d" % size))

    def open_sessions(self, size):
        while self.sessions < size:
            self.sessions += 1
            self.driver.connect("%016x" % self.sessions, CLIENT + ":40001")
        return self.log_in(self.add_user("sessions%d" % size))

    def send(self, commands):
        with self.redis.connect(60) as connection:
            for words in commands:
                connection.command(*words)


def median_of(driver, session, domain):
    times = [timed_request(driver, "mail-from", session, "a@" + domain)
             for _ in range(WARM_UP + TURNS)]
    return statistics.median(times[WARM_UP:]) * 1e6


def bench_sizes(table, redis):
    """The least of some medians each: what is in the way for a while makes no
    slope."""
    conf = configuration(redis=redis.url, spf="off")
    rows = {}
    with FilterDriver(workdir("sizes"), conf, kind="rel") as driver:
        wait_until(lambda: len(redis.cli("CLIENT", "LIST").splitlines()) > 1,
                   60, "the filter to connect")
        growing = Growing(redis, driver)
        for what, grow in (("sources of the user", growing.sources),
                           ("domains of the user", growing.domains),
                           ("users in Redis", growing.users_there),
                           ("open sessions", growing.open_sessions)):
            rows[what] = []
            for size in SIZES:
                session = grow(size)
                rows[what].append(min(median_of(
                    driver, session, growing.domain) for _ in range(ROUNDS)))
            table.note("MAIL FROM, %s: %d to %d" % (what, SIZES[0], SIZES[-1]),
                       ", ".join("%.0f" % value for value in rows[what]) +
                       " us")
    draw(rows)


def draw(rows):
    data = workdir("figures") / "sizes"
    data.write_text("\n\n\n".join("\n".join(
        "%d %.1f" % point for point in zip(SIZES, row))
        for row in rows.values()) + "\n")
    lines = ["'%s' index %d with linespoints lw 2 title '%s'" % (
        data, index, what) for index, what in enumerate(rows)]
    subprocess.run(["gnuplot"], input=PLOT % (FIGURES, ", ".join(lines)),
                   text=True, check=True)
