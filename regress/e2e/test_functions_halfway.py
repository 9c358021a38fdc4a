# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions where Redis refuses one of the commands that they are
made of: nothing is written, or what is lets nobody in."""

import itertools

import pytest

from library import HASH, Library, as_script
from places import workdir
from quotas import LUA, Functions
from redisserver import RedisServer, ReplyError
from test_functions_servers import RIGHTS, SERVERS

ADDRESS, OTHER = "192.0.2.7", "192.0.2.8"
OLD = {"10.0.0.0/8", "192.0.2.0/24"}
NEW = {"192.0.2.0/24", "198.51.100.1", "2001:db8::/32"}
BOTH = " ".join(sorted(NEW))
COMMANDS = [right[1:] for right in RIGHTS
            if right[0] == "+" and not right.startswith("+fcall")]

# The function, the key, the arguments.
WRITES = [
    ("user_add", "bob", ("password", HASH, "domains", "b.example",
                         "ips", BOTH, "rate", "5/1h")),
    ("user_put", "bob", ("password", HASH, "ips", BOTH)),
    ("user_set", "alice", ("ips", BOTH)),
    ("user_set", "alice", ("ips", "198.51.100.1 198.51.100.2")),
    ("user_set", "alice", ("ips", "")),
    ("user_set", "alice", ("ips", "", "status", "blocked")),
    ("user_put", "alice", ("mode", "any", "quota", "", "ips", BOTH,
                           "domains", "c.example")),
    ("user_put", "alice", ("status", "blocked", "quota", "", "ips", BOTH)),
    ("user_set", "alice", ("domains", "")),
    ("user_set", "alice", ("password", "", "quota", "", "status", "",
                           "description", "x")),
    ("user_del", "carol", ()),
    ("user_domain_add", "alice", ("c.example", "d.example")),
    ("user_domain_rm", "alice", ("a.example",)),
    ("user_ip_add", "alice", (OTHER, "::1")),
    ("user_ip_rm", "alice", ("10.0.0.0/8", "192.0.2.9/24")),
    ("user_ipauth", "alice", (OTHER,)),
    ("user_ipauth", "alice", ("", ADDRESS)),
    ("user_ipauth", "dave", ("",)),
    ("user_ipauth_only", "alice", (OTHER,)),
    ("user_set", "alice", ("ip_auth", OTHER, "ips", BOTH)),
    ("user_del", "alice", ("purge",)),
    ("mend", "alice", ("ips", "10.0.0.0/8", "10.0.0.0/9")),
    ("ip_claim", OTHER, ("alice",)),
    ("ip_release", ADDRESS, ("alice",)),
    ("account_add", "other", ("domains", "b.example")),
    ("account_put", "acme", ("plan", "pro", "status", "",
                             "domains", "b.example")),
    ("account_set", "acme", ("status", "", "domains", "")),
    ("account_del", "acme", ()),
    ("account_domain_add", "acme", ("b.example",)),
    ("account_domain_rm", "acme", ("a.example",)),
]


def key_of(library, function, name):
    kind = function.partition("_")[0]
    return {"account": library.account, "ip": library.address}.get(
        kind, library.user)(name)


def furnish(library):
    """The records, as they are before each call."""
    library.redis.cli("FLUSHALL")
    library.call("user_add", library.user(), "password", HASH, "quota", "5",
                 "status", "allowed", "domains", "a.example b.example", "ips",
                 " ".join(OLD))
    library.call("user_add", library.user("carol"), "rate", "5/1h", "ips",
                 BOTH)
    library.call("ip_claim", library.address(ADDRESS), "alice")
    library.call("user_ipauth", library.user(), ADDRESS)
    library.redis.cli("HSET", library.user("dave"), "ip_auth", ADDRESS)
    # What former ones have left.
    library.redis.cli("SADD", library.user("bob", "ips"), "203.0.113.1")
    library.redis.cli("SADD", library.account("other", "domains"), "x.y")
    library.call("account_add", library.account(), "status", "sandboxed",
                 "domains", "a.example")
    library.redis.cli("HDEL", library.account(), "plan")


@pytest.fixture(scope="module", params=SERVERS)
def library(request):
    with RedisServer(workdir("redis"), SERVERS[request.param]) as server:
        yield Library(server)


def as_panel(library, without, words):
    """The reply to a command of a client who lacks one right."""
    library.redis.cli("ACL", "SETUSER", "panel", "reset", "on", ">secret-word",
                      *RIGHTS, "+eval", *["-" + right for right in without])
    with library.redis.connect() as panel:
        panel.command("AUTH", "panel", "secret-word")
        try:
            return panel.command(*words)
        except ReplyError as error:
            return error


@pytest.mark.parametrize("function, name, words", WRITES)
def test_all_or_nothing(library, function, name, words):
    refused, done = set(), set()
    for right in COMMANDS:
        furnish(library)
        before = library.snapshot()
        reply = as_panel(library, [right], (
            "FCALL", "smtpusers_" + function, 1,
            key_of(library, function, name), *words))
        if isinstance(reply, ReplyError):
            assert str(reply).startswith(("NOPERM ", "ERR ")), reply
            assert library.snapshot() == before, right
            refused.add(right)
        else:
            assert library.snapshot() != before, right
            done.add(right)
    assert refused and done


def test_the_right_that_is_missing_is_named(library):
    furnish(library)
    reply = as_panel(library, ["sadd"], (
        "FCALL", "smtpusers_user_set", 1, library.user(), "ips", BOTH))
    assert str(reply) == ("NOPERM smtp:user:{alice}:ips: this ACL user may "
                          "not call SADD")


def test_rights_are_tried_without_a_change(library):
    def tried(*commands, without=()):
        return str(as_panel(library, without, (
            "FCALL", "smtpusers_version", 1, library.user(), *commands)))

    furnish(library)
    before = library.snapshot()
    assert "NOPERM" not in tried("SADD", "SREM")
    assert tried("SADD", "SREM", without=["srem"]) == (
        "NOPERM smtp:user:{alice}: this ACL user may not call SREM")
    assert tried("NOSUCH").startswith("ERR ")
    assert library.snapshot() == before


def test_a_key_that_is_out_of_bounds(library):
    furnish(library)
    before = library.snapshot()
    with library.redis.connect() as panel:
        library.redis.cli("ACL", "SETUSER", "panel", "reset", "on",
                          ">secret-word", "~smtp:user:{*}",
                          "%R~smtp:user:*", "+@all")
        panel.command("AUTH", "panel", "secret-word")
        for words in (("user_set", library.user(), "quota", "9",
                       "ips", BOTH),
                      ("user_add", library.user("bob"), "ips", BOTH),
                      ("user_del", library.user("carol"))):
            with pytest.raises(ReplyError, match="NOPERM|ERR"):
                panel.command("FCALL", "smtpusers_" + words[0], 1, *words[1:])
    assert library.snapshot() == before


def sources(library, name):
    """Who may send as the user: None is anybody, an empty set nobody."""
    fields = library.fields(library.user(name))
    if not fields or fields.get("status") == "blocked":
        return set()
    return library.members(library.user(name, "ips")) or None


def wider(found, *allowed):
    if None in allowed:
        return False
    return found is None or not found <= set().union(*allowed)


@pytest.mark.parametrize("function, name, words", [
    row for row in WRITES if row[0].startswith("user_")])
def test_the_order_alone_closes_the_door(library, function, name, words):
    """Should Redis refuse what it has said that it would take."""
    asked = "redis.acl_check_cmd("
    assert asked in LUA.read_text()
    text = as_script(text=LUA.read_text().replace(asked, "select('#', "))
    key = library.user(name)

    def call(*without):
        furnish(library)
        return as_panel(library, without, ("EVAL", text, 1, key, function,
                                           *words))

    furnish(library)
    before = sources(library, name)
    assert not isinstance(call(), ReplyError)
    after = sources(library, name)
    existed = library.keys() >= {key}
    failed = 0
    for without in itertools.chain(
            itertools.combinations(COMMANDS, 1),
            itertools.combinations(("hset", "hdel", "sadd", "srem", "unlink",
                                    "set"), 2)):
        reply = call(*without)
        if not isinstance(reply, ReplyError):
            continue
        failed += 1
        assert not wider(sources(library, name), before, after), without
        if name == "bob":
            assert not library.fields(key), without
        elif existed:
            assert library.fields(key), without
    assert failed


# Where the memory that Redis may use is used up

TAKING = [
    ("user_set", "alice", ("status", "blocked"), "changed"),
    ("user_set", "alice", ("ips", "192.0.2.0/24"), "changed"),
    ("user_set", "alice", ("quota", "1", "password", ""), "changed"),
    ("user_domain_rm", "alice", ("a.example",), 1),
    ("user_ip_rm", "alice", ("10.0.0.0/8",), 1),
    ("user_ipauth", "alice", ("", ADDRESS), ADDRESS),
    ("user_ipauth", "dave", ("",), ADDRESS),
    ("user_del", "carol", (), 1),
    ("ip_release", ADDRESS, ("alice",), 1),
    ("account_set", "acme", ("status", "blocked"), "changed"),
    ("account_domain_rm", "acme", ("a.example",), 1),
    ("account_del", "acme", (), 1),
]
READING = [("user_get", "alice"), ("user_check", "alice"),
           ("account_get", "acme")]


@pytest.fixture
def full(library):
    """The records in a server that has no memory left."""
    furnish(library)
    library.redis.cli("CONFIG", "SET", "maxmemory", "1")
    try:
        yield library
    finally:
        library.redis.cli("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("function, name, words, expected", TAKING)
def test_what_takes_away_needs_no_memory(full, function, name, words,
                                         expected):
    key = key_of(full, function, name)
    assert full.call(function, key, *words) == expected


@pytest.mark.parametrize("function, name, words", [
    row for row in WRITES if row[0] in (
        "user_add", "user_put", "user_domain_add", "user_ip_add", "ip_claim",
        "account_add", "account_put", "account_domain_add")])
def test_what_adds_is_refused(full, function, name, words):
    before = full.snapshot()
    with pytest.raises(ReplyError, match="^OOM "):
        full.call(function, key_of(full, function, name), *words)
    assert full.snapshot() == before


def test_reading_needs_no_memory(full):
    for function, name in READING:
        assert full.call(function, key_of(full, function, name)) is not None


def test_nothing_is_sent_without_being_counted(full):
    """Nor is anything given back, so that no more is sent than may be."""
    full.redis.cli("CONFIG", "SET", "maxmemory", "0")
    counters = Functions(full.redis)
    assert counters.call("reserve", "one", 2) == ["ok"]
    full.redis.cli("CONFIG", "SET", "maxmemory", "1")
    before = full.snapshot()
    assert counters.call("check", "two", 1) == ["ok"]
    for words in (("reserve", "two", 1), ("keep", "one"), ("refund", "one")):
        with pytest.raises(ReplyError, match="^OOM "):
            counters.call(*words)
    assert full.snapshot() == before
    assert counters.used() == {"quota": 2}
