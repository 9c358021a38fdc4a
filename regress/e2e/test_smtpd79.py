# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What smtpd 7.9 does differently: it leaves passwords as they were typed, so
it may ask the table to verify them."""

import pytest

from session import FORMS, Session

pytestmark = pytest.mark.smtpd79

OK = "235 2.0.0 Authentication succeeded"
FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
REQUIRED = "530 5.7.0 Authentication required"
PASSWORD = "MixedCase: p|w Ü1"


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "smtps"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", ["$2b$", "$6$", "$y$"])
def test_auth(relay, users, sink, form, implicit, scheme):
    users.add("alice", PASSWORD, scheme)
    mark = "%s-%s-%s" % (form, implicit, scheme.strip("$"))
    with Session(relay, implicit=implicit) as session:
        assert FORMS[form](session, "Alice", PASSWORD.lower()) == FAILED
        assert FORMS[form](session, "Alice", PASSWORD) == OK
        assert session.message(mark).startswith("250")
    sink.wait_for(mark.encode())


def test_smtpd_asks_the_table_to_verify(new_relay, users):
    """With a short password: this smtpd is told to log what it asks."""
    relay = new_relay(start=False)
    relay.trace = ["-T", "lookup"]
    relay.start()
    users.add("alice", "MiX7")
    with Session(relay) as session:
        assert session.login("alice", "MiX7") == OK
    assert "AUTH" in [line for line in relay.log().splitlines()
                      if "alice:MiX7" in line][0].upper()


@pytest.mark.parametrize("form", FORMS)
def test_blocked_changed_and_deleted_count_at_once(relay, users, form):
    def reply(password):
        with Session(relay) as session:
            return FORMS[form](session, "alice", password)
    users.add("alice", PASSWORD)
    assert reply(PASSWORD) == OK
    users.block("alice")
    assert reply(PASSWORD) == FAILED
    users.set("alice", status="allowed")
    users.password("alice", "Another-Word2")
    assert reply(PASSWORD) == FAILED
    assert reply("Another-Word2") == OK
    users.delete("alice")
    assert reply("Another-Word2") == FAILED


def test_sources(relay, users):
    users.add("alice", PASSWORD, ips=["127.0.0.2"])
    users.add("printer")
    users.ip_auth("printer", "::1")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "wrong-word") == FAILED
        assert session.plain("alice", PASSWORD) == UNLISTED
        assert session.login("alice", PASSWORD) == OK
        assert session.mail() == UNLISTED
        assert session.closed()
    with Session(relay, "::1") as session:
        assert session.message().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.mail() == REQUIRED


def test_lines_in_a_name_stop_nothing(relay, users):
    users.add("alice", PASSWORD)
    name = "x\ntable|0.1|1.0|users|check|auth|deadbeef|alice:" + PASSWORD
    for form in FORMS.values():
        with Session(relay) as session:
            assert not form(session, name, PASSWORD).startswith("2")
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK


def test_redis_away(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        redis.pause()
        assert session.mail() == "451 4.3.0 Temporary failure"
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == \
            "421 4.3.0 Temporary failure"
