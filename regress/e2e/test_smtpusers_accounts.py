# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8): domains, accounts and the fields of a user."""

import pytest

from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOPERM, EX_NOUSER,
                       EX_USAGE, Smtpusers)


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    cmd.ok("add", "alice", "--no-password")
    return cmd


def account(cmd, name="acme"):
    flat = cmd.server.cli("HGETALL", "smtp:account:{%s}" % name)
    return dict(zip(flat[::2], flat[1::2]))


def account_domains(cmd, name="acme"):
    return set(cmd.server.cli("SMEMBERS",
                              "smtp:account:{%s}:domains" % name))


# set

@pytest.mark.parametrize("field, value, stored", [
    ("mode", "any", "any"), ("status", "sandboxed", "sandboxed"),
    ("account", "Acme", "acme"), ("quota", "0100", "100"),
    ("quota-period", "30d", "30d"), ("quota_period", "3600", "3600"),
    ("rate", " 10/1m  100/1h", "10/1m 100/1h"),
    ("description", "an office printer", "an office printer")])
def test_set(cmd, field, value, stored):
    before = cmd.fields("alice")
    cmd.ok("set", "Alice", field, value)
    assert cmd.fields("alice") == {**before, field.replace("-", "_"): stored}


@pytest.mark.parametrize("field, value", [
    ("mode", "everything"), ("status", "off"), ("account", "a b"),
    ("quota", "-1"), ("quota", "many"), ("quota_period", "1y"),
    ("rate", "100"), ("description", "two\nlines")])
def test_set_refuses_bad_values(cmd, field, value):
    before = cmd.snapshot()
    cmd.fails(EX_DATAERR, "set", "alice", field, "--", value)
    assert cmd.snapshot() == before


@pytest.mark.parametrize("field", [
    "account", "quota", "quota_period", "rate", "description"])
def test_set_without_a_value_takes_a_field_away(cmd, field):
    before = cmd.fields("alice")
    cmd.server.cli("HSET", cmd.key("alice"), field, "1")
    cmd.ok("set", "alice", field)
    assert cmd.fields("alice") == before
    cmd.ok("set", "alice", field)


@pytest.mark.parametrize("field", [
    "mode", "status", "account", "quota", "quota_period", "rate",
    "description"])
def test_an_empty_value_takes_nothing_away(cmd, field):
    cmd.ok("set", "alice", "rate", "1/1h")
    cmd.ok("set", "alice", "quota", "5")
    before = cmd.snapshot()
    assert "%s: the value is empty" % field in cmd.fails(
        EX_USAGE, "set", "alice", field, "")
    assert cmd.snapshot() == before


@pytest.mark.parametrize("words", [
    ("mode",), ("status",), ("password", "x"), ("ip_auth", "192.0.2.1"),
    ("created", "x"), ("colour",)])
def test_set_refuses_other_fields(cmd, words):
    before = cmd.snapshot()
    cmd.fails(EX_USAGE, "set", "alice", *words)
    assert cmd.snapshot() == before


def test_set_makes_no_user(cmd):
    before = cmd.snapshot()
    for words in (("mode", "any"), ("quota",)):
        assert "bob: no such user" in cmd.fails(EX_NOUSER, "set", "bob",
                                                *words)
    assert cmd.snapshot() == before


def test_set_warns_of_an_account_that_is_not_there(cmd):
    assert "does not exist yet" in cmd.ok(
        "set", "alice", "account", "acme").stderr
    cmd.ok("account", "add", "acme")
    assert cmd.ok("set", "alice", "account", "acme").stderr == ""


# domain

def test_domains_are_added_as_a_labels(cmd):
    cmd.ok("domain", "add", "alice", "Example.ORG.", "BÜCHER.example",
           "sub.example.org")
    assert cmd.members("alice", ":domains") == {
        "example.org", "xn--bcher-kva.example", "sub.example.org"}


def test_domains_are_removed_however_they_are_written(cmd):
    key = cmd.key("alice", ":domains")
    cmd.server.cli("SADD", key, "example.org", "xn--bcher-kva.example",
                   "Not A Domain", "other.example")
    result = cmd.ok("domain", "rm", "alice", "EXAMPLE.org", "Bücher.example",
                    "Not A Domain", "absent.example")
    assert cmd.members("alice", ":domains") == {"other.example"}
    assert result.stderr == "smtpusers: absent.example: not among the " \
        "domains\n"


@pytest.mark.parametrize("domain", [
    "no host", "-a.example", "single", "192.0.2.1", "a..example", "",
    "x" * 64 + ".example", "xn--a.example", "\udcff.example"])
def test_no_domain_is_added_when_one_is_bad(cmd, domain):
    before = cmd.snapshot()
    cmd.ok("account", "add", "acme")
    for words in (("domain", "add", "alice"),
                  ("account", "domain", "add", "acme")):
        assert "not a domain" in cmd.fails(
            EX_DATAERR, *words, "--", "good.example", domain)
    cmd.ok("account", "rm", "acme", "--yes")
    assert cmd.snapshot() == before


def test_domains_of_nobody(cmd):
    for action in ("add", "rm"):
        cmd.fails(EX_NOUSER, "domain", action, "bob", "example.org")
        cmd.fails(EX_NOUSER, "account", "domain", action, "acme",
                  "example.org")
    assert cmd.members("bob", ":domains") == set()
    assert account_domains(cmd) == set()


def test_a_key_of_a_wrong_type(cmd):
    cmd.server.cli("SET", cmd.key("alice", ":domains"), "x")
    cmd.server.cli("SET", "smtp:account:{acme}", "x")
    for words in (("domain", "add", "alice", "a.example"),
                  ("domain", "rm", "alice", "a.example"),
                  ("account", "show", "acme"),
                  ("account", "domain", "add", "acme", "a.example"),
                  ("account", "set", "acme", "plan", "pro")):
        assert "not a " in cmd.fails(EX_DATAERR, *words)


# account

def test_an_account_from_its_beginning_to_its_end(cmd):
    cmd.ok("account", "add", "Acme")
    assert account(cmd) == {"status": "allowed", "plan": "basic"}
    cmd.ok("account", "set", "acme", "plan", "pro")
    cmd.ok("account", "set", "acme", "status", "sandboxed")
    assert account(cmd) == {"status": "sandboxed", "plan": "pro"}
    cmd.ok("account", "domain", "add", "acme", "Example.org", "b.example")
    cmd.ok("account", "domain", "rm", "acme", "B.example")
    assert account_domains(cmd) == {"example.org"}
    assert cmd.json("account", "show", "acme") == {
        "name": "acme", "plan": "pro", "status": "sandboxed",
        "domains": ["example.org"], "domain_count": 1, "user_prefix": None,
        "alarms": None, "quota": None, "quota_period": None, "rate": None, "over": None,
        "max_recipients": None, "max_size": None, "usage": [],
        "suppressed_count": 0, "other": {}, "problems": []}
    shown = cmd.ok("account", "show", "acme").stdout.split()
    assert shown == ["name", "acme", "plan", "pro", "status", "sandboxed",
                     "user", "prefix", "-", "domains", "example.org"]
    before = cmd.fields("alice")
    cmd.fails(EX_USAGE, "account", "rm", "acme")
    cmd.ok("account", "rm", "acme", "--yes")
    assert cmd.server.cli("KEYS", "smtp:account:*") == []
    assert cmd.fields("alice") == before


def test_account_add_says_all_at_once(cmd):
    cmd.ok("account", "add", "acme", "--plan", "pro", "--domain",
           "Bücher.example", "--domain", "example.org")
    assert account(cmd)["plan"] == "pro"
    assert account_domains(cmd) == {"xn--bcher-kva.example", "example.org"}


def test_an_account_that_exists_is_left_alone(cmd):
    cmd.ok("account", "add", "acme", "--plan", "pro", "--domain", "a.example")
    before = cmd.snapshot()
    assert "exists already" in cmd.fails(
        EX_CANTCREAT, "account", "add", "acme", "--domain", "b.example")
    assert cmd.snapshot() == before


def test_what_an_account_left_behind_is_not_the_next_ones(cmd):
    cmd.server.cli("SADD", "smtp:account:{acme}:domains", "old.example")
    cmd.ok("account", "add", "acme")
    assert account_domains(cmd) == set()


def test_accounts_of_nobody_and_bad_values(cmd):
    cmd.fails(EX_NOUSER, "account", "set", "acme", "plan", "pro")
    cmd.fails(EX_NOUSER, "account", "show", "acme")
    cmd.fails(EX_NOUSER, "account", "rm", "acme", "--yes")
    cmd.ok("account", "add", "acme")
    before = cmd.snapshot()
    cmd.fails(EX_DATAERR, "account", "set", "acme", "plan", "a plan")
    cmd.fails(EX_DATAERR, "account", "set", "acme", "status", "off")
    cmd.fails(EX_USAGE, "account", "set", "acme", "colour", "green")
    cmd.fails(EX_DATAERR, "account", "add", "a b")
    assert cmd.snapshot() == before


def test_what_an_account_holds_is_shown_harmlessly(cmd):
    cmd.server.cli("HSET", "smtp:account:{acme}", "plan", "a\x1b[2J\nb",
                   "no\tte", b"\xff")
    shown = cmd.ok("account", "show", "acme").stdout
    assert "a\\x1b[2J\\nb" in shown and "no\\tte" in shown
    assert "\ufffd" in shown
    assert "problems     plan: a\\x1b[2J\\x0ab: not a plan" in shown


# What an account kept its users from outlives it.

def statuses(cmd):
    return {name: cmd.fields(name).get("status") for name in MEMBERS}


MEMBERS = {"free": "allowed", "none": None, "boxed": "sandboxed",
           "barred": "blocked", "odd": "off", "folded": "allowed",
           "elsewhere": "allowed"}


@pytest.fixture
def acme(cmd):
    """The command, with an account and users of every kind."""
    cmd.ok("account", "add", "acme", "--domain", "a.example")
    for name, status in MEMBERS.items():
        cmd.server.cli("HSET", cmd.key(name), "mode", "all", "account", {
            "folded": "ACME", "elsewhere": "other"}.get(name, "acme"))
        if status:
            cmd.server.cli("HSET", cmd.key(name), "status", status)
    cmd.server.cli("SET", cmd.key("wrong"), "x")
    return cmd


BLOCKED = {**dict.fromkeys(MEMBERS, "blocked"), "odd": "off",
           "elsewhere": "allowed"}
SANDBOXED = {**dict.fromkeys(MEMBERS, "sandboxed"), "odd": "off",
             "barred": "blocked", "elsewhere": "allowed"}


@pytest.mark.parametrize("fields, left, told", [
    (("status", "allowed"), MEMBERS, None), (("status", ""), MEMBERS, None),
    (("status", "blocked"), BLOCKED, "4 users of acme set to blocked"),
    (("status", "sandboxed"), SANDBOXED, "3 users of acme set to sandboxed"),
    # What the relay cannot read lets nobody send.
    (("status", "Allowed"), BLOCKED, "4 users of acme set to blocked"),
    (("plan", "a\0b"), BLOCKED, "4 users of acme set to blocked"),
    (("plan", "x" * 1025), BLOCKED, "4 users of acme set to blocked"),
    (("plan", "x" * 1024), MEMBERS, None),
    (("alarms", "frob"), BLOCKED, "4 users of acme set to blocked"),
    (("user_prefix", "a b"), BLOCKED, "4 users of acme set to blocked"),
    (("quota", "many"), BLOCKED, "4 users of acme set to blocked"),
    (("max_size", "1T"), BLOCKED, "4 users of acme set to blocked"),
    (("status", "sandboxed", "rate", "x"), BLOCKED,
     "4 users of acme set to blocked")])
def test_the_users_of_an_account_that_goes_keep_its_status(
        acme, fields, left, told):
    acme.server.cli("HSET", "smtp:account:{acme}", *fields)
    result = acme.ok("account", "rm", "Acme", "--yes")
    assert result.stderr == (
        "smtpusers: %s, like the account\n" % told if told else "")
    assert statuses(acme) == left
    assert acme.server.cli("KEYS", "smtp:account:*") == []


@pytest.mark.parametrize("status, boxed", [("blocked", "blocked"),
                                           ("sandboxed", "sandboxed")])
def test_what_ends_some_day_does_not_end_with_the_account(acme, status, boxed):
    """An alarm has blocked or sandboxed these users for a time."""
    for name in ("boxed", "barred"):
        acme.server.cli("HSET", acme.key(name), "blocked_by", "alarm:volume",
                        "blocked_until", "9999-01-01T00:00:00Z")
    acme.server.cli("HSET", "smtp:account:{acme}", "status", status)
    acme.ok("account", "rm", "acme", "--yes")
    for name, left in (("boxed", boxed), ("barred", "blocked")):
        fields = acme.fields(name)
        assert fields["status"] == left
        assert "blocked_until" not in fields


def test_what_stops_no_mail_of_an_account_stops_none_later(acme):
    acme.server.cli("SADD", "smtp:account:{acme}:domains", "A B")
    acme.server.cli("SET", "smtp:account:{acme}:suppressed", "x")
    acme.server.cli("HSET", "smtp:account:{acme}", "quota", "5", "rate", "1/1h")
    acme.server.cli("SET", "smtp:account:{acme}:used:quota", "x")
    acme.server.cli("SET", "smtp:account:{acme}:used:rate", "x")
    problems = acme.json("account", "show", "acme")["problems"]
    assert len(problems) == 4
    acme.ok("account", "rm", "acme", "--yes")
    assert statuses(acme) == MEMBERS


def test_the_removal_of_a_blocked_account_asks_first(acme):
    acme.ok("account", "set", "acme", "status", "blocked")
    code, shown = acme.typed("account", "rm", "acme", answers=["n"])
    assert code == 1 and "6 users have it, and will be blocked" in shown
    assert statuses(acme) == MEMBERS
    assert account(acme)["status"] == "blocked"


def test_a_removal_of_an_account_cut_short_unblocks_nobody(acme, tmp_path):
    """A Redis user who may not write one of the users stands for the cut."""
    acme.server.cli("HSET", acme.key("folded"), "account", "other")
    acme.ok("account", "set", "acme", "status", "blocked")
    (tmp_path / "pw").write_text("pw\n")
    acme.server.cli("ACL", "SETUSER", "cut", "reset", "on", ">pw", "+@all",
                    "%R~*", "~smtp:user:{boxed}*", "~smtp:user:{free}*",
                    "~smtp:account:*")
    directory = tmp_path / "cut"
    directory.mkdir()
    cut = Smtpusers(acme.server, directory, redis_user="cut",
                    redis_password_file=str(tmp_path / "pw"))
    try:
        cut.fails(EX_NOPERM, "account", "rm", "acme", "--yes")
    finally:
        acme.server.cli("ACL", "DELUSER", "cut")
    assert account(acme)["status"] == "blocked"
    # The cut may come before either of them: the order is Redis's.
    left = statuses(acme)
    assert all(left[name] in (MEMBERS[name], "blocked")
               for name in ("free", "boxed"))
    assert left == {**MEMBERS, "free": left["free"], "boxed": left["boxed"]}
    acme.ok("account", "rm", "acme", "--yes")
    assert statuses(acme) == {**BLOCKED, "folded": "allowed"}


def test_show_names_an_account_that_is_not_there(acme):
    problem = "account: acme: no such account, so the user is refused"
    for name in ("free", "folded"):
        assert problem not in acme.json("show", name)["problems"]
    acme.ok("account", "rm", "acme", "--yes")
    for name in ("free", "folded"):
        assert problem in acme.json("show", name)["problems"]
        assert problem in acme.ok("show", name).stdout
    acme.server.cli("HSET", acme.key("free"), "account", "a b")
    told = acme.json("show", "free")["problems"]
    assert told and "no such account" not in " ".join(told)


def test_users_are_found_by_an_account_that_is_written_otherwise(acme):
    found = acme.ok("list", "--account", "acme", "--names").stdout.split()
    assert found == sorted(set(MEMBERS) - {"elsewhere"})
    code, shown = acme.typed("account", "rm", "acme", answers=["n"])
    assert code == 1 and "6 users have it" in shown


def test_two_who_add_the_same_account(cmd):
    results = cmd.race(*[("account", "add", "acme", "--domain",
                          "d%d.example" % n) for n in range(8)])
    codes = sorted(result.returncode for result in results)
    assert codes == [0] + [EX_CANTCREAT] * 7
    winner = [n for n, result in enumerate(results)
              if result.returncode == 0][0]
    assert account_domains(cmd) == {"d%d.example" % winner}
