# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The Redis functions about many records at once, and those that mend."""

import json
import re

import pytest

from library import HASH, Library, pairs
from places import SOURCE
from redisserver import ReplyError
from users import crypt

SLOW = crypt("Open-Sesame1", "$2b$", 4).replace("$04$", "$12$")


@pytest.fixture
def library(redis):
    return Library(redis)


def pages(library, function, *words, kind=None):
    """All rows of all pages, and how many there were."""
    cursor, rows, count = "0", [], 0
    while True:
        given = ("smtp:", kind, cursor) if kind else ("smtp:", cursor)
        cursor, *some = library.redis.cli(
            "FCALL_RO", "smtpusers_" + function, 0, *given, *words)
        rows += some
        count += 1
        if cursor == "0":
            return rows, count


def listed(library, *words, kind="user"):
    rows, _ = pages(library, "page", *words, kind=kind)
    return {row[0]: row[1:] for row in rows}


# What is known of the records

def test_describe(library):
    told = json.loads(library.redis.cli("FCALL_RO", "smtpusers_describe", 0))
    assert [told["version"], told["hash"]] == library.redis.cli(
        "FCALL_RO", "smtpusers_version", 0)
    assert told["release"] == (SOURCE / "VERSION").read_text().strip()
    assert {row["name"] for row in told["kinds"]["user"]["fields"]
            if not row["settable"]} == {"password", "ip_auth", "blocked_at",
                                        "created"}
    assert set(told["kinds"]) == {"user", "account"}
    for kind, rows in told["kinds"].items():
        key = getattr(library, kind)()
        view = (library.call(kind + "_add", key), library.get(key))[1]
        for row in rows["fields"] + rows["sets"]:
            assert row["name"] in view
            assert row["help"] == row["help"].strip() != ""
            for word in row["words"] or ():
                assert library.canonical(row["kind"], word) == [word]
                library.call(kind + "_set", key, row["name"], word)
                assert library.fields(key)[row["name"]] == word
        names = [row["name"] for row in rows["fields"] + rows["sets"]]
        text = library.refuses("INVALID", kind + "_set", key, "x", "y")
        assert text == "x: not a field that can be set: " + ", ".join(names)
    secret, = [row for row in told["kinds"]["user"]["fields"]
               if row["secret"]]
    assert secret["name"] == "password"


def test_the_limits_are_those_that_are_told(library):
    told = json.loads(library.redis.cli("FCALL_RO", "smtpusers_describe", 0))
    limits = told["limits"]
    alice = library.user()
    library.call("user_add", alice)
    most = ["d%d.example" % n for n in range(limits["members"])]
    assert library.call("user_domain_add", alice, *most) == len(most)
    assert library.call("user_set", alice, "domains", " ".join(most)) == "same"
    refused = "INVALID"
    library.refuses(refused, "user_domain_add", alice, *most, "x.example")
    library.refuses(refused, "user_set", alice, "domains",
                    " ".join(most + ["x.example"]))
    library.refuses(refused, "user_set", alice, "description",
                    "x" * limits["bytes"])
    keys = [library.user("u%d" % n) for n in range(limits["records"])]
    words = ["user_add"] + ["0"] * len(keys)
    assert library.redis.cli("FCALL", "smtpusers_import", len(keys), *keys,
                             *words) == ["added"] * len(keys)
    with pytest.raises(ReplyError, match="^INVALID the call takes 1 to 100"):
        library.redis.cli("FCALL", "smtpusers_import", len(keys) + 1, *keys,
                          alice, *words, "0")


# Pages

def test_a_page_has_what_is_asked_for(library):
    library.call("user_add", library.user(), "password", HASH, "mode", "all",
                 "domains", "b.example a.example", "ips", "::1", "quota", "5",
                 "ip_auth", "192.0.2.7")
    library.redis.cli("HSET", library.user() + ":last", "login", "then")
    library.redis.cli("FCALL", "smtpusers_reserve", 4, library.user(),
                      library.user("alice", "used", "quota"),
                      library.user("alice", "used", "rate"),
                      library.user("alice", "used", "hold", "1"), "3600", 2)
    row = listed(library, "fields", "mode account password last_login "
                 "last_message used domain_count ip_count domains ips claim "
                 "wrong problems warnings")["alice"]
    row[8] = sorted(row[8])
    assert row == ["all", None, HASH, "then", None, "2", 2, 1,
                   ["a.example", "b.example"], ["::1"], "alice", [], [], []]


def test_a_page_tells_what_is_wrong(library):
    key = library.user()
    library.redis.cli("HSET", key, "password", SLOW, "ip_auth", "192.0.2.7",
                      "mode", "x")
    library.redis.cli("SET", key + ":log", "x")
    library.redis.cli("SET", key + ":failed", "x")
    library.redis.cli("SET", library.user("bob"), "no hash")
    library.redis.cli("HSET", library.user("Bad name"), "mode", "all")
    rows = listed(library, "fields", "mode problems warnings claim wrong")
    assert set(rows) == {"alice", "bob"}
    mode, problems, (warning,), claim, wrong = rows["alice"]
    assert (mode, claim, sorted(wrong)) == ("x", "", ["failed", "log"])
    assert problems == library.call("user_check", key)
    assert warning == library.get(key)["warnings"][0]
    assert rows["bob"] == []


@pytest.mark.parametrize("words, expected", [
    ((), {"a", "b", "c", "d"}),
    (("status", "allowed"), {"a", "c", "d"}), (("status", "blocked"), {"b"}),
    (("mode", "default"), {"b", "c", "d"}), (("mode", "all"), {"a"}),
    (("account", "ACME"), {"a", "b"}), (("account", "other"), set()),
    (("domain", "A.example."), {"a", "c"}),
    (("domain", "a.example", "account", "acme"), {"a"}),
    (("given", "ip_auth"), {"d"}), (("match", "[ab]"), {"a", "b"}),
    (("match", "b", "status", "blocked"), {"b"})])
def test_conditions(library, words, expected):
    for name, fields in (
            ("a", ("account", "acme", "mode", "all", "domains", "a.example")),
            ("b", ("account", "acme", "status", "blocked")),
            ("c", ("status", "", "domains", "a.example")),
            ("d", ("ip_auth", "192.0.2.7"))):
        library.call("user_add", library.user(name), *fields)
    library.call("account_add", library.account("a"))
    library.redis.cli("HSET", library.user("a"), "account", "Acme")
    assert set(listed(library, *words)) == expected
    rows = library.redis.cli(
        "FCALL_RO", "smtpusers_rows", 5,
        *[library.user(name) for name in "abcde"], "user", *[
            word for word in words if word not in ("match", "[ab]", "b")])
    if "match" not in words:
        assert {row[0] for row in rows if row} == expected
        assert rows[4] is None


def test_a_condition_takes_no_field_away(library):
    library.redis.cli("HSET", library.user(), "mode", "all", "status",
                      "blocked", "blocked_until", "x")
    for words in (("mode", "all"), ("status", "blocked")):
        assert listed(library, "fields", "blocked_until", *words) == {
            "alice": ["x"]}


def test_two_fields_that_are_given(library):
    for name, fields in (("a", ("mode", "all", "quota", "5")),
                         ("b", ("mode", "all")), ("c", ("quota", "5"))):
        library.call("user_add", library.user(name), *fields)
    assert set(listed(library, "given", "mode", "given", "quota")) == {"a"}


def test_rows_of_nobody(library):
    """Whatever is asked for; a record of nothing that is asked for is one."""
    library.redis.cli("HSET", library.user("bob"), "colour", "red")
    library.redis.cli("SET", library.user("carol"), "no hash")
    for fields in ("mode", "problems", "ip_count", ""):
        alice, bob, carol = library.redis.cli(
            "FCALL_RO", "smtpusers_rows", 3, library.user(),
            library.user("bob"), library.user("carol"), "user", "fields",
            fields)
        assert alice is None
        assert bob[0] == "bob" and len(bob) == 1 + bool(fields)
        assert carol[0] == "carol"


@pytest.mark.parametrize("prefix", ["smtp:", "s*[a]?^\\x:"])
def test_pages_are_complete(redis, prefix):
    library = Library(redis, prefix)
    other = Library(redis, "sXa:")
    names = {"u%d" % n for n in range(3000)}
    with redis.connect() as connection:
        for name in names:
            connection.send("HSET", library.user(name), "mode", "all")
            connection.send("HSET", other.user(name + "x"), "mode", "all")
            connection.read(), connection.read()
    cursor, found = "0", set()
    while True:
        cursor, *rows = redis.cli("FCALL_RO", "smtpusers_page", 0, prefix,
                                  "user", cursor)
        found |= {row[0] for row in rows}
        if cursor == "0":
            break
    assert found == names


def test_accounts_by_pages(library):
    library.call("account_add", library.account(), "plan", "pro", "domains",
                 "a.b")
    library.call("account_add", library.account("other"), "domains", "a.c")
    assert listed(library, "plan", "pro", "fields", "plan status domains",
                  kind="account") == {"acme": ["pro", None, ["a.b"]]}
    assert listed(library, "domain", "a.c", "fields", "problems",
                  kind="account") == {"other": [[]]}


def test_large_sets_are_counted(library):
    """A page has room for so many members; of the others it tells the
    number."""
    for n in range(8):
        key = library.user("u%d" % n)
        library.call("user_add", key, "password", HASH, "domains", " ".join(
            "d%d.example" % m for m in range(1000)))
    rows = listed(library, "fields", "domains problems")
    lists = [row[0] for row in rows.values() if isinstance(row[0], list)]
    assert 1 <= len(lists) < 8
    assert all(len(members) == 1000 for members in lists)
    assert {row[0] for row in rows.values()
            if not isinstance(row[0], list)} == {1000}
    assert None in [row[1] for row in rows.values()]


@pytest.mark.parametrize("words, told", [
    (("x", "user", "0", "colour", "red"), "colour: not an option"),
    (("x", "user", "0", "plan", "pro"), "plan: not an option"),
    (("x", "user", "0", "given", "colour"), "given: not an option"),
    (("x", "user", "0", "fields", "mode colour"), "colour: not a field"),
    (("x", "user", "0", "fields", "mode mode"), "mode: named twice"),
    (("x", "user", "0", "fields", "used mode used"), "used: named twice"),
    (("x", "user", "0", "mode", "all", "mode", "all"), "mode: named twice"),
    (("x", "user", "0", "fields", "", "fields", ""), "fields: named twice"),
    (("x", "user", "0", "given", "mode", "given", "mode"),
     "mode: named twice"),
    (("x", "user", "0", "mode"), "an option without a value: they come in "
     "pairs"),
    (("x", "table", "0"), "table: neither user nor account"),
    (("", "user", "0"), ": not a prefix"),
    (("x", "user", "0", "domain", "é"), None),
    (("x", "user"), "the call takes no key, a prefix, user or account, a "
     "cursor, and options")])
def test_pages_that_are_none(library, words, told):
    with pytest.raises(ReplyError) as error:
        library.redis.cli("FCALL_RO", "smtpusers_page", 0, *words)
    assert str(error.value).startswith("INVALID ")
    assert told is None or str(error.value) == "INVALID " + told


# Whether a record is what an addition would make

def test_is(library):
    alice = library.user()
    fields = ("password", HASH, "quota", "5")
    assert library.call("is", alice, *fields) == 0
    library.call("user_add", alice, *fields, "domains", "a.example")
    before = library.snapshot()
    for words, same in (
            (fields, 1), ((*fields, "domains", "b.example"), 1),
            ((*fields, "mode", "default"), 1), ((*fields, "mode", "all"), 0),
            ((*fields, "mode", ""), 1), (fields[:2], 0),
            ((*fields, "restricted", "1"), 0),
            ((*fields, "restricted", "0"), 1),
            ((*fields, "created", "2026-11-21T08:39:29Z"), 0),
            # Of a user without restricted, who may be so.
            ((*fields, "ips", "::1"), 1)):
        assert library.call("is", alice, *words) == same, words
    assert library.snapshot() == before
    library.redis.cli("HSET", alice, "colour", "red")
    assert library.call("is", alice, *fields) == 0
    library.redis.cli("HSET", library.account(), "status", "allowed")
    assert library.call("is", library.account()) == 1
    assert library.call("is", library.account(), "plan", "pro") == 0


# What is left over

def test_strays(library):
    library.call("user_add", library.user(), "ip_auth", "192.0.2.7",
                 "domains", "a.b", "ips", "::1", "quota", "5")
    library.call("account_add", library.account(), "domains", "a.b")
    expected = set()
    for key, what, name in (
            (library.user("eve", "domains"), "left", "eve"),
            (library.user("eve", "ips"), "left", "eve"),
            (library.account("eve", "domains"), "left", "eve"),
            (library.user("Eve"), "name", "Eve"),
            (library.user("eve", "colour"), "strange", ""),
            ("smtp:user:eve", "strange", ""),
            ("smtp:user:{a}x", "strange", "")):
        library.redis.cli("SADD", key, "x")
        expected.add((key, what, name))
    for key, value, what, name in (
            (library.address("192.0.2.8"), "alice", "claim", "alice"),
            (library.address("192.0.2.9"), "eve", "claim", "eve"),
            (library.address("192.0.2.10"), "no name", "strange", ""),
            (library.address("192.0.2.010"), "alice", "strange", "")):
        library.redis.cli("SET", key, value)
        expected.add((key, what, name))
    for key in (library.user("eve", "log"), library.user("eve", "failed"),
                library.user("eve", "used:quota"), "smtp:report:{1}", "other", "smtp:users", "x:user:{eve}"):
        library.redis.cli("SET", key, "x")
    rows, _ = pages(library, "strays")
    found = {(key, what, "" if what == "strange" else name)
             for key, what, name in rows}
    assert found == expected
    # In pages of as many keys as are asked for.
    few, count = pages(library, "strays", "1")
    assert sorted(map(str, few)) == sorted(map(str, rows)) and count > 10
    assert pages(library, "strays", "100") == (rows, 1)
    for words in (("",), ("0",), ("101",), ("1e1",), ("1", "1")):
        library.refuses("INVALID", "strays", None, "smtp:", "0", *words)


def test_bury(library):
    alice, eve = library.user(), library.user("eve")
    library.call("user_add", alice, "domains", "a.b")
    for suffix in ("domains", "ips", "last", "log", "failed"):
        library.redis.cli("SET", library.user("eve", suffix), "x")
    assert library.call("bury", alice, "domains") == 0
    assert library.call("bury", eve, "domains", "last") == 2
    assert library.keys() >= {library.user("eve", "ips"),
                              library.user("eve", "log"),
                              library.user("alice", "domains")}
    library.refuses("INVALID", "bury", eve, "log")
    library.refuses("INVALID", "bury", library.account(), "ips")


def test_forget(library):
    key = library.address("192.0.2.7")
    library.redis.cli("SET", key, "no name\n")
    assert library.call("ip_forget", key, "no name") == 0
    assert library.call("ip_forget", key, "no name\n") == 1
    library.redis.cli("SET", "smtp:other", "x")
    library.refuses("INVALID", "ip_forget", "smtp:other", "x")


# Sets

def test_odd_members_and_mending_them(library):
    alice = library.user()
    library.call("user_add", alice)
    ips = alice + ":ips"
    odd = {"192.0.2.9/24": "192.0.2.0/24", "2001:DB8::1": "2001:db8::1",
           "junk\n": "", "": ""}
    library.redis.cli("SADD", ips, "10.0.0.1", *odd)
    cursor, right, *rest = library.call("odd_members", alice, "ips")
    assert (cursor, right) == ("0", 1)
    assert dict(zip(rest[::2], rest[1::2])) == odd
    assert library.call("mend", alice, "ips", *rest) == 4
    assert library.members(ips) == {"10.0.0.1", "192.0.2.0/24", "2001:db8::1"}
    assert library.call("mend", alice, "ips", *rest) == 0
    # What counts does not go.
    assert library.call("mend", alice, "ips", "10.0.0.1", "") == 0
    assert "10.0.0.1" in library.members(ips)


def test_mending_never_opens_a_list(library):
    alice = library.user()
    library.call("user_add", alice)
    library.redis.cli("SADD", alice + ":ips", "junk", "more")
    assert library.call("mend", alice, "ips", "junk", "", "more", "") == 0
    assert library.members(alice + ":ips") == {"junk", "more"}
    assert library.call("mend", alice, "ips", "junk", "") == 1
    assert library.call("mend", alice, "ips", "more", "::1") == 1
    assert library.members(alice + ":ips") == {"::1"}


def test_mending_domains(library):
    acme = library.account()
    library.call("account_add", acme)
    library.redis.cli("SADD", acme + ":domains", "A.example", "bücher.example",
                      "x")
    assert library.call("mend", acme, "domains", "bücher.example",
                        "xn--bcher-kva.example", "x", "") == 2
    assert library.members(acme + ":domains") == {
        "A.example", "xn--bcher-kva.example"}
    library.refuses("INVALID", "mend", acme, "domains", "A.example",
                    "é.example")
    library.refuses("INVALID", "mend", acme, "ips", "::1", "::1")


# Imports

def test_an_import_is_as_many_calls(library):
    library.call("user_add", library.user("eve"), "password", HASH)
    keys = [library.user(name) for name in ("a", "b", "eve", "a", "c")]
    reply = library.redis.cli(
        "FCALL", "smtpusers_import", len(keys), *keys, "user_add",
        *("4", "quota", "07", "domains", "A.example b.example"),
        *("2", "quota", "many"), "0", *("2", "quota", "7"),
        *("2", "password", SLOW))
    assert reply[0] == "added"
    assert reply[1].startswith("INVALID many: not a quota")
    assert reply[2] == "EXISTS eve: exists already"
    assert reply[3] == "EXISTS a: exists already"
    assert reply[4].startswith("added warning: password: ")
    assert library.fields(keys[0])["quota"] == "7"
    assert library.members(keys[0] + ":domains") == {"a.example", "b.example"}
    assert library.redis.cli("EXISTS", keys[1]) == 0


def test_addresses_go_with_an_import(library):
    keys = [library.user(name) for name in "abc"]
    words = ("2", "ip_auth", "192.0.2.7", "2", "ip_auth", "::FFFF:192.0.2.7",
             "2", "ip_auth", "192.0.2.8")
    reply = library.redis.cli("FCALL", "smtpusers_import", 3, *keys,
                              "user_put", *words)
    assert reply == ["added", "INUSE 192.0.2.7: another user has this "
                     "address", "added"]
    assert library.redis.cli("GET", library.address("192.0.2.7")) == "a"
    assert library.redis.cli("GET", library.address("192.0.2.8")) == "c"
    assert library.redis.cli("EXISTS", keys[1]) == 0


@pytest.mark.parametrize("words", [
    ("user_del", "0"), ("user_add",), ("user_add", "2", "quota"),
    ("user_add", "x"), ("user_add", "-1"), ("user_add", "99999"), ()])
def test_imports_that_are_none(library, words):
    library.refuses("INVALID", "import", library.user(), *words)


# Hashes that take long

def test_a_slow_hash_is_taken_with_a_warning(library):
    alice = library.user()
    warning = (" warning: password: to verify this bcrypt hash takes about "
               "176 ms, more than the 5 ms that smtpd can spare")
    assert library.call("user_add", alice, "password",
                        SLOW) == "added" + warning
    assert library.call("user_set", alice, "password",
                        SLOW) == "same" + warning
    assert library.call("user_put", alice, "password", HASH) == "changed"
    assert library.get(alice)["warnings"] == []


@pytest.mark.parametrize("stored, slow", [
    ("$2b$06$" + "x" * 53, False), ("$2y$07$" + "x" * 53, True),
    ("$2a$99$" + "x" * 53, True), ("$6$salt$x", False),
    ("$6$rounds=26000$salt$x", False), ("$6$rounds=27000$salt$x", True),
    ("$5$rounds=16000$salt$x", False), ("$5$rounds=17000$salt$x", True),
    ("$6$rounds=" + "9" * 300 + "$salt$x", True), ("$1$salt$x", False),
    ("$y$j75$salt$x", False), ("$y$j7T$salt$x", False),
    ("$y$j8T$salt$x", True), ("$y$j9T$salt$x", True),
    ("$gy$j9T$salt$x", True), ("$y$j9T1$salt$x", True), ("$y$x", True),
    ("$7$CU..../....salt$x", True), ("$7$2U..../....salt$x", False),
    ("$sha1$5000$salt$x", False), ("$sha1$20000$salt$x", True),
    ("!", False), ("!$2b$12$" + "x" * 53, False)])
def test_hashes_that_take_long(library, stored, slow):
    reply = library.call("user_put", library.user(), "password", stored)
    assert bool(re.search(r"^added warning: password: to verify this [a-z0-9-]+ "
                          r"hash takes (about \d+ ms, more than the|much longer "
                          r"than) 5 ms", reply)) == slow, reply
    assert len(library.get(library.user())["warnings"]) == slow


# Names

def test_rename(library):
    old, new = library.user(), library.user("bob")
    library.call("user_add", old, "password", HASH, "quota", "5", "rate",
                 "9/1h", "ip_auth", "192.0.2.7", "domains", "a.b", "ips",
                 "::1")
    for part in (":log", ":failed"):
        library.redis.cli("XADD", old + part, "*", "event", "login")
    library.redis.cli("SADD", new + ":domains", "left.example")
    assert library.redis.cli(
        "FCALL", "smtpusers_reserve", 4, old, old + ":used:quota",
        old + ":used:rate", old + ":used:hold:1", "3600", 2)[0] == "ok"
    before = library.get(old)
    assert rename(library, old, new) == "renamed"
    after = library.get(new)
    for row in before["usage"] + after["usage"]:
        row.pop("reset")
    assert after == {**before, "name": "bob"}
    assert library.redis.cli("GET", library.address("192.0.2.7")) == "bob"
    assert library.redis.cli("XLEN", new + ":log") == 1
    assert library.redis.cli("XLEN", new + ":failed") == 1
    assert {key for key in library.keys() if "{alice}" in key} == {
        old + ":used:hold:1"}
    # It may be extended for so long.
    assert 0 < library.redis.cli("PTTL", new + ":used:quota") <= 35 * 86400000


def rename(library, old, new):
    return library.redis.cli("FCALL", "smtpusers_user_rename", 2, old, new)


def test_renames_that_are_none(library):
    old, new = library.user(), library.user("bob")
    library.call("user_add", old, "account", "acme")
    library.call("user_add", new)
    library.call("account_add", library.account(), "user_prefix", "ali")
    before = library.snapshot()
    for keys, told in (
            ((old, new), "EXISTS bob: exists already"),
            ((old, old), "EXISTS alice: exists already"),
            ((library.user("eve"), new), "NOUSER eve: no such user"),
            ((old, "other:user:{eve}"), "INVALID other:user:{eve}: another "
             "prefix than that of smtp:user:{alice}"),
            ((old, library.user("Eve")), "INVALID Eve: user names are lower "
             "case: eve"),
            ((old, library.user("eve")), "INVALID acme: this account takes "
             "only users whose names begin with ali")):
        with pytest.raises(ReplyError) as error:
            rename(library, *keys)
        assert str(error.value) == told
    assert library.snapshot() == before
    assert rename(library, old, library.user("alison")) == "renamed"


# The address that authenticates

def test_an_address_is_claimed_and_freed_in_one_call(library):
    alice, bob = library.user(), library.user("bob")
    first, second = (library.address("192.0.2.7"), library.address("192.0.2.8"))
    assert library.call("user_add", alice, "ip_auth",
                        "::ffff:192.0.2.7") == "added"
    assert library.redis.cli("GET", first) == "alice"
    library.call("user_add", bob)
    for function, words in (("user_set", ("ip_auth", "192.0.2.7")),
                            ("user_put", ("ip_auth", "192.0.2.7")),
                            ("user_ipauth", ("192.0.2.7",))):
        library.refuses("INUSE", function, bob, *words)
    assert library.call("user_set", alice, "ip_auth", "192.0.2.7") == "same"
    assert library.call("user_ipauth", alice, "192.0.2.8") == "192.0.2.7"
    assert library.redis.cli("GET", first) is None
    assert library.redis.cli("GET", second) == "alice"
    # A record that is so, but whose address is nobody's, is put right.
    library.redis.cli("DEL", second)
    library.refuses("EXISTS", "user_add", alice, "ip_auth", "192.0.2.8")
    assert library.call("user_put", alice, "ip_auth", "192.0.2.8") == "changed"
    assert library.call("user_put", alice, *pairs(ip_auth="")) == "changed"
    assert library.keys() == {alice, bob}
