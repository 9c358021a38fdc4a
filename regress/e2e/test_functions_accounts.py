# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: accounts."""

import pytest

from library import Library
from redisserver import ReplyError

WRONG = {
    "account_add": (), "account_set": ("plan", "pro"), "account_put": (),
    "account_del": (), "account_get": (), "account_domain_add": ("a.b",),
    "account_domain_rm": ("a.b",)}


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def acme(library):
    """The key of an account that is there."""
    key = library.account()
    assert library.call("account_add", key, "domains", "a.example") == "added"
    return key


@pytest.mark.parametrize("function", ["account_add", "account_put"])
@pytest.mark.parametrize("words, fields", [
    ((), {"plan": "basic"}), (("plan", ""), {"plan": "basic"}),
    (("plan", "pro", "status", "blocked"),
     {"plan": "pro", "status": "blocked"}),
    (("status", "sandboxed"), {"plan": "basic", "status": "sandboxed"})])
def test_a_new_account(library, function, words, fields):
    key = library.account()
    library.redis.cli("SADD", key + ":domains", "left.example")
    words += ("domains", "B.example a.example.")
    assert library.call(function, key, *words) == "added"
    assert library.fields(key) == fields
    assert library.members(key + ":domains") == {"a.example", "b.example"}
    before = library.snapshot()
    assert library.call(function, key, *words) == "same"
    assert library.snapshot() == before


@pytest.mark.parametrize("words", [
    ("plan", "pro", "domains", "a.example"), (), ("domains", "b.example"),
    ("status", "blocked", "domains", "a.example")])
def test_add_leaves_another_account_of_the_name_alone(library, acme, words):
    assert library.refuses("EXISTS", "account_add", acme, *words) == (
        "acme: exists already")


@pytest.mark.parametrize("function", ["account_set", "account_put"])
def test_change(library, acme, function):
    assert library.call(function, acme, "plan", "pro", "status", "blocked",
                        "domains", "") == "changed"
    assert library.fields(acme) == {"plan": "pro", "status": "blocked"}
    assert library.keys() == {acme}
    assert library.call(function, acme, "status", "", "domains",
                        "c.example") == "changed"
    assert library.fields(acme) == {"plan": "pro"}
    before = library.snapshot()
    for words in ((), ("plan", "pro"), ("status", ""),
                  ("domains", "C.example.")):
        assert library.call(function, acme, *words) == "same"
    assert library.snapshot() == before


@pytest.mark.parametrize("function", ["account_set", "account_put"])
def test_an_account_is_never_lost_with_the_last_field(library, acme,
                                                      function):
    library.call("account_set", acme, "plan", "pro")
    assert library.call(function, acme, "plan", "") == "changed"
    assert library.fields(acme) == {"plan": "basic"}
    assert library.call(function, acme, "plan", "") == "same"
    library.redis.cli("HSET", acme, "status", "blocked")
    library.redis.cli("HDEL", acme, "plan")
    assert library.call(function, acme, "status", "") == "changed"
    assert library.fields(acme) == {"plan": "basic"}


@pytest.mark.parametrize("words, told", [
    (("plan", "Pro"), "Pro: not a plan: pro, or another word of 1 to 32 of "
     "a-z 0-9 . _ -"),
    (("status", "gone"), "gone: not one of allowed, blocked, sandboxed"),
    (("domains", "a.b x"), "x: not a domain: there is no dot in it"),
    (("mode", "any"), "mode: not a field that can be set: plan, status, "
     "user_prefix, alarms, quota, quota_period, rate, over, max_recipients, max_size, "
     "domains"),
    (("ip_auth", "::1"), "ip_auth: not a field that can be set: plan, "
     "status, user_prefix, alarms, quota, quota_period, rate, over, "
     "max_recipients, max_size, domains"),
    (("ips", "::1"), "ips: not a field that can be set: plan, status, "
     "user_prefix, alarms, quota, quota_period, rate, over, max_recipients, max_size, "
     "domains"),
    (("created", ""), "created: not a field that can be set: plan, status, "
     "user_prefix, alarms, quota, quota_period, rate, over, max_recipients, max_size, "
     "domains"),
    (("plan",), "a field without a value: they come in pairs"),
    (("plan", "a", "plan", "a"), "plan: named twice"),
])
@pytest.mark.parametrize("function", ["account_add", "account_set",
                                      "account_put"])
def test_one_bad_word_changes_nothing(library, acme, function, words, told):
    keys = [acme] if function == "account_set" else [
        acme, library.account("other")]
    for key in keys:
        rest = words if words[0] == "status" else ("status", "blocked") + words
        assert library.refuses("INVALID", function, key, *rest) == told


@pytest.mark.parametrize("function", WRONG)
@pytest.mark.parametrize("key, told", [
    ("smtp:account:{Acme}", "Acme: account names are lower case: acme"),
    ("smtp:account:{}", ": not an account name: 1 to 64 of a-z 0-9 . _ + -, "
     "the first a letter or digit"),
    ("smtp:user:{acme}", "smtp:user:{acme}: not the key of a record: "
     "PREFIXaccount:{NAME}")])
def test_keys_that_are_none(library, function, key, told):
    assert library.refuses("INVALID", function, key,
                           *WRONG[function]) == told


@pytest.mark.parametrize("function", WRONG)
def test_a_record_of_the_wrong_type(library, function):
    library.redis.cli("SET", library.account(), "x")
    assert library.refuses("WRONGTYPE", function, library.account(),
                           *WRONG[function]) == (
        "smtp:account:{acme}: not a hash")


@pytest.mark.parametrize("function, words", [
    ("account_add", ("domains", "a.b")), ("account_set", ("domains", "")),
    ("account_put", ("plan", "pro", "domains", "a.b")),
    ("account_domain_add", ("a.b",)), ("account_domain_rm", ("a.b",))])
def test_domains_of_the_wrong_type(library, acme, function, words):
    library.redis.cli("SET", acme + ":domains", "x")
    assert library.refuses("WRONGTYPE", function, acme, *words) == (
        "smtp:account:{acme}:domains: not a set")


@pytest.mark.parametrize("function", [
    "account_set", "account_get", "account_domain_add", "account_domain_rm"])
def test_no_such_account(library, function):
    assert library.refuses("NOACCOUNT", function, library.account(),
                           *WRONG[function]) == "acme: no such account"


def test_delete(library, acme):
    library.call("account_add", library.account("acme.b"), "domains", "a.b")
    assert library.call("account_del", acme) == 1
    assert library.keys() == {library.account("acme.b"),
                              library.account("acme.b", "domains")}
    assert library.call("account_del", acme) == 0
    library.redis.cli("SADD", acme + ":domains", "left.example")
    assert library.call("account_del", acme) == 0
    assert library.members(acme + ":domains") == set()


def test_domains_one_by_one(library, acme):
    assert library.call("account_domain_add", acme, "A.example", "b.example",
                        "b.example.") == 1
    assert library.refuses("INVALID", "account_domain_add", acme, "c.example",
                           "x") == "x: not a domain: there is no dot in it"
    library.redis.cli("SADD", acme + ":domains", "Odd")
    assert library.call("account_domain_rm", acme, "Odd", "A.EXAMPLE",
                        "z.example") == 2
    assert library.call("account_domain_rm", acme, "a.example") == 0
    assert library.members(acme + ":domains") == {"b.example"}
    for function in ("account_domain_add", "account_domain_rm"):
        assert library.refuses("INVALID", function, acme) == (
            "no domain is given")


def test_get(library, acme):
    assert library.get(acme) == {
        "name": "acme", "plan": "basic", "status": None,
        "user_prefix": None, "alarms": None, "quota": None, "quota_period": None,
        "rate": None, "over": None, "max_recipients": None,
        "max_size": None, "domains": ["a.example"], "domain_count": 1,
        "suppressed_count": 0, "other": {}, "usage": [], "problems": []}
    library.redis.cli("HSET", acme, "plan", b"P\xff", "status", "gone",
                      "note", "x")
    library.redis.cli("SADD", acme + ":domains", "B.example")
    assert library.get(acme) == {
        "name": "acme", "plan": "P\ufffd", "status": "gone",
        "user_prefix": None, "alarms": None, "quota": None, "quota_period": None,
        "rate": None, "over": None, "max_recipients": None,
        "max_size": None, "domains": ["B.example", "a.example"],
        "domain_count": 2, "suppressed_count": 0, "other": {"note": "x"},
        "usage": [],
        "problems": [
            r"plan: P\xff: not a plan: pro, or another word of 1 to 32 of "
            "a-z 0-9 . _ -",
            "status: gone: not one of allowed, blocked, sandboxed",
            "domains: B.example: not lower-case A-labels, so it never "
            "matches"]}


def test_get_tells_of_domains_of_the_wrong_type(library, acme):
    library.redis.cli("SET", acme + ":domains", "x")
    view = library.get(acme)
    assert view["domains"] == []
    assert view["problems"] == ["domains: not a set"]


def test_a_call_takes_one_key(library, acme):
    with pytest.raises(ReplyError, match="^INVALID the call takes one key, "
                       "of the form PREFIXaccount:{NAME}$"):
        library.redis.cli("FCALL", "smtpusers_account_del", 2, acme, acme)
