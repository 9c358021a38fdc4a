# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""report.cgi as its manual page sets it up: in /usr/local, with a Redis user of
its own."""

import os
import shutil
from pathlib import Path

from places import configuration, program
from webservers import SAMPLES

CONF = Path("/etc/smtpusers-report.conf")
SECRET = Path("/etc/smtpusers-report.secret")
CGI_BIN = Path("/usr/local/lib/cgi-bin")
SHARE = Path("/usr/local/share/smtpusers/web")

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


def fill(server):
    """A report, and what is none, in a Redis."""
    server.cli("ACL", "SETUSER", "report", "reset", "on", ">Sesame",
               "%R~smtp:report:*", "-@all", "+ping", "+hmget")
    words = [word for pair in FIELDS.items() for word in pair]
    server.cli("HSET", "smtp:report:{%s}" % ID, *words)
    server.cli("SET", "smtp:report:{%s}" % BAD_ID, "no report")


def install(redis, kind="san"):
    """The programs of a build, for web servers, which ask this Redis."""
    CGI_BIN.mkdir(parents=True)
    for name in ("report.cgi", "report-full.cgi"):
        shutil.copy(program(name, kind), CGI_BIN)
    shutil.copytree(SAMPLES, SHARE)
    SECRET.write_text("Sesame\n")
    CONF.write_text(configuration(
        redis=redis.url, redis_user="report", redis_password_file=SECRET,
        report_title="Example Hosting",
        report_contact="Questions? support@example.net"))
    for path in (CONF, SECRET):
        shutil.chown(path, group="www-data")
        os.chmod(path, 0o640)
