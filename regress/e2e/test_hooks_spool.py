# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): nothing is lost, whatever ends when."""

import fcntl
import json
import os
import random
import subprocess

import pytest

from hooks.panelsite import NOBODY, Site, kill, modules
from hooks.receiver import Receiver, owned
from hooks.tap import Tap
from places import PATIENCE, SOURCE, free_port, workdir
from redisserver import RedisServer, wait_until
from relay import certificate


VERSION = b"smtpusers " + (SOURCE / "VERSION").read_bytes()


@pytest.fixture
def tap(site):
    tap = Tap(site.directory, site.server)
    site.relay(tap.url)
    yield tap
    tap.close()


@pytest.fixture
def library(prefix):
    yield from modules(prefix)


# Redis is away

def test_events_wait_for_redis(prefix):
    """And are applied in order when it is back."""
    with RedisServer(workdir("redis")) as server:
        site = Site(prefix, server)
        receiver = Receiver(site).start()
        site.tell(receiver)
        site.event("account.created", "alice", "first.example")
        server.stop()
        for hook, changes in (
                ("domain_create_post", {"domain": "a.example"}),
                ("domain_change_post", {"domain": "a.example",
                                        "newdomain": "b.example"}),
                ("domain_create_post", {"domain": "c.example"}),
                ("domain_destroy_post", {"domain": "c.example"}),
                ("domain_create_post", {"domain": "c.example"}),
                ("user_suspend_post", {})):
            result = site.directadmin(hook, **changes)
            assert (result.returncode, result.stderr) == (0, b"")
        site.arrive(6)
        receiver.stop()
        assert "6 events wait" in site.drain(75)
        assert len(site.ok("list").splitlines()) == 6
        server.start()
        site.grant()
        site.event("account.created", "alice", "first.example")
        assert site.waiting() == site.bad() == []
        assert site.account() == ("blocked", "basic", {
            "first.example", "b.example", "c.example"})


def test_a_redis_by_tls_that_somebody_vouches_for(prefix):
    """A server that nobody vouches for is told nothing: events wait."""
    cert, key = certificate(workdir("tls"))
    stranger, _ = certificate(workdir("stranger"))
    port = free_port()
    with RedisServer(workdir("redis"), extra=(
            "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
            "--tls-auth-clients", "no")) as server:
        site = Site(prefix, server)
        site.relay("tls:localhost:%d" % port, redis_ca=stranger)
        site.event("domain.created", "alice", "a.example")
        assert "certificate" in site.drain(75)
        assert site.account() is None
        site.relay("tls:localhost:%d" % port, redis_ca=cert)
        assert site.drain() == ""
        assert site.domains() == {"a.example"}
        # By that way alone.
        site.event("domain.created", "alice", "b.example")
        server.cli("CONFIG", "SET", "tls-port", 0)
        site.event("domain.created", "alice", "c.example")
        assert site.domains() == {"a.example", "b.example"}
        server.cli("CONFIG", "SET", "tls-port", port)
        assert site.drain() == ""
        assert site.domains() == {"a.example", "b.example", "c.example"}


def test_the_timer_applies_what_waits(site):
    site.away()
    site.event("domain.created", "alice", "a.example")
    site.relay()
    assert site.drain() == ""
    assert site.domains() == {"a.example"}
    assert site.drain() == ""


def refuse_password(site):
    site.server.cli("ACL", "SETUSER", "hooks", "on", ">right", "~*", "+@all")
    (site.directory / "password").write_text("wrong\n")
    site.relay(redis_user="hooks",
               redis_password_file=site.directory / "password")


def refuse_commands(site):
    site.server.cli("ACL", "SETUSER", "hooks", "on", "nopass", "~*", "-@all",
                    "+fcall|smtpusers_version")
    (site.directory / "password").write_text("any\n")
    site.relay(redis_user="hooks",
               redis_password_file=site.directory / "password")


def break_configuration(site):
    (site.directory / "smtpusers.conf").write_text("colour = red\n")


def stand_still(site):
    site.relay(redis_timeout=100)
    site.server.pause()


@pytest.mark.parametrize("lack, words", [
    (Site.away, "connect"), (refuse_password, "AUTH failed"),
    (refuse_commands, "Redis: "), (break_configuration, "colour"),
    (stand_still, "did not answer within 1 s")],
    ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_the_operators_to_repair_waits(site, lack, words):
    lack(site)
    site.event("domain.created", "alice", "a.example")
    site.event("domain.created", "bob", "b.example")
    said = site.drain(75)
    assert words in said and said.endswith("; 2 events wait\n")
    assert said.count("\n") == 1
    site.server.resume()
    site.server.cli("ACL", "DELUSER", "hooks")
    site.relay()
    site.drain()
    assert (site.domains("alice"), site.domains("bob")) == (
        {"a.example"}, {"b.example"})


# Bad events

def test_a_bad_event_stands_in_nobodys_way(site):
    site.away()
    for account, domain in (("alice", "a.example"), ("alice", "no domain"),
                            ("alice", "b.example"), ("bob", "c.example")):
        site.event("domain.created", account, domain)
    site.relay()
    said = site.drain()
    assert "set aside: domain.created alice no domain: " in said
    assert "not a domain" in said and said.count("\n") == 1
    assert site.domains("alice") == {"a.example", "b.example"}
    assert site.domains("bob") == {"c.example"}
    assert [record["event"]["domain"] for record in site.bad()] == [
        "no domain"]
    assert "not a domain" in site.bad()[0]["reason"]
    assert site.waiting() == []


def test_a_bad_event_is_tried_again(site):
    """When its reason is gone."""
    path = site.spool / "suspended" / "alice"
    for domain in ("a.example", "no domain"):
        site.event("domain.created", "bob", "b.example")
        path.write_text("{")
        owned(path)
        site.event("domain.created", "alice", domain)
    path.unlink()
    names = [line.split()[0] for line in site.ok("list").splitlines()]
    result = site.run(site.program, "retry", names[0])
    assert (result.returncode, result.stderr) == (0, b"")
    assert site.domains() == {"a.example"}
    assert len(site.bad()) == 1
    result = site.run(site.program, "retry", names[1])
    assert b"not a domain" in result.stderr
    assert len(site.bad()) == 1
    assert site.run(site.program, "retry").returncode == 64
    result = site.run(site.program, "retry", names[0], "../new/x", "")
    assert result.returncode == 65
    assert result.stderr.count(b"no such bad event") == 3


@pytest.mark.parametrize("data", [
    b"", b"{", b"[]", b"null", b"\xff", b"[" * 60000, b"{}" * 100000,
    b'{"event": ["domain.created"], "account": {}}',
    b'{"event": "domain.created", "account": "alice", '
    b'"domain": "c.example", "id": ["x"]}',
    b'{"event": "domain.created", "account": "alice", '
    b'"domain": "c.example", "id": "x", "timestamp": "soon"}',
    b'{"event": "domain.created", "account": 7, "domain": []}'], ids=len)
def test_a_broken_file_stands_in_nobodys_way(site, data):
    site.event("domain.created", "alice", "a.example")
    (site.spool / "new" / ("0" * 20 + "-broken")).write_bytes(data)
    (site.spool / "new" / "stranger").write_bytes(data)
    site.event("domain.created", "alice", "b.example")
    assert site.domains() == {"a.example", "b.example"}
    assert len(site.bad()) == 1
    assert len(site.ok("list").splitlines()) == 1


@pytest.mark.parametrize("make", [
    os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/passwd", path)],
    ids=["directory", "fifo", "link"])
def test_what_is_no_file_stands_in_nobodys_way(site, make):
    site.event("domain.created", "alice", "a.example")
    name = "0" * 20 + "-other"
    make(site.spool / "new" / name)
    os.chown(site.spool / "new" / name, NOBODY, NOBODY,
             follow_symlinks=False)
    site.event("domain.created", "alice", "b.example")
    assert site.domains() == {"a.example", "b.example"}
    assert [path.name for path in site.files("broken")] == [name]
    assert "the file is broken" in site.bad()[0]["reason"]
    site.drain()
    assert len(site.ok("list").splitlines()) == 1
    assert site.run(site.program, "retry", name).returncode == 65


def test_a_broken_record_of_a_bad_event(site):
    site.event("domain.created", "alice", "a.example")
    for number, data in enumerate((b"{", b"[]", b"{}", b'{"event": 7}')):
        (site.spool / "bad" / ("%020d-x" % number)).write_bytes(data)
    listed = site.ok("list").splitlines()
    assert len(listed) == 4 and all(" bad, " in line for line in listed)


def test_an_event_that_we_did_not_think_of(site, library, monkeypatch):
    """It is set aside, and the others go on."""
    site.away()
    site.event("account.renamed", "alice", "--new-account", "carol")
    site.event("account.plan", "bob", "--plan", "pro")
    site.relay()
    drain = library("drain")
    monkeypatch.setenv("SMTPUSERS_FILTER", site.environment()[
        "SMTPUSERS_FILTER"])
    monkeypatch.setattr(drain.Relay, "account", lambda *_: [])
    said = []
    conf = library("config").read_config(str(site.file))
    spool = library("spool").Spool(conf.spool)
    assert drain.drain(conf, spool, said.append) == 0
    assert len(said) == 1 and "AttributeError" in said[0]
    assert [record["event"]["account"] for record in site.bad()] == ["alice"]
    assert site.waiting() == []
    assert site.account("bob")[1] == "pro"


# Suspended domains

def test_many_suspended_domains(site):
    site.event("account.created", "alice", "a.example")
    many = sorted("d%d.example" % number for number in range(9000))
    path = site.spool / "suspended" / "alice"
    path.write_text(json.dumps(many))
    assert path.stat().st_size > 100000
    site.event("domain.suspended", "alice", "a.example")
    for domain in ("a.example", "d7.example", "b.example"):
        site.event("domain.created", "alice", domain)
    assert site.domains() == {"b.example"}
    assert json.loads(path.read_text()) == sorted(["a.example", *many])


@pytest.mark.parametrize("domain", ["no domain", "single", "192.0.2.1",
                                    "a..example", "x" * 900, "\udcff.example",
                                    "\u200b.example", "a_b.example"])
def test_what_is_no_domain_is_not_suspended(site, domain):
    site.event("account.created", "alice")
    site.server.cli("SADD", "smtp:account:{alice}:domains", domain.encode(
        errors="surrogateescape"))
    site.event("domain.suspended", "alice", domain)
    assert site.domains() == set()
    assert site.files("suspended") == []
    assert "not a domain" in site.bad()[0]["reason"]


@pytest.mark.parametrize("data", [b"{", b"{}", b"[7]", b"", None], ids=repr)
def test_suspended_domains_that_cannot_be_told(site, data):
    """Nothing is added, but what is to go goes."""
    for domain in ("a.example", "b.example", "c.example"):
        site.event("domain.created", "alice", domain)
    path = site.spool / "suspended" / "alice"
    if data is None:
        os.mkfifo(path)
    else:
        path.write_bytes(data)
    site.event("domain.created", "alice", "d.example")
    site.event("domain.renamed", "alice", "a.example", "--new-domain",
               "e.example")
    site.event("domain.suspended", "alice", "b.example")
    site.event("domain.deleted", "alice", "c.example")
    assert site.domains() == set()
    assert site.waiting() == []
    assert len(site.bad()) == 3
    assert "suspended domains cannot be told" in site.bad()[0]["reason"]
    site.event("account.deleted", "alice")
    assert site.account() is None
    site.event("domain.created", "alice", "a.example")
    assert site.domains() == {"a.example"}


def block_file(site, *names):
    """What stands where the spool would write a file."""
    path = site.spool.joinpath(*names)
    path.mkdir()
    (path / "full").touch()
    return path


def unblock(path):
    (path / "full").unlink()
    path.rmdir()


def test_an_account_that_is_stuck_holds_up_nobody_else(site):
    """Its own events keep their order."""
    site.event("account.created", "alice")
    blocked = block_file(site, "status", "alice")
    for kind, account, *domain in (
            ("account.suspended", "alice"),
            ("domain.created", "bob", "b.example"),
            ("domain.created", "alice", "a.example"),
            ("domain.created", "carol", "c.example"),
            ("account.unsuspended", "alice")):
        site.event(kind, account, *domain)
    assert site.account("alice") == ("allowed", "basic", set())
    assert site.domains("bob") == {"b.example"}
    assert site.domains("carol") == {"c.example"}
    assert len(site.waiting()) == 3
    said = site.drain(75)
    assert said.count("\n") == 1
    assert "waits: account.suspended alice: " in said
    unblock(blocked)
    site.drain()
    assert site.account("alice") == ("allowed", "basic", {"a.example"})


def test_the_name_of_an_account_waits_for_its_renaming(site):
    """What comes for the new name meanwhile comes after it."""
    site.event("account.created", "alice", "a.example")
    site.event("account.suspended", "alice")
    blocked = block_file(site, "status", "carol")
    site.event("account.renamed", "alice", "--new-account", "carol")
    site.event("domain.deleted", "carol", "a.example")
    site.event("domain.created", "carol", "c.example")
    assert "a.example" not in (site.domains("carol") or ())
    assert len(site.waiting()) == 3
    unblock(blocked)
    site.drain()
    assert site.account("carol") == ("blocked", "basic", {"c.example"})
    assert site.domains("alice") is None


# Killed

EVENTS = [
    ("account.created", "alice", "a.example"),
    ("domain.created", "alice", "b.example"),
    ("domain.renamed", "alice", "b.example", "--new-domain", "c.example"),
    ("domain.suspended", "alice", "a.example"),
    ("domain.renamed", "alice", "a.example", "--new-domain", "d.example"),
    ("account.suspended", "alice"),
    ("domain.unsuspended", "alice", "d.example"),
    ("account.renamed", "alice", "--new-account", "bob"),
    ("account.plan", "bob", "--plan", "pro"),
    ("domain.deleted", "bob", "c.example"),
    ("account.unsuspended", "bob")]
OUTCOME = ("allowed", "pro", {"d.example"})


# With every way to be cut short in the middle.
FEW = [
    ("account.created", "alice", "a.example"),
    ("domain.created", "alice", "b.example"),
    ("domain.renamed", "alice", "a.example", "--new-domain", "d.example"),
    ("domain.suspended", "alice", "b.example"),
    ("account.renamed", "alice", "--new-account", "bob")]
FEW_OUTCOME = ("allowed", "basic", {"d.example"})


def recorded(site, events):
    """The files that the events come to."""
    site.away()
    for words in events:
        site.event(*words)
    site.relay()
    found = {path: path.read_bytes() for path in site.files("new")}
    for path in found:
        path.unlink()
    return found


def fill(site, files):
    site.server.cli("FLUSHALL")
    for path in site.files("suspended"):
        path.unlink()
    for path, data in files.items():
        path.write_bytes(data)
        owned(path)


def check_outcome(site, outcome):
    assert site.waiting() == site.bad() == []
    assert site.account("bob") == outcome
    assert site.account("alice") is None


@pytest.mark.parametrize("moment", ["kill_before", "kill_after"])
def test_a_drain_is_killed_at_every_command(site, moment):
    """At the first of all, then at the second, and so on; each time another
    drain does the rest."""
    files = recorded(site, FEW)
    tap = Tap(site.directory, site.server)
    site.relay(tap.url)
    fill(site, files)
    site.drain()
    check_outcome(site, FEW_OUTCOME)
    steps = tap.count
    assert steps > 2 * len(FEW)
    for step in range(1, steps + 1):
        fill(site, files)
        tap.reset(**{moment: step})
        result = site.run(site.program, "drain")
        assert result.returncode == -9, result.stderr
        assert tap.count == step
        tap.reset()
        site.drain()
        check_outcome(site, FEW_OUTCOME)
        assert site.files("suspended")[0].name == "bob"
    tap.close()


def test_a_drain_is_killed_at_any_time(site):
    """Whether it is at a command or at its files."""
    chance = random.Random(20261121)
    files = recorded(site, EVENTS)
    fill(site, files)
    for _ in range(40):
        process = site.start(site.program, "drain")
        try:
            process.wait(chance.uniform(0.1, 1.5))
        except subprocess.TimeoutExpired:
            pass
        kill(process)
        if not site.waiting():
            break
    wait_until(lambda: site.drain() == "" and not site.waiting(), 60,
               "the events to be applied")
    check_outcome(site, OUTCOME)


def test_one_drain_at_a_time(site, tap):
    """Who comes meanwhile leaves it what there is."""
    site.away()
    site.event("domain.created", "alice", "a.example")
    site.relay(tap.url)
    tap.hold()
    first = site.start(site.program, "drain")
    assert tap.held.wait(PATIENCE)
    asked = tap.count
    site.event("domain.deleted", "alice", "a.example")
    assert site.drain() == ""
    assert (tap.count, len(site.waiting())) == (asked, 2)
    tap.release()
    assert first.wait(PATIENCE) == 0
    first.communicate()
    assert site.waiting() == []
    assert site.domains() == set()


def test_what_killed_hooks_leave_is_cleared_away(site):
    site.event("domain.created", "alice", "a.example")
    old = site.spool / "tmp" / "left"
    new = site.spool / "tmp" / "fresh"
    for path in (old, new, site.spool / "tidied"):
        path.write_text("{")
    for path in (old, site.spool / "tidied"):
        os.utime(path, (0, 0))
    site.drain()
    assert site.files("tmp") == [new]


# Many at once

def test_twenty_events_at_once(site):
    domains = {"d%d.example" % number for number in range(20)}
    started = [site.start(site.program, "event", "domain.created", "alice",
                          domain) for domain in sorted(domains)]
    for process in started:
        assert process.communicate(timeout=PATIENCE) == (b"", b"")
        assert process.returncode == 0
    wait_until(lambda: not site.waiting(), 60, "the events to be applied")
    assert site.domains() == domains
    assert site.bad() == []


def test_the_order_of_one_account_is_kept(site):
    """Also where the clock is turned back, and others come in between."""
    site.away()
    future = "%020d-%s" % (2 ** 62, "0" * 8)
    site.event("domain.created", "alice", "a.example")
    only = site.files("new")[0]
    only.rename(only.with_name(future))
    site.event("domain.deleted", "alice", "a.example")
    site.event("domain.created", "bob", "b.example")
    site.event("domain.created", "alice", "z.example")
    assert [(event["event"], event["domain"]) for event in site.waiting()] \
        == [("domain.created", "a.example"), ("domain.deleted", "a.example"),
            ("domain.created", "b.example"), ("domain.created", "z.example")]
    site.relay()
    site.drain()
    assert site.domains() == {"z.example"}


def test_repetitions_change_nothing(site):
    for words in EVENTS:
        site.event(*words)
        before = site.account("alice"), site.account("bob")
        site.event(*words)
        assert (site.account("alice"), site.account("bob")) == before
    check_outcome(site, OUTCOME)


# Whose the spool is

def test_somebody_keeps_the_lock(site):
    """Who wants to store something is told, and does not wait for ever."""
    site.event("domain.created", "alice", "a.example")
    with open(site.spool / "order.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = site.run(site.program, "event", "domain.created", "alice",
                          "b.example")
        assert result.returncode == 75
        assert b"another smtpusers-hook holds it" in result.stderr
    assert site.waiting() == []


def test_a_new_spool_outlives_a_power_cut(site, library, monkeypatch):
    spool = library("spool")
    synced = []
    monkeypatch.setattr(spool, "sync_directory", synced.append)
    path = str(site.directory / "fresh")
    spool.Spool(path).prepare()
    assert synced == [str(site.directory), path]
    spool.Spool(path).prepare()
    assert len(synced) == 2



def test_root_becomes_the_owner_of_the_spool(site):
    site.event("account.suspended", "alice")
    site.event("domain.created", "alice", "example.org")
    assert site.domains() == {"example.org"}
    for path in site.spool.rglob("*"):
        assert path.stat().st_uid == NOBODY, path


def test_what_is_wrong_with_the_configuration(site):
    good = site.file.read_text()
    for text, words in (
            ("[hooks]\nspool = var\n", "[hooks] spool: not an absolute path"),
            ("[hooks]\ncolour = red\n", "[hooks] colour: unknown"),
            ("[colours]\na = red\n", "[colours] a: unknown"),
            ("[webhook]\nwindow = -1\n", "window: not a number from 1 to"),
            ("[webhook]\nwindow = 1\nwindow = 2\n", "already exists"),
            ("[hooks]\nsubdomains = maybe\n", "neither yes nor no"),
            ("[hooks]\ndeleted_users = yes\n", "neither block nor keep"),
            ("[hooks]\naccount_prefix = H1\n", "not the beginning of an"),
            ("[webhook]\nlisten = 192.0.2.1:80\n", "not a loopback address"),
            ("[webhook]\nlisten = localhost:80\n", "[webhook] listen"),
            ("[webhook]\ncertificate = /a\n", "one without the other"),
            ("[server Web]\nuser = a\n", "[server Web] user: unknown"),
            ("[server web]\ncolour = a\n", "[server web] colour: unknown"),
            ("[server web]\nsecret_file = /a\nuser = a b\n",
             "user: not a user name"),
            ("[server web]\nuser = a\n", "[server web] secret_file: not"),
            ("[server a]\nsecret_file = /a\naccount_prefix = web\n"
             "[server b]\nsecret_file = /a\naccount_prefix = web-\n",
             "account_prefix: web- begins with web, of another server"),
            ("[hooks]\naccount_prefix = web1-\n"
             "[server b]\nsecret_file = /a\naccount_prefix = web1-x-\n",
             "account_prefix: web1-x- begins with web1-, of another server"),
            ("nonsense\n", "no section headers"),
            ("[hooks]\n\xff = 1\n", "unknown")):
        site.file.write_text(text)
        result = site.run(site.program, "drain")
        assert result.returncode == 78
        assert words in result.stderr.decode()
        assert result.stderr.count(b"\n") == 1
    for shared in ("", "web1-"):
        site.file.write_text(good + "".join(
            "[server web%d]\nsecret_file = /a\naccount_prefix = %s\n" %
            (number, prefix) for number, prefix in enumerate(
                (shared, shared, "web2-"))))
        site.drain()


def test_words_on_the_command_line(site):
    for words in ((), ("nonsense",), ("event",), ("event", "a.b", "alice"),
                  ("drain", "more")):
        assert site.run(site.program, *words).returncode == 64
    for words in (("domain.created", "alice"), ("account.plan", "alice"),
                  ("domain.created", "a b", "a.example"),
                  ("account.created", "alice", "--server", "none"),
                  ("domain.renamed", "alice", "a.example")):
        result = site.run(site.program, "event", *words)
        assert result.returncode == 65
    for word, said in (("--help", b"usage: "), ("--version", VERSION)):
        result = site.run(site.program, word)
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout.startswith(said)
    assert list(site.spool.iterdir()) == []


def test_events_are_kept_as_they_were_said(site):
    """Bytes that are no UTF-8 too, so that a reason can be given."""
    site.away()
    site.event("domain.created", "alice", b"\xff.example")
    text = site.files("new")[0].read_text()
    assert text.isascii() and json.loads(text)["domain"] == "\udcff.example"
