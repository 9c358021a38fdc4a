# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): what DirectAdmin says by its hook scripts."""

import pytest

from hooks.receiver import receiving


@pytest.fixture
def site(site):
    with receiving(site, plans={"reseller gold": "pro"}):
        yield site


def says(site, hook, **changes):
    """The hook, which the panel must find well and silent."""
    result = site.directadmin(hook, **changes)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    site.settle()
    assert site.refused() == []


def test_a_user_comes_and_goes(site):
    says(site, "user_create_post")
    assert site.account() == ("allowed", "pro", {"example.org"})
    says(site, "user_suspend_post")
    assert site.account() == ("blocked", "pro", {"example.org"})
    says(site, "user_activate_post")
    assert site.account() == ("allowed", "pro", {"example.org"})
    says(site, "user_modify_post")
    assert site.account() == ("allowed", "basic", {"example.org"})
    says(site, "user_destroy_post")
    assert site.account() is None
    assert site.bad() == []


def test_domains_come_and_go(site):
    says(site, "user_create_post")
    says(site, "domain_create_post", domain="shop.example")
    assert site.domains() == {"example.org", "shop.example"}
    says(site, "domain_change_post", domain="shop.example",
         newdomain="Store.Example")
    assert site.domains() == {"example.org", "store.example"}
    says(site, "domain_destroy_post")
    assert site.domains() == {"store.example"}
    says(site, "domain_pointer_create_post")
    assert site.domains() == {"store.example", "pointer.example"}
    says(site, "domain_pointer_destroy_post")
    assert site.domains() == {"store.example"}


def test_a_suspended_domain_is_renamed(site):
    """It comes back under its new name, when the panel says so."""
    says(site, "domain_create_post")
    site.event("domain.suspended", "alice", "example.org")
    says(site, "domain_change_post")
    assert site.domains() == set()
    site.event("domain.unsuspended", "alice", "example.net")
    assert site.domains() == {"example.net"}


def test_a_domain_of_a_suspended_user_is_renamed(site):
    """The user is suspended, not the domain, whose end nothing would tell."""
    says(site, "user_create_post")
    says(site, "user_suspend_post")
    says(site, "domain_change_post", suspended="yes")
    assert site.account() == ("blocked", "pro", {"example.net"})
    says(site, "user_activate_post")
    assert site.account() == ("allowed", "pro", {"example.net"})


@pytest.mark.parametrize("new", ["no domain", "single", "192.0.2.1",
                                 "a\nb.example"])
def test_a_domain_is_renamed_to_none(site, new):
    """The old one is gone all the same: somebody else may get it."""
    says(site, "user_create_post")
    says(site, "domain_change_post", newdomain=new)
    assert site.domains() == set()
    assert [record["event"]["new_domain"] for record in site.bad()] == [new]
    assert "not a domain" in site.bad()[0]["reason"]


def test_a_user_is_created_suspended(site):
    says(site, "user_create_post", suspended="yes")
    assert site.account() == ("blocked", "pro", {"example.org"})
    says(site, "user_activate_post")
    assert site.account()[0] == "allowed"


@pytest.mark.parametrize("status", ["sandboxed", "blocked"])
def test_a_panel_does_not_lift_what_the_operator_set(site, status):
    key = "smtp:account:{alice}"
    says(site, "user_create_post")
    site.server.cli("HSET", key, "status", status)
    says(site, "user_activate_post")
    assert site.account()[0] == status
    for _ in range(2):
        says(site, "user_suspend_post")
        assert site.account()[0] == "blocked"
    says(site, "user_activate_post")
    assert site.account()[0] == status
    # Nor what was set meanwhile.
    site.server.cli("HSET", key, "status", "allowed")
    says(site, "user_suspend_post")
    site.server.cli("HSET", key, "status", "sandboxed")
    says(site, "user_activate_post")
    assert site.account()[0] == "sandboxed"
    # Nor what was set since and suspended again.
    says(site, "user_suspend_post")
    says(site, "user_activate_post")
    assert site.account()[0] == "sandboxed"


def test_a_suspension_ends_with_its_account(site):
    says(site, "user_suspend_post")
    says(site, "user_destroy_post")
    says(site, "user_create_post")
    site.server.cli("HSET", "smtp:account:{alice}", "status", "blocked")
    says(site, "user_activate_post")
    assert site.account()[0] == "blocked"


def test_the_users_of_a_deleted_account(site):
    """Who gets its name next has nothing to do with them."""
    says(site, "user_create_post")
    for name, account in (("a", "alice"), ("b", "ALICE"), ("c", "alice2"),
                          ("d", "alice")):
        site.user(name, account=account, mode="all")
    site.user("d", status="sandboxed")
    site.user("e", mode="all")
    # What an alarm has blocked would be free one day.
    for name, until in (("f", "9999-01-01T00:00:00Z"), ("g", "")):
        site.user(name, account="alice", status="blocked",
                  blocked_by="alarm:volume", blocked_until=until)
    says(site, "user_destroy_post")
    assert [site.user_field(name, "status") for name in "abcdefg"] == [
        "blocked", "blocked", None, "blocked", None, "blocked", "blocked"]
    assert [site.user_field(name, "blocked_until") or "" for name in "fg"
            ] == ["", ""]
    assert site.user_field("g", "blocked_by") == "alarm:volume"
    says(site, "user_create_post", domain="new.example")
    assert site.user_field("a", "status") == "blocked"


def test_the_users_of_a_deleted_account_are_kept(site):
    site.reconfigure(deleted_users="keep")
    says(site, "user_create_post")
    site.user("a", account="alice")
    says(site, "user_destroy_post")
    assert site.account() is None
    assert site.user_field("a", "status") is None


def test_two_panels_with_the_same_name(site):
    for host in ("h1-", "h2-"):
        site.reconfigure(account_prefix=host)
        says(site, "user_create_post", domain=host + "x.example")
    assert site.domains("h1-alice") == {"h1-x.example"}
    assert site.domains("h2-alice") == {"h2-x.example"}
    says(site, "user_destroy_post")
    assert site.domains("h1-alice") == {"h1-x.example"}
    assert site.account("h2-alice") is site.account("alice") is None
    site.event("account.renamed", "Bob", "--new-account", "carol")
    assert site.account("h2-carol") is not None
    assert site.bad() == []
    says(site, "domain_create_post", username="a b")
    assert site.bad()[0]["event"]["account"] == "a b"


SAME = ["b\xfccher.example", "xn--bcher-kva.example", "B\xdcCHER.example",
        "XN--BCHER-KVA.Example."]


@pytest.mark.parametrize("spelling", SAME)
def test_a_suspended_domain_however_it_is_written(site, spelling):
    says(site, "domain_create_post", domain=SAME[0])
    assert site.domains() == {SAME[1]}
    site.event("domain.suspended", "alice", spelling)
    assert site.domains() == set()
    for domain in SAME:
        says(site, "domain_create_post", domain=domain)
        assert site.domains() == set()
    site.event("domain.unsuspended", "alice", SAME[0])
    assert site.files("suspended") == []
    assert site.domains() == {SAME[1]}


def test_a_suspended_domain_waits_for_its_end(site):
    says(site, "domain_create_post")
    site.event("domain.suspended", "alice", "Example.org")
    assert site.domains() == set()
    says(site, "domain_create_post")
    assert site.domains() == set()
    site.event("domain.unsuspended", "alice", "example.org.")
    assert site.domains() == {"example.org"}
    says(site, "domain_destroy_post")
    says(site, "domain_create_post")
    assert site.domains() == {"example.org"}


def test_an_account_that_was_there_before_the_hooks(site):
    says(site, "domain_create_post")
    assert site.account() == ("allowed", "basic", {"example.org"})
    says(site, "user_destroy_post")
    for hook in ("domain_destroy_post", "user_destroy_post",
                 "domain_pointer_destroy_post"):
        says(site, hook)
        assert site.account() is None
    says(site, "user_suspend_post")
    assert site.account() == ("blocked", "basic", set())
    assert site.bad() == []


@pytest.mark.parametrize("hook", [
    "user_create_post", "domain_create_post", "domain_change_post",
    "user_suspend_post", "user_modify_post", "domain_destroy_post",
    "user_destroy_post"])
def test_twice_is_once(site, hook):
    says(site, "user_create_post")
    says(site, hook)
    once = site.account()
    says(site, hook)
    assert site.account() == once
    assert site.bad() == []


def test_an_account_that_exists_keeps_its_status(site):
    says(site, "user_create_post")
    says(site, "user_suspend_post")
    says(site, "user_create_post")
    assert site.account()[0] == "blocked"


def test_packages_do_not_matter_without_plans(site):
    site.reconfigure(plans=())
    says(site, "user_create_post")
    site.server.cli("HSET", "smtp:account:{alice}", "plan", "pro")
    says(site, "user_modify_post")
    assert site.account()[1] == "pro"


def test_an_account_name_is_folded(site):
    says(site, "domain_create_post", username="ALICE")
    assert site.domains("alice") == {"example.org"}


HOSTILE = ["two words.example", "a.example\nb.example", "'; touch /tmp/x; '.a",
           '"quoted".example', "$(reboot).example", "`id`.example",
           "-rf.example", "--plan=pro", "--", "*", "../../etc/passwd", "",
           "x" * 5000 + ".example", "\\x2e.example", "tab\t.example",
           "\udcff\udcfe.example", "single", "192.0.2.1", "%s%n.example",
           "\x1b[2J.example"]


def short(value):
    return ascii(value)[:20]


@pytest.mark.parametrize("value", HOSTILE, ids=short)
def test_hostile_domains_do_no_harm(site, value):
    says(site, "user_create_post")
    before = site.account()
    says(site, "domain_create_post", domain=value)
    assert site.account() == before
    assert len(site.bad()) == 1
    says(site, "domain_create_post", domain="good.example")
    assert site.domains() == {"example.org", "good.example"}
    listed = site.ok("list")
    assert listed.isascii() or listed.replace("\n", "").isprintable()
    assert len(listed.splitlines()) == 1 and " bad, " in listed


# What is no domain may still be the name of an account.
NAMES = {"single", "192.0.2.1"}


@pytest.mark.parametrize("value", [
    *[value for value in HOSTILE if value not in NAMES], "a b", ".hidden",
    "a/b", "a:b", "u" * 65, "\u212aelvin", None], ids=short)
def test_hostile_account_names_do_no_harm(site, value):
    before = site.server.cli("KEYS", "*")
    says(site, "domain_create_post", username=value)
    assert site.server.cli("KEYS", "*") == before
    assert len(site.bad()) == 1
    assert "account" in site.bad()[0]["reason"]


def test_nothing_but_what_is_needed_is_kept(site):
    """Neither on disk, nor sent."""
    site.away()
    assert site.directadmin("user_create_post").returncode == 0
    assert set(site.arrive()[0]) == {
        "event", "source", "account", "domain", "package", "id", "timestamp",
        "digest"}
    assert site.said_secret() == []
    site.relay()
    site.drain()
    site.settle()
    assert site.account() is not None
    assert site.said_secret() == []


def test_the_spools_are_nobody_elses(site):
    site.away()
    site.directadmin("domain_create_post")
    site.arrive()
    for spool in (site.spool, site.outbox):
        for path in (spool, *spool.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_panel_is_told_when_an_event_cannot_be_stored(site):
    site.outbox.write_text("not a directory\n")
    result = site.directadmin("domain_create_post")
    assert result.returncode == 75
    assert result.stderr == (b"smtpusers-notify: the event could not be "
                             b"stored\n")
    assert result.stdout == b""
