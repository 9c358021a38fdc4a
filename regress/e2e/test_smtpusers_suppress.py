# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8): recipients that get no mail."""

import calendar
import json
import re
import time

import pytest

from cli import EX_DATAERR, EX_NOUSER, EX_USAGE, Smtpusers

KEYS = {"user": "smtp:user:{alice}:suppressed",
        "account": "smtp:account:{acme}:suppressed"}
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    cmd.ok("add", "alice", "--no-password")
    cmd.ok("account", "add", "acme")
    return cmd


@pytest.fixture(params=["user", "account"])
def of(request):
    """Whose list: how it is named, and its key."""
    return {"user": ["Alice"], "account": ["--account", "acme"]}[
        request.param], KEYS[request.param]


def fails(cmd, code, *words, stdin=b""):
    result = cmd.run(*words, stdin=stdin)
    assert result.returncode == code, result
    return result


def held(cmd, key):
    flat = cmd.server.cli("ZRANGE", key, "0", "-1", "WITHSCORES")
    return dict(zip(flat[::2], flat[1::2]))


def test_add_list_rm(cmd, of):
    who, key = of
    cmd.ok("suppress", "add", *who, "Bob@Example.COM", "EXAMPLE.net.",
           "b\u00fccher.example", "x@b\u00fccher.example")
    assert held(cmd, key) == dict.fromkeys((
        "bob@example.com", "example.net", "xn--bcher-kva.example",
        "x@xn--bcher-kva.example"), "inf")
    assert cmd.ok("suppress", "list", *who).stdout.splitlines() == sorted(
        held(cmd, key))
    result = cmd.ok("suppress", "rm", *who, "BOB@example.com", "nobody.example",
                    "b\u00fccher.example")
    assert result.stderr == "smtpusers: nobody.example: not on the list\n"
    assert set(held(cmd, key)) == {"example.net", "x@xn--bcher-kva.example"}


def test_for_a_time(cmd, of):
    who, key = of
    cmd.ok("suppress", "add", *who, "--for", "1h", "a.example", "b.example",
           "c.example=2999-01-02T03:04:05Z", "d=x@d.example")
    until = {name: float(score) for name, score in held(cmd, key).items()}
    assert 0 < until["a.example"] - time.time() <= 3600
    assert until["c.example"] == calendar.timegm((2999, 1, 2, 3, 4, 5))
    assert until["d=x@d.example"] == until["a.example"]
    # The longer time stays.
    cmd.ok("suppress", "add", *who, "--for", "30d", "a.example")
    cmd.ok("suppress", "add", *who, "--for", "1m", "b.example")
    cmd.ok("suppress", "add", *who, "c.example")
    now = held(cmd, key)
    assert float(now["a.example"]) > until["a.example"] + 86400
    assert float(now["b.example"]) == until["b.example"]
    assert now["c.example"] == "inf"
    shown = cmd.ok("suppress", "list", *who).stdout.splitlines()
    assert re.fullmatch("a.example=" + TIME, shown[0])
    assert shown[2] == "c.example"
    rows = [json.loads(line) for line in cmd.ok(
        "suppress", "list", *who, "--json").stdout.splitlines()]
    assert rows[2] == {"recipient": "c.example", "until": None}
    assert re.fullmatch(TIME, rows[0]["until"])
    # What is listed can be added.
    cmd.ok("suppress", "add", *who, *shown)
    assert held(cmd, key) == now


def test_what_is_over(cmd, of):
    who, key = of
    cmd.ok("suppress", "add", *who, "a.example")
    flat = [word for number in range(2500)
            for word in ("5", "r%d@example.com" % number)]
    cmd.server.cli("ZADD", key, *flat, "0", "hand.example")
    assert cmd.ok("suppress", "list", *who).stdout.split() == [
        "a.example", "hand.example"]
    cmd.ok("suppress", "add", *who, "b.example",
           "late.example=2001-01-01T00:00:00Z")
    assert len(held(cmd, key)) == 1503
    cmd.ok("suppress", "rm", *who, "--expired")
    assert set(held(cmd, key)) == {"a.example", "b.example", "hand.example"}


BAD = ["", " ", "bob", "bob@", "@example.com", "bob@localhost", "192.0.2.1",
       "bob@[192.0.2.1]", '"bob"@example.com', "b ob@example.com",
       "bob@example.com=tomorrow", "bob@example.com=2026-02-30T00:00:00Z",
       "=2999-01-01T00:00:00Z", "a..b@example.com", "*", "*@example.com",
       "x" * 65 + "@example.com", "bob@\u00df.example", "b\u00f6b@example.com"]


@pytest.mark.parametrize("text", BAD)
def test_no_recipient(cmd, of, text):
    """Where one is none, none is added."""
    who, key = of
    result = fails(cmd, EX_DATAERR, "suppress", "add", *who, "a.example", text)
    assert result.stderr.isprintable() or result.stderr.endswith("\n")
    assert not held(cmd, key)


def test_usage(cmd):
    for words in (("add",), ("add", "alice"), ("add", "--account", "acme"),
                  ("rm", "alice"), ("list",), ("list", "alice", "bob"),
                  ("import",), ("import", "alice", "x", "y")):
        fails(cmd, EX_USAGE, "suppress", *words)
    fails(cmd, EX_DATAERR, "suppress", "add", "alice", "--for", "soon",
             "a.example")
    for words in (("add", "nobody", "a.example"), ("rm", "nobody", "a.example"),
                  ("list", "nobody"), ("list", "--account", "nobody"),
                  ("add", "--account", "nobody", "a.example")):
        fails(cmd, EX_NOUSER, "suppress", *words)


def test_import(cmd, of, tmp_path):
    who, key = of
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbf# bounced\r\nBob@example.com\r\n\n  "
                     b"example.net  \nb\xc3\xbccher.example\n")
    result = cmd.ok("suppress", "import", *who, path)
    assert result.stdout == "3 recipients: 3 added, 0 errors\n"
    assert set(held(cmd, key)) == {"bob@example.com", "example.net",
                                   "xn--bcher-kva.example"}
    result = cmd.ok("suppress", "import", *who, "--for", "1h",
                    stdin=b"a.example\nexample.net\n")
    assert result.stdout == "2 recipients: 1 added, 0 errors\n"


def test_import_of_lines_that_are_none(cmd, of):
    who, key = of
    lines = ["r%d@example.com" % number for number in range(3000)]
    for number in (0, 1234, 2999):
        lines[number] = "no recipient"
    lines[777] = "x" * 5000 + "@example.com"
    result = fails(cmd, EX_DATAERR, "suppress", "import", *who,
                      stdin="\n".join(lines).encode())
    assert result.stdout == "3000 recipients: 2996 added, 4 errors\n"
    told = result.stderr.splitlines()
    assert sorted(re.findall(r"line (\d+):", result.stderr), key=int) == [
        "1", "778", "1235", "3000"]
    assert told[-1] == "smtpusers: 4 lines not taken"
    assert cmd.server.cli("ZCARD", key) == 2996


def test_many(cmd, of):
    """Pages and pieces."""
    who, key = of
    text = "".join("r%d@example.com\n" % number for number in range(20000))
    cmd.ok("suppress", "import", *who, stdin=text.encode())
    shown = cmd.ok("suppress", "list", *who).stdout.splitlines()
    assert set(shown) == set(text.split())


def test_shown(cmd, of):
    who, _ = of
    cmd.ok("suppress", "add", *who, "a.example", "b.example")
    words = ("show", "alice") if who == ["Alice"] else ("account", "show",
                                                        "acme")
    assert json.loads(cmd.ok(*words, "--json").stdout)["suppressed_count"] == 2
    assert re.search("^suppressed +2$", cmd.ok(*words).stdout, re.M)


def test_gone_and_renamed(cmd, redis):
    cmd.ok("suppress", "add", "alice", "a.example")
    cmd.ok("rename", "alice", "bob")
    assert cmd.ok("suppress", "list", "bob").stdout == "a.example\n"
    cmd.ok("rm", "bob", "--yes")
    cmd.ok("suppress", "add", "--account", "acme", "a.example")
    cmd.ok("account", "rm", "acme", "--yes")
    assert redis.cli("KEYS", "*suppressed*") == []
    # What was left by hand is not the next user's.
    redis.cli("ZADD", KEYS["user"], "0", "a.example")
    redis.cli("ZADD", KEYS["account"], "0", "a.example")
    cmd.ok("add", "alice", "--no-password")
    cmd.ok("account", "add", "acme")
    assert redis.cli("KEYS", "*suppressed*") == []


def findings(cmd, *words):
    result = cmd.run("check", "--json", *words)
    return [json.loads(line) for line in result.stdout.splitlines()
            if "suppressed" in line]


def test_check(cmd, of, redis):
    _, key = of
    redis.cli("ZADD", key, "+inf", "a.example", "0", "Bob@Example.com", "0",
              "b\u00fccher.example", "0", "no\x1b[2Jthing")
    assert {(row["kind"], row["problem"], row["fixable"])
            for row in findings(cmd)} == {
        ("form", "suppressed: Bob@Example.com: should be written "
         "bob@example.com", False),
        ("form", "suppressed: b\u00fccher.example: should be written "
         "xn--bcher-kva.example", False),
        ("value", "suppressed: no\\x1b[2Jthing: not a recipient", False)}
    # What matches nothing is not among those that get no mail.
    who, _ = of
    assert cmd.ok("suppress", "list", *who).stdout == "a.example\n"
    redis.cli("DEL", key)
    redis.cli("SADD", key, "a.example")
    row, = findings(cmd)
    assert (row["kind"], row["key"], row["problem"]) == (
        "type", key, "suppressed: not a sorted set, so mail is put off")


def test_check_finds_what_is_left(cmd, redis):
    for key in ("smtp:user:{gone}:suppressed", "smtp:account:{gone}:suppressed"):
        redis.cli("ZADD", key, "0", "a.example")
    assert {(row["kind"], row["fixable"]) for row in findings(cmd)} == {
        ("orphan", True), ("orphan", False)}
    findings(cmd, "--fix")
    assert redis.cli("KEYS", "*suppressed*") == [
        "smtp:account:{gone}:suppressed"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_export_and_import(cmd, redis, form):
    recipients = ["r%d@example.com" % number for number in range(1201)]
    cmd.ok("suppress", "import", "alice", stdin="\n".join(recipients).encode())
    cmd.ok("suppress", "add", "alice", "z.example=2999-01-02T03:04:05Z")
    cmd.ok("suppress", "add", "--account", "acme", "a.example", "b@c.example")
    redis.cli("ZADD", KEYS["account"], "7", "over.example")
    text = cmd.ok("export", "--format", form).stdout
    if form == "jsonl":
        assert [record["type"] for record in map(json.loads, text.splitlines())] == [
            "account", "account_suppressed", "user"] + ["user_suppressed"] * 3
    before = {key: held(cmd, key) for key in KEYS.values()}
    del before[KEYS["account"]]["over.example"]
    redis.cli("FLUSHALL")
    result = cmd.ok("import", "--format", form, stdin=text.encode())
    assert result.stdout == "6 lines: 2 added, 4 changed, 0 same, 0 errors\n"
    assert {key: held(cmd, key) for key in KEYS.values()} == before
    for words in ((), ("--replace",)):
        result = cmd.ok("import", "--format", form, *words, stdin=text.encode())
        assert result.stdout == \
            "6 lines: 0 added, 0 changed, 6 same, 0 errors\n"
    cmd.ok("import", "--check", "--format", form, stdin=text.encode())


def test_lines_of_an_import_that_are_none(cmd):
    for record, why in (
            ({"name": "nobody", "suppressed": ["a.example"]}, "no such user"),
            ({"name": "alice", "suppressed": ["a b"]}, "with a space"),
            ({"name": "alice", "suppressed": ["a.example", "b"]},
             "not a domain"),
            ({"name": "alice", "domains": ["a.example"]},
             "user_suppressed has suppressed"),
            ({"name": "alice", "suppressed": ["a.example"] * 3000},
             "write several lines")):
        line = json.dumps({"type": "user_suppressed", **record})
        result = fails(cmd, EX_DATAERR, "import", stdin=line.encode())
        assert why in result.stderr, result.stderr
    assert not held(cmd, KEYS["user"])
