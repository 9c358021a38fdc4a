# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Functions about recipients that get no mail."""

import calendar
import random
import time

import pytest

from cli import log_in_as, package
from library import Library
from linedriver import FilterDriver
from places import configuration, workdir
from redisserver import ReplyError

KINDS = ["user", "account"]


@pytest.fixture
def library(redis):
    library = Library(redis)
    library.call("user_add", library.user())
    library.call("account_add", library.account())
    return library


@pytest.fixture(params=KINDS)
def of(request, library):
    """Calls the functions of a kind."""
    key = getattr(library, request.param)()

    def call(function, *words):
        return library.call("%s_%s" % (request.param, function), key, *words)
    call.kind, call.key, call.library = request.param, key, library
    call.list = key + ":suppressed"
    return call


def test_times_are_those_of_others(of):
    """The seconds since 1970 of dates that are to come, and back."""
    random.seed(1)
    moments = [random.randrange(int(time.time()) + 86400, 253402300800)
               for _ in range(500)]
    moments += [calendar.timegm((year, month, day, 23, 59, 59))
                for year in (2100, 2400, 2096, 9999)
                for month, day in ((2, 28), (3, 1), (12, 31), (1, 1))]
    texts = {"r%d.example" % n: time.strftime(
        "%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        for n, moment in enumerate(moments)}
    assert of("suppress_add", "", *map("=".join, texts.items())) == len(texts)
    for n, moment in enumerate(moments):
        assert float(of.library.redis.cli(
            "ZSCORE", of.list, "r%d.example" % n)) == moment
    found, cursor = {}, None
    while cursor != "0":
        cursor, *page = of("suppressed", cursor or "0")
        found.update(zip(page[::2], page[1::2]))
    assert found == texts


def test_bad_calls(of):
    code = {"user": "NOUSER", "account": "NOACCOUNT"}[of.kind]
    refuses = of.library.refuses
    for function, words in (
            ("suppress_add", ()), ("suppress_add", ("",)),
            ("suppress_add", ("soon", "a.example")),
            ("suppress_add", ("0", "a.example")),
            ("suppress_add", ("3651d", "a.example")),
            ("suppress_add", ("", "a.example", "b")),
            ("suppress_add", ("", *["a.example"] * 2501)),
            ("suppress_add", ("", "a" * 100000)),
            ("suppress_rm", ["a.example"] * 2501)):
        refuses("INVALID", "%s_%s" % (of.kind, function), of.key, *words)
    gone = of.key.replace("{a", "{gone-a")
    for function, words in (("suppress_add", ("", "a.example")),
                            ("suppress_rm", ("a.example",)),
                            ("suppress_rm", ()), ("suppressed", ())):
        refuses(code, "%s_%s" % (of.kind, function), gone, *words)
    of.library.redis.cli("SET", of.list, "x")
    for function, words in (("suppress_add", ("", "a.example")),
                            ("suppress_rm", ("a.example",)),
                            ("suppressed", ())):
        refuses("WRONGTYPE", "%s_%s" % (of.kind, function), of.key, *words)


def test_a_list_has_an_end(of):
    with of.library.redis.connect(60) as connection:
        for first in range(0, 1000000, 5000):
            connection.command("ZADD", of.list, *(
                word for n in range(first, first + 5000)
                for word in ("+inf", "r%d.example" % n)))

    with pytest.raises(ReplyError, match="at most 1000000 recipients"):
        of("suppress_add", "", "one.more.example")
    assert of("suppress_add", "", "r1.example") == 0
    assert of("suppress_rm", "r1.example") == 1
    assert of("suppress_add", "", "one.more.example") == 1
    assert of.library.redis.cli("ZCARD", of.list) == 1000000


def test_hostile_members_and_scores(of):
    cli = of.library.redis.cli
    cli("ZADD", of.list, "1e300", "far.example", "-1",
        "below.example", "0.5", "half.example", "+inf", "a b", "+inf",
        b"\xff\0", "+inf", "x" * 100000, "+inf", "")
    cursor, *page = of("suppressed")
    assert (cursor, dict(zip(page[::2], page[1::2]))) == (
        "0", {"far.example": "", "below.example": ""})
    assert of("suppress_rm", b"\xff\0", "") == 2
    # One second after 1970 is over.
    assert cli("ZSCORE", of.list, "half.example") is None





@pytest.mark.parametrize("role", ["command", "panel"])
def test_the_rights_that_setup_prints(of, role):
    redis = of.library.redis
    redis.cli(*package("provision.acl").acl_rule("smtp:", role, role, ">pw"))

    def call(function, *words):
        return redis.cli("FCALL", "smtpusers_%s_%s" % (of.kind, function), 1,
                         of.key, *words, user=role, password="pw")
    assert call("suppress_add", "1h", "a.example", "b.example") == 2
    assert len(call("suppressed")) == 5
    redis.cli("ZADD", of.list, "5", "over.example")
    assert call("suppress_rm", "a.example") == 1
    assert redis.cli("ZCARD", of.list) == 1
    assert '"suppressed_count":1' in call("get")
    assert call("del") == 1
    redis.cli("ACL", "DELUSER", role)


def test_the_command_with_its_rights(of, redis, tmp_path):
    cmd = log_in_as(redis, "command", tmp_path)
    who = ["alice"] if of.kind == "user" else ["--account", "acme"]
    cmd.ok("suppress", "add", *who, "--for", "1h", "a.example")
    cmd.ok("suppress", "import", *who, stdin=b"b.example\n")
    cmd.ok("suppress", "rm", *who, "a.example")
    assert cmd.ok("suppress", "list", *who).stdout == "b.example\n"
    assert "b.example" in cmd.ok("export").stdout
    assert "suppressed" not in cmd.run("check").stdout
    redis.cli("ACL", "DELUSER", "command")


def test_the_relay_with_its_rights(of, redis, users, tmp_path):
    redis.cli(*package("provision.acl").acl_rule("smtp:", "relay", "relay",
                                                 ">pw"))
    users.add("alice", account="acme")
    of("suppress_add", "", "a.example")
    secret = tmp_path / "pw"
    secret.write_text("pw\n")
    conf = configuration(redis=redis.url, redis_user="relay",
                         redis_password_file=str(secret))
    with FilterDriver(workdir("filter"), conf) as driver:
        ident = "00000000000000aa"
        driver.connect(ident)
        driver.authenticate(ident, "alice")
        assert driver.ask("mail-from", ident, "a@example.org") == "proceed"
        assert driver.ask("rcpt-to", ident, "x@a.example").startswith(
            "reject|550 5.7.1 [SUPPRESSED]")
        assert driver.ask("rcpt-to", ident, "x@b.example") == "proceed"
        assert "NOPERM" not in driver.stderr()
        # Who has fewer lets nothing through.
        redis.cli("ACL", "SETUSER", "relay", "-zmscore")
        assert driver.ask("rcpt-to", ident, "x@b.example").startswith(
            "reject|451 4.3.0")
        redis.cli("ACL", "SETUSER", "relay", "-zcard")
        assert driver.ask("mail-from", ident, "a@example.org").startswith(
            "reject|451 4.3.0")
    redis.cli("ACL", "DELUSER", "relay")
