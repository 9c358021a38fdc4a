# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8): source lists and IP authentication."""

import ipaddress
import random

import pytest

from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOPERM, EX_NOUSER, EX_USAGE,
                 Smtpusers)

ADDRESS = "192.0.2.7"


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    for name in ("alice", "bob"):
        cmd.ok("add", name, "--no-password")
    return cmd


# ip add, ip rm

CANONICAL = [
    ("192.0.2.1", "192.0.2.1"), ("192.0.2.1/32", "192.0.2.1"),
    ("192.0.2.77/24", "192.0.2.0/24"), ("203.0.113.255/0", "0.0.0.0/0"),
    ("2001:DB8:0:0::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"),
    ("2001:db8::1/32", "2001:db8::/32"), ("2001:db8::1/128", "2001:db8::1"),
    ("[2001:db8::1]/64", "2001:db8::/64"), ("::/0", "::/0"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:0201", "192.0.2.1"),
    ("::ffff:10.1.2.3/104", "10.0.0.0/8"), ("::ffff:0:0/96", "0.0.0.0/0"),
    ("::ffff:192.0.2.1/128", "192.0.2.1"), ("::ffff:192.0.2.1/64", "::/64"),
    ("::192.0.2.1", "::c000:201"), ("2001:db8:0:1:1:1:1:1",
                                    "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("fe80::1", "fe80::1")]

BAD_RANGES = [
    "", "any", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1/33",
    "192.0.2.1/", "192.0.2.1/-1", "192.0.2.1/024", "192.0.2.1/ 24",
    "192.0.2.0/255.255.255.0", "192.0.2.0/24/24", "[192.0.2.1]",
    "192.0.2.1 ", "2001:db8::/129", "2001:db8::1%eth0", "fe80::1%1/64",
    ":::", "[2001:db8::1", "2001:db8::1]", "192.0.2.1:25", "example.org",
    "٣.0.2.1", "192.0.2.1\n", "0xc0000201", "3221225985"]


def test_the_former_word(cmd):
    cmd.ok("ip", "add", "alice", "192.0.2.1", "192.0.2.2")
    cmd.ok("ip", "rm", "alice", "192.0.2.1")
    assert cmd.members("alice", ":ips") == {"192.0.2.2"}
    cmd.fails(EX_USAGE, "ip", "list", "alice")


@pytest.mark.parametrize("written, canonical", CANONICAL)
def test_source_add_stores_canonical_text(cmd, written, canonical):
    result = cmd.ok("source", "add", "Alice", written)
    assert cmd.members("alice", ":ips") == {canonical}
    changed = "/" in written and written.lower() != canonical
    assert result.stderr == (
        "smtpusers: %s is stored as %s\n" % (written, canonical)
        if changed else "")
    # However it is written, it is the same entry.
    assert "empty now" in cmd.ok("source", "rm", "alice", written).stderr
    assert cmd.members("alice", ":ips") == set()


@pytest.mark.parametrize("text", BAD_RANGES)
def test_ip_add_refuses_and_adds_nothing(cmd, text):
    before = cmd.snapshot()
    words = cmd.fails(EX_DATAERR, "source", "add", "alice", "--", "192.0.2.9",
                      text)
    assert len(words.splitlines()) == 1
    assert cmd.snapshot() == before


def test_ip_add_many_at_once_and_again(cmd):
    ranges = ["10.%d.%d.0/24" % (n // 256, n % 256) for n in range(3000)]
    cmd.ok("source", "add", "alice", *ranges)
    cmd.ok("source", "add", "alice", *ranges[:3])
    assert cmd.members("alice", ":ips") == set(ranges)
    assert cmd.json("show", "alice")["ips"] == sorted(ranges)


def test_ip_add_keeps_the_list_within_what_the_relay_reads(cmd):
    ranges = ["10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)
              for n in range(65535)]
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), *ranges)
    words = cmd.fails(EX_DATAERR, "source", "add", "alice", "192.0.2.1",
                      "192.0.2.2")
    assert "at most 65536 entries" in words
    cmd.ok("source", "add", "alice", "192.0.2.1")
    assert cmd.server.cli("SCARD", cmd.key("alice", ":ips")) == 65536
    assert len(cmd.json("show", "alice")["ips"]) == 65536


def test_ip_rm_removes_what_means_the_same(cmd):
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), "192.0.2.0/24",
                   "192.0.2.9/24", "::ffff:192.0.2.0/120", "192.0.2.1",
                   "junk\n")
    result = cmd.ok("source", "rm", "alice", "192.0.2.44/24")
    assert result.stderr == ""
    assert cmd.members("alice", ":ips") == {"192.0.2.1", "junk\n"}


def test_ip_rm_removes_what_is_no_range(cmd):
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), "192.0.2.1", "junk\n")
    cmd.ok("source", "rm", "alice", "junk\n")
    assert cmd.members("alice", ":ips") == {"192.0.2.1"}


def test_ip_rm_warns_when_the_list_is_empty(cmd):
    cmd.ok("source", "add", "alice", "192.0.2.1", "192.0.2.2")
    assert cmd.ok("source", "rm", "alice", "192.0.2.1").stderr == ""
    assert cmd.ok("source", "rm", "alice", "192.0.2.2").stderr == (
        "smtpusers: the list of alice is empty now: nobody is let in as this "
        "user; to let in any source, smtpusers set alice restricted 0\n")


def test_ip_rm_tells_what_is_not_on_the_list(cmd):
    cmd.ok("source", "add", "alice", "192.0.2.1")
    result = cmd.ok("source", "rm", "alice", "192.0.2.2", "x\n")
    assert result.stderr == ("smtpusers: 192.0.2.2: not on the list\n"
                             "smtpusers: x\\n: not on the list\n")
    assert cmd.members("alice", ":ips") == {"192.0.2.1"}


@pytest.mark.parametrize("action", ["add", "rm"])
def test_ip_list_of_the_wrong_type(cmd, action):
    cmd.server.cli("SET", cmd.key("alice", ":ips"), "x")
    before = cmd.snapshot()
    words = cmd.fails(EX_DATAERR, "ip", action, "alice", "192.0.2.1")
    assert words == "smtpusers: smtp:user:{alice}:ips: not a set\n"
    assert cmd.snapshot() == before


# ipauth

@pytest.mark.parametrize("written, canonical", [
    pair for pair in CANONICAL if "/" not in pair[0]])
def test_ipauth_set_and_clear(cmd, written, canonical):
    before = cmd.snapshot()
    assert cmd.ok("ipauth", "set", "ALICE", written).stderr == ""
    assert cmd.fields("alice")["ip_auth"] == canonical
    assert cmd.owner(canonical) == "alice"
    cmd.ok("ipauth", "set", "alice", canonical)
    assert cmd.owner(canonical) == "alice"
    cmd.ok("ipauth", "clear", "alice", written)
    assert cmd.snapshot() == before


@pytest.mark.parametrize("text", BAD_RANGES + ["192.0.2.0/24", "::/0"])
def test_ipauth_takes_an_address_alone(cmd, text):
    before = cmd.snapshot()
    for action in ("set", "clear"):
        cmd.fails(EX_DATAERR, "ipauth", action, "alice", "--", text)
    assert cmd.snapshot() == before


def test_ipauth_of_another_user_is_not_taken_nor_named(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    cmd.ok("ipauth", "set", "bob", "192.0.2.8")
    before = cmd.snapshot()
    words = cmd.fails(EX_CANTCREAT, "ipauth", "set", "bob", ADDRESS)
    assert words == "smtpusers: 192.0.2.7: another user has this address\n"
    assert cmd.snapshot() == before


def test_ipauth_moves_by_clear_and_set(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    cmd.ok("ipauth", "clear", "alice")
    cmd.ok("ipauth", "set", "bob", ADDRESS)
    assert "ip_auth" not in cmd.fields("alice")
    assert cmd.fields("bob")["ip_auth"] == ADDRESS
    assert cmd.owner(ADDRESS) == "bob"


def test_ipauth_set_frees_the_former_address(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    result = cmd.ok("ipauth", "set", "alice", "192.0.2.8")
    assert result.stderr == (
        "smtpusers: 192.0.2.7 no longer authenticates as alice\n")
    assert cmd.owner(ADDRESS) is None
    assert cmd.owner("192.0.2.8") == "alice"
    assert cmd.fields("alice")["ip_auth"] == "192.0.2.8"


def test_ipauth_set_leaves_a_former_address_that_is_another_users(cmd):
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", ADDRESS)
    cmd.server.cli("SET", cmd.ip_key(ADDRESS), "bob")
    cmd.ok("ipauth", "set", "alice", "192.0.2.8")
    assert cmd.owner(ADDRESS) == "bob"


def test_ipauth_set_takes_over_its_own_stale_claim(cmd):
    cmd.server.cli("SET", cmd.ip_key(ADDRESS), "alice")
    cmd.fails(EX_CANTCREAT, "ipauth", "set", "bob", ADDRESS)
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    assert cmd.fields("alice")["ip_auth"] == ADDRESS


def test_ipauth_set_completes_a_record_without_claim(cmd):
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", ADDRESS)
    assert cmd.json("show", "alice")["ip_auth_claimed"] is False
    assert "(void)" in cmd.ok("show", "alice").stdout
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    assert cmd.owner(ADDRESS) == "alice"
    assert cmd.json("show", "alice")["ip_auth_claimed"] is True
    assert "(void)" not in cmd.ok("show", "alice").stdout


def test_show_folds_the_name_that_an_address_has(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    for owner, valid in (("Alice", True), ("ALICE", True), ("bob", False),
                         ("", False), ("alice ", False)):
        cmd.server.cli("SET", cmd.ip_key(ADDRESS), owner)
        shown = cmd.json("show", "alice")
        assert shown["ip_auth_claimed"] is valid
        assert ("(void)" in cmd.ok("show", "alice").stdout) is not valid


def test_ipauth_of_the_wrong_type(cmd):
    cmd.server.cli("HSET", cmd.ip_key(ADDRESS), "x", "y")
    before = cmd.snapshot()
    words = cmd.fails(EX_DATAERR, "ipauth", "set", "alice", ADDRESS)
    assert words == "smtpusers: smtp:ip:{192.0.2.7}: not a string\n"
    assert cmd.snapshot() == before


def test_ipauth_clear_where_there_is_none(cmd):
    assert cmd.ok("ipauth", "clear", "alice").stderr == (
        "smtpusers: alice has no IP authentication\n")


def test_ipauth_clear_with_an_address_clears_no_other(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    cmd.ok("ipauth", "set", "bob", "192.0.2.8")
    before = cmd.snapshot()
    words = cmd.fails(EX_DATAERR, "ipauth", "clear", "alice", "192.0.2.8")
    assert words == (
        "smtpusers: 192.0.2.8: not the IP authentication of alice\n")
    assert cmd.snapshot() == before


def test_ipauth_clear_frees_a_stale_claim(cmd):
    cmd.ok("ipauth", "set", "alice", ADDRESS)
    cmd.server.cli("SET", cmd.ip_key("192.0.2.8"), "alice")
    cmd.ok("ipauth", "clear", "alice", "192.0.2.8")
    assert cmd.owner("192.0.2.8") is None
    assert cmd.owner(ADDRESS) == "alice"
    assert cmd.fields("alice")["ip_auth"] == ADDRESS


def test_ipauth_clear_frees_the_claim_of_a_user_who_is_gone(cmd):
    cmd.server.cli("SET", cmd.ip_key(ADDRESS), "ghost")
    cmd.ok("ipauth", "clear", "ghost", ADDRESS)
    assert cmd.owner(ADDRESS) is None


@pytest.mark.parametrize("words", [(), (ADDRESS,)])
def test_ipauth_clear_knows_the_address_in_any_form(cmd, words):
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", "::ffff:" + ADDRESS)
    cmd.server.cli("SET", cmd.ip_key(ADDRESS), "alice")
    cmd.ok("ipauth", "clear", "alice", *words)
    assert cmd.owner(ADDRESS) is None
    assert "ip_auth" not in cmd.fields("alice")


def test_ipauth_clear_leaves_the_claim_of_another_user(cmd):
    cmd.server.cli("HSET", cmd.key("alice"), "ip_auth", ADDRESS)
    cmd.server.cli("SET", cmd.ip_key(ADDRESS), "bob")
    cmd.ok("ipauth", "clear", "alice")
    assert "ip_auth" not in cmd.fields("alice")
    assert cmd.owner(ADDRESS) == "bob"


# Nothing is done by halves.

@pytest.fixture
def cut(cmd, tmp_path):
    """The command as a Redis user who may not do some of the steps."""
    def make(*rules):
        cmd.server.cli("ACL", "SETUSER", "cut", "reset", "on", ">pw", "~*",
                       "+@all", *rules)
        (tmp_path / "pw").write_text("pw\n")
        other = tmp_path / "cut"
        other.mkdir()
        return Smtpusers(cmd.server, other, redis_user="cut",
                         redis_password_file=str(tmp_path / "pw"))
    yield make
    cmd.server.cli("ACL", "DELUSER", "cut")


def authenticates(cmd, name, address):
    """The readers' rule: both sides must say so."""
    return (cmd.owner(address) == name
            and cmd.fields(name).get("ip_auth") == address)


@pytest.mark.parametrize("right, words", [
    ("hset", ("ipauth", "set", "alice", ADDRESS)),
    ("set", ("ipauth", "set", "alice", ADDRESS)),
    ("unlink", ("ipauth", "set", "alice", ADDRESS)),
    ("hdel", ("ipauth", "clear", "alice")),
    ("unlink", ("ipauth", "clear", "alice")),
    ("unlink", ("rm", "alice", "--yes"))])
def test_both_keys_are_changed_or_none(cmd, cut, right, words):
    """In one call, which looks at all its rights first."""
    cmd.ok("ipauth", "set", "alice", "192.0.2.8")
    before = cmd.snapshot()
    told = cut("-" + right).fails(EX_NOPERM, *words)
    assert "NOPERM" in told or "may not call" in told
    assert cmd.snapshot() == before
    assert authenticates(cmd, "alice", "192.0.2.8")
    cmd.ok(*words)
    assert cmd.owner("192.0.2.8") is None
    assert authenticates(cmd, "alice", ADDRESS) is ("set" in words)


# Races

def test_one_of_sixteen_gets_the_address(cmd):
    names = ["user%d" % n for n in range(16)]
    for name in names:
        cmd.server.cli("HSET", cmd.key(name), "status", "allowed")
    results = cmd.race(*[("ipauth", "set", name, ADDRESS) for name in names])
    codes = [result.returncode for result in results]
    assert sorted(codes) == [0] + [EX_CANTCREAT] * 15
    winner = names[codes.index(0)]
    assert cmd.owner(ADDRESS) == winner
    assert [name for name in names if "ip_auth" in cmd.fields(name)] == [
        winner]
    for result in results:
        assert winner not in result.stderr


@pytest.mark.parametrize("first", [None, "192.0.2.0", "198.51.100.1"])
def test_one_user_setting_many_addresses_keeps_one(cmd, first):
    addresses = [str(ipaddress.ip_address("192.0.2.0") + n)
                 for n in range(8)]
    if first:
        cmd.ok("ipauth", "set", "alice", first)
    results = cmd.race(*[("ipauth", "set", "alice", address)
                         for address in addresses])
    assert [result.returncode for result in results] == [0] * 8
    held = [address for address in addresses if cmd.owner(address)]
    assert held == [cmd.fields("alice")["ip_auth"]]
    assert first in (None, *held) or cmd.owner(first) is None


@pytest.mark.parametrize("seed", range(4))
def test_removal_races_with_ipauth_and_leaves_no_claim(cmd, seed):
    commands = [("ipauth", "set", "alice", "192.0.2.%d" % n)
                for n in range(4)]
    commands += [("rm", "alice", "--yes"), ("source", "add", "alice", ADDRESS),
                 ("block", "alice"), ("passwd", "alice", "--generate")]
    random.Random(seed).shuffle(commands)
    results = cmd.race(*commands)
    assert {result.returncode for result in results} <= {0, EX_NOUSER}
    assert results[commands.index(("rm", "alice", "--yes"))].returncode == 0
    # That it was blocked may be told for a while.
    assert set(cmd.server.cli("KEYS", "*")) - {"smtp:events"} == {
        cmd.key("bob")}
