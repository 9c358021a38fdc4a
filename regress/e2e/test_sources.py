# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Where a user may send from, with a password and without."""

import pytest

from redisserver import wait_until
from session import FORMS, TWO_STEP, Session, b64, together

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
REQUIRED = "530 5.7.0 Authentication required"
LATER = "451 4.3.0 Temporary failure"
V6 = "2001:db8:25::1"
V6_OTHER = "2001:db8:25::2"

# An entry of a list, a source that it holds, a source that it does not.
ENTRIES = [
    ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
    ("127.0.0.0/30", "127.0.0.2", "127.0.0.4"),
    ("127.0.0.99/25", "127.0.0.2", "127.0.0.200"),
    ("127.0.0.2/32", "127.0.0.2", "127.0.0.1"),
    ("0.0.0.0/0", "127.0.0.9", V6),
    ("::ffff:127.0.0.2", "127.0.0.2", "127.0.0.3"),
    ("::ffff:7f00:2", "127.0.0.2", "127.0.0.3"),
    ("::ffff:127.0.0.0/126", "127.0.0.2", "127.0.0.4"),
    ("::ffff:127.0.0.3/126", "127.0.0.1", "127.0.0.4"),
    (V6, V6, V6_OTHER),
    ("2001:0DB8:0025:0000:0000:0000:0000:0001", V6, V6_OTHER),
    ("2001:db8:25::/127", V6, V6_OTHER),
    ("2001:db8:25::ffff/112", V6, "::1"),
    ("2001:db8:25::1/128", V6, V6_OTHER),
    ("::/0", V6, "127.0.0.1"),
    ("::1", "::1", V6),
]
GARBAGE = ["", " ", "localhost", "127.0.0.2/33", "127.0.0.2/", "127.0.0.256",
           "127.0.0.2/-1", "2001:db8::/129", "127.0.0.2 127.0.0.3", "[::1",
           "127.0.0.2\n", "0x7f.0.0.2", "127.0.2", "*", "fe80::1%lo",
           "127.0.0.2/8/8", "x" * 5000, b"\xff\xfe\0"]


@pytest.mark.parametrize("entry,inside,outside", ENTRIES)
def test_entries_hold_what_they_say(relay, users, entry, inside, outside):
    users.add("alice", "Open-Sesame1", ips=[entry])
    with Session(relay, inside) as session:
        assert session.plain("alice", "Open-Sesame1") == OK
        assert session.mail().startswith("250")
    with Session(relay, outside) as session:
        assert session.plain("alice", "Open-Sesame1") == UNLISTED
        assert session.mail() == REQUIRED


@pytest.mark.parametrize("source", ["127.0.0.3", V6])
@pytest.mark.parametrize("typed", ["alice", "ALICE"])
def test_plain_from_elsewhere_is_told_at_auth(relay, users, source, typed):
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    with Session(relay, source) as session:
        assert session.plain(typed, "Open-Sesame1") == UNLISTED


@pytest.mark.parametrize("refusal", ["auth", "mail-from"])
def test_where_it_is_told_decides_what_smtpd_logs(new_relay, users, refusal):
    relay = new_relay(source_refusal=refusal)
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    told_at_auth = refusal == "auth"
    with Session(relay, "127.0.0.3") as session:
        reply = session.plain("alice", "Open-Sesame1")
        assert reply == (UNLISTED if told_at_auth else OK)
        if not told_at_auth:
            assert session.mail() == UNLISTED
            assert session.closed()
    assert (b64("", "alice", "Open-Sesame1") in relay.log()) == told_at_auth
    with Session(relay, "127.0.0.2") as session:
        assert session.plain("alice", "Open-Sesame1") == OK
        assert session.mail().startswith("250")


@pytest.mark.parametrize("source", ["127.0.0.3", V6])
@pytest.mark.parametrize("form", TWO_STEP)
def test_two_steps_from_elsewhere_end_at_mail_from(relay, users, form, source):
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    with Session(relay, source) as session:
        assert TWO_STEP[form](session, "alice", "Open-Sesame1") == OK
        assert session.mail() == UNLISTED
        assert session.closed()


@pytest.mark.parametrize("form", FORMS)
def test_who_lacks_the_password_learns_nothing(relay, users, form):
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    users.add("mallory", "Open-Sesame1", ips=["127.0.0.2"])
    users.block("mallory")

    def refused(name, password):
        with Session(relay, "127.0.0.3") as session:
            assert FORMS[form](session, name, password) == FAILED, name
            assert session.mail() == REQUIRED
    together(refused, [
        ("alice", "wrong-word"), ("alice", "open-sesame1"),
        ("mallory", "Open-Sesame1"), ("nobody", "Open-Sesame1")])


@pytest.mark.parametrize("scheme", ["$2b$", "$6$", "$y$"])
def test_the_filter_verifies_every_scheme(relay, users, scheme):
    users.add("alice", "Open-Sesame1", scheme, ips=["127.0.0.2"])
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "open-sesame1") == FAILED
        assert session.plain("alice", "Open-Sesame1") == UNLISTED


def test_refused_for_its_source_then_let_in_as_another(relay, users, sink):
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    users.add("bob", "Other-Word22")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "Open-Sesame1") == UNLISTED
        assert session.mail() == REQUIRED
        assert session.plain("bob", "Other-Word22") == OK
        assert session.message("as-bob").startswith("250")
    sink.wait_for(b"as-bob")


@pytest.mark.parametrize("entry", GARBAGE)
def test_a_list_of_only_garbage_denies_all(relay, users, entry):
    users.add("alice", "Open-Sesame1", ips=[entry])
    for source in ("127.0.0.1", "127.0.0.2", "::1"):
        with Session(relay, source) as session:
            assert session.plain("alice", "Open-Sesame1") == UNLISTED


def test_garbage_beside_an_address_does_not_hide_it(relay, users):
    users.add("alice", "Open-Sesame1", ips=GARBAGE + ["127.0.0.2"])
    with Session(relay, "127.0.0.2") as session:
        assert session.plain("alice", "Open-Sesame1") == OK
        assert session.mail().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "Open-Sesame1") == UNLISTED


def test_an_empty_list_lets_every_source_in(relay, users):
    users.add("alice", "Open-Sesame1", ips=["127.0.0.2"])
    users.ips("alice")
    for source in ("127.0.0.1", "127.0.0.3", "::1", V6):
        with Session(relay, source) as session:
            assert session.plain("alice", "Open-Sesame1") == OK
            assert session.mail().startswith("250")


def test_ten_thousand_ranges(relay, users):
    ranges = ["10.%d.%d.0/24" % (n >> 8, n & 255) for n in range(9999)]
    users.add("alice", "Open-Sesame1", ips=ranges + ["127.0.0.2"])
    with Session(relay, "127.0.0.2") as session:
        assert session.plain("alice", "Open-Sesame1") == OK
        assert session.mail().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "Open-Sesame1") == UNLISTED


@pytest.mark.parametrize("source,address", [
    ("127.0.0.2", "127.0.0.2"), ("::1", "::1"), (V6, V6)])
def test_an_appliance_sends_without_a_password(
        relay, users, sink, source, address):
    users.add("printer")
    users.ip_auth("printer", address)
    with Session(relay, source) as session:
        assert session.message("appliance").startswith("250")
    assert b"with ESMTPS id" in sink.wait_for(b"appliance").head


def test_an_appliance_without_any_password_field(relay, users, sink):
    users.set("printer", status="allowed")
    users.domains("printer", "example.org")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message("passwordless").startswith("250")
    sink.wait_for(b"passwordless")


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.3", "::1", V6])
def test_unknown_sources_must_authenticate(relay, users, source):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, source) as session:
        assert session.mail() == REQUIRED
        assert session.mail("") == REQUIRED


def half_claimed(users):
    users.redis.cli("SET", "smtp:ip:{127.0.0.2}", "printer")


def half_set(users):
    users.set("printer", ip_auth="127.0.0.2")


def of_another(users):
    users.add("scanner")
    users.redis.cli("SET", "smtp:ip:{127.0.0.2}", "scanner")
    users.set("printer", ip_auth="127.0.0.2")


def moved(users):
    users.ip_auth("printer", "127.0.0.2")
    users.set("printer", ip_auth="127.0.0.3")


def deleted(users):
    users.ip_auth("printer", "127.0.0.2")
    users.delete("printer")


def blocked(users):
    users.ip_auth("printer", "127.0.0.2")
    users.block("printer")


def no_name(users):
    users.ip_auth("printer", "127.0.0.2")
    users.redis.cli("SET", "smtp:ip:{127.0.0.2}", "prin ter|x")


def prefix_of_address(users):
    users.ip_auth("printer", "127.0.0.2")
    users.set("printer", ip_auth="127.0.0.2/32")


@pytest.mark.parametrize("half,reply", [
    (half_claimed, REQUIRED), (half_set, REQUIRED), (of_another, REQUIRED),
    (moved, REQUIRED), (deleted, REQUIRED), (blocked, REQUIRED),
    (no_name, LATER), (prefix_of_address, LATER)])
def test_ip_authentication_needs_both_sides(relay, users, half, reply):
    users.add("printer")
    half(users)
    with Session(relay, "127.0.0.2") as session:
        assert session.mail() == reply


def test_the_list_holds_for_an_appliance_too(relay, users):
    users.add("printer", ips=["127.0.0.3"])
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert not session.mail().startswith("250")


def test_a_password_goes_before_the_address(relay, users):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    users.add("alice", "Open-Sesame1")
    with Session(relay, "127.0.0.2") as session:
        assert session.plain("alice", "Open-Sesame1") == OK
        assert session.mail().startswith("250")
        session.command("RSET")
        users.block("alice")
        assert session.mail() == REQUIRED


def test_a_wrong_password_leaves_the_appliance_what_it_is(relay, users):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.plain("printer", "wrong-word") == FAILED
        assert session.message().startswith("250")


def test_a_name_that_was_only_tried_is_nobodys(relay, users):
    """In the log, whoever has the session then."""
    users.add("victim", PASSWORD)
    users.add("printer", domains=["example.org"])
    users.ip_auth("printer", "127.0.0.2")
    for source in ("127.0.0.3", "127.0.0.2"):
        with Session(relay, source) as session:
            assert session.login("victim", "wrong-word").startswith("535")
            assert not session.mail("a@bank.test").startswith("250")
        wait_until(lambda: "mail-from refused: user=- source=%s " % source
                   in relay.log(), 10, "the line")
    assert "mail-from refused: user=victim" not in relay.log()
