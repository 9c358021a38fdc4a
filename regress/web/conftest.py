# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""report.cgi, run by web servers as their user. All that is written vanishes
with the run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import pytest

from places import isolated, workdir
from redisserver import RedisServer
from reportsite import fill, install
from webservers import SERVERS

TRACES = ("AddressSanitizer", "runtime error", "LeakSanitizer")


@pytest.fixture(scope="session", autouse=True)
def alone():
    if not isolated():
        pytest.exit("run these by `make check`: they want a system of their "
                    "own", 2)


@pytest.fixture(scope="session")
def redis():
    with RedisServer(workdir("redis")) as server:
        fill(server)
        yield server


@pytest.fixture(scope="session")
def cgi(redis):
    install(redis)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, cgi):
    yield from run(request.param)


def run(name):
    server = SERVERS[name]()
    server.start()
    try:
        yield server
    finally:
        server.stop()
    complaints = server.complaints()
    assert not any(trace in complaints for trace in TRACES), complaints


@pytest.fixture(scope="module")
def lighttpd(cgi):
    yield from run("lighttpd")
