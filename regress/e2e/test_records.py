# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a panel writes is never trusted to be well formed: a bad record is
its user's failure, and nobody else's."""

import pytest

from session import FORMS, Session, together
from users import crypt

OK = "235 2.0.0 Authentication succeeded"
REQUIRED = "530 5.7.0 Authentication required"
LATER = "451 4.3.0 Temporary failure"
PASSWORD = "Open-Sesame1"

WRONG_TYPES = {
    "string": ("SET", "x"), "list": ("RPUSH", "x", "y"),
    "set": ("SADD", "x", "y"), "sorted": ("ZADD", 1, "x"),
    "stream": ("XADD", "*", "field", "value")}

BAD_FIELDS = {
    "status-unknown": {"status": "bogus"},
    "status-huge": {"status": "allowed" * 1000},
    "status-nul": {"status": b"allowed\0"},
    "status-newline": {"status": "allowed\n"},
    "mode-unknown": {"mode": "everything"},
    "quota-word": {"quota": "many"},
    "quota-negative": {"quota": "-1"},
    "quota-overflow": {"quota": "99999999999999999999999"},
    "quota-period": {"quota": "9", "quota_period": "1 fortnight"},
    "rate-word": {"rate": "100 per hour"},
    "account-name": {"account": "an account|x"},
    "hash-garbage": {"password": "garbage"},
    "hash-unknown-scheme": {"password": "$zz$salt$hash"},
    "hash-cut": {"password": "$6$salt"},
    "hash-newline": {"password": "$6$salt$x\nlookup-result|0|found|x:y"},
    "hash-pipe": {"password": "$6$sa|lt$" + "x" * 86},
    "hash-nul": {"password": b"$6$salt$\0" + b"x" * 85},
    "hash-high": {"password": b"$6$\xff\xfe$" + b"x" * 86},
    "hash-huge": {"password": "$6$salt$" + "x" * 1_000_000},
}


def others_go_on(relay, users):
    users.add("bob", "Other-Word22")
    with Session(relay) as session:
        assert session.plain("bob", "Other-Word22") == OK
        assert session.message().startswith("250")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_a_user_of_a_wrong_type(relay, users, form, kind):
    users.secret(PASSWORD)
    verb, *rest = WRONG_TYPES[kind]
    users.redis.cli(verb, users.key("alice"), *rest)
    with Session(relay) as session:
        assert FORMS[form](session, "alice", PASSWORD).startswith("4")
    others_go_on(relay, users)


@pytest.mark.parametrize("kind", [k for k in WRONG_TYPES if k != "set"])
@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_sources_of_a_wrong_type(relay, users, form, kind):
    users.add("alice", PASSWORD)
    verb, *rest = WRONG_TYPES[kind]
    users.redis.cli(verb, users.key("alice", "ips"), *rest)
    with Session(relay) as session:
        reply = FORMS[form](session, "alice", PASSWORD)
        if reply == OK:
            reply = session.mail()
        assert reply.startswith("4"), reply
    others_go_on(relay, users)


@pytest.mark.parametrize("kind", BAD_FIELDS)
def test_a_bad_field_at_auth(relay, users, kind):
    users.add("alice", PASSWORD)
    users.set("alice", **BAD_FIELDS[kind])
    # Some of the hashes are well formed, and of no password.
    refusals = ("4", "535 Auth") if kind.startswith("hash-") else "4"

    def refused(form):
        with Session(relay) as session:
            reply = FORMS[form](session, "alice", PASSWORD)
            if reply == OK:
                reply = session.mail()
            assert reply.startswith(refusals), reply
    together(refused, [(form,) for form in FORMS])
    others_go_on(relay, users)


@pytest.mark.parametrize("kind", [
    k for k in BAD_FIELDS if not k.startswith("hash-")])
def test_a_field_that_goes_bad_while_the_session_is_open(relay, users, kind):
    users.account("acme")
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")
        users.set("alice", **BAD_FIELDS[kind])
        assert session.mail() == LATER
        users.set("alice", status="allowed", mode="default", quota="0",
                  quota_period="1d", rate="9/1h", account="acme")
        assert session.message().startswith("250")
    others_go_on(relay, users)


@pytest.mark.parametrize("kind", [k for k in WRONG_TYPES if k != "string"])
def test_a_claim_of_a_wrong_type(relay, users, kind):
    users.add("printer")
    users.set("printer", ip_auth="127.0.0.2")
    verb, *rest = WRONG_TYPES[kind]
    users.redis.cli(verb, "smtp:ip:{127.0.0.2}", *rest)
    with Session(relay, "127.0.0.2") as session:
        assert session.mail() == LATER
    with Session(relay, "127.0.0.3") as session:
        assert session.mail() == REQUIRED
    others_go_on(relay, users)


@pytest.mark.parametrize("kind", [
    k for k in BAD_FIELDS if not k.startswith("hash-")])
def test_a_bad_field_of_an_appliance(relay, users, kind):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    users.set("printer", **BAD_FIELDS[kind])
    with Session(relay, "127.0.0.2") as session:
        assert session.mail() == LATER
    others_go_on(relay, users)


def test_fields_nobody_knows_do_no_harm(relay, users):
    users.add("alice", PASSWORD, colour="green", quota="0",
              quota_period="30d", rate="100/1h 10/60", account="acme",
              description="x" * 100_000, created="whenever")
    users.redis.cli("HSET", users.key("alice"), b"\0\xff\n|", b"\r\n|\0")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


def test_a_user_needs_no_more_than_a_password(relay, users):
    """status and mode have defaults: a panel may leave them out."""
    users.set("alice", password=crypt(PASSWORD), mode="default")
    users.domains("alice", "example.org")
    users.secret(PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


SPOILT = {
    "user": (("HSET", "smtp:user:{spoilt}", "status", "bogus"),
             "smtp:user:{spoilt}: bad record: status"),
    "ips": (("SET", "smtp:user:{spoilt}:ips", "x"),
            "smtp:user:{spoilt}:ips: bad record: wrong type"),
    "account": (("SET", "smtp:account:{rotten}", "x"),
                "smtp:account:{rotten}: bad record: wrong type"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_the_log_names_the_key(relay, users, kind):
    """Once a while: the names are ones that no other test has spoiled."""
    command, words = SPOILT[kind]
    users.add("spoilt", PASSWORD, account="rotten")
    users.redis.cli(*command)
    before = len(relay.log())
    with Session(relay) as session:
        reply = session.plain("spoilt", PASSWORD)
        if reply == OK:
            reply = session.mail()
        assert reply.startswith("4")
    assert words in relay.log()[before:]
