# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-schema(7): each recipe is run as it stands there, and the relay
does what the page says that it does."""

import json
import os
import re
import subprocess

import pytest

from cli import EX_NOUSER, Smtpusers
from library import Library
from manual import displays
from places import PATIENCE, SOURCE, workdir
from redisserver import ReplyError
from reports import OK, log, report, report_id
from session import Session

PAGE = SOURCE / "scripts" / "smtpusers-schema.7"
PASSWORD = "Sesame-77-open"
FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
SAID = "250 2.0.0"

RECIPES = {}
for heading, text in displays(PAGE):
    RECIPES.setdefault(heading, []).append(text)


class Recipes:
    """Runs what the page shows, its redis-cli talking to the test's Redis."""

    def __init__(self, redis):
        self.place = workdir("recipes")
        self.done = []
        command = self.place / "redis-cli"
        command.write_text('#!/bin/sh\nexec /usr/bin/redis-cli -e -s %s "$@"\n'
                           % redis.socket)
        command.chmod(0o755)

    def shell(self, text):
        path = "%s:%s" % (self.place, os.environ["PATH"])
        # openssl asks a terminal, twice; without one, standard input.
        result = subprocess.run(
            ["sh", "-euc", text], input=(PASSWORD + "\n") * 2,
            timeout=PATIENCE,
            start_new_session=True, env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE, encoding="utf-8", check=True)
        return result.stdout

    def run(self, heading, number=0, shown="", real=""):
        """A recipe, with something real in place of what is shown."""
        self.done.append((heading, number))
        text = RECIPES[heading][number]
        assert shown in text
        return self.shell(text.replace(shown, real) if shown else text)

    def line(self, heading, number, which):
        """One line of a recipe whose lines are told apart."""
        self.done.append((heading, number))
        return self.shell(RECIPES[heading][number].splitlines()[which])


@pytest.fixture
def recipes(redis):
    return Recipes(redis)


def alice(relay, source="127.0.0.1", sender="alice@example.org"):
    """What alice is told in the end, logging in and sending."""
    with Session(relay, source) as session:
        said = session.plain("alice", PASSWORD)
        return session.message(sender=sender) if said == OK else said


def test_which_fields_make_a_user(redis, tmp_path):
    """The page, the functions and the relay agree."""
    cmd, library = Smtpusers(redis, tmp_path), Library(redis)
    listed = PAGE.read_text().partition("A user exists if")[2].partition(
        ".Bl ")[0]
    without = set(re.findall(r"\w+", " ".join(
        re.findall(r"^\.Cm (.*)", listed, re.MULTILINE))))
    fields = json.loads(redis.cli("FCALL_RO", "smtpusers_describe", 0))[
        "kinds"]["user"]["fields"]
    for name in (row["name"] for row in fields):
        redis.cli("DEL", library.user())
        redis.cli("HSET", library.user(), name, "1")
        told = cmd.run("explain", "alice", "--mail-from", "a@example.org")
        assert (told.returncode == EX_NOUSER) == (name in without), name
        assert any(problem.startswith("no field that the relay reads")
                   for problem in library.call("user_check", library.user())
                   ) == (name in without), name


def test_all_recipes(recipes, relay, users, redis):
    users.secret(PASSWORD)
    assert alice(relay) == FAILED
    recipes.run("A user")
    assert alice(relay).startswith(SAID)
    assert alice(relay, sender="alice@example.net").startswith("550 5.7.1")

    recipes.run("Sources")
    assert alice(relay, "127.0.0.9").startswith(SAID)
    assert alice(relay, "2001:db8:25::1") == UNLISTED
    recipes.line("Sources", 1, 0)
    assert alice(relay) == UNLISTED
    assert alice(relay, "::1").startswith(SAID)
    recipes.line("Sources", 1, 1)
    assert alice(relay, "::1") == UNLISTED
    recipes.line("Sources", 1, 2)
    assert alice(relay, "2001:db8:25::1").startswith(SAID)

    recipes.run("Appliances that cannot log in")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith(SAID)
    with Session(relay, "127.0.0.3") as session:
        assert session.message().startswith("530 ")

    recipes.run("Accounts")
    for sender in ("alice@example.net", "alice@xn--bcher-kva.example"):
        assert alice(relay, sender=sender).startswith(SAID)
    assert alice(relay, sender="alice@example.com").startswith("550 5.7.1")
    recipes.run("Accounts", 1)
    # There is no DNS, so that it is asked shows by the failure.
    assert alice(relay, sender="alice@example.com").startswith("451 4.4.3")

    # What an alarm has left ends neither status.
    redis.cli("HSET", "smtp:user:{alice}", "blocked_until",
              "2026-01-01T00:00:00Z")
    for number in (0, 1):
        recipes.line("Blocking", number, 0)
        assert alice(relay) == FAILED
        recipes.line("Blocking", number, -1)
        assert alice(relay).startswith(SAID)
    recipes.line("Blocking", 0, 1)
    assert alice(relay).startswith(SAID)
    assert redis.cli("XREVRANGE", "smtp:user:{alice}:log", "+", "-", "COUNT",
                     1)[0][1].count("accepted") == 1
    recipes.line("Blocking", 0, 2)

    recipes.run("Limits")
    assert alice(relay).startswith(SAID)
    said = redis.cli("FCALL_RO", "smtpusers_usage", 3, "smtp:user:{alice}",
                     "smtp:user:{alice}:used:quota",
                     "smtp:user:{alice}:used:rate", "1")
    assert said[0] == "ok"
    assert [row[0] for row in said[1:]] == ["quota", "rate"]
    assert [row[1:4] for row in said[1:]] == [["1000", "1d", "1"],
                                              ["100", "1h", "1"]]

    recipes.run("Recipients that get no mail")
    for recipient in ("bob@example.com", "anybody@example.net"):
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD).startswith("235")
            assert session.message(recipients=[recipient]).startswith(
                "550 5.7.1 [SUPPRESSED]")
    redis.cli("DEL", "smtp:user:{alice}:suppressed",
              "smtp:account:{acme}:suppressed")

    redis.cli("HSET", "smtp:user:{alice}", "mode", "default")
    ident = report_id(alice(relay, sender="a@bank.test"), "alice")
    report(redis, ident)
    said = recipes.run("What became of mail", shown="123456789012345678",
                       real=ident)
    assert said.count("\nevent\n") == 10
    assert "\nreason\ndomain-not-assigned\n" in said

    recipes.run("Events")
    assert "user.blocked" in str(redis.cli("XRANGE", "smtp:events", "-", "+"))

    recipes.run("Gone")
    assert alice(relay) == FAILED
    assert not [key for key in redis.cli("KEYS", "smtp:user:{alice}*")
                if ":used:hold:" not in key]

    assert set(recipes.done) == {
        (heading, number) for heading, texts in RECIPES.items()
        for number in range(len(texts)) if heading != "PERMISSIONS"}


def test_permissions(new_relay, users, redis):
    """The Redis user of the page may do what the relay does, and it alone."""
    secret = workdir("secret") / "password"
    secret.write_text("Redis-Word1\n")
    secret.chmod(0o644)
    text, = RECIPES["PERMISSIONS"]
    assert ">PASSWORD" in text
    redis.cli(*text.replace(">PASSWORD", ">Redis-Word1").split())
    users.add("alice", PASSWORD, quota="1000", ips=["127.0.0.1"])
    relay = new_relay(redis_user="relay", redis_password_file=str(secret))
    assert alice(relay).startswith(SAID)
    reply = alice(relay, sender="a@bank.test")
    assert report(redis, report_id(reply, "alice"))["user"] == "alice"
    assert log(redis, "alice", 4)[-1]["event"] == "message"
    assert "NOPERM" not in relay.log()
    for command in (("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"),
                    ("GET", "other"), ("SET", "smtp:ip:{::1}", "eve")):
        with pytest.raises(ReplyError, match="^NOPERM "):
            redis.cli(*command, user="relay", password="Redis-Word1")
    redis.cli("ACL", "DELUSER", "relay")
