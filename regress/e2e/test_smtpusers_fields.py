# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8) has the fields that the functions describe, and no list of its
own: a new one there is one here."""

import json
import textwrap

import pytest

from places import SOURCE
from cli import EX_DATAERR, EX_USAGE, Smtpusers
from quotas import LUA
from redisserver import RedisServer
from transfers import lines_of, tally, user

TEXT = LUA.read_text()
MANUAL = SOURCE / "scripts" / "smtpusers.8"
COLOUR = """		{ name = 'colour', kind = 'mode', words = MODES,
		    absent = 'any', help = 'what nobody needs' },
"""


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


def table(described, kind):
    """What the manual says of a kind of record, as mdoc(7) has it."""
    lines = []
    for row in described[kind]["fields"] + described[kind]["sets"]:
        lines.append(".It Cm " + row["name"])
        text = row["help"]
        if row["words"]:
            text += ": " + ", ".join(row["words"])
        lines += textwrap.wrap(text + ".", 79)
        if row["absent"]:
            lines.append("The default is\n.Cm %s ." % row["absent"])
        if not row["settable"]:
            lines.append(".Cm set\ndoes not change it.")
    return "".join(line + "\n" for line in lines)


@pytest.mark.parametrize("kind", ["user", "account"])
def test_the_manual_has_the_fields(cmd, kind):
    described = json.loads(cmd.ok("fields", "--json").stdout)
    wanted = table(described, kind)
    written = MANUAL.read_text().partition(
        '.\\" %s\n' % kind)[2].partition(".El\n")[0]
    assert written == wanted, wanted


def test_fields(cmd):
    rows = [line.split()[:3] for line in
            cmd.ok("fields").stdout.splitlines()]
    assert rows[0] == ["OF", "FIELD", "DEFAULT"]
    assert ["user", "mode", "default"] in rows
    assert ["user", "ips", "-"] in rows
    assert ["account", "plan", "basic"] in rows


@pytest.fixture
def newer(tmp_path):
    """With functions that know a field more."""
    before = "		{ name = 'description', kind = 'description'"
    library = TEXT.replace(before, COLOUR + before, 1)
    library = library.replace("local VERSION = ", "local VERSION = 9", 1)
    assert library.count("colour") == 1
    with RedisServer(tmp_path) as server:
        server.cli("FUNCTION", "LOAD", library)
        yield Smtpusers(server, tmp_path)


def test_a_new_field_needs_no_change_here(newer):
    newer.ok("add", "alice", "--no-password")
    newer.ok("set", "alice", "colour", "all")
    assert newer.fields("alice")["colour"] == "all"
    assert "needs a value" in newer.fails(EX_USAGE, "set", "alice", "colour")
    assert "not one of default" in newer.fails(EX_DATAERR, "set", "alice",
                                            "colour", "red")
    assert newer.json("show", "alice")["colour"] == "all"
    assert "colour        all" in newer.ok("show", "alice").stdout.splitlines()
    for form in ("jsonl", "csv"):
        data = newer.ok("export", "--format", form).stdout
        assert "colour" in data
        newer.ok("rm", "alice", "--yes", "--purge")
        assert newer.ok("import", stdin=data.encode()).stdout == tally(added=1)
        assert newer.fields("alice")["colour"] == "all"
    assert newer.run("import", stdin=lines_of(
        user("bob", colour="red"))).returncode == EX_DATAERR
    assert "what nobody needs: default, all, any" in newer.ok("fields").stdout
    assert newer.ok("complete", "user-words", "colour").stdout.split() == [
        "default", "all", "any"]
    assert "colour" in newer.ok("complete", "user-fields").stdout.split()


@pytest.mark.parametrize("reply", ["nil", "'{'", "'{}'", "1", "'[]'"])
def test_a_description_that_is_none(tmp_path, reply):
    library = TEXT.replace("function api.describe()",
                           "function api.describe()\n\tdo return %s end" %
                           reply, 1)
    assert library != TEXT
    with RedisServer(tmp_path) as server:
        server.cli("FUNCTION", "LOAD", library)
        told = Smtpusers(server, tmp_path).run("set", "alice", "mode", "all")
        assert told.returncode == 69
        assert "smtpusers_describe replied nothing" in told.stderr
