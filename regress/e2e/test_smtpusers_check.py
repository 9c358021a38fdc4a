# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers check: every finding, every repair, and what is left alone."""

import io
import ipaddress
import json
import random
import re
import sys

import jsonschema
import pytest

from places import PATIENCE, REDIS7, free_port
from cli import (EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, Smtpusers,
                       log_in_as, package)
from redisserver import RedisServer, wait_until
from transfers import (CREATED, HASH, contents, fill, lines_of, peak, schema,
                       user)
from vectors import vectors

SCHEMA = schema("check.json")


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    # One of everything that is in order.
    redis.cli("HSET", "smtp:account:{acme}", "plan", "pro", "status",
              "allowed")
    redis.cli("SADD", "smtp:account:{acme}:domains", "acme.example")
    redis.cli("HSET", cmd.key("alice"), "password", HASH, "account", "acme",
              "mode", "all", "created", CREATED, "ip_auth", "192.0.2.1",
              "restricted", "1")
    redis.cli("SET", "smtp:ip:{192.0.2.1}", "alice")
    redis.cli("SADD", cmd.key("alice", ":domains"), "a.example")
    redis.cli("SADD", cmd.key("alice", ":ips"), "192.0.2.0/24", "2001:db8::1")
    redis.cli("XADD", cmd.key("alice", ":log"), "*", "event", "login")
    redis.cli("HSET", cmd.key("alice", ":last"), "login", CREATED)
    redis.cli("SET", cmd.key("alice", ":used:quota"), "1 1")
    redis.cli("SET", cmd.key("gone", ":used:quota"), "1 1")
    redis.cli("HSET", "smtp:report:{1}", "reason", "domain")
    redis.cli("SET", "other:user:{Nobody}", "x")
    return cmd


@pytest.fixture
def server(tmp_path):
    """A Redis that the test may do to what it likes."""
    with RedisServer(tmp_path) as server:
        yield server


def findings(cmd, *options):
    result = cmd.run("check", "--json", *options)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for finding in found:
        jsonschema.validate(finding, SCHEMA)
    left = [finding for finding in found if finding["fixed"] is None]
    assert result.returncode == (EX_DATAERR if left else 0)
    assert result.stderr == ("smtpusers: %d problem%s left\n" % (
        len(left), "" if len(left) == 1 else "s") if left else "")
    return found


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("words, told", [
    (("check", "--fix"), ("user", "account", "key page", "claim")),
    (("account", "rm", "acme", "--yes"), ("user",)),
    (("suppress", "rm", "alice", "--expired"), ("recipient",))])
def test_what_may_take_long_tells_how_far_it_is(cmd, monkeypatch, words, told):
    cmd.server.cli("HSET", "smtp:account:{acme}", "status", "blocked")
    cmd.server.cli("ZADD", cmd.key("alice", ":suppressed"), 5, "over.example")
    cmd.server.cli("SET", "smtp:ip:{192.0.2.9}", "nobody")
    progress = package("provision.progress")
    monkeypatch.setattr(progress.Progress, "FIRST", 0)
    monkeypatch.setattr(progress.Progress, "PAUSE", 0)
    monkeypatch.setattr(progress, "give_way", lambda: None)
    monkeypatch.setenv("SMTPUSERS_FILTER", cmd.environment["SMTPUSERS_FILTER"])
    monkeypatch.setattr(sys, "stderr", Terminal())
    package("provision.commandline").main(["-f", str(cmd.file), *words])
    for word in told:
        assert re.search(r"\r\x1b\[K[0-9]+ %ss?, [0-9]+/s" % word,
                         sys.stderr.getvalue())
    assert sys.stderr.getvalue().count("\n") <= 1


def test_clean(cmd):
    before = cmd.snapshot()
    for options in ((), ("--json",), ("--fix",), ("alice",)):
        result = cmd.ok("check", *options)
        assert (result.stdout, result.stderr) == ("", "")
    assert cmd.snapshot() == before


def test_an_empty_redis_is_clean(redis, tmp_path):
    assert Smtpusers(redis, tmp_path).ok("check", "--fix").stdout == ""


USABLE = ("password", HASH, "account", "acme")
BOB = ("HSET", "smtp:user:{bob}", *USABLE, "restricted", "0")
SENDS = ("SADD", "smtp:user:{bob}:domains", "b.example")

# What is done to Redis; then kind, name, key and problem of what is found, of
# which the problem is the beginning. None of it is mended.
STAYS = {
    "a user of the wrong type": (
        [("SET", "smtp:user:{bob}", "x")],
        ("type", "bob", "smtp:user:{bob}",
         "not a hash, so the user is refused")),
    "domains of the wrong type": (
        [(*BOB, "mode", "any"), ("SET", "smtp:user:{bob}:domains", "x")],
        ("type", "bob", "smtp:user:{bob}:domains", "domains: not a set")),
    "sources of the wrong type": (
        [BOB, SENDS, ("SET", "smtp:user:{bob}:ips", "x")],
        ("type", "bob", "smtp:user:{bob}:ips", "ips: not a set")),
    "a log of the wrong type": (
        [BOB, SENDS, ("SET", "smtp:user:{bob}:log", "x")],
        ("type", "bob", "smtp:user:{bob}:log", "log: not a stream")),
    "failed logins of the wrong type": (
        [BOB, SENDS, ("SET", "smtp:user:{bob}:failed", "x")],
        ("type", "bob", "smtp:user:{bob}:failed", "failed: not a stream")),
    "a last use of the wrong type": (
        [BOB, SENDS, ("SET", "smtp:user:{bob}:last", "x")],
        ("type", "bob", "smtp:user:{bob}:last", "last: not a hash")),
    "an account of the wrong type": (
        [("SADD", "smtp:account:{b}", "x")],
        ("type", "b", "smtp:account:{b}", "not a hash, so its users are")),
    "a claim of the wrong type": (
        [("SADD", "smtp:ip:{192.0.2.9}", "x")],
        ("type", "192.0.2.9", "smtp:ip:{192.0.2.9}", "not a string")),
    "a bad name": (
        [("HSET", "smtp:user:{Bob}", *USABLE)],
        ("name", "Bob", "smtp:user:{Bob}", "not a name")),
    "a bad name of an account": (
        [("HSET", "smtp:account:{a b}", "plan", "pro")],
        ("name", "a b", "smtp:account:{a b}", "not a name")),
    "a key that nobody reads": (
        [("HSET", "smtp:user:bob", *USABLE)],
        ("name", "smtp:user:bob", "smtp:user:bob", "not a key of")),
    "a companion that nobody reads": (
        [("SADD", "smtp:user:{alice}:addresses", "x")],
        ("name", "smtp:user:{alice}:addresses",
         "smtp:user:{alice}:addresses", "not a key of")),
    "a bad hash": (
        [("HSET", "smtp:user:{bob}", "account", "acme", "password", "secret"),
         SENDS],
        ("value", "bob", "smtp:user:{bob}",
         "password: not a hash that crypt(3) makes")),
    "a bad mode": (
        [(*BOB, "mode", "ALL"), SENDS],
        ("value", "bob", "smtp:user:{bob}", "mode: ALL: not one of default")),
    "a bad status": (
        [(*BOB, "status", "Blocked"), SENDS],
        ("value", "bob", "smtp:user:{bob}", "status: Blocked: not one of")),
    "a bad quota": (
        [(*BOB, "quota", "1e3"), SENDS],
        ("value", "bob", "smtp:user:{bob}", "quota: 1e3: not a quota")),
    "a bad rate": (
        [(*BOB, "rate", "1"), SENDS],
        ("value", "bob", "smtp:user:{bob}", "rate: 1: not a rate")),
    "a bad address": (
        [(*BOB, "ip_auth", "1.2.3"), SENDS],
        ("value", "bob", "smtp:user:{bob}", "ip_auth: 1.2.3: not an IPv4")),
    "an account that is not there": (
        [("HSET", "smtp:user:{bob}", "password", HASH, "account", "b"),
         SENDS],
        ("account", "bob", "smtp:user:{bob}", "account: b: no such account")),
    "a bad plan": (
        [("HSET", "smtp:account:{b}", "plan", "P R O")],
        ("value", "b", "smtp:account:{b}", "plan: P R O: not a plan")),
    "a bad status of an account": (
        [("HSET", "smtp:account:{b}", "status", "off")],
        ("value", "b", "smtp:account:{b}", "status: off: not one of")),
    "no way to log in": (
        [("HSET", "smtp:user:{bob}", "account", "acme"), SENDS],
        ("use", "bob", "smtp:user:{bob}", "no password and no IP")),
    "no domain": (
        [BOB],
        ("use", "bob", "smtp:user:{bob}", "mode default without domains")),
    "no domain in the account": (
        [("HSET", "smtp:account:{b}", "plan", "pro"),
         ("HSET", "smtp:user:{bob}", "password", HASH, "account", "b",
          "mode", "all")],
        ("use", "bob", "smtp:user:{bob}",
         "mode all, and neither the user nor account b has a domain")),
    "no domain and not the plan": (
        [("HSET", "smtp:account:{b}", "plan", "basic"),
         ("HSET", "smtp:user:{bob}", "password", HASH, "account", "b",
          "mode", "any")],
        ("use", "bob", "smtp:user:{bob}", "mode any, and neither")),
    "a blocked account": (
        [("HSET", "smtp:account:{b}", "status", "blocked"),
         ("HSET", "smtp:user:{bob}", "password", HASH, "account", "b"),
         SENDS],
        ("use", "bob", "smtp:user:{bob}",
         "account b is blocked: can never send")),
    "a user of another's prefix": (
        [("HSET", "smtp:account:{acme}", "user_prefix", "alice"),
         ("HSET", "smtp:account:{b}", "user_prefix", "bob"), BOB, SENDS],
        ("account", "bob", "smtp:user:{bob}",
         "account acme takes only users whose names begin with alice, so")),
    "a user who has left the account of the prefix": (
        [("HSET", "smtp:account:{acme}", "user_prefix", "al"),
         ("HSET", "smtp:account:{b}", "user_prefix", "bo"),
         ("HSET", "smtp:user:{bob}", "password", HASH), SENDS],
        ("account", "bob", "smtp:user:{bob}",
         "names that begin with bo are of account b, but this user is in none")),
    "an account without a prefix among others": (
        [("HSET", "smtp:account:{acme}", "user_prefix", "al"),
         ("HSET", "smtp:account:{b}", "plan", "pro")],
        ("account", "b", "smtp:account:{b}", "user_prefix: missing, so")),
    "prefixes of which one begins with another": (
        [("HSET", "smtp:account:{acme}", "user_prefix", "alice"),
         ("HSET", "smtp:account:{b}", "user_prefix", "alice-b-"),
         ("HSET", "smtp:account:{c}", "user_prefix", "alicd")],
        ("account", "b", "smtp:account:{b}",
         "user_prefix: alice-b-: account acme takes such names, too")),
    "two accounts of one prefix": (
        [("HSET", "smtp:account:{acme}", "user_prefix", "al"),
         ("HSET", "smtp:account:{b}", "user_prefix", "al")],
        ("account", "b", "smtp:account:{b}",
         "user_prefix: al: account acme takes such names, too")),
    "domains of an account that is not there": (
        [("SADD", "smtp:account:{b}:domains", "b.example")],
        ("orphan", "b", "smtp:account:{b}:domains",
         "domains: left over: no account b"))}


@pytest.mark.parametrize("what", STAYS)
def test_what_is_found_and_left_alone(cmd, what):
    commands, wanted = STAYS[what]
    for command in commands:
        cmd.server.cli(*command)
    before = cmd.snapshot()
    for options in ((), ("--fix",)):
        [found] = findings(cmd, *options)
        assert (found["kind"], found["name"], found["key"]) == wanted[:3]
        assert found["problem"].startswith(wanted[3])
        assert not found["fixable"] and found["fixed"] is None
        assert cmd.snapshot() == before
    result = cmd.run("check")
    assert result.stdout == "%s: %s\n" % (found["name"], found["problem"])


@pytest.mark.parametrize("commands", [
    [("HSET", "smtp:account:{b}", "plan", "pro"),
     ("HSET", "smtp:user:{bob}", "password", HASH, "account", "b", "mode",
      "any")],
    [("HSET", "smtp:user:{bob}", "password", HASH, "account", "ACME", "mode",
      "all")],
    [("HSET", "smtp:account:{b}", "status", "blocked"),
     ("HSET", "smtp:user:{bob}", "password", HASH, "account", "b", "status",
      "blocked"), SENDS],
    [("HSET", "smtp:user:{bob}", "password", HASH, "ip_auth",
      "2001:DB8:0:0::1"), SENDS, ("SET", "smtp:ip:{2001:db8::1}", "BOB")]])
def test_what_is_in_order(cmd, commands):
    for command in commands:
        cmd.server.cli(*command)
    assert findings(cmd) == []


# What is done to Redis; what is found; what it becomes.
MENDED = {
    "a claim for a user who does not have it": (
        [BOB, SENDS, ("SET", "smtp:ip:{192.0.2.9}", "bob")],
        [("claim", "192.0.2.9", "smtp:ip:{192.0.2.9}",
          "claimed for bob, who does not have it", "released")],
        {"smtp:ip:{192.0.2.9}": None}),
    "a claim for a user who has another": (
        [("SET", "smtp:ip:{192.0.2.9}", "Alice")],
        [("claim", "192.0.2.9", "smtp:ip:{192.0.2.9}",
          "claimed for alice, who has 192.0.2.1", "released")],
        {"smtp:ip:{192.0.2.9}": None}),
    "a claim for nobody": (
        [("SET", "smtp:ip:{2001:db8::9}", "bob")],
        [("claim", "2001:db8::9", "smtp:ip:{2001:db8::9}",
          "claimed for bob, who does not exist", "released")],
        {"smtp:ip:{2001:db8::9}": None}),
    "a claim for what is no user": (
        [("SET", "smtp:ip:{192.0.2.9}", "b\nb")],
        [("claim", "192.0.2.9", "smtp:ip:{192.0.2.9}",
          "claimed for b\\nb, which is no user name", "removed")],
        {"smtp:ip:{192.0.2.9}": None}),
    "a claim of what is no address": (
        [("SET", "smtp:ip:{1.2.3}", "alice")],
        [("name", "1.2.3", "smtp:ip:{1.2.3}",
          "1.2.3: not an IPv4 or IPv6 address", "removed")],
        {"smtp:ip:{1.2.3}": None}),
    "a claim that is written otherwise": (
        [("SET", "smtp:ip:{::ffff:192.0.2.1}", "alice")],
        [("name", "::ffff:192.0.2.1", "smtp:ip:{::ffff:192.0.2.1}",
          "the relay looks for 192.0.2.1", "removed")],
        {"smtp:ip:{::ffff:192.0.2.1}": None}),
    "an address that is not claimed": (
        [(*BOB, "ip_auth", "192.0.2.9"), SENDS],
        [("claim", "bob", "smtp:user:{bob}",
          "ip_auth: 192.0.2.9: not claimed for this user", "cleared")],
        {"smtp:user:{bob}": {"password": HASH, "account": "acme", "restricted": "0"}}),
    "an address that another user has": (
        [(*BOB, "ip_auth", "::ffff:192.0.2.1"), SENDS],
        [("claim", "bob", "smtp:user:{bob}",
          "ip_auth: 192.0.2.1: not claimed for this user", "cleared")],
        {"smtp:user:{bob}": {"password": HASH, "account": "acme", "restricted": "0"},
         "smtp:ip:{192.0.2.1}": "alice"}),
    "ranges that are written otherwise": (
        [("SADD", "smtp:user:{alice}:ips", "192.0.2.7/24", "2001:DB8::1",
          "198.51.100.1/32")],
        [("form", "alice", "smtp:user:{alice}:ips",
          "ips: 192.0.2.7/24: should be written 192.0.2.0/24",
          "written 192.0.2.0/24"),
         ("form", "alice", "smtp:user:{alice}:ips",
          "ips: 198.51.100.1/32: should be written 198.51.100.1",
          "written 198.51.100.1"),
         ("form", "alice", "smtp:user:{alice}:ips",
          "ips: 2001:DB8::1: should be written 2001:db8::1",
          "written 2001:db8::1")],
        {"smtp:user:{alice}:ips": ["192.0.2.0/24", "198.51.100.1",
                                   "2001:db8::1"]}),
    "ranges that are none, among others": (
        [("SADD", "smtp:user:{alice}:ips", "1.2.3", b"\xff\n")],
        [("value", "alice", "smtp:user:{alice}:ips",
          "ips: 1.2.3: neither an address", "removed"),
         ("value", "alice", "smtp:user:{alice}:ips",
          "ips: \\xff\\n: neither an address", "removed")],
        {"smtp:user:{alice}:ips": ["192.0.2.0/24", "2001:db8::1"]}),
    "domains that are written otherwise": (
        [("SADD", "smtp:user:{alice}:domains", "A.Example", "b.example.",
          "bücher.example")],
        [("form", "alice", "smtp:user:{alice}:domains",
          "domains: A.Example: should be written a.example",
          "written a.example"),
         ("form", "alice", "smtp:user:{alice}:domains",
          "domains: b.example.: should be written b.example",
          "written b.example"),
         ("form", "alice", "smtp:user:{alice}:domains",
          "domains: bücher.example: should be written xn--bcher-kva.example",
          "written xn--bcher-kva.example")],
        {"smtp:user:{alice}:domains": ["a.example", "b.example",
                                       "xn--bcher-kva.example"]}),
    "domains that are none": (
        [("SADD", "smtp:account:{acme}:domains", "nodot", "a@b.example", "")],
        [("value", "acme", "smtp:account:{acme}:domains",
          "domains: : not a domain", "removed"),
         ("value", "acme", "smtp:account:{acme}:domains",
          "domains: a@b.example: not a domain", "removed"),
         ("value", "acme", "smtp:account:{acme}:domains",
          "domains: nodot: not a domain", "removed")],
        {"smtp:account:{acme}:domains": ["acme.example"]}),
    "what is left of a user": (
        [("SADD", "smtp:user:{bob}:domains", "b.example"),
         ("SADD", "smtp:user:{bob}:ips", "192.0.2.1"),
         ("XADD", "smtp:user:{bob}:log", "*", "event", "x"),
         ("XADD", "smtp:user:{bob}:failed", "*", "event", "x"),
         ("HSET", "smtp:user:{bob}:last", "login", CREATED)],
        [("orphan", "bob", "smtp:user:{bob}:%s" % suffix,
          "%s: left over: no user bob" % suffix, "removed")
         for suffix in ("domains", "ips", "last")],
        {"smtp:user:{bob}:%s" % suffix: None
         for suffix in ("domains", "ips", "last")})}


@pytest.mark.parametrize("what", MENDED)
def test_what_is_found_and_mended(cmd, what):
    commands, wanted, becomes = MENDED[what]
    for command in commands:
        cmd.server.cli(*command)
    before = contents(cmd.server)
    found = sorted(findings(cmd), key=by_place)
    assert contents(cmd.server) == before
    for finding, (kind, name, key, problem, _) in zip(found, wanted,
                                                      strict=True):
        assert (finding["kind"], finding["name"], finding["key"]) == (
            kind, name, key)
        assert finding["problem"].startswith(problem)
        assert finding["fixable"] and finding["fixed"] is None

    mended = sorted(findings(cmd, "--fix"), key=by_place)
    assert [finding["fixed"] for finding in mended] == [
        row[4] for row in wanted]
    assert [{**finding, "fixed": None} for finding in mended] == found
    after = {**before, **becomes}
    assert contents(cmd.server) == {
        key: value for key, value in after.items() if value is not None}
    assert findings(cmd) == []


def by_place(finding):
    return finding["key"], finding["problem"]


# What would let somebody in who was kept out is not done

def test_rates_without_number(cmd):
    """What one user holds ends neither the check nor what is to be done."""
    cmd.server.cli("HSET", cmd.key("alice"), "rate", " ".join(
        "%d/1s" % n for n in range(1, 8002)))
    found = findings(cmd)
    assert [finding["name"] for finding in found] == ["alice"] * len(found)
    assert any(finding["problem"].startswith("rate: ") for finding in found)
    told = cmd.fails(EX_DATAERR, "quota", "alice", "--reset")
    assert "rate: not understood" in told
    assert cmd.server.cli("EXISTS", cmd.key("alice", ":used:quota")) == 0
    cmd.ok("rm", "alice", "--yes")
    assert cmd.server.cli("EXISTS", cmd.key("alice")) == 0


def test_a_list_of_which_nothing_is_valid_is_not_emptied(cmd):
    cmd.server.cli(*BOB)
    cmd.server.cli(*SENDS)
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), "1.2.3", "x")
    for options in ((), ("--fix",)):
        found = findings(cmd, *options)
        assert sorted(finding["problem"].partition(", such")[0]
                      for finding in found) == [
            "ips: 1.2.3: neither an address nor a range",
            "ips: no entry is valid, so every source is refused",
            "ips: x: neither an address nor a range"]
        assert not any(finding["fixable"] for finding in found)
    assert cmd.members("bob", ":ips") == {"1.2.3", "x"}


def test_a_list_too_long_is_not_shortened(cmd):
    cmd.server.cli(*BOB)
    cmd.server.cli(*SENDS)
    cmd.server.cli("EVAL", "for i = 1, 65537 do redis.call('SADD', KEYS[1], "
                   "'x' .. i) end redis.call('SADD', KEYS[1], '192.0.2.1')",
                   1, cmd.key("bob", ":ips"))
    [found] = findings(cmd, "--fix")
    assert found["problem"] == (
        "ips: more than 65536 entries, so the user is refused")
    assert cmd.server.cli("SCARD", cmd.key("bob", ":ips")) == 65538


def test_a_domain_that_the_relay_may_know_better_stays(cmd):
    cmd.server.cli("SADD", cmd.key("alice", ":domains"), "xn--a.example")
    [found] = findings(cmd, "--fix")
    assert not found["fixable"]
    assert "xn--a.example" in cmd.members("alice", ":domains")


def test_what_is_wrong_with_two_things_is_mended_in_the_one(cmd):
    """The relay refuses the user as before."""
    cmd.server.cli("HSET", cmd.key("alice"), "mode", "ALL")
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), "x")
    problems = {finding["problem"][:9]: finding["fixed"]
                for finding in findings(cmd, "--fix")}
    assert problems == {"mode: ALL": None, "ips: x: n": "removed"}
    assert cmd.fields("alice")["mode"] == "ALL"


FIELDS = {
    "password": (HASH, "", "secret", "!x"), "mode": ("all", "ALL", "any"),
    "status": ("allowed", "blocked", "off"), "quota": ("10", "x"),
    "account": ("acme", "none", "A C"),
    "ip_auth": ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3", "1.2.3", "")}
RANGES = ("192.0.2.0/24", "192.0.2.9/24", "192.0.2.9/32", "192.0.2.9",
          "2001:DB8::/32", "::ffff:10.0.0.1", "1.2.3", "x", "192.0.2.01",
          "10.0.0.0/33", "")
PLACES = ("a.example", "A.example", "nodot", "xn--a.example", "b.example.")


def make_any(server, order, name):
    """A record that somebody may have written, good or bad."""
    key = "smtp:user:{%s}" % name
    fields = [word for field, values in FIELDS.items()
              if order.random() < 0.6
              for word in (field, order.choice(values))]
    if fields:
        server.cli("HSET", key, *fields)
    for suffix, values in (("ips", RANGES), ("domains", PLACES)):
        members = order.sample(values, order.randrange(4))
        if members:
            server.cli("SADD", "%s:%s" % (key, suffix), *members)


def let_in(server, names):
    """Who may log in, from which of some sources and addresses; told by the
    words of the schema and Python's ipaddress."""
    found = set()
    for name in names:
        key = "smtp:user:{%s}" % name
        flat = server.cli("HGETALL", key)
        fields = dict(zip(flat[::2], flat[1::2]))
        if not fields or any(
                fields.get(field) in values for field, values in (
                    ("mode", ("ALL",)), ("status", ("off", "blocked")),
                    ("quota", ("x",)), ("account", ("A C",)),
                    ("ip_auth", ("1.2.3",)))):
            continue
        address = canonical(fields.get("ip_auth", ""))
        if address and server.cli(
                "GET", "smtp:ip:{%s}" % address) == name:
            found.add((name, address))
        if fields.get("password") == HASH:
            found.update((name, source) for source in SOURCES if allowed(
                server.cli("SMEMBERS", key + ":ips"), source))
    return found


SOURCES = ("192.0.2.9", "192.0.2.77", "10.0.0.1", "2001:db8::5",
           "198.51.100.1")


def canonical(text):
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def allowed(entries, source):
    ranges = []
    for entry in entries:
        try:
            ranges.append(ipaddress.ip_network(canonical(entry) or entry,
                                               strict=False))
        except ValueError:
            continue
    return not entries or any(ipaddress.ip_address(source) in some
                              for some in ranges)


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_let_in_and_nobody_who_may_is_kept_out(cmd, seed):
    order = random.Random(seed)
    names = ["n%d" % number for number in range(200)]
    for name in names:
        make_any(cmd.server, order, name)
    for number in range(1, 4):
        cmd.server.cli("SET", "smtp:ip:{192.0.2.%d}" % number,
                       order.choice(names))
    before = let_in(cmd.server, names)
    assert before
    found = findings(cmd, "--fix")
    assert {finding["kind"] for finding in found} >= {
        "value", "form", "use", "claim"}
    assert let_in(cmd.server, names) == before
    assert not any(finding["fixable"] for finding in findings(cmd))


# What changes meanwhile

def calls(server, command):
    for line in server.cli("INFO", "commandstats").split("\r\n"):
        name, _, figures = line.partition(":")
        if name == "cmdstat_" + command:
            return int(figures.partition("calls=")[2].partition(",")[0])
    return 0


def test_an_address_that_is_being_given_is_not_taken_away(server, tmp_path):
    """A claim comes before the record; check has seen the one alone."""
    cmd = Smtpusers(server, tmp_path)
    server.cli(*BOB)
    server.cli(*SENDS)
    server.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    server.cli("SET", "smtp:ip:{192.0.2.9}", "bob")
    before = calls(server, "get")
    process = cmd.start("check", "--fix", "--json")
    # Its GET and its HGET of the record are one batch.
    wait_until(lambda: calls(server, "get") > before, 20, "check to look")
    wait_until(lambda: calls(server, "hget") > 0, 20, "check to see it")
    server.cli("HSET", cmd.key("bob"), "ip_auth", "192.0.2.9")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")
    assert server.cli("GET", "smtp:ip:{192.0.2.9}") == "bob"
    assert findings(cmd) == []


def mends(cmd, function, key, *words):
    """As check asks for it."""
    return cmd.server.cli("FCALL", "smtpusers_" + function, 1, key, *words)


def test_a_user_who_comes_meanwhile_keeps_what_is_his(cmd):
    """The step that removes what is left over looks for the user itself."""
    assert findings(cmd) == []
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), "b.example")
    cmd.server.cli(*BOB)
    assert mends(cmd, "bury", cmd.key("bob"), "domains") == 0
    assert cmd.members("bob", ":domains") == {"b.example"}


def test_the_last_range_that_counts_is_not_left_alone(cmd):
    """Had the entry that counts gone meanwhile, nothing would be removed."""
    assert findings(cmd) == []
    cmd.server.cli(*BOB)
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), "x")
    assert mends(cmd, "mend", cmd.key("bob"), "ips", "x", "") == 0
    assert cmd.members("bob", ":ips") == {"x"}


def test_a_claim_that_has_changed_hands_stays(cmd):
    assert findings(cmd) == []
    assert mends(cmd, "ip_forget", "smtp:ip:{192.0.2.1}", "bob") == 0
    assert cmd.owner("192.0.2.1") == "alice"


# Some users alone

def test_names(cmd):
    cmd.server.cli(*BOB)
    cmd.server.cli("HSET", cmd.key("carol"), "mode", "x")
    assert {finding["name"] for finding in findings(cmd)} == {"bob", "carol"}
    assert [finding["name"] for finding in findings(cmd, "bob")] == ["bob"]
    assert findings(cmd, "alice") == []
    cmd.server.cli("SADD", cmd.key("dave", ":ips"), "x")
    assert [finding["kind"] for finding in findings(cmd, "Dave")] == [
        "orphan"]


def test_a_name_that_nobody_has(cmd):
    result = cmd.run("check", "alice", "nobody", "none")
    assert result.returncode == EX_NOUSER
    assert result.stderr == (
        "smtpusers: nobody: no such user\nsmtpusers: none: no such user\n"
        "smtpusers: 2 users not found\n")
    assert "not a user name" in cmd.fails(EX_DATAERR, "check", "a@b")


# What is found may hold anything

def test_hostile_records(cmd):
    every = bytes(range(256))
    cmd.server.cli("HSET", cmd.key("bob"), "password", every, "mode", every,
                   "account", every, "ip_auth", every, every, every)
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), every, "192.0.2.1")
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), every)
    cmd.server.cli("SET", b"smtp:user:{\x1b[2J\n}", "x")
    cmd.server.cli("SET", b"smtp:ip:{\xff\n}", every)
    cmd.server.cli("SET", b"smtp:user:{}:domains", every)
    result = cmd.run("check")
    assert result.returncode == EX_DATAERR
    assert all(line.isprintable() for line in result.stdout.split("\n"))
    found = findings(cmd)
    assert {finding["kind"] for finding in found} >= {"value", "name"}
    assert b"smtp:ip:{\xff\n}".decode("utf-8", "surrogateescape") in {
        finding["key"] for finding in found}
    findings(cmd, "--fix")
    assert cmd.members("bob", ":ips") == {"192.0.2.1"}


# Many

@pytest.mark.parametrize("program", ["redis-server", "valkey-server", REDIS7])
def test_many_users(tmp_path, program):
    with RedisServer(tmp_path, program=program) as server:
        cmd = Smtpusers(server, tmp_path)
        fill(server, 5000)
        assert cmd.ok("check").stdout == ""
        for number in range(0, 5000, 100):
            server.cli("SADD", cmd.key("u%d" % (number + 1), ":ips"),
                       "192.0.2.%d/32" % (number / 100), "x")
            server.cli("SET", "smtp:ip:{192.0.2.%d}" % (number / 100),
                       "u%d" % (number + 1))
        assert len(findings(cmd)) == 150
        assert len(findings(cmd, "--fix")) == 150
        assert findings(cmd) == []


def test_a_large_set(cmd):
    cmd.server.cli("EVAL", "for i = 1, 5000 do redis.call('SADD', KEYS[1], "
                   "'d' .. i .. '.example') end redis.call('SADD', KEYS[1], "
                   "'Bad.Example', 'worse')", 1, cmd.key("alice", ":domains"))
    assert len(findings(cmd, "--fix")) == 2
    assert cmd.server.cli("SCARD", cmd.key("alice", ":domains")) == 5002
    assert findings(cmd) == []


def test_memory_does_not_grow_with_the_number_of_users(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    fill(server, 500)
    few = peak(cmd, "check")
    fill(server, 20000)
    assert peak(cmd, "check") < few + (8 << 10)


def test_all_users_of_an_overlapping_prefix(cmd):
    """Of three that begin alike, two are told; of an account without any prefix,
    the users of others."""
    for account, prefix in (("acme", "a"), ("b", "aa"), ("c", "ab"),
                            ("d", "")):
        cmd.server.cli("HSET", "smtp:account:{%s}" % account, "plan", "pro",
                       "user_prefix", prefix)
    cmd.server.cli(*BOB, "account", "d")
    cmd.server.cli(*SENDS)
    cmd.server.cli("HSET", cmd.key("alice"), "account", "d")
    assert sorted((found["name"], found["problem"].partition(",")[0])
                  for found in findings(cmd)) == [
        ("alice", "names that begin with a are of account acme"),
        ("b", "user_prefix: aa: account acme takes such names"),
        ("c", "user_prefix: ab: account acme takes such names"),
        ("d", "user_prefix: missing")]


def test_the_rights_that_setup_prints_suffice(server, tmp_path):
    cmd = log_in_as(server, "command", tmp_path)
    data = lines_of(
        {"type": "account", "name": "acme", "domains": ["a.example"]},
        user("alice", password=HASH, account="acme", ip_auth="192.0.2.1",
             domains=["d%d.example" % number for number in range(200)],
             ips=["192.0.2.0/24"]))
    for options in (("--check",), (), ("--replace",)):
        cmd.ok("import", *options, stdin=data)
    assert len(cmd.ok("export").stdout.splitlines()) == 2
    assert findings(cmd) == []
    server.cli("HSET", cmd.key("alice"), "ip_auth", "192.0.2.2")
    server.cli("SADD", cmd.key("alice", ":ips"), "x", "192.0.2.7/24")
    server.cli("SADD", cmd.key("alice", ":domains"), "x", "A.example")
    server.cli("SADD", cmd.key("bob", ":domains"), "x")
    server.cli("SET", "smtp:ip:{x}", "bob")
    assert len(findings(cmd, "--fix")) == 8
    assert findings(cmd) == []


def test_redis_is_gone(server, tmp_path):
    server.stop()
    assert "connect" in Smtpusers(server, tmp_path).fails(EX_UNAVAILABLE,
                                                          "check")


def test_redis_goes_in_the_middle(server, tmp_path):
    """What is told does not fit a pipe: the command is in its midst."""
    cmd = Smtpusers(server, tmp_path)
    fill(server, 5000)
    server.cli("DEL", "smtp:account:{acme}")
    with cmd.start("check") as process:
        assert "no such account" in process.stdout.readline()
        server.kill()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == EX_UNAVAILABLE
    assert err.startswith("smtpusers: ") and "Traceback" not in err


def test_redis_that_may_not_be_written(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    server.cli(*BOB)
    server.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    server.cli("SADD", cmd.key("bob", ":ips"), "x", "192.0.2.1")
    assert findings(cmd)
    server.cli("REPLICAOF", "127.0.0.1", free_port())
    assert findings(cmd)
    result = cmd.run("check", "--fix")
    assert result.returncode == EX_UNAVAILABLE
    assert "READONLY" in result.stderr


def test_server_information():
    """The command says what the relay says in its log."""
    server = package("provision.server")
    for case in vectors("serverinfo"):
        info = server.parsed(case.text)
        replicas = int(info.get("redis_replicas", 0))
        said = "".join(problem + "|"
                       for problem in server.info_problems(info, replicas))
        assert said == (case.rest[0].decode() if case.canonical is None
                        else "")
