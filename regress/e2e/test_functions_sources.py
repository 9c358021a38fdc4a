# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: lists of sources, and IP authentication."""

import ipaddress
import random

import pytest

from library import HASH, Library
from linedriver import TableDriver
from places import configuration, workdir
from redisserver import ReplyError

ADDRESS, OTHER = "192.0.2.7", "192.0.2.8"


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def alice(library):
    """The key of a user who is there."""
    key = library.user()
    library.call("user_add", key, "password", HASH)
    return key


# Lists

def test_ranges_one_by_one(library, alice):
    ips = alice + ":ips"
    assert library.call("user_ip_add", alice, "::FFFF:192.0.2.1", "192.0.2.1",
                        "10.1.2.3/8", "[2001:DB8::1]/32") == 3
    assert library.members(ips) == {"192.0.2.1", "10.0.0.0/8",
                                    "2001:db8::/32"}
    assert library.call("user_ip_add", alice, "192.0.2.1/32") == 0
    assert library.call("user_ip_rm", alice, "192.0.2.1", "10.9.9.9/8",
                        "::1") == 2
    assert library.call("user_ip_rm", alice, "2001:db8:1::/32") == 1
    assert library.call("user_ip_rm", alice, "2001:db8:1::/32") == 0
    assert library.keys() == {alice}


def test_one_bad_range_adds_none(library, alice):
    assert library.refuses("INVALID", "user_ip_add", alice, "192.0.2.1",
                           "192.0.2.01").startswith("192.0.2.01: neither")


def test_a_range_is_removed_however_it_is_written(library, alice):
    same = {"192.0.2.0/24", "192.0.2.9/24", "::ffff:192.0.2.0/120",
            "::FFFF:c000:0200/120", "[::ffff:192.0.2.77]/120"}
    others = {"192.0.2.0", "192.0.2.0/25", "192.0.2.0/023", "junk\n", ""}
    ips = alice + ":ips"
    library.redis.cli("SADD", ips, *same, *others)
    assert library.call("user_ip_rm", alice, "192.0.2.200/24") == len(same)
    assert library.members(ips) == others
    assert library.call("user_ip_rm", alice, "junk\n", "192.0.2.0/023", "",
                        "junk") == 3
    assert library.members(ips) == {"192.0.2.0", "192.0.2.0/25"}


def test_an_address_is_removed_however_it_is_written(library, alice):
    same = {"2001:db8::1", "2001:DB8::1", "2001:db8:0:0::1", "[2001:db8::1]",
            "2001:db8::1/128", "2001:0db8::0.0.0.1"}
    ips = alice + ":ips"
    library.redis.cli("SADD", ips, *same, "2001:db8::2", "192.0.2.1",
                      "::ffff:192.0.2.1", "192.0.2.1/32")
    assert library.call("user_ip_rm", alice, "2001:db8::1",
                        "192.0.2.1") == len(same) + 3
    assert library.members(ips) == {"2001:db8::2"}


@pytest.mark.parametrize("seed", range(3))
def test_what_means_the_same_by_ipaddress_is_removed(library, alice, seed):
    rng = random.Random(seed)
    networks = [ipaddress.ip_network((rng.getrandbits(6) << 26,
                                      rng.randint(2, 9)), strict=False)
                for _ in range(300)]
    texts = {network: "%s/%d" % (network[rng.randrange(4)], network.prefixlen)
             for network in networks}
    library.redis.cli("SADD", alice + ":ips", *texts.values())
    gone = rng.sample(sorted(texts), 10)
    assert library.call("user_ip_rm", alice, *map(str, gone)) == len(gone)
    assert library.members(alice + ":ips") == {
        text for network, text in texts.items() if network not in gone}


def test_a_list_has_at_most_what_the_relay_reads(library, alice):
    entries = ["10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)
               for n in range(65535)]
    for some in parts_of(entries, 2500):
        assert library.call("user_ip_add", alice, *some) == len(some)
    full = "alice: a list has at most 65536 entries"
    assert library.refuses("INVALID", "user_ip_add", alice, "192.0.2.1",
                           "192.0.2.2") == full
    assert library.call("user_ip_add", alice, "192.0.2.1", entries[7]) == 1
    assert library.call("user_ip_add", alice, *entries[:2000]) == 0
    assert library.refuses("INVALID", "user_ip_add", alice, "::1") == full
    entries += ["::1", "::2"]
    assert library.refuses("INVALID", "user_set", alice, "ips", "::1") == (
        "smtp:user:{alice}:ips: more members than a call can replace: add and "
        "remove instead")
    assert library.call("user_set", alice, "ips", "") == "changed"
    assert library.keys() == {alice}


def parts_of(words, size):
    return [words[start:start + size]
            for start in range(0, len(words), size)]


# Claims

def test_claim_and_release(library):
    key = library.address(ADDRESS)
    assert library.call("ip_claim", key, "Alice") == 1
    assert library.redis.cli("GET", key) == "alice"
    assert library.call("ip_claim", key, "alice") == 0
    text = library.refuses("INUSE", "ip_claim", key, "bob")
    assert text == "192.0.2.7: another user has this address"
    assert library.call("ip_release", key, "bob") == 0
    assert library.call("ip_release", key, "ALICE") == 1
    assert library.keys() == set()
    assert library.call("ip_release", key, "alice") == 0


@pytest.mark.parametrize("owner, name, reply", [
    ("ALICE", "alice", 0), ("", "alice", 1)])
def test_claims_that_a_panel_has_written(library, owner, name, reply):
    library.redis.cli("SET", library.address(ADDRESS), owner)
    assert library.call("ip_claim", library.address(ADDRESS), name) == reply
    assert library.call("ip_release", library.address(ADDRESS), name) == 1


@pytest.mark.parametrize("owner", ["bob", "BOB", "alice2", "x" * 64])
def test_what_is_not_the_users_is_in_use(library, owner):
    key = library.address(ADDRESS)
    library.redis.cli("SET", key, owner)
    library.refuses("INUSE", "ip_claim", key, "alice")
    assert library.call("ip_release", key, "alice") == 0


@pytest.mark.parametrize("owner", ["junk\n", " alice", "alice\0", "-alice",
                                   "a@b", "x" * 65, b"\xff", "{alice}"])
def test_what_is_nobodys_name_can_be_claimed(library, table, owner):
    """The relay lets nobody in by it, so that nobody loses the address."""
    key = library.address(ADDRESS)
    library.call("user_add", library.user(), "password", HASH)
    library.redis.cli("HSET", library.user(), "ip_auth", ADDRESS)
    library.redis.cli("SET", key, owner)
    assert not lets_in(table, ADDRESS)
    assert library.call("ip_release", key, "alice") == 0
    assert library.call("ip_claim", key, "alice") == 1
    assert library.redis.cli("GET", key) == "alice"
    assert lets_in(table, ADDRESS)


@pytest.mark.parametrize("function", ["ip_claim", "ip_release"])
@pytest.mark.parametrize("key, args, told", [
    ("smtp:ip:{::ffff:192.0.2.7}", ("bob",), "::ffff:192.0.2.7: in a key this "
     "address is written as 192.0.2.7"),
    ("smtp:ip:{2001:DB8::1}", ("bob",), "2001:DB8::1: in a key this address "
     "is written as 2001:db8::1"),
    ("smtp:ip:{[::1]}", ("bob",), "[::1]: in a key this address is written "
     "as ::1"),
    ("smtp:ip:{192.0.2.0/24}", ("bob",), "192.0.2.0/24: not an IPv4 or IPv6 "
     "address, such as 192.0.2.1 or 2001:db8::1"),
    ("smtp:ip:{192.0.2.07}", ("bob",), "192.0.2.07: not an IPv4 or IPv6 "
     "address, such as 192.0.2.1 or 2001:db8::1"),
    ("smtp:ip:192.0.2.7", ("bob",), "smtp:ip:192.0.2.7: not the key of an "
     "address: PREFIXip:{ADDR}"),
    ("ip:{192.0.2.7}", ("bob",), "ip:{192.0.2.7}: not the key of an address: "
     "PREFIXip:{ADDR}"),
    ("smtp:user:{bob}", ("bob",), "smtp:user:{bob}: not the key of an "
     "address: PREFIXip:{ADDR}"),
    ("smtp:ip:{192.0.2.7}", ("a b",), "a b: not a user name: 1 to 64 of a-z "
     "0-9 . _ + -, the first a letter or digit"),
    ("smtp:ip:{192.0.2.7}", (), "the call takes one key, of the form "
     "PREFIXip:{ADDR}, and the name of a user"),
    ("smtp:ip:{192.0.2.7}", ("a", "b"), "the call takes one key, of the form "
     "PREFIXip:{ADDR}, and the name of a user"),
])
def test_claims_that_are_none(library, function, key, args, told):
    assert library.refuses("INVALID", function, key, *args) == told


@pytest.mark.parametrize("function", ["ip_claim", "ip_release"])
def test_a_claim_of_the_wrong_type(library, function):
    library.redis.cli("HSET", library.address(ADDRESS), "x", "y")
    assert library.refuses("WRONGTYPE", function, library.address(ADDRESS),
                           "bob") == "smtp:ip:{192.0.2.7}: not a string"


# The user's side

def test_set_and_clear(library, alice):
    assert library.call("user_ipauth", alice, "::FFFF:192.0.2.7") == ""
    assert library.fields(alice)["ip_auth"] == ADDRESS
    assert library.call("user_ipauth", alice, OTHER) == ADDRESS
    assert library.call("user_ipauth", alice, OTHER) == OTHER
    assert library.call("user_ipauth", alice, "") == OTHER
    assert "ip_auth" not in library.fields(alice)
    assert library.call("user_ipauth", alice, "") == ""


@pytest.mark.parametrize("former, held", [
    (ADDRESS, ADDRESS), ("::ffff:192.0.2.7", ADDRESS),
    (ADDRESS, "::ffff:192.0.2.7"), ("junk", "junk"), ("", None), ("", "")])
@pytest.mark.parametrize("address", ["", OTHER])
def test_only_if_it_is_that_now(library, alice, former, held, address):
    if held is not None:
        library.redis.cli("HSET", alice, "ip_auth", held)
    expected = ADDRESS if held and held != "junk" else ""
    assert library.call("user_ipauth", alice, address, former) == expected
    assert library.fields(alice).get("ip_auth", "") == address


@pytest.mark.parametrize("former, held", [
    (ADDRESS, OTHER), (ADDRESS, "junk"), (ADDRESS, None), ("", ADDRESS)])
@pytest.mark.parametrize("address", ["", "192.0.2.99"])
def test_not_if_it_is_another(library, alice, former, held, address):
    if held is not None:
        library.redis.cli("HSET", alice, "ip_auth", held)
    before = library.snapshot()
    reply = library.call("user_ipauth", alice, address, former)
    assert reply == ("" if held in (None, "junk") else held)
    assert library.snapshot() == before


def test_a_user_is_never_lost_with_the_address(library):
    library.redis.cli("HSET", library.user(), "ip_auth", ADDRESS)
    assert library.call("user_ipauth", library.user(), "") == ADDRESS
    assert list(library.fields(library.user())) == ["created"]


@pytest.mark.parametrize("args, told", [
    ((), "the call takes an address, and the former one"),
    (("::1", "::2", "::3"), "the call takes an address, and the former one"),
    (("192.0.2.0/24",), "192.0.2.0/24: not an IPv4 or IPv6 address, such as "
     "192.0.2.1 or 2001:db8::1"),
    (("::1", "x"), "x: not an IPv4 or IPv6 address, such as 192.0.2.1 or "
     "2001:db8::1"),
    (("x", "192.0.2.7"), "x: not an IPv4 or IPv6 address, such as 192.0.2.1 "
     "or 2001:db8::1"),
])
def test_addresses_that_are_none(library, alice, args, told):
    assert library.refuses("INVALID", "user_ipauth", alice, *args) == told


# Sequences, cut behind each of their steps

class Client:
    """Steps as clients run them, one call each."""

    def __init__(self, library):
        self.library = library

    def claim(self, address, name="alice"):
        self.library.call("ip_claim", self.library.address(address), name)

    def release(self, address, name="alice"):
        self.library.call("ip_release", self.library.address(address), name)

    def ipauth(self, *args, name="alice"):
        try:
            return self.library.call("user_ipauth_only",
                                     self.library.user(name), *args)
        except ReplyError as error:
            assert str(error).startswith("NOUSER ")
            return None

    def set(self, address, former=None, name="alice"):
        """The last two steps: what was there meanwhile is released."""
        found = self.ipauth(address, name=name)
        if found not in ("", None, address, former):
            self.release(found, name)

    def remove(self, name="alice"):
        self.library.call("user_del", self.library.user(name))

    def run(self, steps):
        for step, *args in steps:
            getattr(self, step)(*args)


SET_FIRST = [("claim", OTHER), ("ipauth", OTHER)]
MOVE = [("claim", OTHER), ("release", ADDRESS), ("ipauth", OTHER)]
CLEAR = [("release", ADDRESS), ("ipauth", "", ADDRESS)]
DELETE = CLEAR + [("remove",)]


@pytest.fixture
def table(redis):
    directory = workdir("table")
    with TableDriver(directory, configuration(redis=redis.url)) as table:
        yield table


def lets_in(table, address):
    """Whether the relay takes the address for somebody's."""
    return table.check("netaddr", address) == "found"


@pytest.mark.parametrize("steps, before, after", [
    (SET_FIRST, None, OTHER), (MOVE, ADDRESS, OTHER), (CLEAR, ADDRESS, None),
    (DELETE, ADDRESS, None)])
def test_a_sequence_cut_anywhere(library, alice, table, steps, before, after):
    client = Client(library)
    other = library.user("bob")
    library.call("user_add", other, "password", HASH)
    for cut in range(len(steps) + 1):
        library.call("user_put", alice, "password", HASH)
        library.redis.cli("HDEL", alice, "ip_auth")
        for address in (ADDRESS, OTHER):
            library.redis.cli("DEL", library.address(address))
        if before:
            client.run([("claim", before), ("ipauth", before)])
        assert lets_in(table, ADDRESS) == (before == ADDRESS)
        client.run(steps[:cut])
        # At most the one who was before, or who is to be: never both.
        seen = {address for address in (ADDRESS, OTHER)
                if lets_in(table, address)}
        assert seen <= ({after} if cut == len(steps) else {before})
        if cut and steps[0][0] == "release":
            assert not seen
        if cut > 1 and steps is MOVE and cut < len(steps):
            assert not seen
        client.run(steps)
        seen = {address for address in (ADDRESS, OTHER)
                if lets_in(table, address)}
        assert seen == ({after} if after else set())
        if not after:
            assert library.redis.cli("GET", library.address(ADDRESS)) is None
        finished = library.snapshot()
        client.run(steps)
        assert library.snapshot() == finished


def test_an_address_set_meanwhile_is_released(library, alice, table):
    """Two clients, the one between the steps of the other."""
    client = Client(library)
    client.claim(ADDRESS)
    client.run(SET_FIRST)
    client.set(ADDRESS)
    assert lets_in(table, ADDRESS)
    assert not lets_in(table, OTHER)
    assert library.keys() == {alice, library.address(ADDRESS)}


def test_what_another_has_is_never_set(library, alice, table):
    """A client that goes on after an error lets nobody in either."""
    client = Client(library)
    library.call("user_add", library.user("bob"), "password", HASH)
    client.claim(ADDRESS, "bob")
    client.ipauth(ADDRESS, name="bob")
    with pytest.raises(ReplyError, match="^INUSE "):
        client.claim(ADDRESS)
    client.ipauth(ADDRESS)
    client.release(ADDRESS)
    assert lets_in(table, ADDRESS)
    assert library.redis.cli("GET", library.address(ADDRESS)) == "bob"
    client.release(ADDRESS, "bob")
    assert not lets_in(table, ADDRESS)


# A list that is lost, or empty, opens nothing

def restricted(library, key):
    return library.fields(key).get("restricted")


@pytest.mark.parametrize("function", ["user_add", "user_set", "user_put"])
@pytest.mark.parametrize("words, stored", [
    (("ips", "192.0.2.1"), "1"),
    (("ips", "192.0.2.1", "restricted", ""), "1"),
    (("restricted", "0", "ips", "192.0.2.1"), "0"),
    (("restricted", "1"), "1"), (("restricted", "1", "ips", ""), "1"),
    (("ips", ""), None), (("mode", "all"), None)])
def test_who_gives_a_list_means_it_to_stay(library, function, words, stored):
    key = library.user()
    if function == "user_set":
        library.call("user_add", key, "password", HASH)
    library.call(function, key, "quota", "1", *words)
    assert restricted(library, key) == stored


def test_an_empty_list_that_is_given_lifts_it(library):
    key = library.user()
    library.call("user_add", key, "password", HASH, "ips", "192.0.2.1")
    assert library.call("user_set", key, "mode", "all") == "changed"
    assert restricted(library, key) == "1"
    assert library.call("user_set", key, "ips", "") == "changed"
    assert restricted(library, key) is None
    assert library.call("user_set", key, "ips", "") == "same"


@pytest.mark.parametrize("stored, after", [(None, "1"), ("", "1"), ("0", "0"),
                                           ("1", "1")])
def test_addresses_one_by_one(library, stored, after):
    """Also of a record from before there was such a field."""
    key = library.user()
    library.redis.cli("HSET", key, "password", HASH)
    for function, reply in (("user_ip_add", 2), ("user_ip_rm", 2)):
        if stored is None:
            library.redis.cli("HDEL", key, "restricted")
        else:
            library.redis.cli("HSET", key, "restricted", stored)
        assert library.call(function, key, "192.0.2.1", "::1") == reply
        assert restricted(library, key) == after


def test_nothing_that_was_removed_changes_nothing(library):
    key = library.user()
    library.redis.cli("HSET", key, "password", HASH)
    assert library.call("user_ip_rm", key, "192.0.2.1") == 0
    assert restricted(library, key) is None


def test_what_is_said_of_lists(library):
    key = library.user()
    library.redis.cli("HSET", key, "password", HASH, "restricted", "1")
    library.redis.cli("SADD", key + ":domains", "a.example")
    lost = ["restricted: there is no list of sources, so nobody is let in"]
    assert library.call("user_check", key) == lost
    assert library.get(key)["problems"] == lost
    assert library.get(key)["warnings"] == []
    library.redis.cli("SADD", key + ":ips", "192.0.2.1")
    assert library.get(key)["problems"] == []
    for value in ("", None):
        if value is None:
            library.redis.cli("HDEL", key, "restricted")
        else:
            library.redis.cli("HSET", key, "restricted", value)
        assert library.get(key)["problems"] == []
        assert library.get(key)["warnings"] == [
            "restricted: not set, so any source is let in should the list of "
            "sources get lost"]
    library.redis.cli("HSET", key, "restricted", "0")
    assert library.get(key)["warnings"] == []
    library.redis.cli("HSET", key, "restricted", "yes")
    assert library.call("user_check", key) == [
        "restricted: yes: not one of 0, 1"]
