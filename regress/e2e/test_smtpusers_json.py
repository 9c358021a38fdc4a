# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""What smtpusers(8) prints for programs is what the schemas say."""

import json

import jsonschema
import pytest

from places import SOURCE
from cli import Smtpusers
from quotas import Functions, Sender, limited

SCHEMAS = SOURCE / "regress" / "e2e" / "schemas"
ID = "123456789012345678"

HOSTILE = [b"\xff\xfe\x00", "two\nlines\r\x1b[2J", "\u202e\U000e0041",
           "\"},{\"x\":\"", "\\", "", "NULL", "1e3", "\ud800", "x" * 1000]


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


def strict(text):
    """What another language would read: no lone surrogate, no NaN."""
    value = json.loads(text, parse_constant=pytest.fail)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def validated(schema, text):
    value = strict(text)
    jsonschema.validate(value, json.loads(
        (SCHEMAS / (schema + ".json")).read_text()))
    return value


def printed(cmd, schema, *words):
    return validated(schema, cmd.ok(*words, "--json").stdout)


@pytest.fixture
def hostile(cmd, request):
    """A value that a panel has put wherever it could."""
    value = request.param
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    fields = ("password", "account", "mode", "status", "quota",
              "quota_period", "rate", "ip_auth", "description", "created",
              "colour", "problems", value)
    words = [word for field in fields for word in (field, value)]
    cmd.server.cli("HSET", cmd.key("bob"), *words)
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), value, "a.example")
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), value)
    cmd.server.cli("HSET", cmd.key("bob", ":last"), "login", value,
                   "message", value)
    cmd.server.cli("XADD", cmd.key("bob", ":log"), "*", "event", value,
                   value, value)
    cmd.server.cli("XADD", "smtp:events", "*", "kind", value, "id", value,
                   value, value)
    cmd.server.cli("HSET", "smtp:account:{acme}", "plan", value, "status",
                   value, value, value)
    cmd.server.cli("SADD", "smtp:account:{acme}:domains", value)
    cmd.server.cli("HSET", "smtp:report:{%s}" % ID, "reason", value, "from",
                   value, "id", value, value, value)
    return value


@pytest.mark.parametrize("hostile", HOSTILE, indirect=True)
def test_hostile_records(cmd, hostile):
    text = hostile.decode("utf-8", "replace")
    user = printed(cmd, "show", "show", "bob")
    assert user["description"] == user["last_login"] == text
    assert user["ips"] == [text]
    assert user["other"]["problems"] == text and user["problems"]
    assert printed(cmd, "list", "list")[0]["account"] == text
    account = printed(cmd, "account-show", "account", "show", "acme")
    assert account["plan"] == text and account["domains"] == [text]
    assert printed(cmd, "account-list", "account", "list")[0]["plan"] == text
    entries = [validated("log", line) for line in
               cmd.ok("log", "bob", "--json").stdout.splitlines()]
    assert [entry["event"] for entry in entries] == [text]
    events = [validated("events", line) for line in
              cmd.ok("events", "--json").stdout.splitlines()]
    assert [event["kind"] for event in events] == [text]
    report = printed(cmd, "report", "report", ID)
    assert (report["id"], report["from"]) == (ID, text)


def test_records_of_the_wrong_type(cmd):
    for key in (cmd.key("a"), cmd.key("b", ":ips"), cmd.key("b", ":last"),
                "smtp:account:{a}", "smtp:account:{b}:domains"):
        cmd.server.cli("SET", key, "x")
    for key in (cmd.key("b"), "smtp:account:{b}"):
        cmd.server.cli("HSET", key, "status", "allowed")
    for schema, words in (("list", ["list"]),
                          ("account-list", ["account", "list"])):
        assert [found["error"] for found in printed(cmd, schema, *words)] \
            == ["wrong type of key"] * 2


def test_ordinary_records(cmd):
    cmd.ok("account", "add", "acme", "--plan", "pro", "--domain", "b.example")
    cmd.ok("add", "alice", "--generate", "--account", "acme", "--mode", "any",
           "--quota", "5", "--rate", "9/1h", "--domain", "a.example")
    cmd.ok("add", "bob", "--no-password")
    cmd.ok("source", "add", "alice", "192.0.2.0/24")
    cmd.ok("ipauth", "set", "alice", "192.0.2.1")
    user = printed(cmd, "show", "show", "alice")
    assert user["ip_auth_claimed"] and user["problems"] == []
    assert [row["limit"] for row in user["usage"]] == ["quota", "rate"]
    assert printed(cmd, "show", "show", "bob")["usage"] == []
    assert len(printed(cmd, "list", "list")) == 2
    assert printed(cmd, "list", "list", "--match", "x*") == []
    assert printed(cmd, "quota", "quota", "bob") == []
    account = printed(cmd, "account-show", "account", "show", "acme")
    assert account["domains"] == ["b.example"]
    assert len(printed(cmd, "account-list", "account", "list")) == 1
    assert cmd.ok("log", "alice", "--json").stdout == ""


def test_usage(cmd, users, redis):
    limited(users, quota="5", quota_period="1h", rate="9/1h")
    Functions(redis)
    with Sender(redis.url) as sender:
        assert sender.send(2) == 2
    rows = printed(cmd, "quota", "quota", "alice")
    again = printed(cmd, "show", "show", "alice")["usage"]
    for row in rows + again:
        # Seconds, and one may have passed.
        assert 0 < row.pop("reset") <= 3600
    assert rows == again
    assert [row["used"] for row in rows] == [2, 2]
    users.set("alice", quota="many")
    assert printed(cmd, "show", "show", "alice")["usage"] is None


def test_answers(cmd):
    cmd.ok("account", "add", "acme")
    cmd.ok("add", "alice", "--generate", "--account", "acme", "--mode", "any",
           "--domain", "a.example")
    good = printed(cmd, "explain", "explain", "alice", "--from",
                   "x@a.example", "--ip", "192.0.2.1")
    assert good["reply"].startswith("250")
    for words in (("--from", "x@b.example"), ("--from", "<>"),
                  ("--from", "x@a.example", "--header", "From: \x1b")):
        bad = printed(cmd, "explain", "explain", "alice", *words)
        assert bad["reason"] and bad["what"] and bad["fix"]
    cmd.ok("block", "alice")
    assert printed(cmd, "explain", "explain", "alice", "--from", "x@y.z")[
        "where"] == "AUTH"


def test_recipients_that_get_no_mail(cmd):
    cmd.ok("add", "alice", "--no-password")
    cmd.ok("suppress", "add", "alice", "a.example", "--for", "1h")
    cmd.ok("suppress", "add", "alice", "b@b.example")
    rows = [validated("suppress-list", line) for line in cmd.ok(
        "suppress", "list", "alice", "--json").stdout.splitlines()]
    assert [row["recipient"] for row in rows] == ["a.example", "b@b.example"]
    assert rows[0]["until"] and rows[1]["until"] is None
    assert printed(cmd, "show", "show", "alice")["suppressed_count"] == 2
    for line in cmd.ok("export").stdout.splitlines():
        validated("export", line)


def test_every_schema_is_a_schema():
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
