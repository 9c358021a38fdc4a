# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpd up to 7.8 passes line feeds of a decoded user name on to the table:
a client could write whole lines of the protocol there."""

import re

import pytest

from linedriver import TableDriver
from places import configuration, workdir
from session import FORMS, Session, together

OK = "235 2.0.0 Authentication succeeded"
REQUIRED = "530 5.7.0 Authentication required"
PASSWORD = "Open-Sesame1"

REQUEST = "table|0.1|1.0|users|lookup|credentials|deadbeef|alice"
NAMES = {
    "lf": "x\ny", "cr": "x\ry", "crlf": "alice\r\n", "trailing-lf": "alice\n",
    "leading-lf": "\nalice", "lookup": "x\n" + REQUEST,
    "alice-and-lookup": "alice\n" + REQUEST,
    "check": "x\ntable|0.1|1.0|users|check|netaddr|deadbeef|127.0.0.1",
    "update": "x\ntable|0.1|1.0|users|update|deadbeef",
    "fetch": "x\ntable|0.1|1.0|users|fetch|credentials|deadbeef",
    "many": "x" + 3 * ("\n" + REQUEST),
    "unfinished": "x\ntable|0.1|1.0|users|lookup|cred",
    "config": "x\nconfig|smtpd-version|7.9.0\nconfig|ready",
    "nonsense": "x\n\n\n|||\n\ttable",
}


@pytest.mark.parametrize("kind", NAMES)
def test_lines_in_a_name_neither_authenticate_nor_stop_smtpd(
        relay, users, kind):
    users.add("alice", PASSWORD)

    def refused(form):
        with Session(relay) as session:
            reply = FORMS[form](session, NAMES[kind], PASSWORD)
            if reply == OK:
                # smtpd asked for the first line, whose password this is.
                assert NAMES[kind].startswith("alice\n")
                assert session.mail() == REQUIRED
            else:
                assert re.match(r"535 |501 |4\d\d ", reply), reply
        # Were an answer left over, the next request would take it for its.
        for _ in range(3):
            with Session(relay) as session:
                assert session.mail() == REQUIRED
                assert session.login("alice", PASSWORD) == OK
                assert session.message("unharmed").startswith("250")
    together(refused, [(form,) for form in FORMS])


@pytest.mark.parametrize("form", FORMS)
def test_a_report_in_a_name_makes_nobody_authenticated(relay, users, form):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        ident = re.findall(r"([0-9a-f]{16}) smtp connected", relay.log())[-1]
        name = "x\nreport|0.7|1.0|smtp-in|link-auth|%s|pass|alice" % ident
        assert not FORMS[form](session, name, "wrong").startswith("2")
        assert session.mail() == REQUIRED


def test_the_table_answers_once_for_lines_sent_at_once(redis, users):
    """smtpd asks, then waits: what comes behind a request is no request."""
    users.add("alice", PASSWORD)
    conf = configuration(redis=redis.url)
    with TableDriver(workdir("table"), conf) as table:
        head = "table|0.1|1.0|users|lookup|credentials|"
        table.send_raw((head + "00000001|x\n" + head + "deadbeef|alice\n")
                       .encode())
        assert table.line().startswith("lookup-result|00000001|")
        assert table.lookup("credentials", "alice").startswith("found|alice:$6$")
        assert table.buffer == b""
