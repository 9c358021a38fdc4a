# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The permission modes, on envelope sender and From header."""

import pytest

from nameserver import NameServer
from places import PATIENCE, workdir
from reports import (OK, PASSWORD, blocked, from_header, judge, message,
                     never_arrives, report_id, try_message)
from session import Session, together

MAIL, END = "MAIL FROM", "end of data"
ZONE = 'published IN TXT "v=spf1 ip4:192.0.2.1 -all"\n' \
       'silent IN TXT "something else"\n' \
       'xn--bcher-kva IN TXT "v=spf1 -all"\n'

# Who sends, and why not as what is assigned, the account's, published by SPF
# elsewhere, and elsewhere without SPF. SPF is known at the end of data.
USERS = {
    "default-none": {"mode": "default"},
    "default-pro": {"mode": "default", "account": "rich"},
    "all-none": {"mode": "all"},
    "all-other": {"mode": "all", "account": "poor"},
    "all-pro": {"mode": "all", "account": "rich"},
    "any-none": {"mode": "any"},
    "any-unknown": {"mode": "any", "account": "nowhere"},
    "any-other": {"mode": "any", "account": "poor"},
    "any-pro": {"mode": "any", "account": "rich"},
}
ASSIGNED, ACCOUNT, PLAN = \
    "domain-not-assigned", "domain-not-in-account", "plan-not-pro"
TABLE = {
    "default-none": (None, ASSIGNED, ASSIGNED, ASSIGNED),
    "default-pro": (None, ASSIGNED, ASSIGNED, ASSIGNED),
    "all-none": (None, ACCOUNT, ACCOUNT, ACCOUNT),
    "all-other": (None, None, ACCOUNT, ACCOUNT),
    "all-pro": (None, None, ACCOUNT, ACCOUNT),
    "any-none": (None, PLAN, PLAN, PLAN),
    "any-unknown": (None, PLAN, PLAN, PLAN),
    "any-other": (None, None, PLAN, PLAN),
    "any-pro": (None, None, None, "spf-none"),
}
DOMAINS = ("own.test", "account.test", "published.test", "silent.test")


@pytest.fixture(scope="module")
def nameserver():
    with NameServer(workdir("nsd"), ZONE) as server:
        yield server


@pytest.fixture
def spf_relay(new_relay, nameserver):
    def make(**keys):
        return new_relay(spf_resolver=nameserver.address, **keys)
    return make


def provision(users):
    users.account("poor", "account.test", plan="basic")
    users.account("rich", "account.test", plan="pro")
    for name, fields in USERS.items():
        users.add(name, PASSWORD, domains=["own.test"], **fields)


def verdict(where, reason):
    if reason is None:
        return None
    return END if reason.startswith("spf-") else where, reason


def rows(on_envelope, on_header):
    """Every sender's verdict with one of both at fault: who, envelope
    sender's and From header's domain, where and why."""
    for name, reasons in TABLE.items():
        for domain, reason in zip(DOMAINS, reasons):
            yield (name, domain, "own.test"), \
                verdict(MAIL, reason) if on_envelope else None
            yield (name, "own.test", domain), \
                verdict(END, reason) if on_header else None


@pytest.mark.parametrize("enforce", [
    ["envelope", "header"], ["envelope"], ["header"]], ids="-".join)
def test_every_row_of_the_table(spf_relay, redis, users, enforce):
    relay = spf_relay(enforce=enforce)
    provision(users)
    expected = dict(rows("envelope" in enforce, "header" in enforce))

    def found(name, envelope, header):
        seen = judge(relay, redis, name, "x@" + envelope,
                     from_header("y@" + header))
        # At MAIL FROM already if it is known from another message.
        return (END, "spf-none") if seen == (MAIL, "spf-none") else seen
    assert dict(zip(expected, together(found, expected, 8))) == expected


@pytest.mark.parametrize("enforce", [
    ["envelope", "header"], ["envelope"], ["header"]], ids="-".join)
def test_the_null_sender_is_judged_by_the_header(
        spf_relay, redis, users, enforce):
    relay = spf_relay(enforce=enforce)
    provision(users)
    expected = {(name, domain): verdict(END, reason)
                for name, reasons in TABLE.items()
                for domain, reason in zip(DOMAINS, reasons)}

    def found(name, domain):
        return judge(relay, redis, name, "", from_header("y@" + domain))
    assert dict(zip(expected, together(found, expected, 8))) == expected
    assert judge(relay, redis, "any-pro", "", "X-From: a@own.test") == \
        (END, "from-missing")


# An address's domain, what Redis holds, and whether they are the same.
NAMES = [
    ("own.test", "own.test", True),
    ("OWN.Test", "own.test", True),
    ("sub.own.test", "own.test", False),
    ("own.test", "sub.own.test", False),
    ("xown.test", "own.test", False),
    ("own.test.example", "own.test", False),
    ("xn--bcher-kva.test", "xn--bcher-kva.test", True),
    ("XN--BCHER-KVA.TEST", "xn--bcher-kva.test", True),
    ("bucher.test", "xn--bcher-kva.test", False),
    ("xn--strae-oqa.test", "xn--strae-oqa.test", True),
    ("Web_1.own.test", "web_1.own.test", True),
]


def test_letters_outside_ascii(relay, redis, users):
    """Some leave them out where they decode, and see another domain."""
    users.add("alice", PASSWORD, domains=[
        "xn--bcher-kva.test", "xn--r8jz45g.xn--zckzah", "own.test"])
    for domain in ("BÜCHER.test", "bu\u0308cher.test", "例え.テスト",
                   # Cyrillic, and looks the same.
                   "оwn.test"):
        assert judge(relay, redis, "alice", "",
                     from_header("post@" + domain)) == (END, "from-ulabel")


def test_what_was_once_another_domain(relay, redis, users):
    """Readers of IDNA2003 and of IDNA2008 disagree about these."""
    users.add("alice", PASSWORD, domains=[
        "xn--strae-oqa.test", "strasse.test", "xn--pxavbm.test"])
    for domain in ("straße.test", "STRA\u1e9eE.test", "οδος.test"):
        assert judge(relay, redis, "alice", "",
                     from_header("post@" + domain)) == (END, "domain-invalid")


@pytest.mark.parametrize("mode", ["default", "all"])
def test_names_are_compared_exactly(relay, redis, users, mode):
    for number, (domain, held, same) in enumerate(NAMES):
        account = "acme%d" % number
        if mode == "default":
            users.add("alice", PASSWORD, domains=[held])
        else:
            users.account(account, held)
            users.add("alice", PASSWORD, domains=[], mode="all",
                      account=account)
        reason = ASSIGNED if mode == "default" else ACCOUNT
        address = "post@" + domain
        found = judge(relay, redis, "alice", "", from_header(address))
        assert found == (None if same else (END, reason)), domain
        found = judge(relay, redis, "alice", address,
                      from_header("post@" + held))
        assert found == (None if same else (MAIL, reason)), domain


@pytest.mark.parametrize("name", sorted(USERS))
def test_address_literals_are_never_allowed(relay, redis, users, name):
    literals = ["[192.0.2.1]", "[IPv6:2001:db8::1]"]
    provision(users)
    users.domains(name, "own.test", "192.0.2.1", "2001:db8::1",
                  *literals, *map(str.lower, literals))
    for literal in literals:
        sender = "x@" + literal
        assert judge(relay, redis, name, "x@own.test",
                     from_header(sender)) == (END, "address-literal")
        with Session(relay) as session:
            assert session.plain(name, PASSWORD) == OK
            where, reply = try_message(session, sender,
                                       from_header("x@own.test"))
        assert where == MAIL
        # Some of them smtpd itself does not take.
        if report_id(reply, name):
            assert blocked(redis, reply, name)["reason"] == "address-literal"
        else:
            assert reply.startswith("553 "), reply


def test_several_authors_are_each_judged(relay, redis, users):
    users.add("alice", PASSWORD, domains=["own.test", "other.test"])
    both = "From: A <a@own.test>, B <b@other.test>"
    assert judge(relay, redis, "alice", "a@own.test", both) is None
    users.domains("alice", "own.test")
    assert judge(relay, redis, "alice", "a@own.test", both) == (END, ASSIGNED)


# Changes while the session is open

def logged_in(relay, name="alice"):
    session = Session(relay)
    assert session.plain(name, PASSWORD) == OK
    return session


def outcome(redis, session, domain, name="alice"):
    """As judge(), in a session that stays open."""
    where, reply = try_message(session, "x@" + domain,
                               from_header("x@" + domain))
    if reply.startswith("250"):
        return None
    return where, blocked(redis, reply, name)["reason"]


def test_a_domain_comes_and_goes_mid_session(relay, redis, users):
    users.account("acme", "account.test")
    users.add("alice", PASSWORD, domains=["own.test"], mode="all",
              account="acme")
    with logged_in(relay) as session:
        assert outcome(redis, session, "new.test") == (MAIL, ACCOUNT)
        redis.cli("SADD", "smtp:account:{acme}:domains", "new.test")
        assert outcome(redis, session, "new.test") is None
        redis.cli("SREM", "smtp:account:{acme}:domains", "new.test")
        assert outcome(redis, session, "new.test") == (MAIL, ACCOUNT)
        redis.cli("SADD", "smtp:user:{alice}:domains", "new.test")
        assert outcome(redis, session, "new.test") is None
        redis.cli("DEL", "smtp:user:{alice}:domains")
        assert outcome(redis, session, "own.test") == (MAIL, ACCOUNT)


def test_modes_plans_and_accounts_change_mid_session(spf_relay, redis, users):
    relay = spf_relay()
    users.account("acme", "account.test", plan="basic")
    users.account("other", "other.test", plan="pro")
    users.add("alice", PASSWORD, domains=["own.test"], account="acme")
    with logged_in(relay) as session:
        def seen():
            return [outcome(redis, session, domain)
                    for domain in ("account.test", "published.test")]
        assert seen() == [(MAIL, ASSIGNED), (MAIL, ASSIGNED)]
        users.set("alice", mode="all")
        assert seen() == [None, (MAIL, ACCOUNT)]
        users.set("alice", mode="any")
        assert seen() == [None, (MAIL, PLAN)]
        users.account("acme", "account.test", plan="pro")
        assert seen() == [None, None]
    with logged_in(relay) as session:
        users.account("acme", "account.test", plan="proud")
        assert seen() == [None, (MAIL, PLAN)]
        users.set("alice", account="other", mode="all")
        assert seen() == [(MAIL, ACCOUNT), (MAIL, ACCOUNT)]
        users.set("alice", mode="default")
        assert seen() == [(MAIL, ASSIGNED), (MAIL, ASSIGNED)]


def take_domain(users):
    users.domains("alice", "else.test")


def take_account(users):
    users.set("alice", mode="default")


def block_account(users):
    users.redis.cli("HSET", "smtp:account:{acme}", "status", "blocked")


UNDER_WAY = {
    "domain": (take_domain, "own.test", ACCOUNT),
    "mode": (take_account, "account.test", ASSIGNED),
    "account": (block_account, "own.test", "user-changed")}


@pytest.mark.parametrize("change", UNDER_WAY)
def test_a_change_counts_for_a_message_under_way(
        relay, redis, users, sink, change):
    act, domain, reason = UNDER_WAY[change]
    users.account("acme", "account.test")
    users.add("alice", PASSWORD, domains=["own.test"], mode="all",
              account="acme")
    with logged_in(relay) as session:
        assert session.mail("x@" + domain).startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        act(users)
        reply = session.finish(message(from_header("x@" + domain), change))
    assert blocked(redis, reply)["reason"] == reason
    never_arrives(relay, users, sink, change)


def test_blocked_between_mail_from_and_end_of_data(relay, redis, users, sink):
    users.add("alice", PASSWORD, domains=["own.test"], account="acme")
    with logged_in(relay) as session:
        assert session.mail("x@own.test").startswith("250")
        users.block("alice")
        assert session.rcpt().startswith("250")
        reply = session.data(message(from_header("x@own.test"), "late"))
        found = blocked(redis, reply)
        assert session.mail("x@own.test") == \
            "530 5.7.0 Authentication required"
    assert found["reason"] == "user-changed"
    assert found["envelope_sender"] == "x@own.test"
    assert found["message_id"] == "<late@client.test>"
    never_arrives(relay, users, sink, "late")


def test_fifty_users_at_once_see_their_own_domains(relay, redis, users):
    """Each sends as itself, and as its neighbour, over and over."""
    count = 50
    names = ["user%d" % n for n in range(count)]
    for number, name in enumerate(names):
        users.account("account%d" % number, "all%d.test" % number)
        users.add(name, PASSWORD, domains=["own%d.test" % number],
                  mode="all", account="account%d" % number)

    def take_turns(number, session):
        found = []
        for step in range(6):
            # smtpd counts commands that lead to no message.
            foreign = (number + 1 + step) % count
            for domain in ("own%d.test", "all%d.test"):
                found.append(outcome(redis, session, domain % number,
                                     names[number]))
                header = from_header("x@" + domain % foreign)
                where, reply = try_message(
                    session, "x@" + domain % number, header)
                found.append((where, blocked(redis, reply,
                                             names[number])["reason"]))
        session.drop()
        return found
    sessions = together(logged_in, [(relay, name) for name in names], 10)
    results = together(take_turns, enumerate(sessions), count)
    assert results == [[None, (END, ACCOUNT)] * 12] * count


@pytest.fixture
def million(redis):
    """Sets of a million domains, for the user and the account."""
    count = 1_000_000
    with redis.connect(60) as connection:
        for key in ("user:{alice}", "account:{acme}"):
            for start in range(0, count, 10_000):
                connection.send("SADD", "smtp:%s:domains" % key, *(
                    "%s%d.test" % (key[:2], n)
                    for n in range(start, start + 10_000)))
                connection.read()
    yield
    redis.cli("FLUSHALL", timeout=PATIENCE)


def test_a_million_domains(relay, redis, users, million):
    users.password("alice", PASSWORD)
    users.set("alice", mode="all", account="acme", status="allowed")
    users.redis.cli("HSET", "smtp:account:{acme}", "plan", "basic")
    with logged_in(relay) as session:
        for domain in ("us0.test", "us999999.test", "ac0.test",
                       "ac999999.test"):
            assert outcome(redis, session, domain) is None
        for domain in ("us1000000.test", "ac1000000.test", "us.test"):
            assert outcome(redis, session, domain) == (MAIL, ACCOUNT)


# Of a user who is bob@own.test and all of other.test: envelope sender, From
# header, and what becomes of it.
ADDRESS = "address-not-assigned"
BY_ADDRESS = (
    ("bob@own.test", "bob@own.test", None),
    ("BOB@Own.test", "Bob <Bob@own.TEST>", None),
    ("bob@own.test", "\"B, Bob\" <bob@own.test>", None),
    ("x@other.test", "y@other.test, bob@own.test", None),
    ("", "bob@own.test", None),
    ("eve@own.test", "bob@own.test", (MAIL, ADDRESS)),
    ("bob+x@own.test", "bob@own.test", (MAIL, ADDRESS)),
    ("bob@sub.own.test", "bob@own.test", (MAIL, ASSIGNED)),
    ("bob@own.test", "eve@own.test", (END, ADDRESS)),
    ("bob@own.test", "bob@own.test, eve@own.test", (END, ADDRESS)),
    ("bob@own.test", "=?utf-8?q?eve=40own.test?= <bob@own.test>",
     (END, ADDRESS)),
    ("bob@own.test", "Eve bob@own.test", (END, ADDRESS)),
    ("bob@own.test", "=?utf-8?q?e?=bob@own.test", (END, ADDRESS)),
    ("bob@own.test", "bob@third.test", (END, ASSIGNED)),
    ("", "eve@own.test", (END, ADDRESS)),
)


def test_only_an_address_is_assigned(spf_relay, redis, users):
    relay = spf_relay()
    users.add("bob", PASSWORD, domains=["bob@own.test", "other.test"])

    def found(envelope, header, _):
        return judge(relay, redis, "bob", envelope, "From: " + header)
    assert dict(zip(BY_ADDRESS, together(found, BY_ADDRESS, 8))) == \
        {row: row[2] for row in BY_ADDRESS}


def test_an_address_in_every_mode(spf_relay, redis, users):
    """It is assigned whatever the mode, and what the mode allows besides is
    allowed of the whole domain."""
    relay = spf_relay()
    users.account("rich", "account.test", plan="pro")
    for mode in ("default", "all", "any"):
        users.add(mode, PASSWORD, mode=mode, account="rich",
                  domains=["bob@own.test", "bob@account.test"])
    expected = {
        ("default", "eve@own.test"): (MAIL, ADDRESS),
        ("default", "eve@account.test"): (MAIL, ADDRESS),
        ("all", "eve@own.test"): (MAIL, ADDRESS),
        ("all", "eve@account.test"): None,
        ("any", "eve@account.test"): None,
        ("any", "eve@published.test"): None,
        **{(mode, "bob@own.test"): None for mode in ("default", "all", "any")}}

    def found(name, sender):
        return judge(relay, redis, name, sender, from_header(sender))
    assert dict(zip(expected, together(found, expected, 8))) == expected


def test_the_address_goes_away(spf_relay, redis, users):
    relay = spf_relay()
    users.add("bob", PASSWORD, domains=["bob@own.test"])
    assert judge(relay, redis, "bob", "bob@own.test",
                 from_header("bob@own.test")) is None
    redis.cli("SREM", users.key("bob", "domains"), "bob@own.test")
    assert judge(relay, redis, "bob", "bob@own.test",
                 from_header("bob@own.test")) == (MAIL, ASSIGNED)
