# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""report.cgi as its manual page sets it up: in /usr/local, with a Redis user of
its own, run by web servers as their user. All that is written vanishes with the
run."""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import pytest

from places import configuration, isolated, program, workdir
from redisserver import RedisServer
from webservers import SAMPLES, SERVERS

CONF = Path("/etc/smtpusers-report.conf")
SECRET = Path("/etc/smtpusers-report.secret")
CGI = Path("/usr/local/lib/cgi-bin/report.cgi")
SHARE = Path("/usr/local/share/smtpusers/web")
TRACES = ("AddressSanitizer", "runtime error", "LeakSanitizer")

ID = "123456789012345678"
BAD_ID = "123456789012345679"
FIELDS = {
    "reason": "domain-not-assigned", "time": "2026-11-26T08:00:00Z",
    "relay": "mx.example.net", "user": "alice", "account": "acme",
    "domain": "bank.test", "spf": "v=spf1 include:_spf.example.net -all",
    "envelope_sender": "a-rather-long-name+with-detail@bank.test",
    "from": "Alice <script>alert(1)</script> <a@bank.test>",
    "source": "2001:db8:25:1234:5678:9abc:def0:1234",
    "message_id": "<%s@bank.test>" % ("0123456789abcdef" * 4),
    "msgid": "0badcafe"}


@pytest.fixture(scope="session", autouse=True)
def alone():
    if not isolated():
        pytest.exit("run these by `make check`: they want a system of their "
                    "own", 2)


@pytest.fixture(scope="session")
def redis():
    with RedisServer(workdir("redis")) as server:
        server.cli("ACL", "SETUSER", "report", "reset", "on", ">Sesame",
                   "%R~smtp:report:*", "-@all", "+ping", "+hmget")
        words = [word for pair in FIELDS.items() for word in pair]
        server.cli("HSET", "smtp:report:{%s}" % ID, *words)
        server.cli("SET", "smtp:report:{%s}" % BAD_ID, "no report")
        yield server


@pytest.fixture(scope="session")
def cgi(redis):
    CGI.parent.mkdir(parents=True)
    shutil.copy(program("report.cgi"), CGI)
    shutil.copytree(SAMPLES, SHARE)
    SECRET.write_text("Sesame\n")
    CONF.write_text(configuration(
        redis=redis.url, redis_user="report",
        redis_password_file=SECRET, report_title="Example Hosting",
        report_contact="Questions? support@example.net"))
    for path in (CONF, SECRET):
        shutil.chown(path, group="www-data")
        os.chmod(path, 0o640)
    return CGI


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
