#!/usr/bin/env python3
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Measures how many pages a second a web server has from report.cgi, and how
many from a program that does nothing: behind the same lighttpd, with the sample
of how it is set up, in turns. In the root of the web servers."""

import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name)
                for name in ("e2e", "web")]

from places import build, isolated, workdir              # noqa: E402
from redisserver import RedisServer                      # noqa: E402
from reportsite import CGI_BIN, ID, fill, install        # noqa: E402
from table import Table                                  # noqa: E402
from webservers import HOST, Lighttpd                    # noqa: E402

TURNS, REQUESTS, CLIENTS = 9, 1000, 4
LEAST = 0.7
EMPTY_HOST = "empty.example.net"
EMPTY = "an empty program"
PAGES = {"a report": (HOST, "/report?id=%s&auth=alice" % ID, 200),
         "a wrong address": (HOST, "/report?id=1&auth=alice", 404),
         EMPTY: (EMPTY_HOST, "/report", 200)}


class BothLighttpd(Lighttpd):
    """With the empty program as another host, set up alike."""

    def prepare(self):
        shutil.copy(build() / "bench/empty", CGI_BIN / "empty.cgi")
        text = Path(self.target).read_text()
        modules = re.search(r"server\.modules \+= \([^)]*\)", text)[0]
        text = text.replace(modules, "").replace(HOST, EMPTY_HOST).replace(
            "report.cgi\"", "empty.cgi\"")
        Path(self.target).with_stem("61-empty").write_text(text)


def rate(host, target, status):
    """Requests a second, all of which must be answered so."""
    said = subprocess.run(
        ["ab", "-q", "-n", str(REQUESTS), "-c", str(CLIENTS),
         "-H", "Host: " + host, "http://127.0.0.1" + target],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=True).stdout
    counts = dict(re.findall(r"^([A-Z][\w -]+): +([0-9.]+)", said,
                             re.MULTILINE))
    others = int(counts.get("Non-2xx responses", 0))
    if (int(counts["Complete requests"]), int(counts["Failed requests"]),
            others) != (REQUESTS, 0, 0 if status == 200 else REQUESTS):
        sys.exit("bench: not all were answered by %d:\n%s" % (status, said))
    return float(counts["Requests per second"])


def measure(table):
    rates = {what: [] for what in PAGES}
    for _ in range(TURNS):
        for what, page in PAGES.items():
            rates[what].append(rate(*page))
    medians = {what: statistics.median(found)
               for what, found in rates.items()}
    for what, median in medians.items():
        table.note("pages a second: " + what, "%.0f" % median)
    for what in set(PAGES) - {EMPTY}:
        table.at_least("%s, to %s" % (what, EMPTY), statistics.median(
            ours / least for ours, least in zip(rates[what], rates[EMPTY])),
            LEAST)


def main():
    if not isolated():
        sys.exit("web: run it by `make bench`: it wants a system of its own")
    table = Table()
    with RedisServer(workdir("redis")) as redis:
        fill(redis)
        install(redis, "rel")
        server = BothLighttpd()
        server.start()
        try:
            measure(table)
        finally:
            server.stop()
    table.print()


if __name__ == "__main__":
    main()
