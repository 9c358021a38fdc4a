# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): what cPanel & WHM says by standardized hooks."""

import itertools
import json
import math
import os
import re
import time

import pytest

from hooks.panelsite import DATA
from hooks.receiver import owned, receiving


@pytest.fixture
def site(site):
    with receiving(site, plans={"reseller_gold": "pro"}):
        yield site


def says(site, name, **changes):
    result = site.cpanel(name, **changes)
    assert (result.returncode, result.stdout) == (0, b"1 stored\n")
    assert result.stderr == b""
    site.settle()


def test_an_account_comes_and_goes(site):
    says(site, "accounts_create")
    assert site.account() == ("allowed", "pro", {"example.org"})
    says(site, "accounts_suspendacct")
    assert site.account()[0] == "blocked"
    says(site, "accounts_unsuspendacct")
    assert site.account()[0] == "allowed"
    says(site, "accounts_change_package")
    assert site.account() == ("allowed", "basic", {"example.org"})
    says(site, "accounts_remove")
    assert site.account() is None
    assert site.bad() == []
    assert site.said_secret() == []


@pytest.mark.parametrize("added, removed, domain", [
    ("domain_park", "domain_unpark", "parked.example"),
    ("parkadmin_park", "parkadmin_unpark", "parked.example"),
    ("domain_addsubdomain", "domain_delsubdomain", "sub.example.org"),
    ("api2_addaddondomain", "api2_deladdondomain", "addon.example"),
    ("api2_park", "api2_unpark", "parked.example"),
    ("api2_addsubdomain", "api2_delsubdomain", "sub.example.org"),
    ("uapi_addsubdomain", "domain_delsubdomain", "sub.example.org")])
def test_domains_come_and_go(site, added, removed, domain):
    says(site, "accounts_create")
    for _ in range(2):
        says(site, added)
        assert site.domains() == {"example.org", domain}
    for _ in range(2):
        says(site, removed)
        assert site.domains() == {"example.org"}
    assert site.bad() == []


def test_every_recorded_call_is_asked_for(site):
    """And nothing is registered that was not tried here."""
    path = str(site.directory / "notify-cpanel")
    described = json.loads(site.run(path, "--describe").stdout)
    asked = {(hook["category"], hook["event"], hook["stage"])
             for hook in described}
    contexts = [json.loads(file.read_text())["input"]["context"]
                for file in (DATA / "cpanel").iterdir()]
    assert asked == {(context["category"], context["event"],
                      context["stage"]) for context in contexts}
    assert len(asked) == len(described)
    for hook in described:
        assert hook["hook"] == path and hook["exectype"] == "script"
        # Else they run as the customer, who cannot write to the spool.
        assert ("escalateprivs" in hook) == (hook["category"] == "Cpanel")
        assert "blocking" not in hook


@pytest.mark.parametrize("output", [
    [{"result": 0, "reason": "no"}], [{"result": "0"}], [{}], [], None, "1",
    [{"result": 1}, {"result": 0}], {"result": 1}])
def test_what_failed_in_the_panel_has_not_happened(site, output):
    says(site, "accounts_create")
    says(site, "api2_addaddondomain", output=output)
    says(site, "api2_addaddondomain_failed")
    says(site, "domain_park", result=0)
    assert site.domains() == {"example.org"}
    assert site.bad() == []


def test_subdomains_are_the_operators_choice(site):
    site.reconfigure(subdomains="no")
    for name in ("domain_addsubdomain", "api2_addsubdomain",
                 "uapi_addsubdomain", "domain_delsubdomain"):
        says(site, name)
    assert site.account() is None
    says(site, "api2_addaddondomain")
    assert site.domains() == {"addon.example"}


def test_subdomains_however_they_are_said(site):
    says(site, "domain_addsubdomain", subdomain="short")
    says(site, "domain_addsubdomain", subdomain="*.example.org")
    says(site, "api2_addsubdomain", domain="*")
    assert site.domains() == {"short.example.org"}
    says(site, "api2_delsubdomain", domain="short.example.org")
    assert site.domains() == set()
    assert site.bad() == []


# WHM's "Modify an Account"

def test_the_main_domain_is_changed(site):
    says(site, "accounts_create")
    (site.users / "alice").write_text("OWNER=root\nDNS=example.org\nDNS1=x\n")
    says(site, "accounts_modify_pre")
    assert site.domains() == {"example.org"}
    for _ in range(2):
        says(site, "accounts_modify")
        assert site.domains() == {"example.net"}


@pytest.mark.parametrize("subdomains", ["yes", "no"])
def test_subdomains_of_the_main_domain_are_changed_with_it(site, subdomains):
    site.reconfigure(subdomains=subdomains)
    change_main_domain(site)
    renamed = {"a.example.net", "b.c.example.net"}
    assert site.domains() == {"example.net", "other.example",
                              "notexample.org"} | (
        renamed if subdomains == "yes" else set())
    for path in site.files("suspended"):
        assert json.loads(path.read_text()) == [
            "s.example.net" if subdomains == "yes" else "s.example.org"]
    assert site.bad() == []


def change_main_domain(site, **changes):
    site.event("account.created", "alice", "example.org")
    for domain in ("a.example.org", "b.c.example.org", "s.example.org",
                   "other.example", "notexample.org"):
        site.event("domain.created", "alice", domain)
    site.event("domain.suspended", "alice", "s.example.org")
    (site.users / "alice").write_text("DNS=Example.org\n")
    says(site, "accounts_modify_pre")
    for _ in range(2):
        says(site, "accounts_modify", **changes)


def test_the_main_domain_moves_below_itself(site):
    """What is told twice moves once."""
    change_main_domain(site, domain="a.example.org")
    assert site.domains() == {"a.example.org", "b.c.a.example.org",
                              "other.example", "notexample.org"}


def test_the_main_domain_is_changed_to_none(site):
    change_main_domain(site, domain="no domain")
    assert site.domains() == {"other.example", "notexample.org"}
    assert len(site.bad()) == 2


@pytest.mark.parametrize("data", [b"{", b"7", b"", b"[" * 60000, None],
                         ids=["open", "number", "empty", "deep", "fifo"])
def test_a_main_domain_that_was_kept_badly(site, data):
    """A FIFO neither holds the panel up."""
    site.event("account.created", "alice", "example.org")
    (site.users / "alice").write_text("DNS=example.org\n")
    says(site, "accounts_modify_pre")
    path = site.files("main")[0]
    path.unlink()
    if data is None:
        os.mkfifo(path)
    else:
        path.write_bytes(data)
        owned(path)
    says(site, "accounts_modify")
    assert site.domains() == {"example.org", "example.net"}
    if data != b"7":
        assert "main/alice: " in site.receiver.said()


# An addon domain becomes an account

@pytest.mark.parametrize("name", ["convertaddon", "whostmgr_convertaddon"])
def test_an_addon_domain_is_converted(site, name):
    says(site, "accounts_create")
    says(site, "api2_addaddondomain")
    (site.users / "alice").write_text("DNS=example.org\nDNS1=addon.example\n")
    (site.users / "bob").write_text("DNS=example.com\nDNS1=example.info\n")
    says(site, name + "_pre")
    assert site.domains() == {"example.org", "addon.example"}
    says(site, name, status=0)
    assert site.domains() == {"example.org", "addon.example"}
    for _ in range(2):
        says(site, name)
        assert site.domains() == {"example.org"}
        assert site.domains("carol") == {"addon.example"}
    assert site.bad() == []


def test_an_addon_domain_with_a_long_name_is_converted(site):
    """Of a server with one."""
    domain, server = ".".join(["a" * 60] * 4), "s" * 64
    secret = site.secret("named", "s" * 40)
    site.reconfigure(sections={"server " + server: {"secret_file": secret}})
    site.tell(site.receiver, server=server, secret_file=secret)
    says(site, "api2_addaddondomain", newdomain=domain)
    assert site.domains() == {domain}
    (site.users / "alice").write_text("DNS1=%s\n" % domain)
    says(site, "convertaddon_pre", domain=domain)
    says(site, "convertaddon", domain=domain)
    assert (site.domains("alice"), site.domains("carol")) == (set(), {domain})
    assert site.refused() == site.bad() == []


def test_an_addon_domain_of_nobody_is_converted(site):
    """Nor is who had it before another conversion taken for its account."""
    says(site, "api2_addaddondomain")
    (site.users / "alice").write_text("DNS1=addon.example\n")
    says(site, "convertaddon_pre")
    (site.users / "bob").write_text("DNS1=addon.example\n")
    says(site, "convertaddon_pre")
    says(site, "convertaddon")
    assert site.domains("alice") == site.domains("carol") == {"addon.example"}
    for domain in ("../../etc", "a b", None, 7, "x" * 300 + ".example"):
        says(site, "convertaddon_pre", domain=domain)
    assert site.files("convert") == []


def test_the_main_domain_stays(site):
    says(site, "accounts_create", domain="example.net")
    (site.users / "alice").write_text("DNS=example.net\n")
    says(site, "accounts_modify_pre")
    says(site, "accounts_modify")
    says(site, "accounts_modify_quota")
    assert site.domains() == {"example.net"}


def test_the_main_domain_of_before_is_not_known(site):
    """Nor is one that was kept of an earlier change taken for it."""
    says(site, "accounts_create")
    (site.users / "alice").write_text("DNS=example.org\n")
    says(site, "accounts_modify_pre")
    (site.users / "alice").unlink()
    says(site, "accounts_modify_pre")
    says(site, "accounts_modify")
    assert site.domains() == {"example.org", "example.net"}


def test_an_account_is_renamed(site):
    """With all that it has, and its users; nobody else is touched."""
    says(site, "accounts_create")
    says(site, "domain_park")
    says(site, "accounts_suspendacct")
    site.event("domain.suspended", "alice", "parked.example")
    for user, account in (("a", "alice"), ("b", "ALICE"), ("c", "other")):
        site.user(user, account=account, status="allowed")
    for _ in range(2):
        says(site, "accounts_modify_name")
        assert site.account("alice") is None
        assert site.account("carol") == ("blocked", "pro", {"example.org"})
        assert [site.user_field(user, "account") for user in "abc"] == [
            "carol", "carol", "other"]
    site.event("domain.unsuspended", "carol", "parked.example")
    assert site.domains("carol") == {"example.org", "parked.example"}
    site.event("account.unsuspended", "carol")
    assert site.account("carol")[0] == "allowed"


def test_a_broken_account_is_renamed(site):
    """With what the relay takes of it; nobody may send who could not."""
    key = "smtp:account:{alice}"
    site.server.cli("HSET", key, "status", "on holiday", "plan", "a b c")
    site.server.cli("SADD", key + ":domains", "good.example", "no domain",
                    b"\xff", "x" * 140000 + ".example", b"nul\0.example")
    says(site, "accounts_modify_name")
    assert site.account("alice") is None
    assert site.account("carol") == ("blocked", "basic", {"good.example"})
    assert site.bad() == []


def test_limits_of_an_account_that_is_renamed(site):
    """A panel that gives another name gives nothing else."""
    says(site, "accounts_create")
    key = "smtp:account:{alice}"
    limits = {"user_prefix": "alice-", "alarms": "sources=5/1h",
              "quota": "100", "quota_period": "1h", "rate": "10/1m 50/1h",
              "over": "reject", "max_recipients": "7", "max_size": "1000000"}
    site.server.cli("HSET", key, *itertools.chain(*limits.items()))
    until = int(time.time()) + 86400
    site.server.cli("ZADD", key + ":suppressed", "+inf", "gone@example.com",
                    until, "later.example", "0", "never.example")
    says(site, "accounts_modify_name")
    assert site.account("alice") is None
    flat = site.server.cli("HGETALL", "smtp:account:{carol}")
    assert dict(zip(flat[::2], flat[1::2])) == {
        "status": "allowed", "plan": "pro", **limits}
    flat = site.server.cli("ZRANGE", "smtp:account:{carol}:suppressed", "0",
                           "-1", "WITHSCORES")
    assert dict(zip(flat[::2], map(float, flat[1::2]))) == {
        "gone@example.com": math.inf, "later.example": until,
        "never.example": math.inf}


def test_a_user_without_the_prefix_of_an_account_that_is_renamed(site):
    """Such users cannot send under the old name either."""
    says(site, "accounts_create")
    site.server.cli("HSET", "smtp:account:{alice}", "user_prefix", "alice-")
    for name in ("alice-1", "bob", "alice-2"):
        site.user(name, account="alice", status="allowed")
    says(site, "accounts_modify_name")
    assert site.bad() == []
    assert site.account("alice") is None
    assert [(site.user_field(name, "account"), site.user_field(name, "status"))
            for name in ("alice-1", "bob", "alice-2")] == [
        ("carol", "allowed"), ("alice", "blocked"), ("carol", "allowed")]


@pytest.mark.parametrize("field, value", [
    ("quota", "many"), ("rate", "1/"), ("alarms", "sources"),
    ("user_prefix", "A b"), ("max_size", "x" * 40000), ("over", "\udcff")],
    ids=["quota", "rate", "alarms", "user_prefix", "max_size", "over"])
def test_a_limit_that_cannot_be_read_is_renamed(site, field, value):
    """Under the old name it stops all mail of the users."""
    key = "smtp:account:{alice}"
    site.server.cli("HSET", key, "status", "allowed", "plan", "pro", field,
                    value)
    says(site, "accounts_suspendacct")
    says(site, "accounts_modify_name")
    assert site.account("carol") == ("blocked", "pro", set())
    assert site.account("alice") is None
    site.event("account.unsuspended", "carol")
    assert site.account("carol")[0] == "blocked"


def test_a_list_that_cannot_be_read_is_renamed(site):
    key = "smtp:account:{alice}"
    site.server.cli("HSET", key, "status", "allowed")
    site.server.cli("SET", key + ":suppressed", "x")
    says(site, "accounts_modify_name")
    assert site.account("carol")[0] == "blocked"


def test_a_large_account_is_renamed(site):
    """Without a command for each domain."""
    key = "smtp:account:{alice}"
    domains = {"d%d.example" % number for number in range(1000)}
    site.server.cli("HSET", key, "status", "allowed", "plan", "pro")
    site.server.cli("SADD", key + ":domains", *domains)
    site.server.cli("CONFIG", "RESETSTAT")
    says(site, "accounts_modify_name")
    assert site.account("alice") is None
    assert site.account("carol") == ("allowed", "pro", domains)
    assert calls(site) < 30


def calls(site):
    """Of functions in Redis."""
    stats = site.server.cli("INFO", "commandstats")
    return int(re.search("^cmdstat_fcall:calls=([0-9]+)", stats,
                         re.MULTILINE)[1])


def test_an_account_is_renamed_with_its_domain(site):
    says(site, "accounts_create")
    (site.users / "alice").write_text("DNS=example.org\n")
    says(site, "accounts_modify_pre", newuser="carol")
    says(site, "accounts_modify", newuser="carol")
    assert site.account("alice") is None
    assert site.domains("carol") == {"example.net"}


# Accounts that come with all they have

USER_FILE = """# cPanel
BWLIMIT=unlimited
DNS=example.org
DNS1=addon.example
DNS2=sub.example.org
DNS3=b\xfccher.example
OWNER=root
PLAN=reseller_gold
USER=alice
XDNS1=gone.example
"""
THERE = {"example.org", "addon.example", "sub.example.org"}


@pytest.mark.parametrize("subdomains", ["yes", "no"])
def test_an_account_is_restored(site, subdomains):
    """From a backup, or from another server."""
    site.reconfigure(subdomains=subdomains)
    (site.users / "alice").write_text(USER_FILE)
    site.event("domain.suspended", "alice", "addon.example")
    for _ in range(2):
        says(site, "pkgacct_restore")
        assert site.account() == ("allowed", "pro", THERE - {
            "addon.example"} - ({"sub.example.org"} if subdomains == "no"
                                else set()))
    assert site.bad() == []


def test_a_suspended_account_is_restored(site):
    (site.users / "alice").write_text(USER_FILE + "SUSPENDED=1\n")
    for _ in range(2):
        says(site, "pkgacct_restore")
        assert site.account() == ("blocked", "pro", THERE)
    says(site, "accounts_unsuspendacct")
    assert site.account()[0] == "allowed"


def test_a_restored_account_of_which_nothing_is_known(site):
    says(site, "pkgacct_restore")
    assert site.account() == ("allowed", "basic", {"example.org"})
    (site.users / "bob").write_text("DNS=bob.example\n")
    says(site, "pkgacct_restore", user="/backup/cpmove-bob.tar.gz",
         old_user="bob", domain="bob.example")
    assert site.domains("bob") == {"bob.example"}


def test_a_restored_account_with_many_domains(site):
    domains = {"d%d.example" % number for number in range(4000)}
    (site.users / "alice").write_text("".join(
        "DNS%d=%s\n" % pair for pair in enumerate(sorted(domains), 1)))
    says(site, "pkgacct_restore")
    assert site.domains() == domains


# What cPanel does not say

def short(value):
    return ascii(value)[:40]


@pytest.mark.parametrize("data", [
    b"", b"nonsense", b"[]", b"{}", b"null", b"1e999", b'{"context": []}',
    b'{"context": {"event": "Accounts::Create"}, "data": {}}',
    b'{"context": {"category": ["Whostmgr"], "event": {}, "stage": 1}}',
    b"[" * 200000, b'{"a":' * 200000, b"\xff\xfe", b"9" * 100000], ids=short)
def test_other_input_is_refused(site, data):
    result = site.cpanel_says(data)
    assert result.returncode == 65
    assert result.stdout.startswith(b"0 the input ")
    assert result.stdout.count(b"\n") == 1
    assert site.unsent() == site.waiting() == site.bad() == []


@pytest.mark.parametrize("changes", [
    {"user": None}, {"user": ""}, {"user": ["alice"]}, {"user": {"a": 1}},
    {"user": 7}, {"user": "a b"}, {"user": "\ud800"}, {"user": "a\0b"},
    {"user": "x" * 100000}, {"new_domain": None}, {"new_domain": 7},
    {"new_domain": "a b"}, {"new_domain": "\ud800.example"},
    {"new_domain": "nul\0.example"}, {"new_domain": ["a.example"]},
    {"new_domain": "--domain=a.example"}], ids=short)
def test_hostile_values_do_no_harm(site, changes):
    says(site, "accounts_create")
    before = site.snapshot()
    says(site, "domain_park", **changes)
    assert site.snapshot() == before
    assert len(site.bad()) == 1
    says(site, "domain_park")
    assert site.domains() == {"example.org", "parked.example"}


def test_a_customer_does_not_say_who_it_is(site):
    """The parameters of a call are the customer's; the user is cPanel's."""
    says(site, "accounts_create")
    before = site.snapshot()
    call = json.loads(site.cpanel_input("api2_addaddondomain"))
    call["data"]["args"]["user"] = "alice"
    del call["data"]["user"]
    result = site.cpanel_says(json.dumps(call).encode())
    assert result.stdout == b"1 stored\n"
    site.settle()
    assert site.snapshot() == before
    assert "account: missing" in site.bad()[0]["reason"]


@pytest.mark.parametrize("arguments", [
    {"category": "x", "event": "x", "stage": "x", "context": "x"},
    {"user%d" % number: "x" for number in range(200)},
    {"user%d" % number: "x" * 4000 for number in range(200)},
    {"u" * 4000 + str(number): "x" for number in range(200)},
    {"plan": "x" * (5 << 20)}, {"plan": "\udcff"}, {"\udcff": "\udcff"}],
    ids=short)
def test_a_customer_does_not_hide_what_it_does(site, arguments):
    """Whatever else it says in the call, and in whichever order cPanel tells
    it."""
    says(site, "accounts_create")
    says(site, "api2_addaddondomain")
    assert site.domains() == {"example.org", "addon.example"}
    call = json.loads(site.cpanel_input("api2_deladdondomain"))
    call["data"]["args"] = {**arguments, **call["data"]["args"]}
    call = {"data": call["data"], "context": call["context"]}
    result = site.cpanel_says(json.dumps(call, ensure_ascii=False).encode(
        errors="surrogateescape"))
    assert result.stdout == b"1 stored\n"
    site.settle()
    assert site.domains() == {"example.org"}
    assert site.refused() == site.bad() == []


def test_cpanel_is_told_when_an_event_cannot_be_stored(site):
    site.outbox.write_text("not a directory\n")
    result = site.cpanel("accounts_create")
    assert result.returncode == 75
    assert result.stdout == b"0 the event could not be stored\n"
