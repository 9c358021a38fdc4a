# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers import: every line, every error, every interruption."""

import io
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from places import PATIENCE, REDIS7, free_port
from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOPERM, EX_UNAVAILABLE,
                       EX_USAGE, Smtpusers, package)
from redisserver import RedisServer, wait_until
from transfers import CREATED, HASH, contents, lines_of, peak, tally, user

EX_NOINPUT = 66
EX_IOERR = 74
OTHER = "$6$abcdefgh$" + "x" * 86
MANY = 5000


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


@pytest.fixture
def server(tmp_path):
    """A Redis that loses nothing when it is killed."""
    with RedisServer(tmp_path, extra=DURABLE) as server:
        yield server


DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def takes(cmd, data, *options, **counts):
    """That all of it is taken."""
    assert cmd.ok("import", *options, stdin=data).stdout == tally(**counts)


def refuses(cmd, data, *options, **counts):
    """The words about the lines that are not taken."""
    result = cmd.run("import", *options, stdin=data)
    assert result.stdout == tally(**counts)
    assert result.returncode == EX_DATAERR
    errors = counts["errors"]
    *words, last = result.stderr.splitlines()
    assert last.startswith("smtpusers: %d line%s not taken" % (
        errors, "" if errors == 1 else "s"))
    assert len(words) == errors and result.stderr[:-1].replace(
        "\n", "").isprintable()
    return [word.removeprefix("smtpusers: ") for word in words]


def refused(cmd, data, *options):
    """The words about the one line that there is, which changes nothing."""
    before = cmd.snapshot()
    [words] = refuses(cmd, data, *options, errors=1)
    assert cmd.snapshot() == before
    return words


# What is written

FULL = user("Alice", password=HASH, account="ACME", mode="any",
            status="sandboxed", quota="1000", quota_period="30d",
            rate=" 10/1m  100/1h ", description="the \"big\" one é 本 🙂",
            ip_auth="2001:DB8:0::1",
            domains=["Example.ORG.", "BÜCHER.example"],
            ips=["192.0.2.7/24", "[2001:db8::1]", "::ffff:192.0.2.1"])


def check_full(cmd):
    assert cmd.fields("alice") == {
        "password": HASH, "account": "acme", "mode": "any",
        "status": "sandboxed", "quota": "1000", "quota_period": "30d",
        "rate": "10/1m 100/1h", "description": "the \"big\" one é 本 🙂",
        "created": CREATED, "ip_auth": "2001:db8::1", "restricted": "1"}
    assert cmd.members("alice", ":domains") == {
        "example.org", "xn--bcher-kva.example"}
    assert cmd.members("alice", ":ips") == {
        "192.0.2.0/24", "2001:db8::1", "192.0.2.1"}
    assert cmd.owner("2001:db8::1") == "alice"


@pytest.mark.parametrize("options", [(), ("--replace",)])
def test_every_field_is_written_canonically(cmd, options):
    takes(cmd, lines_of(FULL), *options, added=1)
    check_full(cmd)
    takes(cmd, lines_of(FULL), *options, same=1)
    check_full(cmd)


def test_numbers_may_be_numbers(cmd):
    takes(cmd, lines_of(user("bob", quota=1000, quota_period=3600)), added=1)
    fields = cmd.fields("bob")
    assert (fields["quota"], fields["quota_period"]) == ("1000", "3600")


@pytest.mark.parametrize("options", [(), ("--replace",)])
def test_accounts(cmd, options):
    record = {"type": "account", "name": "ACME", "plan": "pro",
              "status": "blocked", "domains": ["Acme.Example"]}
    takes(cmd, lines_of(record), *options, added=1)
    assert cmd.server.cli("HGET", "smtp:account:{acme}", "plan") == "pro"
    assert cmd.server.cli("HGET", "smtp:account:{acme}",
                          "status") == "blocked"
    assert cmd.server.cli("SMEMBERS", "smtp:account:{acme}:domains") == [
        "acme.example"]
    takes(cmd, lines_of(record), *options, same=1)


def test_a_record_without_a_type_is_a_user(cmd):
    takes(cmd, b'{"name": "bob", "mode": "all"}\n', added=1)
    takes(cmd, b"name,mode\ncarol,all\n", added=1)
    assert cmd.fields("bob")["mode"] == cmd.fields("carol")["mode"] == "all"


def test_nothing_of_a_former_user_is_left(cmd):
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), "old.example")
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), "192.0.2.1")
    cmd.server.cli("XADD", cmd.key("bob", ":log"), "*", "event", "old")
    takes(cmd, lines_of(user("bob", mode="all")), added=1)
    assert cmd.server.cli("KEYS", "*") == [cmd.key("bob")]


CSV = ("type,name,password,mode,domains,plan\r\n"
       "account,acme,,,acme.example,pro\r\n"
       "user,bob,%s,\"all\",a.example b.example,\r\n" % HASH).encode()


def test_csv(cmd):
    takes(cmd, CSV, added=2)
    assert cmd.fields("bob")["password"] == HASH
    assert cmd.fields("bob")["mode"] == "all"
    assert cmd.members("bob", ":domains") == {"a.example", "b.example"}
    takes(cmd, CSV, same=2)


# What is the same, and what is not

def test_a_user_who_is_there_and_other_stays(cmd):
    takes(cmd, lines_of(user("bob", mode="all")), added=1)
    for other in (user("bob", mode="any"), user("bob"),
                  user("bob", mode="all", quota="1"),
                  user("bob", mode="all", domains=["a.example"]),
                  user("bob", mode="all", ips=["192.0.2.1"]),
                  user("bob", mode="all", ip_auth="192.0.2.1")):
        assert refused(cmd, lines_of(other)).startswith(
            "line 1: bob: exists already")


def test_a_user_with_an_address_who_is_there_and_other_stays(cmd):
    takes(cmd, lines_of(FULL), added=1)
    for change in ({"mode": "all"}, {"ip_auth": "2001:db8::2"},
                   {"ip_auth": None}, {"domains": []},
                   {"ips": ["192.0.2.1"]}, {"quota": None},
                   {"created": "2025-01-01T00:00:00Z"}):
        assert "exists already" in refused(cmd, lines_of({**FULL, **change}))
    cmd.server.cli("HSET", cmd.key("alice"), "other", "field")
    assert "exists already" in refused(cmd, lines_of(FULL))


def test_the_time_of_creation_counts_only_where_it_is_given(cmd):
    record = {**FULL}
    del record["created"]
    takes(cmd, lines_of(record), added=1)
    takes(cmd, lines_of(record), same=1)


def test_lines_about_one_user_count_in_their_order(cmd):
    data = lines_of(user("bob", mode="all"), user("Bob", mode="all"),
                    user("bob", mode="any"))
    words = refuses(cmd, data, added=1, same=1, errors=1)
    assert words == ["line 3: bob: exists already"]
    data = lines_of(*[user("bob", quota=str(n)) for n in range(1, 501)])
    takes(cmd, data, "--replace", changed=500)
    assert cmd.fields("bob")["quota"] == "500"
    assert cmd.fields("bob")["mode"] == "all"


def test_a_line_that_takes_many_calls_counts_in_its_order(cmd):
    names = ["d%d.example" % number for number in range(3000)]
    data = lines_of(user("bob", mode="all", domains=["a.example"]),
                    user("bob", mode="any", domains=names),
                    user("bob", mode="default"), user("carol"))
    takes(cmd, data, "--replace", added=2, changed=2)
    assert cmd.members("bob", ":domains") == set(names)
    assert cmd.fields("bob")["mode"] == "default"


def test_large_records_again(cmd):
    """With what the functions add by themselves; also where a cut has left a
    part of the members."""
    names = ["d%d.example" % number for number in range(3000)]
    data = lines_of({"type": "account", "name": "acme", "domains": names},
                    user("bob", quota="07", domains=names, ips=["::1"]))
    takes(cmd, data, added=2)
    assert cmd.fields("bob")["restricted"] == "1"
    whole = contents(cmd.server)
    takes(cmd, data, same=2)
    assert contents(cmd.server) == whole
    for key in ("smtp:account:{acme}:domains", cmd.key("bob", ":domains")):
        cmd.server.cli("SREM", key, *names[200:])
    takes(cmd, data, added=2)
    assert contents(cmd.server) == whole
    for field, value in (("quota", "8"), ("restricted", "0")):
        cmd.server.cli("HSET", cmd.key("bob"), field, value)
        assert "bob: exists already" in cmd.run("import", stdin=data).stderr
        cmd.server.cli("HSET", cmd.key("bob"), field,
                       {"quota": "7", "restricted": "1"}[field])
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), "other.example")
    assert "bob: exists already" in cmd.run("import", stdin=data).stderr


def test_others_are_answered_between_the_lines(cmd):
    """While a function runs, Redis answers nobody else."""
    cmd.ok("list", "--unused", "1")
    cmd.server.cli("CONFIG", "RESETSTAT")
    takes(cmd, lines_of(*[user("u%d" % n) for n in range(100)]), added=100)
    calls = re.search(r"cmdstat_fcall:calls=(\d+)",
                      cmd.server.cli("INFO", "commandstats"))
    assert int(calls[1]) >= 50


# --replace

def test_replace_leaves_what_a_line_does_not_name(cmd):
    takes(cmd, lines_of(FULL), added=1)
    takes(cmd, lines_of({"name": "alice", "mode": "all"}), "--replace",
          changed=1)
    cmd.server.cli("HSET", cmd.key("alice"), "mode", "any")
    check_full(cmd)


@pytest.mark.parametrize("nothing", [None, ""])
def test_replace_removes_what_is_null_or_empty(cmd, nothing):
    takes(cmd, lines_of(FULL), added=1)
    lists = None if nothing is None else []
    takes(cmd, lines_of({
        "name": "alice", "password": nothing, "account": nothing,
        "quota": nothing, "rate": nothing, "description": nothing,
        "ip_auth": nothing, "domains": lists, "ips": lists}), "--replace",
        changed=1)
    assert cmd.fields("alice") == {
        "mode": "any", "status": "sandboxed", "quota_period": "30d",
        "created": CREATED}
    assert cmd.server.cli("KEYS", "*") == [cmd.key("alice")]


def test_replace_removes_by_csv_what_is_empty_and_has_a_column(cmd):
    takes(cmd, lines_of(FULL), added=1)
    takes(cmd, b"name,quota,ip_auth\nalice,,\n", "--replace", changed=1)
    fields = cmd.fields("alice")
    assert "quota" not in fields and "ip_auth" not in fields
    assert fields["rate"] == "10/1m 100/1h"
    assert cmd.members("alice", ":domains")


def test_replace_changes_an_account(cmd):
    takes(cmd, lines_of({"type": "account", "name": "acme", "plan": "pro",
                         "domains": ["a.example"]}), added=1)
    takes(cmd, lines_of({"type": "account", "name": "acme",
                         "domains": ["b.example"]}), "--replace", changed=1)
    assert cmd.server.cli("HGET", "smtp:account:{acme}", "plan") == "pro"
    assert cmd.server.cli("SMEMBERS", "smtp:account:{acme}:domains") == [
        "b.example"]


# IP authentication

def test_replace_frees_the_former_address(cmd):
    takes(cmd, lines_of(user("bob", ip_auth="192.0.2.1")), added=1)
    cmd.server.cli("HSET", cmd.key("bob"), "ip_auth", "::ffff:192.0.2.1")
    takes(cmd, lines_of(user("bob", ip_auth="192.0.2.2")), "--replace",
          changed=1)
    assert cmd.owner("192.0.2.1") is None
    assert cmd.owner("192.0.2.2") == "bob"
    assert cmd.fields("bob")["ip_auth"] == "192.0.2.2"


def test_an_address_of_another_user(cmd):
    takes(cmd, lines_of(user("bob", ip_auth="192.0.2.1")), added=1)
    takes(cmd, lines_of(user("dave", ip_auth="192.0.2.9")), added=1)
    for options, name in (((), "carol"), (("--replace",), "carol"),
                          (("--replace",), "dave")):
        words = refused(cmd, lines_of(user(name, mode="all",
                                           ip_auth="192.0.2.1")), *options)
        assert words == "line 1: %s: 192.0.2.1: another user has this " \
            "address" % name
        assert "bob" not in words


def test_addresses_move_in_the_order_of_the_lines(cmd):
    count = 40
    takes(cmd, lines_of(*[user("u%d" % n, ip_auth="192.0.2.%d" % n)
                          for n in range(count)]), added=count)
    moved = [user("u%d" % n, ip_auth="192.0.2.%d" % (n - 1))
             for n in range(1, count)]
    takes(cmd, lines_of(user("u0", ip_auth=None), *moved), "--replace",
          changed=count)
    assert [cmd.owner("192.0.2.%d" % n) for n in range(count)] == [
        "u%d" % n for n in range(1, count)] + [None]


def test_one_address_for_two_users_of_a_file(cmd):
    words = refuses(cmd, lines_of(user("bob", ip_auth="192.0.2.1"),
                                  user("carol", ip_auth="192.0.2.1")),
                    added=1, errors=1)
    assert words == ["line 2: carol: 192.0.2.1: another user has this "
                     "address"]
    assert cmd.owner("192.0.2.1") == "bob"
    assert cmd.fields("carol") == {}


def test_a_line_that_is_refused_claims_nothing(cmd):
    refused(cmd, lines_of(user("bob", mode="ANY", ip_auth="192.0.2.1")))
    refused(cmd, lines_of(user("bob", mode="ANY", ip_auth="192.0.2.1")),
            "--replace")
    cmd.server.cli("SET", "smtp:user:{bob}", "x")
    refused(cmd, lines_of(user("bob", ip_auth="192.0.2.1")))


def test_what_was_claimed_and_cut_short_is_finished(cmd):
    cmd.server.cli("SET", "smtp:ip:{192.0.2.1}", "bob")
    takes(cmd, lines_of(user("bob", mode="all", ip_auth="192.0.2.1")),
          added=1)
    assert cmd.owner("192.0.2.1") == "bob"
    assert cmd.fields("bob")["ip_auth"] == "192.0.2.1"


def test_what_was_released_by_somebody_is_not_given_again(cmd):
    """Not even for a moment."""
    cmd.server.cli("CONFIG", "RESETSTAT")
    cmd.server.cli("HSET", cmd.key("bob"), "mode", "all", "created", CREATED,
                   "ip_auth", "192.0.2.1")
    record = lines_of(user("bob", mode="all", ip_auth="192.0.2.1"))
    for _ in range(2):
        assert refused(cmd, record) == "line 1: bob: exists already"
    assert calls(cmd.server, "set") == 0


def calls(server, command):
    """How often Redis was asked this."""
    for line in server.cli("INFO", "commandstats").split("\r\n"):
        name, _, figures = line.partition(":")
        if name == "cmdstat_" + command:
            return int(figures.partition("calls=")[2].partition(",")[0])
    return 0


# What is wrong with a line

BAD_LINES = [
    (b"nothing\n", "jsonl", "line 1: not JSON: "),
    (b"{\n", None, "line 1: not JSON: "),
    (b'{"name": "bob"\n', None, "line 1: not JSON: "),
    (b'{"name": "bob"} x\n', None, "line 1: not JSON: "),
    (b'["bob"]\n', "jsonl", "line 1: not an object"),
    (b'"bob"\n', "jsonl", "line 1: not an object"),
    (b"null\n", "jsonl", "line 1: not an object"),
    (b"[" * 100000 + b"\n", "jsonl", "line 1: not JSON"),
    (b'{"name": "bob", "quota": 1' + b"0" * 5000 + b"}\n", None,
     "line 1: not JSON"),
    (b'{"name": "bob", "quota": NaN}\n', None, "line 1: bob: quota: not"),
    (b"{}\n", None, "line 1: name: there is none"),
    (b'{"name": ""}\n', None, "line 1: name: there is none"),
    (b'{"name": 7}\n', None, "line 1: name: there is none"),
    (b'{"name": "bob", "name": "bob"}\n', None, "twice"),
    (b'{"name": "bob", "type": "panel"}\n', None,
     "line 1: bob: type: not one of user, account"),
    (b'{"name": "bob", "type": ["user"]}\n', None, "type: not one of"),
    (b'{"name": "bob", "plan": "pro"}\n', None,
     "line 1: bob: plan: unknown; a user has password, "),
    (b'{"type": "account", "name": "a", "mode": "all"}\n', None,
     "line 1: a: mode: unknown; an account has plan, status, "),
    (b'{"name": "bob", "n\\u001b[31mo": 1}\n', None, "n\\x1b[31mo: unknown"),
    (b'{"name": "bob", "mode": ["all"]}\n', None, "mode: not text"),
    (b'{"name": "bob", "mode": 7}\n', None, "mode: not text"),
    (b'{"name": "bob", "quota": true}\n', None, "quota: not text"),
    (b'{"name": "bob", "quota": 1.5}\n', None, "quota: not text"),
    (b'{"name": "bob", "quota": -1}\n', None, "-1: not a quota"),
    (b'{"name": "bob", "domains": "a.example"}\n', None,
     "domains: not a list"),
    (b'{"name": "bob", "domains": {}}\n', None, "domains: not a list"),
    (b'{"name": "bob", "domains": [1]}\n', None, "domains: not a list of"),
    (b'{"name": "bob", "domains": ["a.example b.example"]}\n', None,
     "domains: a.example b.example: empty, or with a space"),
    (b'{"name": "bob", "ips": [""]}\n', None, "ips: : empty"),
    (b'{"name": "bob", "mode": "a\\u0000"}\n', None, "mode: a NUL"),
    (b'{"name": "bob", "domains": ["a\\u0000.example"]}\n', None,
     "domains: a NUL"),
    (b'{"name": "bob\\u0000"}\n', None, "name: a NUL"),
    (b'{"name": "bob"}\0\n', None, "line 1: not JSON"),
    (b'{"name": "bob", "description": "\\ud800"}\n', None,
     "description: not text: half of a surrogate pair"),
    (b'{"name": "bob", "description": "\\udcff"}\n', None, "line 1: bob: "),
    (b'{"name": "bob", "description": "\xff"}\n', None, "line 1: bob: "),
    (b'{"name": "b\\u00f6b"}\n', None, "not a user name"),
    (b'{"name": "a}b"}\n', None, "line 1: a}b: "),
    (b'{"name": "' + b"x" * 65 + b'"}\n', None, "not a user name"),
    (b'{"name": "bob", "mode": "ALL"}\n', None, "ALL: not one of default"),
    (b'{"name": "bob", "domains": ["nodot"]}\n', None, "nodot: not a domain"),
    (b'{"name": "bob", "ips": ["1.2.3"]}\n', None, "1.2.3: neither"),
    (b'{"name": "bob", "ip_auth": "192.0.2.0/24"}\n', None,
     "192.0.2.0/24: not an IPv4 or IPv6 address"),
    (b'{"name": "bob", "created": "yesterday"}\n', None,
     "yesterday: not a time"),
    (b'{"name": "bob", "rate": "x"}\n', None, "x: not a rate"),
    (b"name,mode\nbob\n", None, "line 2: 1 values in 2 columns"),
    (b"name,mode\nbob,all,x\n", None, "line 2: 3 values in 2 columns"),
    (b"type,name,plan\nuser,bob,pro\n", None, "line 2: bob: plan: unknown"),
    (b"type,name\npanel,bob\n", None, "type: not one of user, account"),
    (b"name,mode\n,all\n", None, "line 2: name: there is none"),
    (b"name,domains\nbob,a.example  b.example\n", None, "empty, or with"),
    (b"name,mode\nbob,a\0\n", None, "mode: a NUL")]


@pytest.mark.parametrize("check", [(), ("--check",)])
@pytest.mark.parametrize("data, form, words", BAD_LINES)
def test_bad_lines(cmd, data, form, words, check):
    options = ("--format", form) if form else ()
    before = cmd.snapshot()
    result = cmd.run("import", *options, *check, stdin=data)
    assert result.returncode == EX_DATAERR
    told, last = result.stderr.splitlines()
    assert told.startswith("smtpusers: line ") and words in told
    assert told.isprintable() and last == "smtpusers: 1 line not taken"
    assert cmd.snapshot() == before


@pytest.mark.parametrize("password", ["Secret-1", "secret", "{x}", " $6$"])
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_password_in_plain_text_is_refused_and_not_shown(cmd, password,
                                                           check):
    result = cmd.run("import", *check,
                     stdin=lines_of(user("bob", password=password)))
    assert result.returncode == EX_DATAERR
    assert "line 1: bob: password: not a hash" in result.stderr
    assert "mkpasswd" in result.stderr
    assert password not in result.stdout + result.stderr
    assert cmd.snapshot() == {}


@pytest.mark.parametrize("stored", ["$7", "$9$secret", HASH + "\n",
                                    "$6$sec:ret$x", "!sécret"])
def test_a_hash_that_is_none_is_not_shown(cmd, stored):
    words = refused(cmd, lines_of(user("bob", password=stored)))
    assert words == "line 1: bob: password: not a hash that crypt(3) makes"


def test_all_errors_are_told_and_the_rest_is_taken(cmd):
    records, wrong = [], []
    for number in range(1, 1001):
        bad = number % 7 == 0
        records.append(user("u%d" % number, mode="ALL" if bad else "all"))
        if bad:
            wrong.append("line %d: u%d: ALL: not one of default, all, any" %
                         (number, number))
    assert refuses(cmd, lines_of(*records), added=1000 - len(wrong),
                   errors=len(wrong)) == wrong
    assert len(cmd.server.cli("KEYS", "*")) == 1000 - len(wrong)


def torn(line, order):
    """What may become of a line on the way."""
    data = bytearray(line)
    for _ in range(order.randrange(1, 4)):
        where = order.randrange(len(data))
        what = order.randrange(4)
        if what == 0:
            data[where] = order.randrange(256)
        elif what == 1:
            del data[where:where + order.randrange(1, 9)]
        elif what == 2:
            data[where:where] = order.choice(
                [b"\\u0000", b"\\ud800", b'"', b"{", b"]", b"\xff", b"\0", b"}",
                 b"null", b"1e9", b"\\", b"\r", b"\x1b[2J"])
        data = data or bytearray(b"{")
    return bytes(data).replace(b"\n", b" ")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_line_holds(cmd, seed):
    order = random.Random(seed)
    lines = [torn(json.dumps({**FULL, "name": "u%d" % number}).encode(),
                  order) for number in range(1000)]
    cmd.ok("import")
    for options in (("--check",), ("--replace",)):
        result = cmd.run("import", "--format", "jsonl", *options,
                         stdin=b"\n".join(lines))
        assert result.returncode == EX_DATAERR
        assert "Traceback" not in result.stderr
        told = result.stderr.splitlines()
        assert all(line.isprintable() for line in told)
        assert told[-1] == "smtpusers: %d lines not taken" % (len(told) - 1)
        assert result.stdout.startswith("1000 lines: ")
    for key in cmd.server.cli("KEYS", "smtp:user:*"):
        assert re.fullmatch(r"smtp:user:\{[a-z0-9][a-z0-9._+-]{0,63}\}"
                            "(:domains|:ips)?", key)


# Files

def test_mark_of_the_byte_order_and_ends_of_lines(cmd):
    takes(cmd, b"\xef\xbb\xbf" + b'\r\n{"name": "a"}\r\n\n  \n{"name": "b"}',
          added=2)
    takes(cmd, b"\xef\xbb\xbfname\r\nc\r\n\r\nd", added=2)
    assert len(cmd.server.cli("KEYS", "*")) == 4


def test_nothing_to_import(cmd):
    for data in (b"", b"\n\n", b"name,mode\n"):
        takes(cmd, data)


@pytest.mark.parametrize("name, form", [
    ("x.csv", None), ("x.CSV", None), ("x", None), ("x.jsonl", "csv")])
def test_format_of_csv(cmd, tmp_path, name, form):
    path = tmp_path / name
    path.write_bytes(CSV)
    options = ("--format", form) if form else ()
    assert cmd.ok("import", str(path), *options).stdout == tally(added=2)


@pytest.mark.parametrize("name, form", [
    ("x.jsonl", None), ("x.json", None), ("x.ndjson", None), ("x", None),
    ("x.csv", "jsonl")])
def test_format_of_json(cmd, tmp_path, name, form):
    path = tmp_path / name
    path.write_bytes(b' {"name": "bob"}\n')
    options = ("--format", form) if form else ()
    assert cmd.ok("import", str(path), *options).stdout == tally(added=1)


def test_a_file_that_is_not_there(cmd):
    assert "nonexistent" in cmd.fails(EX_NOINPUT, "import",
                                      "/nonexistent/file")


@pytest.mark.parametrize("header, words", [
    (b"name,colour", "colour: no such column"), (b"mode", "no column name"),
    (b"name,name", "twice"), (b"na\x1bme", "na\\x1bme: no such column")])
def test_bad_headers(cmd, header, words):
    result = cmd.run("import", stdin=header + b"\nbob,x\n")
    assert result.returncode == EX_DATAERR and words in result.stderr
    assert cmd.snapshot() == {}


TORN = [
    (b'name,mode\na,all\nb,"all\nc,all\n', 3, "unexpected end of data"),
    (b'name,mode\na,all\nb,"all"x\nc,all\n', 3, "expected after"),
    (b"name,mode\na,all\nb,a\rll\nc,all\n", 3, "new-line")]


@pytest.mark.parametrize("data, line, words", TORN)
def test_csv_whose_quotes_are_in_doubt_stops(cmd, data, line, words):
    """What is behind may be inside a value."""
    result = cmd.run("import", stdin=data)
    assert result.returncode == EX_DATAERR
    assert result.stdout == tally(added=1)
    assert "line %d: not CSV: " % line in result.stderr
    assert words in result.stderr
    assert "--from-line %d" % line in result.stderr
    assert cmd.server.cli("KEYS", "*") == [cmd.key("a")]


def test_a_line_in_a_quoted_value_is_no_line(cmd):
    data = b'name,description\nbob,"x\r\nmallory,y\r\n"\ncarol,z\n'
    words = refuses(cmd, data, added=1, errors=1)
    assert words[0].startswith("line 2: bob: description: not a single line")
    assert cmd.server.cli("KEYS", "*") == [cmd.key("carol")]


def test_a_line_too_long(cmd, tmp_path):
    path = tmp_path / "long"
    with open(path, "wb") as file:
        file.write(b'{"name": "bob", "description": "')
        file.seek(70 << 20, os.SEEK_CUR)
        file.write(b'"}\n{"name": "carol"}\n')
    result = cmd.run("import", str(path))
    assert (result.returncode, result.stdout) == (
        EX_DATAERR, tally(added=1, errors=1))
    assert "line 1: longer than 67108864 bytes\n" in result.stderr
    assert cmd.server.cli("KEYS", "*") == [cmd.key("carol")]


@pytest.mark.parametrize("letter", ["x", "é", "本", "🙂"])
@pytest.mark.parametrize("size", [81600, 81920, 82000])
def test_a_line_too_long_for_redis_harms_no_other(cmd, letter, size):
    """Whatever its letters are long."""
    text = letter * (size // len(letter.encode()))
    [words] = refuses(cmd, lines_of(user("bob", description=text),
                                    user("carol")), added=1, errors=1)
    assert words.startswith("line 1: ")
    assert cmd.server.cli("KEYS", "*") == [cmd.key("carol")]


@pytest.mark.parametrize("size", range(81872, 81892, 5))
def test_as_many_domains_as_just_go_in_one_call(cmd, size):
    """The name of the function and the like count, too."""
    names = ["%05d.%s.example" % (number, "x" * 32) for number in range(1739)]
    left = size - len(" ".join(names)) - len(" x.example")
    names.append("x." * (left // 2) + "x" * (1 + left % 2) + ".example")
    assert len(" ".join(names)) == size
    takes(cmd, lines_of(user("bob", domains=names), user("carol")), added=2)


def test_a_user_with_many_domains(cmd):
    names = ["d%d.example" % number for number in range(100000)]
    takes(cmd, lines_of(user("bob", domains=names)), added=1)
    assert cmd.server.cli("SCARD", cmd.key("bob", ":domains")) == 100000
    takes(cmd, lines_of(user("bob", domains=names)), same=1)
    takes(cmd, lines_of(user("bob", domains=names[1:])), "--replace",
          changed=1)
    assert cmd.server.cli("SCARD", cmd.key("bob", ":domains")) == 99999


# --errors

def test_errors_are_kept_for_another_try(cmd, tmp_path):
    kept = tmp_path / "bad.jsonl"
    lines = [json.dumps(user("a", password=HASH, mode="every")).encode(),
             json.dumps(user("b")).encode(), b"{nonsense", b'{"name": "-"}']
    refuses(cmd, b"\r\n".join(lines), "--errors", str(kept), added=1,
            errors=3)
    assert kept.read_bytes() == lines[0] + b"\r\n" + lines[2] + b"\r\n" + (
        lines[3] + b"\n")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.write_bytes(kept.read_bytes().replace(b"every", b"all"))
    other = tmp_path / "worse.jsonl"
    result = cmd.run("import", str(kept), "--errors", str(other))
    assert result.stdout == tally(added=1, errors=2)
    assert str(other) in result.stderr


def test_errors_of_csv_have_the_header(cmd, tmp_path):
    kept = tmp_path / "bad.csv"
    refuses(cmd, b'name,mode\r\na,all\r\nb,"EVERY"\r\n', "--errors",
            str(kept), added=1, errors=1)
    assert kept.read_bytes() == b'name,mode\r\nb,"EVERY"\r\n'


def test_no_errors_leave_an_empty_file(cmd, tmp_path):
    kept = tmp_path / "bad.jsonl"
    kept.write_text("of the last time\n")
    takes(cmd, lines_of(user("a")), "--errors", str(kept), added=1)
    assert kept.read_bytes() == b""


def test_errors_do_not_overwrite_what_is_read(cmd, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines_of(user("a")))
    words = cmd.fails(EX_USAGE, "import", str(path), "--errors", str(path))
    assert "this is what is read" in words
    assert path.read_bytes() == lines_of(user("a"))
    assert "nonexistent" in cmd.fails(EX_CANTCREAT, "import", str(path),
                                      "--errors", "/nonexistent/bad")
    assert cmd.snapshot() == {}


def test_errors_that_cannot_be_written(cmd):
    data = lines_of(user("a"), user("b", mode="x"), user("c"))
    result = cmd.run("import", "--errors", "/dev/full", stdin=data)
    assert result.returncode == EX_IOERR
    assert "No space left on device; all lines before line 2 are done" in (
        result.stderr)
    assert "--from-line 2" in result.stderr


# --from-line

def test_from_line(cmd):
    data = lines_of(*[user("u%d" % n) for n in range(1, 11)])
    takes(cmd, data, "--from-line", "8", added=3)
    assert sorted(cmd.server.cli("KEYS", "*")) == [
        cmd.key("u10"), cmd.key("u8"), cmd.key("u9")]
    takes(cmd, data, "--from-line", "11")


def test_from_line_of_csv_counts_the_lines_of_the_file(cmd):
    data = b'name,description\na,"x\ny"\nb,z\nc,z\n'
    for line in ("3", "4"):
        takes(cmd, data, "--from-line", line, "--replace",
              **{"added" if line == "3" else "same": 2})
    assert sorted(cmd.server.cli("KEYS", "*")) == [cmd.key("b"),
                                                   cmd.key("c")]


@pytest.mark.parametrize("words", [
    ("--from-line", "x"), ("--from-line", "-1"), ("--wait", "1s"), ("a", "b"),
    ("--frob",)])
def test_usage(cmd, words):
    assert cmd.run("import", *words).returncode == EX_USAGE
    assert "not one of jsonl, csv" in cmd.fails(EX_DATAERR, "import",
                                             "--format", "xml")


# --check

def test_check_writes_nothing(cmd):
    cmd.ok("import")
    data = lines_of(FULL, {"type": "account", "name": "acme", "plan": "pro"},
                    user("bob", domains=["a.example"] * 2500))
    result = cmd.ok("import", "--check", stdin=data)
    assert result.stdout == "3 lines: 0 errors\n"
    assert cmd.snapshot() == {}


def test_check_sees_a_bad_one_among_many(cmd):
    domains = ["d%d.example" % n for n in range(2500)]
    domains[2200] = "bad"
    result = cmd.run("import", "--check",
                     stdin=lines_of(user("bob", domains=domains)))
    assert result.returncode == EX_DATAERR
    assert result.stdout == "1 line: 1 error\n"
    assert "line 1: bob: bad: not a domain" in result.stderr


# Many, and what comes between

def many(count=MANY):
    return [user("u%d" % n, password=HASH, mode="all", account="acme",
                 domains=["example.org", "d%d.example" % n],
                 **({"ip_auth": "10.0.%d.%d" % divmod(n, 256)}
                    if n % 3 == 0 else {})) for n in range(count)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_bytes(lines_of(*many()))
    return path


def check_many(cmd):
    """That all are there, and nothing else."""
    with cmd.server.connect() as connection:
        for record in many():
            name = record["name"]
            flat = connection.command("HGETALL", cmd.key(name))
            fields = dict(zip(flat[::2], flat[1::2]))
            wanted = {key: value for key, value in record.items()
                      if key not in ("type", "name", "domains")}
            assert fields == wanted
            assert sorted(connection.command(
                "SMEMBERS", cmd.key(name, ":domains"))) == sorted(
                    record["domains"])
            if "ip_auth" in record:
                assert connection.command(
                    "GET", cmd.ip_key(record["ip_auth"])) == name
        assert connection.command("DBSIZE") == 2 * MANY + (MANY + 2) // 3


@pytest.mark.parametrize("program", ["redis-server", "valkey-server", REDIS7])
def test_many_users(tmp_path, path, program):
    with RedisServer(tmp_path, program=program) as server:
        cmd = Smtpusers(server, tmp_path)
        assert cmd.ok("import", str(path)).stdout == tally(added=MANY)
        check_many(cmd)
        assert cmd.ok("import", str(path)).stdout == tally(same=MANY)
        check_many(cmd)


def begun(server, keys):
    """That so much has been written."""
    wait_until(lambda: server.cli("DBSIZE") > keys, 60, "the import to begin")


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_redis_is_killed_and_comes_back(server, tmp_path, path):
    cmd = Smtpusers(server, tmp_path)
    process = cmd.start("import", str(path))
    begun(server, 300)
    server.kill()
    told = process.stderr.readline()
    assert "trying again for 60 s" in told
    server.start()
    code, out, err = finish(process)
    assert (code, err) == (0, "")
    # What was done and not told before counts as the same now.
    added, same = re_counts(out)
    assert added + same == MANY and added > 0
    check_many(cmd)


def re_counts(out):
    words = out.split()
    return int(words[2]), int(words[6])


def test_redis_stays_away(server, tmp_path, path):
    cmd = Smtpusers(server, tmp_path)
    process = cmd.start("import", str(path), "--wait", "1")
    begun(server, 300)
    server.kill()
    code, out, err = finish(process)
    assert code == EX_UNAVAILABLE
    line = err.rpartition("--from-line ")[2].strip()
    assert "trying again for 1 s" in err
    assert 1 <= int(line) <= MANY
    # All lines before it have been counted.
    assert sum(re_counts(out)) == int(line) - 1
    server.start()
    resumed = cmd.ok("import", str(path), "--from-line", line)
    assert sum(re_counts(resumed.stdout)) == MANY - int(line) + 1
    check_many(cmd)


def test_interrupted(server, tmp_path, path):
    cmd = Smtpusers(server, tmp_path)
    process = cmd.start("import", str(path))
    begun(server, 300)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    line = err.rpartition("--from-line ")[2].strip()
    assert err.startswith("smtpusers: interrupted; all lines before line ")
    assert sum(re_counts(out)) == int(line) - 1
    cmd.ok("import", str(path), "--from-line", line)
    check_many(cmd)


def test_killed(server, tmp_path, path):
    cmd = Smtpusers(server, tmp_path)
    for keys in (300, 2000, 5000):
        process = cmd.start("import", str(path))
        begun(server, keys)
        process.kill()
        process.communicate(timeout=PATIENCE)
    added, same = re_counts(cmd.ok("import", str(path)).stdout)
    assert added + same == MANY and same > 0
    check_many(cmd)


def test_functions_that_are_lost_on_the_way_are_loaded_again(server, tmp_path,
                                                             path):
    cmd = Smtpusers(server, tmp_path)
    process = cmd.start("import", str(path))
    begun(server, 300)
    server.cli("FUNCTION", "FLUSH")
    code, _, _ = finish(process)
    assert code == 0
    check_many(cmd)


def test_redis_that_may_not_be_written(server, tmp_path, path):
    cmd = Smtpusers(server, tmp_path)
    cmd.ok("import")
    server.cli("REPLICAOF", "127.0.0.1", free_port())
    result = cmd.run("import", str(path), "--wait", "0")
    assert result.returncode == EX_UNAVAILABLE
    assert "READONLY" in result.stderr and "--from-line 1" in result.stderr


def test_redis_that_does_not_permit_it(server, tmp_path, path):
    (tmp_path / "pw").write_text("pw\n")
    Smtpusers(server, tmp_path).ok("import")
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all",
               "-hset")
    cmd = Smtpusers(server, tmp_path, redis_user="reader",
                    redis_password_file=str(tmp_path / "pw"))
    result = cmd.run("import", str(path))
    assert result.returncode == EX_NOPERM
    assert "NOPERM" in result.stderr and "trying" not in result.stderr


def test_redis_is_not_there(server, tmp_path, path):
    server.stop()
    cmd = Smtpusers(server, tmp_path)
    assert "connect" in cmd.fails(EX_UNAVAILABLE, "import", str(path))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal(monkeypatch):
    """Of what takes over a second; what is printed takes its place."""
    module = package("provision.progress")
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = module.Progress("line")
    for moment in (100.5, 100.9):
        now[0] = moment
        progress.add(50)
    assert seen.getvalue() == ""
    now[0] = 102.0
    progress.add(100, "3 errors")
    progress.add(1)
    assert seen.getvalue() == "\r\x1b[K200 lines, 100/s, 3 errors"
    module.make_way()
    module.make_way()
    assert seen.getvalue().endswith("3 errors\r\x1b[K")


def test_the_end_on_a_terminal(cmd, path):
    code, shown = cmd.typed("import", str(path), answers=[])
    assert code == 0
    assert shown.replace("\r\n", "\n").endswith(tally(added=MANY))


def test_no_progress_elsewhere(cmd, path):
    assert cmd.ok("import", str(path)).stderr == ""


def test_memory_does_not_grow_with_the_number_of_lines(cmd, tmp_path):
    sizes = []
    for count in (500, 20000):
        path = tmp_path / ("%d.jsonl" % count)
        path.write_bytes(lines_of(*many(count)))
        sizes.append(peak(cmd, "import", path))
    assert sizes[1] < sizes[0] + (8 << 10)


def test_no_command_line_holds_a_secret(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    cmd.ok("import")
    server.cli("CLIENT", "PAUSE", 60000, "WRITE")
    process = cmd.start("import", stdin=subprocess.PIPE)
    process.stdin.write(lines_of(user("bob", password=OTHER)).decode())
    process.stdin.close()
    process.stdin = None
    seen = wait_until(lambda: while_it_waits(server), 20, "the question")
    server.cli("CLIENT", "UNPAUSE")
    assert finish(process)[0] == 0
    assert cmd.fields("bob")["password"] == OTHER
    assert not any(OTHER[-20:].encode() in line for line in seen)


def while_it_waits(server):
    """All command lines, while a call waits to be let through."""
    if "blocked_clients:0" in server.cli("INFO", "clients"):
        return None
    return command_lines()


def command_lines():
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
