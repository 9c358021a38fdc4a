# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What changes in Redis counts for sessions that are already open."""

import re

import pytest

from places import REPORT_URL
from session import FORMS, Session, simple

OK = "235 2.0.0 Authentication succeeded"
REQUIRED = "530 5.7.0 Authentication required"
UNLISTED = "535 5.7.8 IP not authorized"
PASSWORD = "Open-Sesame1"


def acl(reply, name):
    """The id of an [ACL] reply, or None if it is none."""
    found = re.fullmatch(
        r"550 5\.7\.1 \[ACL\] Blocked\. See %s\?id=(\d{18})&auth=%s" % (
            re.escape(REPORT_URL), re.escape(name)), reply)
    return found and found.group(1)


def block(users):
    users.block("alice")



def delete(users):
    users.delete("alice")


def password(users):
    users.password("alice", "Another-Word2")


def exclude(users):
    users.ips("alice", "127.0.0.77")


def garbage(users):
    users.ips("alice", "nonsense")


GONE = {"block": block, "delete": delete, "password": password}
MOVED = {"exclude": exclude, "garbage": garbage}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", GONE)
def test_gone_users_are_asked_to_authenticate(relay, users, form, change):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert FORMS[form](session, "Alice", PASSWORD) == OK
        assert session.message().startswith("250")
        GONE[change](users)
        assert session.mail() == REQUIRED
        assert session.mail() == REQUIRED


@pytest.mark.parametrize("change", GONE)
def test_gone_between_auth_and_the_first_mail(relay, users, change):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        GONE[change](users)
        assert session.mail() == REQUIRED


@pytest.mark.parametrize("change", MOVED)
def test_a_source_off_the_list_ends_the_session(relay, users, change):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")
        MOVED[change](users)
        assert session.mail() == UNLISTED
        assert session.closed()


@pytest.mark.parametrize("change", GONE | MOVED)
def test_a_message_under_way_is_blocked_at_its_end(
        relay, users, sink, change):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("Alice", PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        (GONE | MOVED)[change](users)
        assert acl(session.finish(simple("never-" + change)), "alice")
    delivered_nothing(relay, users, sink, b"never-" + change.encode())


def delivered_nothing(relay, users, sink, mark):
    """A later message arrives, the one with mark before it did not."""
    users.delete("alice")
    users.add("zoe", "Last-Word-33")
    with Session(relay) as session:
        assert session.plain("zoe", "Last-Word-33") == OK
        assert session.message("afterwards").startswith("250")
    sink.wait_for(b"afterwards")
    assert not [m for m in sink.messages if mark in m.data]


def test_reports_have_ids_of_their_own(relay, users):
    users.add("alice", PASSWORD)
    ids = set()
    for _ in range(20):
        users.set("alice", status="allowed")
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK
            assert session.mail().startswith("250")
            assert session.rcpt().startswith("250")
            assert session.command("DATA").startswith("354")
            users.block("alice")
            ids.add(acl(session.finish(simple()), "alice"))
    assert None not in ids
    assert len(ids) == 20


def test_a_user_who_is_allowed_again_goes_on(relay, users, sink):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        users.block("alice")
        assert session.mail() == REQUIRED
        users.set("alice", status="allowed")
        assert session.message("allowed-again").startswith("250")
    sink.wait_for(b"allowed-again")


def test_a_user_made_again_is_another(relay, users):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        users.delete("alice")
        users.add("alice", "Another-Word2")
        assert session.mail() == REQUIRED


def test_a_change_that_takes_nothing_away_is_none(relay, users, sink):
    users.add("alice", PASSWORD, ips=["127.0.0.1"])
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        users.ips("alice", "127.0.0.0/8", "::/0")
        users.set("alice", description="other words", quota="9")
        assert session.message("unharmed").startswith("250")
    sink.wait_for(b"unharmed")


def test_one_users_change_is_not_anothers(relay, users, sink):
    users.add("alice", PASSWORD)
    users.add("bob", "Other-Word22")
    with Session(relay) as one, Session(relay) as two:
        assert one.plain("alice", PASSWORD) == OK
        assert two.plain("bob", "Other-Word22") == OK
        users.block("alice")
        assert one.mail() == REQUIRED
        assert two.message("of-bob").startswith("250")
    sink.wait_for(b"of-bob")


def unset(users):
    users.redis.cli("HDEL", users.key("printer"), "ip_auth")


def release(users):
    users.redis.cli("DEL", "smtp:ip:{127.0.0.2}")


def hand_over(users):
    users.add("scanner")
    users.redis.cli("SET", "smtp:ip:{127.0.0.2}", "scanner")


def block_printer(users):
    users.block("printer")


def delete_printer(users):
    users.delete("printer")


@pytest.mark.parametrize("change", [
    unset, release, hand_over, block_printer, delete_printer])
def test_an_appliance_loses_its_address(relay, users, change):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
        change(users)
        assert session.mail() == REQUIRED


@pytest.mark.parametrize("change", [
    unset, release, hand_over, block_printer, delete_printer])
def test_an_appliances_message_under_way(relay, users, change):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        change(users)
        assert acl(session.finish(simple()), "printer")


def test_an_address_set_while_the_session_is_open(relay, users, sink):
    users.add("printer")
    with Session(relay, "127.0.0.2") as session:
        assert session.mail() == REQUIRED
        users.ip_auth("printer", "127.0.0.2")
        assert session.message("now-known").startswith("250")
    sink.wait_for(b"now-known")
