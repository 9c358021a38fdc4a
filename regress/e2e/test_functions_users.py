# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: users and their sets."""

import hashlib
import random
import re
import time

import pytest

from library import HASH, Library, as_script, pairs
from quotas import LUA, Functions
from redisserver import ReplyError

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FULL = pairs(password=HASH, account="Acme", mode="any", status="blocked",
             quota="0100", quota_period="1d", rate="1/1h 5/1d",
             description="Bücher", created="2020-02-29T23:59:59Z",
             domains="B.example a.example.", ips="192.0.2.9/24 [2001:DB8::1]")
STORED = dict(zip(pairs(password=0, account=0, mode=0, status=0, quota=0,
                        quota_period=0, rate=0, restricted=0, description=0,
                        created=0)[::2],
                  [HASH, "acme", "any", "blocked", "100", "1d", "1/1h 5/1d",
                   "1", "Bücher", "2020-02-29T23:59:59Z"]))
LEFTOVERS = ("domains", "ips", "log", "failed", "last", "used:quota",
             "used:quota:told", "used:rate")


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def alice(library):
    """The key of a user who is there."""
    key = library.user()
    assert library.call("user_add", key, "password", HASH, "domains",
                        "a.example", "ips", "192.0.2.1") == "added"
    return key


# add, set, put

@pytest.mark.parametrize("function", ["user_add", "user_put"])
def test_a_new_user(library, function):
    key = library.user()
    assert library.call(function, key, *FULL) == "added"
    assert library.fields(key) == STORED
    assert library.members(key + ":domains") == {"a.example", "b.example"}
    assert library.members(key + ":ips") == {"192.0.2.0/24", "2001:db8::1"}
    before = library.snapshot()
    assert library.call(function, key, *FULL) == "same"
    assert library.snapshot() == before


@pytest.mark.parametrize("function", ["user_add", "user_put"])
@pytest.mark.parametrize("words", [
    (), pairs(password="", mode="", status="", domains="", ips="   ",
              created="")])
def test_a_new_user_has_what_is_given_and_the_time(library, function, words):
    key = library.user()
    assert library.call(function, key, *words) == "added"
    fields = library.fields(key)
    assert list(fields) == ["created"]
    assert TIME.fullmatch(fields["created"])
    made = time.strptime(fields["created"], "%Y-%m-%dT%H:%M:%SZ")
    seconds = int(library.redis.cli("TIME")[0])
    assert abs(seconds - time.mktime(made) + time.timezone) < 60
    assert library.keys() == {key}
    assert library.call(function, key, *words) == "same"


CLOCK = """
local real = redis
local redis = { call = function(command, ...)
	if command == 'TIME' then
		return { real.call('GET', 'clock'), '999999' }
	end
	return real.call(command, ...)
end, pcall = real.pcall, acl_check_cmd = real.acl_check_cmd }
"""


def test_any_time_is_written_as_it_is(redis, library):
    """By a clock of our own, every day of a leap year and far away."""
    sha = redis.cli("SCRIPT", "LOAD", as_script(CLOCK))
    rng = random.Random(4)
    moments = [1709164800 + 86400 * day for day in range(-60, 400)]
    moments += [951782399, 951782400, 951868800, 4107542399, 4107542400, 0]
    moments += [rng.randrange(9000000000) for _ in range(300)]
    for moment in moments:
        redis.cli("SET", "clock", moment)
        redis.cli("EVALSHA", sha, 1, library.user(), "user_add")
        created = library.fields(library.user())["created"]
        assert created == time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                        time.gmtime(moment))
        assert library.call("user_put", library.user("eve"), "created",
                            created) in ("added", "changed", "same")
        redis.cli("DEL", library.user())


@pytest.mark.parametrize("function", ["user_add", "user_put"])
def test_nothing_of_a_former_user_is_the_new_ones(library, function):
    key = library.user()
    for suffix in LEFTOVERS + ("used:rate:1/3600",):
        library.redis.cli("SET", key + ":" + suffix, "x")
    assert library.call(function, key, "rate", "1/1h", "ips", "::1") == "added"
    assert library.keys() == {key, key + ":ips"}
    assert library.members(key + ":ips") == {"::1"}


@pytest.mark.parametrize("sign", LEFTOVERS[:5])
def test_one_trace_of_a_former_user_tells_of_all(library, sign):
    """Counters are of who has logged in, which leaves a trace."""
    key = library.user()
    for suffix in {sign, "used:quota", "used:alarm:volume"}:
        library.redis.cli("SET", key + ":" + suffix, "x")
    assert library.call("user_add", key) == "added"
    assert library.keys() == {key}


@pytest.mark.parametrize("change", [
    pairs(quota="2"), pairs(mode="all"), pairs(password=""),
    pairs(domains="a.example b.example"), pairs(domains=""),
    pairs(ips="192.0.2.2"), pairs(created="2020-01-01T00:00:00Z")])
def test_add_leaves_another_user_of_the_name_alone(library, alice, change):
    words = dict(zip(*[iter(pairs(password=HASH, domains="a.example",
                                  ips="192.0.2.1"))] * 2))
    words.update(zip(change[::2], change[1::2]))
    text = library.refuses("EXISTS", "user_add", alice, *pairs(**words))
    assert text == "alice: exists already"


@pytest.mark.parametrize("command", [
    ("HSET", "", "ip_auth", "192.0.2.7"), ("HSET", "", "note", "x"),
    ("HSET", "", "quota", "0"), ("SADD", ":domains", "b.example"),
    ("DEL", ":ips")])
def test_add_leaves_a_user_who_has_more_alone(library, alice, command):
    verb, suffix, *rest = command
    library.redis.cli(verb, alice + suffix, *rest)
    library.refuses("EXISTS", "user_add", alice, "password", HASH, "domains",
                    "a.example", "ips", "192.0.2.1")


@pytest.mark.parametrize("function", ["user_set", "user_put"])
def test_change(library, alice, function):
    assert library.call(function, alice, "quota", "07", "mode", "all",
                        "domains", "B.example c.example") == "changed"
    fields = library.fields(alice)
    assert (fields["quota"], fields["mode"]) == ("7", "all")
    assert fields["password"] == HASH
    assert library.members(alice + ":domains") == {"b.example", "c.example"}
    assert library.members(alice + ":ips") == {"192.0.2.1"}
    before = library.snapshot()
    for words in ((), ("quota", "7"), ("domains", "c.example B.EXAMPLE."),
                  ("rate", ""), ("password", HASH)):
        assert library.call(function, alice, *words) == "same"
    assert library.snapshot() == before


@pytest.mark.parametrize("function", ["user_set", "user_put"])
def test_an_empty_value_removes(library, alice, function):
    library.call("user_set", alice, "quota", "7", "description", "x")
    assert library.call(function, alice, *pairs(
        quota="", description="", domains="", ips="")) == "changed"
    assert set(library.fields(alice)) == {"password", "created"}
    assert library.keys() == {alice}
    assert library.call(function, alice, "quota", "", "ips", "") == "same"


@pytest.mark.parametrize("function", ["user_set", "user_put"])
def test_a_user_is_never_lost_with_the_last_field(library, alice, function):
    library.redis.cli("HDEL", alice, "created", "restricted")
    assert library.call(function, alice, *pairs(
        password="", description="x")) == "changed"
    assert set(library.fields(alice)) == {"created", "description"}
    assert library.call(function, alice, "description", "") == "changed"
    assert list(library.fields(alice)) == ["created"]
    assert library.call(function, alice, "password", "") == "same"


@pytest.mark.parametrize("field, value", [
    ("quota_period", "1h"), ("description", "x"), ("blocked_by", "x"),
    ("blocked_at", "2026-11-21T08:39:29Z")])
def test_what_is_left_keeps_the_user(library, alice, field, value):
    """Of these fields alone the relay makes no user."""
    library.redis.cli("HDEL", alice, "created", "restricted")
    library.redis.cli("HSET", alice, field, value)
    assert library.call("user_set", alice, "password", "") == "changed"
    assert set(library.fields(alice)) == {"created", field}


@pytest.mark.parametrize("function", ["user_set", "user_put"])
def test_when_a_user_was_created_is_not_unsaid(library, alice, function):
    assert library.call(function, alice, "created", "") == "same"
    time = "2020-01-01T00:00:00Z"
    assert library.call(function, alice, "created", time) == "changed"
    assert library.fields(alice)["created"] == time


def test_set_never_makes_a_user(library):
    text = library.refuses("NOUSER", "user_set", library.user(), "quota", "1")
    assert text == "alice: no such user"
    assert library.keys() == set()


@pytest.mark.parametrize("count", [1001, 2500])
def test_large_sets(library, alice, count):
    domains = ["d%d.example" % n for n in range(count)]
    words = ("domains", " ".join(domains))
    assert library.call("user_put", alice, *words) == "changed"
    assert library.members(alice + ":domains") == set(domains)
    assert library.call("user_put", alice, *words) == "same"
    assert library.call("user_domain_rm", alice, *domains) == count
    assert library.call("user_domain_add", alice, *domains) == count


# What is refused

GIVEN = ("password, account, mode, status, quota, quota_period, rate, over, "
         "sender_quota, sender_rate, max_recipients, max_size, alarms, "
         "ip_auth, restricted, blocked_by, blocked_at, blocked_until, "
         "description, created, domains, ips")
BAD_CALLS = [
    (("quota",), "a field without a value: they come in pairs"),
    (("quota", "1", "quota", "1"), "quota: named twice"),
    (("domains", "", "domains", "a.b"), "domains: named twice"),
    (("ip_auth", "192.0.2.0/24"), "192.0.2.0/24: not an IPv4 or IPv6 "
     "address, such as 192.0.2.1 or 2001:db8::1"),
    (("colour", "red"), "colour: not a field that can be set: " + GIVEN),
    (("", "x"), ": not a field that can be set: " + GIVEN),
    (("Quota", "1"), "Quota: not a field that can be set: " + GIVEN),
    (("quota", "1e3"), "1e3: not a quota: a number of messages, at most "
     "10^12, 0 = unlimited"),
    (("mode", "x"), "x: not one of default, all, any"),
    (("password", "Hunter2!"), "password: not a hash that crypt(3) makes"),
    (("domains", "a.b x"), "x: not a domain: there is no dot in it"),
    (("ips", "::1 any"), "any: neither an address nor a range, such as "
     "192.0.2.1, 2001:db8::1, 192.0.2.0/24 or 2001:db8::/32"),
    (("created", "yesterday"), "yesterday: not a time in UTC, such as "
     "2026-11-21T08:39:29Z"),
    (("created", "2021-02-29T00:00:00Z"), "2021-02-29T00:00:00Z: not a time "
     "in UTC, such as 2026-11-21T08:39:29Z"),
    (("created", "2100-02-29T00:00:00Z"), "2100-02-29T00:00:00Z: not a time "
     "in UTC, such as 2026-11-21T08:39:29Z"),
    (("created", "2021-04-31T00:00:00Z"), "2021-04-31T00:00:00Z: not a time "
     "in UTC, such as 2026-11-21T08:39:29Z"),
    (("created", "2021-13-01T00:00:00Z"), "2021-13-01T00:00:00Z: not a time "
     "in UTC, such as 2026-11-21T08:39:29Z"),
    (("created", "2021-01-01T24:00:00Z"), "2021-01-01T24:00:00Z: not a time "
     "in UTC, such as 2026-11-21T08:39:29Z"),
    (("account", "a/b"), "a/b: not an account name: 1 to 64 of a-z 0-9 . _ + "
     "-, the first a letter or digit"),
    (("domains", "a.b\nc.d"), r"a.b\x0ac.d: not a domain: not a host name"),
    (("quota", "1\0"), r"1\x00: not a quota: a number of messages, at most "
     "10^12, 0 = unlimited"),
    (("quota", b"\xff\xc3\xa4"), r"\xff\xc3\xa4: not a quota: a number of messages, "
     "at most 10^12, 0 = unlimited"),
    (("quota", "\u202e1"), r"\xe2\x80\xae1: not a quota: a number of "
     "messages, at most 10^12, 0 = unlimited"),
    (("quota", "1\\x"), r"1\x5cx: not a quota: a number of messages, at most "
     "10^12, 0 = unlimited"),
    (("quota", "9" * 300), "9" * 200 + "...: not a quota: a number of "
     "messages, at most 10^12, 0 = unlimited"),
]


@pytest.mark.parametrize("words, told", BAD_CALLS)
@pytest.mark.parametrize("function", ["user_add", "user_set", "user_put"])
def test_one_bad_word_changes_nothing(library, alice, function, words, told):
    keys = [alice] if function == "user_set" else [alice, library.user("bob")]
    for key in keys:
        assert library.refuses(
            "INVALID", function, key, "description", "new", *words) == told


@pytest.mark.parametrize("function, rest", [
    ("user_add", ()), ("user_set", ("quota", "1")), ("user_put", ()),
    ("user_del", ()), ("user_get", ()), ("user_check", ()),
    ("user_domain_add", ("a.b",)), ("user_domain_rm", ("a.b",)),
    ("user_ip_add", ("::1",)), ("user_ip_rm", ("::1",)),
    ("user_ipauth", ("::1",))])
@pytest.mark.parametrize("key, told", [
    ("smtp:user:{Bob}", "Bob: user names are lower case: bob"),
    ("smtp:user:{}", ": not a user name: 1 to 64 of a-z 0-9 . _ + -, the "
     "first a letter or digit"),
    ("smtp:user:{a b}", "a b: not a user name: 1 to 64 of a-z 0-9 . _ + -, "
     "the first a letter or digit"),
    ("smtp:user:{a\nb}", r"a\x0ab: not a user name: 1 to 64 of a-z 0-9 . _ + "
     "-, the first a letter or digit"),
    ("smtp:user:bob", "smtp:user:bob: not the key of a record: "
     "PREFIXuser:{NAME}"),
    ("user:{bob}", "user:{bob}: not the key of a record: PREFIXuser:{NAME}"),
    ("smtp:user:{bob}:ips", "smtp:user:{bob}:ips: not the key of a record: "
     "PREFIXuser:{NAME}"),
    ("smtp:account:{bob}", "smtp:account:{bob}: not the key of a record: "
     "PREFIXuser:{NAME}"),
    ("{x}user:{bob}", "{x}user:{bob}: not the key of a record: "
     "PREFIXuser:{NAME}"),
    ("a b:user:{bob}", "a b:user:{bob}: not the key of a record: "
     "PREFIXuser:{NAME}"),
    ("x" * 65 + "user:{bob}", "x" * 65 + "user:{bob}: not the key of a "
     "record: PREFIXuser:{NAME}"),
    ("smtp:user:{bob", "smtp:user:{bob: not the key of a record: "
     "PREFIXuser:{NAME}"),
])
def test_keys_that_are_none(library, function, rest, key, told):
    assert library.refuses("INVALID", function, key, *rest) == told


@pytest.mark.parametrize("prefix", ["x", "smtp:", "a/b|c~", "x" * 64])
def test_any_prefix_of_the_configuration(redis, prefix):
    library = Library(redis, prefix)
    assert library.call("user_add", library.user(), "ips", "::1") == "added"
    assert library.keys() == {library.user(), library.user("alice", "ips")}


def test_a_call_takes_one_key(library, alice):
    for keys in ((), (alice, alice), (alice, library.user("bob"))):
        with pytest.raises(ReplyError) as error:
            library.redis.cli("FCALL", "smtpusers_user_del", len(keys), *keys)
        assert str(error.value) == ("INVALID the call takes one key, of the "
                                    "form PREFIXuser:{NAME}")


WRONG = {
    "user_add": (), "user_set": ("quota", "1"), "user_put": ("quota", "1"),
    "user_del": (), "user_get": (), "user_check": (),
    "user_domain_add": ("a.b",), "user_domain_rm": ("a.b",),
    "user_ip_add": ("::1",), "user_ip_rm": ("::1",), "user_ipauth": ("::1",)}


@pytest.mark.parametrize("function", WRONG)
@pytest.mark.parametrize("command", [("SET", "x"), ("RPUSH", "x"),
                                     ("SADD", "x"), ("XADD", "*", "a", "b")])
def test_a_record_of_the_wrong_type(library, function, command):
    library.redis.cli(command[0], library.user(), *command[1:])
    assert library.refuses("WRONGTYPE", function, library.user(),
                           *WRONG[function]) == (
        "smtp:user:{alice}: not a hash")


@pytest.mark.parametrize("function, name, words", [
    ("user_add", "domains", ("password", HASH, "domains", "a.b")),
    ("user_set", "domains", ("quota", "1", "domains", "a.b")),
    ("user_put", "ips", ("quota", "1", "ips", "")),
    ("user_put", "ips", ("quota", "1", "ips", "::1")),
    ("user_domain_add", "domains", ("a.b",)),
    ("user_domain_rm", "domains", ("a.b",)),
    ("user_ip_add", "ips", ("::1",)), ("user_ip_rm", "ips", ("::1",))])
def test_a_set_of_the_wrong_type(library, function, name, words):
    library.redis.cli("HSET", library.user(), "password", HASH)
    library.redis.cli("SET", library.user("alice", name), "x")
    assert library.refuses("WRONGTYPE", function, library.user(), *words) == (
        "smtp:user:{alice}:%s: not a set" % name)


@pytest.mark.parametrize("function", [
    name for name in WRONG if name not in ("user_add", "user_put",
                                           "user_del")])
def test_no_such_user(library, function):
    assert library.refuses("NOUSER", function, library.user("eve"),
                           *WRONG[function]) == "eve: no such user"


# del

def test_delete(library, alice):
    library.call("user_set", alice, "rate", "1/1h 5/60m", "quota", "9")
    library.call("user_put", library.user("alice.b"), "ips", "::1")
    others = library.snapshot()
    library.call("user_ipauth", alice, "192.0.2.7")
    for suffix in LEFTOVERS + ("used:rate:1/3600", "used:rate:5/3600"):
        if suffix not in ("domains", "ips"):
            library.redis.cli("SET", alice + ":" + suffix, "x")
    assert library.call("user_del", alice, "purge") == 1
    assert library.keys() == {library.user("alice.b"),
                              library.user("alice.b", "ips")}
    assert library.snapshot().items() <= others.items()
    before = library.snapshot()
    assert library.call("user_del", alice) == 0
    assert library.snapshot() == before


@pytest.mark.parametrize("part", ["log", "failed"])
def test_the_log_of_who_is_deleted_stays_a_while(library, alice, part):
    log = alice + ":" + part
    library.redis.cli("XADD", log, "*", "event", "login")
    assert library.call("user_del", alice) == 1
    assert library.keys() == {log}
    assert 0 < library.redis.cli("TTL", log) <= 30 * 86400
    assert library.call("user_del", alice) == 0
    assert library.keys() == {log}
    assert library.call("user_del", alice, "purge") == 0
    assert library.keys() == set()
    library.redis.cli("XADD", log, "*", "event", "login")
    library.call("user_add", alice)
    assert library.keys() == {alice}
    assert "purge" in library.refuses("INVALID", "user_del", alice, "Purge")


def test_delete_takes_what_was_left_behind(library):
    for suffix in LEFTOVERS:
        library.redis.cli("SET", library.user("alice", suffix), "x")
    assert library.call("user_del", library.user(), "purge") == 0
    assert library.keys() == set()


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7",
                                     "[2001:DB8::1]"])
def test_delete_frees_the_address(library, alice, address):
    library.call("user_ipauth", alice, address)
    library.redis.cli("HSET", alice, "ip_auth", address)
    assert library.call("user_del", alice) == 1
    assert library.keys() == set()


def test_delete_leaves_the_address_of_another(library, alice):
    address = library.address("192.0.2.7")
    library.redis.cli("HSET", alice, "ip_auth", "192.0.2.7")
    library.redis.cli("SET", address, "bob")
    assert library.call("user_del", alice) == 1
    assert library.redis.cli("GET", address) == "bob"


@pytest.mark.parametrize("address", ["", "junk", "192.0.2.0/24",
                                     "192.0.2.7\n"])
def test_delete_is_not_held_by_what_is_no_address(library, alice, address):
    library.redis.cli("HSET", alice, "ip_auth", address)
    assert library.call("user_del", alice) == 1
    assert library.keys() == set()


def test_delete_with_rates_that_are_none(library, alice):
    library.redis.cli("HSET", alice, "rate", "\0fast\r\n")
    assert library.call("user_del", alice) == 1
    assert library.keys() == set()


# Domains

def test_domains_one_by_one(library, alice):
    assert library.call("user_domain_add", alice, "A.example",
                        "XN--bcher-kva.example",
                        "xn--bcher-kva.example.") == 1
    assert library.members(alice + ":domains") == {
        "a.example", "xn--bcher-kva.example"}
    assert library.call("user_domain_add", alice, "a.example") == 0
    library.redis.cli("SADD", alice + ":domains", "Odd", "A.example")
    assert library.call("user_domain_rm", alice, "A.example", "Odd",
                        "c.example") == 3
    assert library.members(alice + ":domains") == {"xn--bcher-kva.example"}
    assert library.call("user_domain_rm", alice, "Xn--bcher-kva.Example") == 1
    assert library.call("user_domain_rm", alice, "Xn--bcher-kva.Example") == 0
    assert library.keys() == {alice, alice + ":ips"}


@pytest.mark.parametrize("function, told", [
    ("user_domain_add", "no domain is given"),
    ("user_domain_rm", "no domain is given"),
    ("user_ip_add", "no range is given"),
    ("user_ip_rm", "no range is given")])
def test_no_member_is_given(library, alice, function, told):
    assert library.refuses("INVALID", function, alice) == told


def test_one_bad_domain_adds_none(library, alice):
    assert library.refuses("INVALID", "user_domain_add", alice, "b.example",
                           "*.example") == (
        "*.example: not a domain: not a host name")


# Views

UNBLOCKED = {"alarms": None, "blocked_by": None, "blocked_at": None,
             "blocked_until": None}


def test_get(library):
    key = library.user()
    library.call("user_put", key, *FULL)
    library.redis.cli("HSET", key, "note", "a/b\\c\"\n", "colour", "red")
    library.redis.cli("HSET", key + ":last", "login", "2026-11-21T08:39:29Z",
                      "message", "2026-11-21T08:40:00Z", "other", "x")
    expected = {**STORED, "password": "sha256crypt"}
    assert library.get(key) == {
        "name": "alice", **expected, "ip_auth": None, "over": None,
        "sender_quota": None, "sender_rate": None,
        "max_recipients": None, "max_size": None, **UNBLOCKED,
        "last_login": "2026-11-21T08:39:29Z",
        "last_message": "2026-11-21T08:40:00Z",
        "domains": ["a.example", "b.example"], "domain_count": 2,
        "ips": ["192.0.2.0/24", "2001:db8::1"], "ip_count": 2,
        "suppressed_count": 0,
        "other": {"note": "a/b\\c\"\n", "colour": "red"},
        "usage": [
            {"limit": "quota", "count": 100, "period": "1d", "used": 0,
             "reset": 0},
            {"limit": "rate", "count": 1, "period": "1h", "used": 0,
             "reset": 0},
            {"limit": "rate", "count": 5, "period": "1d", "used": 0,
             "reset": 0}],
        "warnings": [], "problems": []}


def test_get_of_next_to_nothing(library):
    library.redis.cli("HSET", library.user(), "created", "x")
    view = library.get(library.user())
    assert view.pop("problems")
    assert view == {
        "name": "alice", "password": None, "account": None, "mode": None,
        "status": None, "quota": None, "quota_period": None, "rate": None,
        "over": None, "sender_quota": None, "sender_rate": None,
        "max_recipients": None, "max_size": None, **UNBLOCKED,
        "ip_auth": None, "restricted": None, "description": None,
        "created": "x",
        "last_login": None, "last_message": None, "domains": [],
        "domain_count": 0, "ips": [], "ip_count": 0, "suppressed_count": 0,
        "other": {}, "usage": [], "warnings": []}


@pytest.mark.parametrize("words, period", [
    ((), "1d"), (("3600",), "1h"), (("90",), "90s"), (("2w",), "14d")])
def test_get_counts_by_the_period_of_the_configuration(library, alice, words,
                                                       period):
    library.call("user_set", alice, "quota", "5")
    assert library.get(alice, *words)["usage"] == [
        {"limit": "quota", "count": 5, "period": period, "used": 0,
         "reset": 0}]
    with pytest.raises(ReplyError, match="^INVALID soon: not a period: "):
        library.get(alice, "soon")


def test_get_says_what_is_used(library, alice):
    library.call("user_set", alice, "quota", "5", "rate", "2/1h")
    assert library.redis.cli(
        "FCALL", "smtpusers_reserve", 4, alice, alice + ":used:quota",
        alice + ":used:rate", alice + ":used:hold:1", "3600", 2)[0] == "ok"
    rows = library.get(alice, "3600")["usage"]
    assert [(row["limit"], row["used"], 3590 < row["reset"] <= 3600)
            for row in rows] == [("quota", 2, True), ("rate", 2, True)]
    library.redis.cli("HSET", alice, "rate", "fast")
    assert library.get(alice)["usage"] is None


def test_get_makes_json_of_anything(library, alice):
    odd = bytes(range(256)) * 2 + "é日\U0001f600".encode() + b"\xe6\x97"
    library.redis.cli("HSET", alice, odd, odd, "account", odd)
    library.redis.cli("SADD", alice + ":ips", odd)
    raw = library.call("user_get", alice)
    assert raw.isprintable() or "\x7f" in raw
    raw.encode("utf-8", "strict")
    view = library.get(alice)
    text = view["account"]
    assert text.startswith("".join(map(chr, range(128))) + "\ufffd" * 128)
    assert text.endswith("é日\U0001f600\ufffd\ufffd")
    assert view["other"] == {text: text}
    assert text in view["ips"]


@pytest.mark.parametrize("count", [499, 500, 2400])
def test_get_shows_all_members_unless_they_are_many(library, alice, count):
    domains = sorted("d%d.example" % n for n in range(count))
    library.call("user_domain_add", alice, *domains)
    view = library.get(alice)
    assert view["domain_count"] == count + 1
    every = sorted(domains + ["a.example"])
    if count < 500:
        assert view["domains"] == every
    else:
        assert 450 < len(view["domains"]) < 550
        assert set(view["domains"]) <= set(every)


def test_last_of_the_wrong_type_is_none(library, alice):
    library.redis.cli("SET", alice + ":last", "x")
    assert library.get(alice)["last_login"] is None


@pytest.mark.parametrize("stored, scheme", [
    ("$6$salt$x", "sha512crypt"), ("$2y$10$x", "bcrypt"), ("!$y$x", "locked"),
    ("*", "locked"), ("$5$x", "sha256crypt"), ("$gy$x", "gost-yescrypt"),
    ("$y$x", "yescrypt"), ("$7$x", "scrypt"), ("$sha1$x", "sha1crypt"),
    ("$1$x", "md5crypt"), ("$zz$x", "unknown"), ("Secret1", "unknown"),
    ("", None)])
def test_get_names_the_scheme_of_the_password(library, alice, stored, scheme):
    library.redis.cli("HSET", alice, "password", stored)
    raw = library.call("user_get", alice)
    assert library.get(alice)["password"] == scheme
    assert stored == "" or stored == "*" or stored not in raw


# Problems

def problems(library, name="alice"):
    """As both functions tell them."""
    told = library.call("user_check", library.user(name))
    seen = library.get(library.user(name))["problems"]
    assert sorted(seen) == sorted(told)
    return told


NOBODY = "no password and no IP authentication, so nobody can log in"
SILENT = "mode default without domains: can never send"


@pytest.mark.parametrize("command, told", [
    (("HSET", "", "password", "Secret1"),
     "password: not a hash that crypt(3) makes"),
    (("HSET", "", "password", HASH + "\n"),
     "password: not a hash that crypt(3) makes"),
    (("HSET", "", "account", "a@b"),
     "account: a@b: not an account name: 1 to 64 of a-z 0-9 . _ + -, the "
     "first a letter or digit"),
    (("HSET", "", "mode", "x"), "mode: x: not one of default, all, any"),
    (("HSET", "", "status", "gone"),
     "status: gone: not one of allowed, blocked, sandboxed"),
    (("HSET", "", "quota", "many"),
     "quota: many: not a quota: a number of messages, at most 10^12, 0 = "
     "unlimited"),
    (("HSET", "", "quota_period", "soon"),
     "quota_period: soon: not a period: seconds, or a number with s, m, h, d "
     "or w, at most 3650d"),
    (("HSET", "", "rate", "fast"),
     "rate: fast: not a rate: messages/period, such as 100/1h"),
    (("HSET", "", "ip_auth", "10/8"),
     "ip_auth: 10/8: not an IPv4 or IPv6 address, such as 192.0.2.1 or "
     "2001:db8::1"),
    (("HSET", "", "created", "x\0"), "created: not a time"),
    (("SADD", ":ips", "a\nb"), r"ips: a\x0ab: neither address nor range"),
    (("SADD", ":domains", "B.example"),
     "domains: B.example: not lower-case A-labels, so it never matches"),
    (("SADD", ":domains", "bücher.example"),
     r"domains: b\xc3\xbccher.example: not lower-case A-labels, so it never matches"),
    (("HDEL", "", "password"), NOBODY),
    (("HSET", "", "password", ""), NOBODY),
    (("DEL", ":domains"), SILENT),
])
def test_one_problem(library, alice, command, told):
    assert problems(library) == []
    verb, suffix, *rest = command
    library.redis.cli(verb, alice + suffix, *rest)
    assert problems(library) == [told]


@pytest.mark.parametrize("fields, told", [
    (("password", HASH, "mode", "all"),
     ["mode all without domains and without an account: can never send"]),
    (("password", HASH, "mode", "any", "account", ""),
     ["mode any without domains and without an account: can never send"]),
    (("password", HASH, "mode", "all", "account", "acme"), []),
    (("ip_auth", "192.0.2.1", "mode", "all", "account", "acme"), []),
    (("password", "!", "mode", "all", "account", "acme"), []),
    (("status", "allowed", "mode", ""), [NOBODY, SILENT]),
    (("description", "x"),
     ["no field that the relay reads, so there is no such user", NOBODY,
      SILENT]),
    (pairs(password="", account="", mode="", status="", quota="", rate="",
           quota_period="", ip_auth="", created=""), [NOBODY, SILENT]),
])
def test_what_is_missing(library, fields, told):
    library.redis.cli("HSET", library.user(), *fields)
    assert problems(library) == told


def test_problems_come_in_order(library):
    library.redis.cli("HSET", library.user(), *pairs(
        password="plain", mode="x", status="gone", quota="many", rate="fast",
        quota_period="soon", account="a@b", ip_auth="x", extra="kept"))
    library.redis.cli("SADD", library.user("alice", "ips"), "192.0.2.0/33")
    library.redis.cli("SADD", library.user("alice", "domains"), "x")
    assert [told.partition(":")[0] for told in problems(library)] == [
        "password", "account", "mode", "status", "quota", "quota_period",
        "rate", "ip_auth", "ips", "ips", "domains"]


def test_a_list_of_which_no_entry_is_valid(library, alice):
    key = alice + ":ips"
    library.redis.cli("DEL", key)
    library.redis.cli("SADD", key, "any", "1.2.3")
    refused = "ips: no entry is valid, so every source is refused"
    assert refused in problems(library)
    library.redis.cli("SADD", key, "10.0.0.1")
    assert refused not in problems(library)
    assert len(problems(library)) == 2


def test_many_bad_entries(library, alice):
    for name in ("domains", "ips"):
        library.redis.cli("SADD", alice + ":" + name,
                          *["bad entry %d" % n for n in range(20000)])
    told = library.call("user_check", alice)
    assert len([text for text in told if text.startswith("ips: bad")]) == 100
    assert len([text for text in told
                if text.startswith("domains: bad")]) == 100
    assert len(told) == 202


def test_a_list_longer_than_the_relay_reads(library, alice):
    entries = ["10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)
               for n in range(65537)]
    library.redis.cli("SADD", alice + ":ips", *entries)
    assert problems(library) == [
        "ips: more than 65536 entries, so the user is refused"]


def test_check_tells_of_sets_that_are_none(library, alice):
    for name in ("domains", "ips"):
        library.redis.cli("DEL", alice + ":" + name)
        library.redis.cli("SET", alice + ":" + name, "x")
    told = ["domains: not a set", "ips: not a set", SILENT]
    assert library.call("user_check", alice) == told
    view = library.get(alice)
    assert view["problems"] == told
    assert (view["domains"], view["ips"]) == ([], [])


@pytest.mark.parametrize("counter", ["quota", "rate", "rate:5/60"])
def test_a_counter_of_the_wrong_type(library, alice, counter):
    library.call("user_set", alice, "quota", "5", "rate", "5/1m")
    assert problems(library) == []
    library.redis.cli("HSET", "%s:used:%s" % (alice, counter), "x", "y")
    assert problems(library) == [
        "used:%s: cannot be read, so it counts as used up" % counter]
    assert 5 in [row["used"] for row in library.get(alice)["usage"]]
    library.redis.cli("HSET", alice, "rate", "fast")
    assert len(problems(library)) == 1


@pytest.mark.parametrize("counter, value", [
    ("rate:5/60", "1 1e999"), ("rate:5/60", "1 -1e999"),
    ("rate:5/60", "1 -5"), ("rate:5/60", "1" * 400 + " 1"),
    ("rate:5/60", "1" * 17 + " 0"), ("rate:5/60", "1 1e300"),
    ("quota", "1" * 400 + " 0"), ("quota", "1" * 17 + " 0"),
    ("quota", "NOW " + "9" * 400), ("quota", "NOW 99999999999999")])
def test_a_counter_beyond_all_measure_is_full(library, alice, counter,
                                              value):
    seconds, rest = library.redis.cli("TIME")
    value = value.replace("NOW", seconds + rest.rjust(6, "0"))
    limit = ("quota", "5") if counter == "quota" else ("rate", "5/1m")
    library.call("user_set", alice, *limit)
    used = Functions(library.redis)
    assert used.call("check", "h", 1) == ["ok"]
    library.redis.cli("SET", alice + ":used:" + counter, value)
    row, = library.get(alice)["usage"]
    assert row["used"] >= 5
    assert 0 <= row["reset"] < 10 ** 6
    assert used.call("check", "h", 1)[0] == "full"
    assert used.call("reserve", "h", 1)[0] == "full"


# Versions

def test_version(library):
    number, digest = library.redis.cli("FCALL_RO", "smtpusers_version", 0)
    text = LUA.read_text()
    assert text.startswith("#!lua name=smtpusers_%d_%s\n" % (number, digest))
    whole = text.replace(digest, "@HASH@").encode()
    assert hashlib.sha256(whole).hexdigest().startswith(digest)


def test_there_is_room_for_more_names(redis):
    """Lua has 200 at most that are local at one place: long before that, a part
    should keep more of them to itself."""
    first, _, rest = LUA.read_text().partition("\n")
    more = "".join("local more%d\n" % n for n in range(40))
    redis.cli("SCRIPT", "LOAD", as_script(text=first + "\n" + more + rest))


def test_readers_write_nothing(library, alice):
    flags = {}
    for row in library.redis.cli("FUNCTION", "LIST")[0][5]:
        function = dict(zip(row[::2], row[1::2]))
        flags[function["name"]] = function["flags"]
    assert {name for name, flag in flags.items() if "no-writes" in flag} == {
        "smtpusers_" + name for name in (
            "check", "usage", "sender_usage", "version", "user_get", "user_check",
            "account_get", "canonical", "describe", "page", "rows", "strays",
            "odd_members", "is", "failures", "user_suppressed",
            "account_suppressed")}


# What the owner of a record may write into it, or beside it

MANY_RATES = " ".join("%d/1s" % n for n in range(1, 8002))


@pytest.mark.parametrize("rates", [MANY_RATES, " " * 100000 + "1/1s"])
def test_rates_that_are_too_many(library, alice, rates):
    """Nothing but this user is stopped by them."""
    library.redis.cli("HSET", alice, "rate", rates)
    library.redis.cli("SET", alice + ":used:quota", "1 5")
    assert any(line.startswith("rate: ") for line in
               library.call("user_check", alice))
    [[_, problems]] = library.redis.cli(
        "FCALL_RO", "smtpusers_rows", 1, alice, "user", "fields", "problems")
    assert any(line.startswith("rate: ") for line in problems)
    assert library.call("user_reset", alice) == 1
    assert library.redis.cli(
        "FCALL", "smtpusers_user_rename", 2, alice, library.user("bob")) == (
            "renamed")
    assert library.call("user_set", library.user("bob"), "mode", "all") == (
        "changed")
    assert library.call("user_del", library.user("bob")) == 1


@pytest.mark.parametrize("text", [
    "1 1 1" + " 1:1:0" * 2, "1 1 1" + "".join(
        " %d:1:0" % n for n in range(1, 18)),
    "1 1 1 1:1:0" + ":1:1:1" * 257, "1 1 1 1:1:0" + " " * 1000000])
def test_counters_that_are_too_long(library, alice, text):
    """They count as used up, and are told."""
    library.call("user_set", alice, "rate", "5/1h")
    keys = [alice, alice + ":used:quota", alice + ":used:rate",
            alice + ":used:hold:1"]
    reserve = lambda: library.redis.cli(
        "FCALL", "smtpusers_reserve", 4, *keys, "3600", 1)
    library.redis.cli("SET", keys[2], text)
    assert reserve()[:2] == ["full", "rate"]
    assert any("used:rate: cannot be read" in line for line in
               library.call("user_check", alice))
    library.redis.cli("SET", keys[2], "1 1 1" + "".join(
        " %d:1:0" % n + ":1:1:1" * 256 for n in range(1, 17)))
    assert reserve()[0] == "ok"


# Additions of what is there already

def test_what_is_absent_is_what_it_stands_for(library):
    alice, acme = library.user(), library.account()
    library.redis.cli("HSET", alice, "password", HASH, "status", "")
    library.redis.cli("SADD", alice + ":ips", "192.0.2.1")
    library.redis.cli("HSET", acme, "status", "allowed")
    before = library.snapshot()
    given = ("password", HASH, "ips", "192.0.2.1")
    for words in (given, (*given, "restricted", ""),
                  (*given, "mode", "default", "status", "allowed")):
        assert library.call("user_add", alice, *words) == "same"
    for words in ((), ("plan", ""), ("plan", "basic"),
                  ("status", "")):
        assert library.call("account_add", acme, *words) == "same"
    assert library.snapshot() == before
    for words in ((*given, "restricted", "1"), (*given, "mode", "all"),
                  (*given, "status", "blocked"), given[:2], given[2:]):
        library.refuses("EXISTS", "user_add", alice, *words)
    library.refuses("EXISTS", "account_add", acme, "plan", "pro")
    library.redis.cli("HSET", alice, "restricted", "0")
    library.refuses("EXISTS", "user_add", alice, *given)
