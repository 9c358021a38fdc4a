# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Who may log in, by which form of AUTH, and what the others hear."""

import pytest

from session import FORMS, Session, b64, together
from users import COST, crypt

OK = "235 2.0.0 Authentication succeeded"
FAILED = "535 Authentication failed"
REQUIRED = "530 5.7.0 Authentication required"

PASSWORDS = {
    "mixed-case": "OpenSesameXyZ", "colon": "a:b:Colon:", "pipe": "pi|pe|Pass|",
    "spaces": " two  spaced words ", "utf-8": "Grüße-aus-Köln-Ω",
    "quote": "\"quo'te\\Back", "percent": "100%s%n{curly}", "long": "Aa1" * 23,
    "leading-colon": ":starts", "not-utf-8": b"caf\xe9-Latin1",
}


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "smtps"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_accepted_and_mail_arrives(
        relay, users, sink, form, implicit):
    users.add("alice", "Open-Sesame1")
    with Session(relay, implicit=implicit) as session:
        assert FORMS[form](session, "alice", "Open-Sesame1") == OK
        mark = "%s-%s" % (form, implicit)
        assert session.message(mark).startswith("250 2.0.0")
    arrived = sink.wait_for(mark.encode())
    assert arrived.sender == "alice@example.org"
    assert arrived.recipients == ["bob@example.com"]
    assert b"with ESMTPSA" in arrived.head


def test_wrong_blocked_and_unknown_are_told_the_same(relay, users):
    users.add("alice", "Open-Sesame1")
    users.add("mallory", "Open-Sesame1")
    users.block("mallory")
    cases = [("alice", "open-sesame1"), ("alice", "wrong-word"),
             ("mallory", "Open-Sesame1"), ("mallory", "wrong-word"),
             ("nobody", "Open-Sesame1")]

    def refused(form, name, password):
        with Session(relay) as session:
            assert FORMS[form](session, name, password) == FAILED, name
            assert session.mail() == REQUIRED
    together(refused, [(form, *case) for form in FORMS for case in cases])


def test_a_failed_try_does_not_spoil_the_next(relay, users, sink):
    users.add("alice", "Open-Sesame1")
    with Session(relay) as session:
        assert session.plain("alice", "wrong-word") == FAILED
        assert session.login("alice", "Open-Sesame1") == OK
        assert session.message("second-try").startswith("250")
    sink.wait_for(b"second-try")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("typed", ["ALICE", "Alice", "aLiCe"])
def test_names_are_folded(relay, users, form, typed):
    users.add("alice", "Open-Sesame1")
    with Session(relay) as session:
        assert FORMS[form](session, typed, "Open-Sesame1") == OK
        assert session.message().startswith("250")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", PASSWORDS)
def test_passwords_of_any_kind(relay, users, form, kind):
    users.add("alice", PASSWORDS[kind])
    with Session(relay) as session:
        assert FORMS[form](session, "alice", PASSWORDS[kind]) == OK
        assert session.message().startswith("250")


@pytest.mark.parametrize("password", ["OPENSESAMEXYZ", "opensesamexyz"])
def test_the_case_of_a_password_matters(relay, users, password):
    users.add("alice", "OpenSesameXyZ")
    with Session(relay) as session:
        assert session.plain("alice", password) == FAILED


@pytest.mark.parametrize("scheme", COST)
def test_every_scheme_of_crypt(relay, users, scheme):
    users.add("alice", "Open-Sesame1", scheme)
    with Session(relay) as session:
        assert session.plain("alice", "open-sesame1") == FAILED
        assert session.plain("alice", "Open-Sesame1") == OK


def test_an_authorization_identity_does_not_change_who_it_is(relay, users):
    users.add("alice", "Open-Sesame1")
    users.add("bob", "Other-Word22")
    with Session(relay) as session:
        assert session.plain("alice", "Open-Sesame1", identity="bob") == OK
        assert session.mail().startswith("250")
        users.delete("alice")
        session.command("RSET")
        assert session.mail() == REQUIRED


NO_NAMES = [
    "alice:x", "alice|x", "alice@example.org", "-alice", ".alice", "a b",
    "älice", "a" * 65, "*", "user:{alice}", "{alice}", "alice\\", "a%s%n"]


@pytest.mark.parametrize("form", FORMS)
def test_names_that_are_none_are_nobody(relay, users, form):
    hashed = crypt("Open-Sesame1")
    users.secret("Open-Sesame1")
    for name in NO_NAMES:
        users.set(name, password=hashed, status="allowed")

    def refused(name):
        with Session(relay) as session:
            assert FORMS[form](session, name, "Open-Sesame1") == FAILED, name
            assert session.mail() == REQUIRED
    together(refused, [(name,) for name in NO_NAMES])


def test_the_longest_and_the_oddest_names_are_users(relay, users):
    for name in ("a" * 64, "0", "a.b_c+d-e", "9lives"):
        users.add(name, "Open-Sesame1")
        with Session(relay) as session:
            assert session.plain(name, "Open-Sesame1") == OK
            assert session.mail().startswith("250")


@pytest.mark.parametrize("argument", [
    "AUTH PLAIN ====", "AUTH PLAIN *", "AUTH PLAIN AA==",
    "AUTH PLAIN " + b64("alice"), "AUTH PLAIN " + b64("", "", ""),
    "AUTH PLAIN " + b64("", "alice", ""), "AUTH LOGIN ====", "AUTH",
    "AUTH CRAM-MD5", "AUTH PLAIN " + "A" * 1500], ids=range(10))
def test_nonsense_is_refused_and_the_session_goes_on(relay, users, argument):
    users.add("alice", "Open-Sesame1")
    with Session(relay) as session:
        reply = session.command(argument)
        if reply.startswith("334"):
            reply = session.command("*")
        assert reply.startswith("5"), reply
        assert session.mail() == REQUIRED
        assert session.plain("alice", "Open-Sesame1") == OK


def test_no_password_is_asked_for_outside_tls(relay):
    with Session(relay, starttls=False) as session:
        assert "AUTH" not in session.ehlo
        assert session.plain("alice", "Open-Sesame1").startswith("5")


def test_a_user_without_a_password_cannot_log_in(relay, users):
    def refused(password):
        with Session(relay) as session:
            assert not session.login("alice", password).startswith("2")
            assert not session.mail().startswith("250")
    users.set("alice", status="allowed")
    for stored in (None, "", "*", "!", "x", "$6$", "$9$what$ever"):
        if stored is not None:
            users.set("alice", password=stored)
        together(refused, [(word,) for word in ("", "x", "*", "!")])


def test_a_plain_text_password_in_redis_is_no_password(relay, users):
    users.set("alice", password="Open-Sesame1", status="allowed")
    users.secret("Open-Sesame1")
    with Session(relay) as session:
        assert not session.plain("alice", "Open-Sesame1").startswith("2")
