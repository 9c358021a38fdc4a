# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8): users, their passwords and their status."""

import re
import time

import pytest

from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOUSER, EX_USAGE,
                       Smtpusers, verifies)
from users import MADE, crypt

SECRET = b"Correct:Horse|Battery Staple \xc3\xa9\n"
PASSWORD = SECRET[:-1]
# With what it costs to verify.
YESCRYPT = crypt(PASSWORD, *MADE)[:len("$y$j7T$")]


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


@pytest.fixture
def alice(cmd):
    cmd.ok("add", "alice", "--stdin", "--domain", "example.org",
           stdin=SECRET)
    return cmd


# add

def test_add_writes_what_the_options_say(cmd):
    before = int(time.time())
    result = cmd.ok(
        "add", "Alice.B+c_d-1", "--account", "Acme", "--mode", "any",
        "--status", "sandboxed", "--quota", "1000", "--quota-period", "30d",
        "--rate", " 10/1m  100/1h ", "--description", "the 'big' \"one\" \\é",
        "--domain", "Example.ORG.", "--domain", "BÜCHER.example",
        "--domain", "XN--FA-HIA.example", "--domain", "Bob.B@BÜCHER.example",
        "--stdin", stdin=SECRET)
    fields = cmd.fields("alice.b+c_d-1")
    assert verifies(PASSWORD, fields.pop("password"))
    created = fields.pop("created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    stamp = time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")
    assert before <= time.mktime(stamp) - time.timezone <= time.time()
    assert fields == {
        "account": "acme", "mode": "any", "status": "sandboxed",
        "quota": "1000", "quota_period": "30d", "rate": "10/1m 100/1h",
        "description": "the 'big' \"one\" \\é"}
    assert cmd.members("alice.b+c_d-1", ":domains") == {
        "example.org", "xn--bcher-kva.example", "xn--fa-hia.example",
        "bob.b@xn--bcher-kva.example"}
    assert result.stdout == ""
    assert "account acme does not exist yet" in result.stderr


def test_add_has_safe_defaults(cmd):
    cmd.ok("add", "alice", "--stdin", stdin=SECRET)
    fields = cmd.fields("alice")
    assert set(fields) == {"password", "mode", "status", "created"}
    assert (fields["mode"], fields["status"]) == ("default", "allowed")
    assert fields["password"].startswith("$y$")
    assert cmd.server.cli("KEYS", "*") == [cmd.key("alice")]


def test_add_is_silent_about_an_account_that_exists(cmd):
    cmd.server.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    result = cmd.ok("add", "alice", "--account", "acme", "--no-password")
    assert result.stderr == ""


def test_add_without_password(cmd):
    cmd.ok("add", "printer", "--no-password")
    assert "password" not in cmd.fields("printer")
    assert cmd.json("show", "printer")["password"] is None


def test_add_generates_a_password_and_prints_it_alone(cmd):
    first = cmd.ok("add", "alice", "--generate")
    second = cmd.ok("add", "bob", "--generate")
    for name, result in (("alice", first), ("bob", second)):
        password = result.stdout[:-1]
        assert re.fullmatch(r"[A-Za-z0-9]{20}", password)
        assert verifies(password, cmd.fields(name)["password"])
        assert result.stderr == ""
    assert first.stdout != second.stdout


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_add_leaves_an_existing_user_alone(alice, name):
    before = alice.snapshot()
    words = alice.fails(EX_CANTCREAT, "add", name, "--stdin", "--mode", "any",
                        stdin=b"other\n")
    assert words == "smtpusers: alice: exists already\n"
    assert alice.snapshot() == before


def test_add_at_the_same_time_makes_one_user(cmd):
    results = cmd.race(*[("add", "alice", "--generate", "--domain",
                          "d%d.example" % n) for n in range(8)])
    codes = [result.returncode for result in results]
    assert sorted(codes) == [0] + [EX_CANTCREAT] * 7
    winner = codes.index(0)
    assert verifies(results[winner].stdout[:-1],
                    cmd.fields("alice")["password"])
    assert cmd.members("alice", ":domains") == {"d%d.example" % winner}


def test_add_inherits_nothing_from_a_former_user(cmd):
    cmd.server.cli("SADD", cmd.key("alice", ":domains"), "old.example")
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), "192.0.2.1")
    cmd.server.cli("XADD", cmd.key("alice", ":log"), "*", "event", "old")
    cmd.server.cli("HSET", cmd.key("alice", ":last"), "login", "old")
    cmd.server.cli("SET", cmd.key("alice", ":used:quota"), "7")
    cmd.ok("add", "alice", "--no-password", "--domain", "new.example")
    assert cmd.members("alice", ":domains") == {"new.example"}
    assert cmd.members("alice", ":ips") == set()
    for suffix in (":log", ":last", ":used:quota"):
        assert cmd.server.cli("EXISTS", cmd.key("alice", suffix)) == 0


BAD_NAMES = ["", "a@b", "a:b", "a|b", "-a", ".a", "_a", "a b", "a\n", "é",
             "\u212a", "a{b", "a}b", "x" * 65]
BAD_OPTIONS = [
    ("--account", "a@b"), ("--mode", "every"), ("--mode", "ANY"),
    ("--status", ""), ("--status", "gone"), ("--quota", "-1"),
    ("--quota", "1.5"), ("--quota", ""), ("--quota", "1e3"),
    ("--quota", "1" * 16), ("--quota", "٣"), ("--quota-period", "0"),
    ("--quota-period", "1y"), ("--quota-period", "1h30m"),
    ("--quota-period", "3651d"), ("--quota-period", ""), ("--rate", "100"),
    ("--rate", "0/1h"),
    ("--rate", "1/1h 2/1h 3/1h 4/1h 5/1h 6/1h 7/1h 8/1h 9/1h"),
    ("--rate", "1000000000001/1h"), ("--quota", "1000000000001"),
    ("--rate", "10/1m,100/1h"), ("--rate", "10/1m x"),
    ("--rate", " "), ("--description", "two\nlines"),
    ("--description", "\x1b[31m"), ("--description", "\u202egnp.exe"),
    ("--description", b"\xff"), ("--description", "x" * 1025),
    ("--domain", ""), ("--domain", "a..b"), ("--domain", "a b.example"),
    ("--domain", "-a.example"), ("--domain", "under_score.example"),
    ("--domain", "192.0.2.1"), ("--domain", "@b.example"),
    ("--domain", "x" * 64 + ".example"), ("--domain", "xn--a-ecp.ru.."),
    ("--domain", "faß.example"), ("--domain", "☺.example"),
    ("--domain", "xn--\u00fc.example"), ("--domain", "a\u2024b.example"),
    ("--domain", ".".join(["x" * 60] * 5))]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_add_refuses_a_bad_name(cmd, name):
    words = cmd.fails(EX_DATAERR, "add", "--no-password", "--", name)
    assert "not a user name" in words
    assert cmd.snapshot() == {}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_add_refuses_a_bad_value(cmd, option):
    flag, value = option
    joined = (flag.encode() + b"=" + value if isinstance(value, bytes)
              else flag + "=" + value)
    words = cmd.fails(EX_DATAERR, "add", "alice", "--no-password", joined)
    assert len(words.splitlines()) == 1 and words[:-1].isprintable()
    assert cmd.snapshot() == {}


@pytest.mark.parametrize("name", ["a", "0", "x" * 64, "a.b+c_d-e"])
def test_add_takes_a_good_name(cmd, name):
    cmd.ok("add", name, "--no-password")
    assert cmd.fields(name)


@pytest.mark.parametrize("period", ["1", "3600", "60s", "5m", "1h", "30d",
                                    "2w", "3650d"])
def test_add_takes_a_good_period(cmd, period):
    cmd.ok("add", "alice", "--no-password", "--quota-period", period,
           "--rate", "1/" + period)
    fields = cmd.fields("alice")
    assert (fields["quota_period"], fields["rate"]) == (period, "1/" + period)


# passwd

@pytest.mark.parametrize("options, prefix", [
    ((), YESCRYPT), (("--scheme", "yescrypt"), YESCRYPT),
    (("--scheme", "bcrypt"), "$2b$12$")])
def test_passwd_from_standard_input(alice, options, prefix):
    before = alice.fields("alice")
    alice.ok("passwd", "ALICE", "--stdin", *options,
             stdin=b" new: p|\xc3\xa9 \nnot this line\n")
    after = alice.fields("alice")
    assert after["password"].startswith(prefix)
    assert verifies(" new: p|é ", after["password"])
    assert after == {**before, "password": after["password"]}


def test_passwd_takes_bytes_that_are_no_utf8_and_no_newline(alice):
    alice.ok("passwd", "alice", "--stdin", stdin=b"\xff\xfe\x01")
    assert verifies(b"\xff\xfe\x01", alice.fields("alice")["password"])


def test_passwd_salts(alice):
    hashes = set()
    for _ in range(3):
        alice.ok("passwd", "alice", "--stdin", stdin=SECRET)
        hashes.add(alice.fields("alice")["password"])
    assert len(hashes) == 3


def test_passwd_generates(alice):
    result = alice.ok("passwd", "alice", "--generate", "--scheme", "bcrypt")
    assert verifies(result.stdout[:-1], alice.fields("alice")["password"])


@pytest.mark.parametrize("secret, options", [
    (b"", ()), (b"\n", ()), (b"a\r\n", ()), (b"a\0b\n", ()),
    (b"x" * 512, ()), (b"x" * 100000, ()), (b"x" * 73, ("--scheme", "bcrypt"))])
def test_passwd_refuses(alice, secret, options):
    before = alice.snapshot()
    words = alice.fails(EX_DATAERR, "passwd", "alice", "--stdin", *options,
                        stdin=secret)
    assert "password" in words
    assert alice.snapshot() == before


@pytest.mark.parametrize("secret, options", [
    (b"x" * 511, ()), (b"x" * 72, ("--scheme", "bcrypt"))])
def test_passwd_takes_the_longest(alice, secret, options):
    alice.ok("passwd", "alice", "--stdin", *options, stdin=secret + b"\n")
    assert verifies(secret, alice.fields("alice")["password"])


def test_passwd_asks_twice_without_echo(alice):
    code, shown = alice.typed("passwd", "alice", answers=["sEcret 1é"] * 2)
    assert code == 0
    assert "Password for alice: " in shown and "Again: " in shown
    assert "sEcret" not in shown
    assert verifies("sEcret 1é", alice.fields("alice")["password"])


def test_passwd_wants_the_same_twice(alice):
    before = alice.snapshot()
    code, shown = alice.typed("passwd", "alice", answers=["one", "other"])
    assert code == EX_DATAERR
    assert "smtpusers: the two passwords differ" in shown
    assert alice.snapshot() == before


def test_add_asks_for_the_password(cmd):
    code, _ = cmd.typed("add", "bob", answers=["Typed in"] * 2)
    assert code == 0
    assert verifies("Typed in", cmd.fields("bob")["password"])


def test_passwd_asks_nobody_where_there_is_no_terminal(alice):
    words = alice.fails(EX_USAGE, "passwd", "alice", stdin=SECRET)
    assert "--stdin or --generate" in words


# show

def test_show(cmd):
    cmd.ok("account", "add", "acme")
    cmd.ok("add", "alice", "--account", "acme", "--stdin", "--quota", "1000",
           "--domain", "b.example", "--domain", "a.example", stdin=SECRET)
    cmd.ok("source", "add", "alice", "192.0.2.0/24", "2001:db8::/32")
    cmd.ok("ipauth", "set", "alice", "198.51.100.7")
    cmd.server.cli("HSET", cmd.key("alice", ":last"), "login",
                   "2026-11-20T10:00:00Z")
    created = cmd.fields("alice")["created"]
    assert cmd.ok("show", "Alice").stdout == """\
name          alice
status        allowed
mode          default
account       acme
password      yescrypt
quota         1000 per 1d
rate          -
used          0 of 1000 per 1d
ip auth       198.51.100.7
sources       192.0.2.0/24
              2001:db8::/32
domains       a.example
              b.example
description   -
restricted    1
created       %s
last login    2026-11-20T10:00:00Z
last message  -
""" % created
    assert cmd.json("show", "alice") == {
        "name": "alice", "status": "allowed", "mode": "default",
        "account": "acme", "password": "yescrypt", "quota": "1000",
        "quota_period": None, "rate": None, "ip_auth": "198.51.100.7",
        "ip_auth_claimed": True, "ips": ["192.0.2.0/24", "2001:db8::/32"],
        "domains": ["a.example", "b.example"], "description": None,
        "restricted": "1", "over": None, "sender_quota": None,
        "sender_rate": None, "max_recipients": None,
        "alarms": None, "blocked_by": None, "blocked_at": None,
        "blocked_until": None,
        "max_size": None, "created": created, "last_login": "2026-11-20T10:00:00Z",
        "last_message": None, "other": {}, "problems": [],
        "warnings": [], "domain_count": 2, "ip_count": 2,
        "suppressed_count": 0,
        "usage": [{"limit": "quota", "count": 1000, "period": "1d", "used": 0,
                   "reset": 0}]}


@pytest.mark.parametrize("seconds, words", [
    (86400, "1d"), (7200, "2h"), (90, "90s"), (120, "2m"), (129600, "36h")])
def test_show_names_the_period_of_the_configuration(redis, tmp_path, seconds,
                                                    words):
    cmd = Smtpusers(redis, tmp_path, quota_period=str(seconds))
    cmd.ok("add", "alice", "--no-password", "--quota", "5")
    shown = cmd.ok("show", "alice").stdout
    assert "quota         5 per %s\n" % words in shown


def test_show_keeps_the_hash_to_itself(alice):
    stored = alice.fields("alice")["password"]
    for args in (("show", "alice"), ("show", "alice", "--json"),
                 ("list",), ("list", "--json")):
        assert stored not in alice.ok(*args).stdout


def test_show_shortens_and_json_has_all(cmd):
    cmd.ok("add", "alice", "--no-password")
    domains = sorted("d%d.example" % n for n in range(2500))
    cmd.server.cli("SADD", cmd.key("alice", ":domains"), *domains)
    text = cmd.ok("show", "alice").stdout
    assert [domain for domain in domains if domain + "\n" in text] == (
        domains[:20])
    assert "... and 2480 more" in text
    assert cmd.json("show", "alice")["domains"] == domains


def test_show_tells_what_the_relay_will_not_take(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "password", "plain", "mode", "x",
                   "status", "gone", "quota", "many", "rate", "fast",
                   "quota_period", "soon", "account", "a@b",
                   "ip_auth", "192.0.2.1", "extra", "kept")
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), "192.0.2.0/33", "any")
    user = cmd.json("show", "bob")
    told = [problem.partition(":")[0] for problem in user["problems"]]
    assert told == ["password", "account", "mode", "status", "quota",
                    "quota_period", "rate", "ips", "ips", "ips", "ip_auth"]
    assert user["password"] == "unknown"
    assert user["other"] == {"extra": "kept"}
    text = cmd.ok("show", "bob").stdout
    assert re.search(r"^ip auth +192\.0\.2\.1 \(void\)$", text, re.MULTILINE)
    assert "no entry is valid, so every source is refused" in text


def test_show_takes_empty_fields_for_absent_ones(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "password", "", "mode", "",
                   "status", "", "quota", "", "rate", "", "account", "",
                   "quota_period", "", "ip_auth", "")
    assert cmd.json("show", "bob")["problems"] == [
        "no password and no IP authentication, so nobody can log in",
        "mode default without domains: can never send"]
    assert re.search("^status +allowed\nmode +default\n",
                     cmd.ok("show", "bob").stdout, re.MULTILINE)


@pytest.mark.parametrize("stored, scheme", [
    ("$6$salt$x", "sha512crypt"), ("$2y$10$x", "bcrypt"), ("!$y$x", "locked"),
    ("*", "locked"), ("$5$x", "sha256crypt"), ("$gy$x", "gost-yescrypt"),
    ("$zz$x", "unknown"), ("secret", "unknown")])
def test_show_names_the_scheme_of_the_password(cmd, stored, scheme):
    cmd.server.cli("HSET", cmd.key("bob"), "password", stored)
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), "a.example")
    user = cmd.json("show", "bob")
    assert user["password"] == scheme
    assert user["problems"] == (
        ["password: not a hash that crypt(3) makes"]
        if scheme == "unknown" else [])
    assert "password      %s\n" % scheme in cmd.ok("show", "bob").stdout


# list

def test_list(cmd):
    assert cmd.ok("list").stdout == (
        "NAME  STATUS  MODE  ACCOUNT  IP AUTH  SOURCES  LAST USE  USED\n")
    assert cmd.json("list") == []
    cmd.ok("add", "bob", "--no-password", "--account", "acme", "--mode", "all")
    cmd.ok("ipauth", "set", "bob", "2001:db8::1")
    cmd.ok("add", "al", "--no-password", "--status", "blocked")
    cmd.ok("source", "add", "al", "192.0.2.1", "192.0.2.9")
    cmd.server.cli("HSET", cmd.key("bob", ":last"), "message",
                   "2026-11-20T10:00:00Z")
    cmd.ok("set", "al", "quota", "5")
    assert cmd.ok("list").stdout == """\
NAME  STATUS   MODE     ACCOUNT  IP AUTH      SOURCES  LAST USE    USED
al    blocked  default  -        -            2        -           0/5
bob   allowed  all      acme     2001:db8::1  any      2026-11-20  -
"""
    created = {name: cmd.fields(name)["created"] for name in ("al", "bob")}
    assert cmd.json("list") == [
        {"name": "al", "status": "blocked", "mode": "default",
         "account": None, "ip_auth": None, "created": created["al"],
         "last_login": None, "last_message": None, "ip_count": 2,
         "used": 0, "error": None},
        {"name": "bob", "status": "allowed", "mode": "all",
         "account": "acme", "ip_auth": "2001:db8::1",
         "created": created["bob"], "last_login": None,
         "last_message": "2026-11-20T10:00:00Z", "ip_count": 0,
         "used": None, "error": None}]


def test_list_many(cmd):
    names = sorted("user%d" % n for n in range(1200))
    with cmd.server.connect() as connection:
        for name in names:
            connection.command("HSET", cmd.key(name), "status", "allowed")
            connection.command("SADD", cmd.key(name, ":domains"), "a.example")
    assert sorted(user["name"] for user in cmd.json("list")) == names
    for name in names[900:]:
        cmd.server.cli("DEL", cmd.key(name))
    assert [user["name"] for user in cmd.json("list")] == names[:900]


def test_list_is_not_stopped_by_bad_records(alice):
    alice.server.cli("SET", alice.key("wrong"), "x")
    alice.server.cli("HSET", alice.key("wrongips"), "status", "allowed")
    alice.server.cli("SET", alice.key("wrongips", ":ips"), "x")
    alice.server.cli("HSET", alice.key("No\nName"), "status", "allowed")
    result = alice.ok("list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "NAME", "alice", "wrong", "wrongips"]
    assert "(wrong type of key)" in result.stdout
    assert result.stderr == ""
    assert alice.ok("list", "--names").stderr == (
        "smtpusers: smtp:user:{No\\nName}: ignored, since the name in it is no user name\n")
    errors = {user["name"]: user["error"] for user in alice.json("list")}
    assert errors == {"alice": None, "wrong": "wrong type of key",
                      "wrongips": "wrong type of key"}


def test_list_takes_the_prefix_at_its_word(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path, prefix="a*[x]?\\:")
    cmd.ok("add", "alice", "--no-password")
    redis.cli("HSET", "ab[x]y\\:user:{bob}", "status", "allowed")
    assert [user["name"] for user in cmd.json("list")] == ["alice"]


# rm

def test_rm_removes_everything_of_the_user_and_nothing_else(cmd):
    for name, address in (("al", "192.0.2.1"), ("alice", "192.0.2.2")):
        cmd.ok("add", name, "--no-password", "--domain", "example.org",
               "--rate", "100/1h")
        cmd.ok("source", "add", name, "192.0.2.0/24")
        cmd.ok("ipauth", "set", name, address)
        cmd.server.cli("SET", cmd.key(name, ":used:quota"), 7)
        cmd.server.cli("SET", cmd.key(name, ":used:rate:100/3600"), 7)
        cmd.server.cli("HSET", cmd.key(name, ":last"), "login", "x")
        cmd.server.cli("XADD", cmd.key(name, ":log"), "*", "event", "login")
    kept = {key: value for key, value in cmd.snapshot().items()
            if "{al}" in key or "{192.0.2.1}" in key}
    assert len(kept) == 8
    assert cmd.ok("rm", "ALICE", "--yes", "--purge").stdout == ""
    assert cmd.snapshot() == kept


@pytest.mark.parametrize("part", [":log", ":failed"])
def test_rm_keeps_the_log_for_a_while(alice, part):
    key = alice.key("alice", part)
    alice.server.cli("XADD", key, "*", "event", "x")
    alice.ok("rm", "alice", "--yes")
    assert alice.server.cli("KEYS", "*{alice}*") == [key]
    assert 29 * 86400 < alice.server.cli("TTL", key) <= 30 * 86400
    assert "event" in alice.ok("log", "alice", "--json").stdout


def test_rename(cmd):
    cmd.ok("add", "alice", "--generate", "--domain", "a.example")
    cmd.ok("ipauth", "set", "alice", "192.0.2.1")
    fields = cmd.fields("alice")
    cmd.ok("rename", "Alice", "Bob")
    assert cmd.fields("bob") == fields and cmd.fields("alice") == {}
    assert cmd.members("bob", ":domains") == {"a.example"}
    assert cmd.owner("192.0.2.1") == "bob"
    cmd.ok("add", "carol", "--no-password")
    assert "exists already" in cmd.fails(EX_CANTCREAT, "rename", "bob",
                                         "carol")
    cmd.fails(EX_NOUSER, "rename", "alice", "dave")
    assert "not a user name" in cmd.fails(EX_DATAERR, "rename", "bob", "a@b")


def test_rm_leaves_an_address_that_is_another_users(cmd):
    cmd.ok("add", "alice", "--no-password")
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", "192.0.2.1")
    cmd.server.cli("SET", cmd.ip_key("192.0.2.1"), "bob")
    cmd.ok("rm", "alice", "--yes")
    assert cmd.server.cli("KEYS", "*") == [cmd.ip_key("192.0.2.1")]


def test_rm_frees_an_address_that_a_panel_wrote_otherwise(cmd):
    cmd.ok("add", "alice", "--no-password")
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", "::FFFF:192.0.2.1")
    cmd.server.cli("SET", cmd.ip_key("192.0.2.1"), "alice")
    cmd.ok("rm", "alice", "--yes")
    assert cmd.snapshot() == {}


def test_rm_finishes_a_removal_that_was_cut_short(alice):
    alice.ok("ipauth", "set", "alice", "192.0.2.1")
    alice.ok("block", "alice")
    alice.server.cli("DEL", alice.ip_key("192.0.2.1"))
    alice.ok("rm", "alice", "--yes")
    # That it was blocked is told for a while.
    assert set(alice.snapshot()) <= {"smtp:events"}


@pytest.mark.parametrize("answer, gone", [
    ("y", True), ("YES", True), ("n", False), ("", False), ("yeah", False)])
def test_rm_asks(alice, answer, gone):
    before = alice.snapshot()
    code, shown = alice.typed("rm", "alice", answers=[answer])
    assert "Remove alice" in shown
    assert code == (0 if gone else 1)
    assert alice.snapshot() == ({} if gone else before)


def test_rm_asks_nobody_where_there_is_no_terminal(alice):
    before = alice.snapshot()
    assert "--yes" in alice.fails(EX_USAGE, "rm", "alice", stdin=b"y\n")
    assert alice.snapshot() == before


# block, allow

def test_block_and_allow(alice):
    before = alice.fields("alice")
    alice.ok("block", "Alice")
    assert alice.fields("alice") == {**before, "status": "blocked"}
    alice.ok("block", "alice")
    alice.ok("allow", "alice")
    assert alice.fields("alice") == before


def test_block_until_a_time(alice):
    before = alice.fields("alice")
    for time_given in ("2098-12-24", "2098-12-24T00:00:00Z"):
        alice.ok("block", "alice", "--until", time_given)
        assert alice.fields("alice") == {
            **before, "status": "blocked",
            "blocked_until": "2098-12-24T00:00:00Z"}
    alice.ok("set", "alice", "blocked_until", "2099-01-01T00:00:00Z")
    assert alice.fields("alice")["blocked_until"] == "2099-01-01T00:00:00Z"
    held = alice.snapshot()
    for text in ("2026-01-01", "tomorrow", "2h", ""):
        alice.fails(EX_USAGE, "block", "alice", "--until", text)
    assert alice.snapshot() == held
    alice.ok("block", "alice")
    assert alice.fields("alice") == {**before, "status": "blocked"}


# what all of them have in common

ONE_USER = [("show", "{}"), ("passwd", "{}", "--generate"),
            ("rm", "{}", "--yes"), ("block", "{}"), ("allow", "{}"),
            ("source", "add", "{}", "192.0.2.1"),
            ("source", "rm", "{}", "192.0.2.1"),
            ("ipauth", "set", "{}", "192.0.2.1"), ("ipauth", "clear", "{}"),
            ("ipauth", "clear", "{}", "192.0.2.1")]


def named(words, name):
    return [word.format(name) for word in words]


@pytest.mark.parametrize("words", ONE_USER)
def test_no_such_user(cmd, words):
    told = cmd.fails(EX_NOUSER, *named(words, "Nobody"))
    assert told == "smtpusers: nobody: no such user\n"
    assert cmd.snapshot() == {}


@pytest.mark.parametrize("words", ONE_USER)
def test_bad_name(cmd, words):
    assert "not a user name" in cmd.fails(EX_DATAERR, *named(words, "a@b"))


@pytest.mark.parametrize("words", ONE_USER)
def test_user_of_the_wrong_type(cmd, words):
    cmd.server.cli("LPUSH", cmd.key("alice"), "x")
    before = cmd.snapshot()
    told = cmd.fails(EX_DATAERR, *named(words, "alice"))
    assert told == "smtpusers: smtp:user:{alice}: not a hash\n"
    assert cmd.snapshot() == before
