# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users written straight into Redis, as a panel would."""
"""The workers that ask the DNS: what they may do, and what becomes of a
question when they or the name server fail."""

import os
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from linedriver import FilterDriver
from nameserver import (CNAME, REFUSED, SERVFAIL, TXT, NameServer,
                        OddServer, failing, response, silent, spf, txt)
from places import REPORT_URL, configuration, slack, workdir
from redisserver import wait_until
from relay import alive, parents
from session import Session, simple
from test_spf import OK, PASSWORD, UNKNOWN, alice, report_of, send_as

NOBODY = "65534"

__all__ = ["alice"]


@pytest.fixture
def names():
    with OddServer() as server:
        yield server


@pytest.fixture
def odd_relay(names, new_relay):
    """A relay that asks the odd server: odd_relay(spf_timeout=500)."""
    def make(**keys):
        return new_relay(spf="published", spf_resolver=names.address,
                         **{"spf_timeout": 30000, **keys})
    return make


def filter_of(relay):
    """The filter itself, none of its workers."""
    return relay.pid_of("filter-smtpusers")


def workers(pid):
    """The workers of the filter with this pid, which another process starts;
    those that start are not yet anything, those that ended nothing any
    more."""
    rows = parents()
    return sorted(child for child, parent in rows.items()
                  if rows.get(parent) == pid and alive(child)
                  and b"-W\0" in read(child, "cmdline"))


def read(pid, name):
    try:
        return Path("/proc/%d/%s" % (pid, name)).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def status(pid):
    lines = read(pid, "status").decode().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def confined(pid):
    return status(pid).get("Seccomp") == "2"


def wait_workers(pid, count):
    """The workers, once there are that many, all behind their fence."""
    def ready():
        found = workers(pid)
        return found if len(found) == count and all(map(confined, found)) \
            else None
    return wait_until(ready, 20, "%d workers" % count)


def driver(redis, names, kind="san", **keys):
    conf = configuration(redis=redis.url, report_url=REPORT_URL,
                         spf_resolver=names.address,
                         **{"spf": "published", **keys})
    return FilterDriver(workdir("filter"), conf, kind=kind)


# What a worker is


@pytest.mark.parametrize("count", [1, 4, 9])
def test_they_are_there_before_any_message(redis, names, count):
    with driver(redis, names, spf_workers=count) as filt:
        found = wait_workers(filt.process.pid, count)
    wait_until(lambda: not any(map(alive, found)), 20, "workers to end")


def test_none_where_nobody_asks(redis, names):
    with driver(redis, names, spf="off") as filt:
        filt.connect("%016x" % 1)
        assert workers(filt.process.pid) == []


def check_confined(pid, uid=None):
    state = status(pid)
    assert state["Seccomp"] == "2"
    assert state["NoNewPrivs"] == "1"
    for key in ("Uid", "Gid"):
        ids = set(state[key].split())
        assert len(ids) == 1 and ids != {"0"}, state[key]
        assert uid is None or ids == {uid}
    # Of root's there are none left; others keep the groups they had.
    assert uid is None or state["Groups"].split() == []
    for key in ("CapPrm", "CapEff", "CapAmb"):
        assert int(state[key], 16) == 0, key
    assert read(pid, "environ").strip(b"\0") == b""
    assert state["Threads"] == "1"
    fds = {int(fd): os.stat("/proc/%d/fd/%s" % (pid, fd))
           for fd in os.listdir("/proc/%d/fd" % pid)}
    assert set(fds) == {0, 1, 2, 3}
    assert stat.S_ISSOCK(fds[0].st_mode) and stat.S_ISSOCK(fds[3].st_mode)
    null = os.stat("/dev/null").st_rdev
    assert fds[1].st_rdev == fds[2].st_rdev == null
    limits = read(pid, "limits").decode()
    for limit in ("Max core file size", "Max file size"):
        line = next(row for row in limits.splitlines()
                    if row.startswith(limit))
        assert line[len(limit):].split()[:2] == ["0", "0"]


def test_they_have_nothing(redis, names):
    with driver(redis, names, spf_workers=3) as filt:
        for pid in wait_workers(filt.process.pid, 3):
            check_confined(pid, NOBODY)


def test_they_have_nothing_of_smtpds(odd_relay, alice):
    relay = odd_relay(spf_workers=3)
    pid = filter_of(relay)
    uids = status(pid)["Uid"].split()
    found = wait_workers(pid, 3)
    for worker in found:
        check_confined(worker, None if "0" not in uids else NOBODY)
    relay.stop()
    assert not any(map(alive, found))


def test_they_end_when_the_filter_is_killed(redis, names):
    filt = driver(redis, names, spf_workers=4)
    try:
        found = wait_workers(filt.process.pid, 4)
    finally:
        filt.process.kill()
        filt.process.wait()
        filt.socket.close()
    wait_until(lambda: not any(map(alive, found)), 20, "workers to end")


# When questions are asked, and how often


def begin(session, sender, header=None):
    """Up to the message's text, which is left open."""
    assert session.mail(sender).startswith("250")
    assert session.rcpt().startswith("250")
    assert session.command("DATA").startswith("354")
    session.send("From: <%s>\r\nSubject: open\r\n\r\ntext\r\n" % (
        header or sender))


def end(session):
    began = time.monotonic()
    session.send(".\r\n")
    return session.read(), time.monotonic() - began


def test_the_envelope_sender_is_asked_about_early(odd_relay, names, alice):
    relay = odd_relay()
    names.tell("slow.test", spf())
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        with names.hold("slow.test"):
            assert session.mail("a@slow.test").startswith("250")
            names.wait_asked("slow.test")
            assert session.rcpt().startswith("250")
            assert session.command("DATA").startswith("354")
        names.wait_answered("slow.test")
        reply = session.finish(simple("x", "a@slow.test"))
        assert reply.startswith("250"), reply
    assert names.count("slow.test") == 1


def test_the_header_is_asked_about_before_the_end(odd_relay, names, alice):
    relay = odd_relay()
    names.tell("one.test", spf())
    names.tell("other.test", spf())
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        with names.hold("one.test", "other.test"):
            begin(session, "a@one.test", "a@other.test")
            names.wait_asked("one.test")
            names.wait_asked("other.test")
        names.wait_answered("other.test")
        assert end(session)[0].startswith("250")
    assert names.count("one.test") == names.count("other.test") == 1


def test_a_slow_answer_costs_no_wait_at_the_end(odd_relay, names, alice):
    relay = odd_relay()
    names.tell("slow.test", spf())
    names.delay = 1.5
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        begin(session, "a@slow.test")
        names.wait_answered("slow.test")
        reply, took = end(session)
    assert reply.startswith("250"), reply
    assert took < slack(0.7)
    assert names.count("slow.test") == 1


def test_a_slow_answer_is_waited_for(odd_relay, names, alice):
    relay = odd_relay()
    names.tell("slow.test", spf())
    names.delay = 1.5
    began = time.monotonic()
    assert send_as(relay, "a@slow.test").startswith("250")
    assert time.monotonic() - began > 1.4


def test_many_ask_once(odd_relay, names, alice):
    relay = odd_relay()
    names.tell("popular.test", spf())
    sessions = [Session(relay) for _ in range(40)]
    with names.hold("popular.test"):
        for session in sessions:
            assert session.plain("alice", PASSWORD) == OK
            begin(session, "a@popular.test")
            session.send(".\r\n")
        names.wait_asked("popular.test")
    for session in sessions:
        assert session.read().startswith("250")
        session.drop()
    assert names.count("popular.test") == 1
    assert send_as(relay, "a@popular.test").startswith("250")
    assert names.count("popular.test") == 1


def test_different_domains_wait_for_a_worker(odd_relay, names, alice):
    relay = odd_relay(spf_workers=4)
    domains = ["d%d.test" % n for n in range(30)]
    for domain in domains:
        names.tell(domain, spf())
    sessions = [Session(relay) for _ in domains]
    with names.hold(*domains):
        for session, domain in zip(sessions, domains):
            assert session.plain("alice", PASSWORD) == OK
            begin(session, "a@" + domain)
            session.send(".\r\n")
        names.wait_asked("d0.test")
        names.wait_asked("d1.test")
        assert sum(map(names.count, domains)) == 2
    for session in sessions:
        assert session.read().startswith("250")
        session.drop()
    assert [names.count(domain) for domain in domains] == [1] * 30


def test_one_users_names_keep_nobody_waiting(odd_relay, names, alice):
    """Names that never answer, given up before the end, over and over."""
    relay = odd_relay(spf_workers=2, spf_timeout=1500)
    alice.add("eve", PASSWORD, mode="any", account="acme")
    silent = ["s%d.test" % n for n in range(30)]
    names.tell("good.test", spf())
    with names.hold(*silent), Session(relay) as session:
        assert session.plain("eve", PASSWORD) == OK
        for domain in silent:
            assert session.mail("a@" + domain).startswith("250")
            assert session.command("RSET").startswith("250")
        names.wait_asked("s0.test")
        assert send_as(relay, "a@good.test").startswith("250")
        # Of what nobody waits for, little is asked at all; how much is a
        # matter of how long the others have taken.
        assert sum(map(names.count, silent)) < len(silent) / 3


def waiting(relay, user, domain):
    """A session that waits for what is said of a domain."""
    session = Session(relay)
    assert session.plain(user, PASSWORD) == OK
    begin(session, "a@" + domain)
    session.send(".\r\n")
    return session


def provide_any(users, account, *names):
    """Users of an account who may send as any domain."""
    users.redis.cli("HSET", "smtp:account:{%s}" % account, "plan", "pro")
    for name in names:
        users.add(name, PASSWORD, mode="any", account=account)


def test_who_asked_first_costs_the_next_no_time(odd_relay, names, alice):
    """Another user asks about names that never answer, and last about the one
    that alice sends as."""
    relay = odd_relay(spf_workers=2, spf_timeout=20000)
    provide_any(alice, "evil", "eve")
    silent = ["s%d.test" % n for n in range(8)]
    names.tell("good.test", spf())
    with names.hold(*silent):
        sessions = [waiting(relay, "eve", domain)
                    for domain in silent + ["good.test"]]
        assert names.count("good.test") == 0
        began = time.monotonic()
        assert send_as(relay, "a@good.test").startswith("250")
        assert time.monotonic() - began < 15
        # What is known now is known to all.
        assert sessions[-1].read().startswith("250")
    for session in sessions:
        session.drop()
    assert names.count("good.test") == 1


def test_many_users_of_an_account_keep_nobody_waiting(odd_relay, names, alice):
    relay = odd_relay(spf_workers=4, spf_timeout=20000)
    evil = ["u%d" % n for n in range(20)]
    provide_any(alice, "evil", *evil)
    provide_any(alice, "honest", "bob")
    silent = ["s%d.test" % n for n in range(20)]
    names.tell("good.test", spf())
    names.tell("more.test", spf())
    with names.hold(*silent):
        sessions = [waiting(relay, user, domain)
                    for user, domain in zip(evil, silent)]
        began = time.monotonic()
        assert send_as(relay, "a@good.test").startswith("250")
        session = waiting(relay, "bob", "more.test")
        assert session.read().startswith("250")
        assert time.monotonic() - began < 15
        # One worker was never theirs.
        assert sum(names.count(domain) > 0 for domain in silent) == 3
    for session in sessions + [session]:
        session.drop()


def test_a_refusal_is_remembered(odd_relay, names, alice):
    relay = odd_relay()
    reply = send_as(relay, "a@later.test")
    assert report_of(alice, reply)["reason"] == "spf-none"
    names.tell("later.test", spf())
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        reply = session.mail("a@later.test")
    assert report_of(alice, reply)["reason"] == "spf-none"
    assert names.count("later.test") == 1


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED, 1, 4, 9])
def test_a_failure_is_not_remembered(odd_relay, names, alice, rcode):
    relay = odd_relay()
    names.tell("ill.test", failing(rcode))
    assert send_as(relay, "a@ill.test") == UNKNOWN
    names.tell("ill.test", spf())
    assert send_as(relay, "a@ill.test").startswith("250")


# Name servers that fail


def test_a_silent_server(odd_relay, names, alice):
    alice.add("bob", "Other-Word22")
    alice.redis.cli("SADD", alice.key("bob", "domains"), "example.org")
    relay = odd_relay(spf_timeout=700)
    names.tell("silent.test", silent)
    names.tell("good.test", spf())
    with Session(relay) as session, Session(relay) as other:
        assert session.plain("alice", PASSWORD) == OK
        assert other.plain("bob", "Other-Word22") == OK
        began = time.monotonic()
        assert session.mail("a@silent.test").startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        session.send(simple("x", "a@silent.test").encode() + b".\r\n")
        for n in range(5):
            sent = time.monotonic()
            assert other.message("m%d" % n).startswith("250")
            assert time.monotonic() - sent < slack(0.7)
        assert session.read() == UNKNOWN
        assert time.monotonic() - began < 2 * 0.7 + slack(0.7)
        assert session.message("x", "a@good.test").startswith("250")


def test_silent_domains_leave_the_others_a_worker(odd_relay, names, alice):
    """More of them than there are workers: the rest has to wait for those,
    but no longer than a question may take."""
    relay = odd_relay(spf_timeout=700, spf_workers=2)
    sessions = [Session(relay) for _ in range(2)]
    names.tell("good.test", spf())
    for n, session in enumerate(sessions):
        names.tell("silent%d.test" % n, silent)
        assert session.plain("alice", PASSWORD) == OK
        begin(session, "a@silent%d.test" % n)
        session.send(".\r\n")
        names.wait_asked("silent%d.test" % n)
    for session in sessions:
        assert session.read() == UNKNOWN
        session.drop()
    wait_until(lambda: send_as(relay, "a@good.test").startswith("250"), 20,
               "a worker to be there again")


def test_a_server_killed_in_between(new_relay, alice):
    with NameServer(workdir("nsd"), 'a IN TXT "v=spf1"\n'
                    'b IN TXT "v=spf1"\n') as server:
        relay = new_relay(spf_resolver=server.address, spf_timeout=1000)
        assert send_as(relay, "a@a.test").startswith("250")
        server.kill()
        assert send_as(relay, "a@a.test").startswith("250")
        assert send_as(relay, "a@b.test") == UNKNOWN
        server.start()
        wait_until(lambda: send_as(relay, "a@b.test").startswith("250"), 20,
                   "the domain to be known")


def lying(change):
    """Behaves: a good answer, made into something else."""
    def behave(message, tcp):
        return change(message, response(message, [txt("v=spf1 -all")]))
    return behave


def patched(answer, at, data):
    return answer[:at] + data + answer[at + len(data):]


def pointer_loop(message, answer):
    """The record's name points to itself."""
    at = len(message)
    return answer[:at] + struct.pack(">H", 0xC000 | at) + answer[at + 2:]


def truncated_then(behaviour):
    def behave(message, tcp):
        if tcp:
            return behaviour(message, tcp)
        return response(message, truncated=True)
    return behave


# What the server says, and whether the domain has a record then.
LIES = {
    "nothing": (lambda message, tcp: b"", False),
    "garbage": (lambda message, tcp: os.urandom(300), False),
    "garbage-behind-id": (
        lambda message, tcp: message[:2] + b"\x85\x80" + b"\xff" * 300, False),
    "echo": (lambda message, tcp: message, False),
    "other-id": (lying(lambda m, a: bytes([a[0] ^ 1]) + a[1:]), False),
    "other-question": (lying(lambda m, a: patched(a, 13, b"z")), False),
    "no-question": (
        lying(lambda m, a: a[:4] + b"\0\0" + a[6:12] + a[len(m):]), False),
    "head-only": (lying(lambda m, a: a[:12]), False),
    "cut-in-record": (lying(lambda m, a: a[:-5]), False),
    "more-than-there-is": (
        lying(lambda m, a: patched(a, 6, b"\xff\xff")), False),
    "pointer-loop": (lying(pointer_loop), False),
    "string-beyond-record": (
        lying(lambda m, a: patched(a, len(m) + 12, b"\xff")), False),
    "record-beyond-answer": (
        lying(lambda m, a: patched(a, len(m) + 10, b"\xff\xff")), False),
    "no-string": (lambda message, tcp: response(
        message, [(TXT, 300, b"")]), False),
    "cname-loop": (lambda message, tcp: response(
        message, [(CNAME, 300, b"\xc0\x0c")]), False),
    "other-type": (lambda message, tcp: response(
        message, [(1, 300, b"\x7f\0\0\1")]), False),
    "other-class": (lying(lambda m, a: patched(a, len(m) + 4, b"\0\3")),
                    False),
    "nul-in-text": (lambda message, tcp: response(
        message, [txt("v=spf1\0 -all")]), False),
    "controls-in-text": (lambda message, tcp: response(
        message, [txt("v=spf1 \x01\x1b[31m -all")]), False),
    "highest-bytes": (lambda message, tcp: response(
        message, [(TXT, 300, b"\x0fv=spf1 \xff\xfe\xfd\xfc all")]), False),
    "truncated-and-hung-up": (truncated_then(lambda m, tcp: None), False),
    "truncated-twice": (truncated_then(
        lambda m, tcp: response(m, truncated=True)), False),
    "truncated-garbage": (truncated_then(
        lambda m, tcp: os.urandom(100)), False),
    "truncated": (truncated_then(
        lambda m, tcp: response(m, [txt("v=spf1 -all")])), True),
    "longest": (truncated_then(lambda m, tcp: response(
        m, [txt("x" * 250) for _ in range(200)]
        + [txt("v=spf1 -all")])), True),
    "most-records": (truncated_then(lambda m, tcp: response(
        m, [(TXT, 300, b"\0") for _ in range(4000)]
        + [txt("v=spf1 -all")])), True),
    "highest-ttl": (lambda message, tcp: response(
        message, [txt("v=spf1 -all", 0xffffffff)]), True),
    "no-ttl": (lambda message, tcp: response(
        message, [txt("v=spf1 -all", 0)]), True),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(lies_relay, alice, lie):
    relay, names = lies_relay
    behaviour, good = LIES[lie]
    domain = lie + ".test"
    names.tell(domain, behaviour)
    reply = send_as(relay, "a@" + domain)
    if good:
        assert reply.startswith("250"), reply
    else:
        assert reply == UNKNOWN or reply.startswith("550 5.7.1 [ACL]"), reply
    log = relay.log()
    assert " has ended; another one is started" not in log, relay.log_tail()


@pytest.fixture
def lies_relay(odd_relay, names):
    return odd_relay(spf_timeout=700, spf_workers=2), names


# Workers that fail


WAYS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP]


@pytest.mark.parametrize("way", WAYS)
def test_a_question_is_asked_once_more(odd_relay, names, alice, way):
    relay = odd_relay(spf_workers=1, spf_timeout=2000)
    pid = filter_of(relay)
    worker, = wait_workers(pid, 1)
    names.tell("hit.test", spf())
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        with names.hold("hit.test"):
            begin(session, "a@hit.test")
            session.send(".\r\n")
            names.wait_asked("hit.test")
            os.kill(worker, way)
            names.wait_asked("hit.test", 2)
            assert workers(pid) != [worker]
        assert session.read().startswith("250")
    wait_until(lambda: not alive(worker), 20, "the worker to end")
    assert names.count("hit.test") == 2
    check_confined(*wait_workers(pid, 1))
    assert filter_of(relay) == pid


@pytest.mark.parametrize("way", WAYS)
def test_a_question_is_not_asked_for_ever(odd_relay, names, alice, way):
    relay = odd_relay(spf_workers=1, spf_timeout=2500)
    pid = filter_of(relay)
    names.tell("deadly.test", spf())
    names.tell("good.test", spf())
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        with names.hold("deadly.test"):
            begin(session, "a@deadly.test")
            session.send(".\r\n")
            for n in range(2):
                names.wait_asked("deadly.test", n + 1)
                worker, = workers(pid)
                os.kill(worker, way)
            assert session.read() == UNKNOWN
            assert names.count("deadly.test") == 2
            assert session.message("x", "a@good.test").startswith("250")
        assert session.message("x", "a@deadly.test").startswith("250")
    assert filter_of(relay) == pid


def test_only_the_question_of_the_dead_one_is_asked_again(odd_relay, names,
                                                          alice):
    relay = odd_relay(spf_workers=4)
    provide_any(alice, "other", "bob")
    pid = filter_of(relay)
    wait_workers(pid, 4)
    domains = ["d%d.test" % n for n in range(4)]
    for domain in domains:
        names.tell(domain, spf())
    sessions = [Session(relay) for _ in domains]
    with names.hold(*domains):
        for session, domain, name in zip(sessions, domains,
                                         ("alice", "bob") * 2):
            assert session.plain(name, PASSWORD) == OK
            begin(session, "a@" + domain)
            session.send(".\r\n")
            names.wait_asked(domain)
        os.kill(workers(pid)[2], signal.SIGKILL)
        wait_until(lambda: sum(map(names.count, domains)) == 5, 20,
                   "the lost question to be asked again")
    for session in sessions:
        assert session.read().startswith("250")
        session.drop()
    assert sum(map(names.count, domains)) == 5


@pytest.mark.parametrize("way", WAYS)
def test_idle_workers_end(odd_relay, names, alice, way):
    relay = odd_relay(spf_workers=4, spf_timeout=1000)
    pid = filter_of(relay)
    for n in range(3):
        for worker in wait_workers(pid, 4):
            os.kill(worker, way)
        domain = "d%d.test" % n
        names.tell(domain, spf())
        wait_until(lambda d=domain: send_as(relay, "a@" + d)
                   .startswith("250"), 20, "questions to be answered again")
    wait_workers(pid, 4)
    assert filter_of(relay) == pid


def test_other_users_notice_nothing(odd_relay, names, alice):
    """Somebody else sends on while workers die all the time."""
    alice.add("bob", "Other-Word22")
    alice.redis.cli("SADD", alice.key("bob", "domains"), "example.org")
    relay = odd_relay(spf_workers=2, spf_timeout=500)
    pid = filter_of(relay)
    done = threading.Event()

    def slay():
        while not done.wait(0.02):
            for worker in workers(pid):
                os.kill(worker, signal.SIGKILL)

    slayer = threading.Thread(target=slay)
    with Session(relay) as session, Session(relay) as other:
        assert session.plain("alice", PASSWORD) == OK
        assert other.plain("bob", "Other-Word22") == OK
        slayer.start()
        try:
            for n in range(10):
                names.tell("d%d.test" % n, spf())
                reply = session.message("x", "a@d%d.test" % n)
                assert reply.startswith("250") or reply == UNKNOWN
                began = time.monotonic()
                assert other.message("m%d" % n).startswith("250")
                assert time.monotonic() - began < slack(0.7)
        finally:
            done.set()
            slayer.join()
        names.tell("calm.test", spf())
        wait_until(lambda: send_as(relay, "a@calm.test").startswith("250"),
                   20, "questions to be answered again")


def test_workers_that_died_unseen(redis, names, users):
    """All are dead, and the filter learns it when it hands them a question:
    what Redis says comes before what the kernel says of them."""
    users.add("alice", PASSWORD)
    users.set("alice", mode="any", account="acme")
    redis.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    names.tell("ill.test", failing(SERVFAIL))
    session = "%016x" % 1
    with driver(redis, names, spf_workers=2, redis_timeout=5000) as filt:
        pid = filt.process.pid
        found = wait_workers(pid, 2)
        filt.connect(session)
        filt.authenticate(session, "alice")
        assert filt.ask("mail-from", session, "a@ill.test") == "proceed"
        names.wait_answered("ill.test")
        filt.report("tx-begin", session, "12345678")
        write(filt, session, "ill.test")
        names.wait_answered("ill.test", 2)
        names.tell("ill.test", spf())
        redis.pause()
        filt.send("filter|0.7|1795237821.5|smtp-in|commit|%s|%016x|"
                  % (session, 100))
        # The user's record is one question, the account's another.
        for last in (False, True):
            wait_until(lambda: unread(redis.socket), 10, "Redis to be asked")
            os.kill(pid, signal.SIGSTOP)
            redis.resume()
            wait_until(lambda: not unread(redis.socket), 10, "Redis to read")
            redis.cli("PING")
            if not last:
                redis.pause()
                os.kill(pid, signal.SIGCONT)
        for worker in found:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, found)), 10, "workers to end")
        os.kill(pid, signal.SIGCONT)
        reply = filt.line()
        assert reply == "filter-result|%s|%016x|proceed" % (session, 100)
        filt.disconnect(session)


def test_the_starter_ends(odd_relay, names, alice):
    """What needs SPF is deferred from then on; all else goes its way."""
    alice.add("bob", PASSWORD)
    relay = odd_relay(spf_workers=2, spf_timeout=5000)
    pid = filter_of(relay)
    found = wait_workers(pid, 2)
    names.tell("one.test", spf())
    names.tell("other.test", spf())
    assert send_as(relay, "a@one.test").startswith("250")
    os.kill(parents()[found[0]], signal.SIGKILL)
    wait_until(lambda: not any(map(alive, found)), 20, "workers to end")
    assert send_as(relay, "a@other.test") == UNKNOWN
    assert send_as(relay, "a@one.test").startswith("250")
    with Session(relay) as session:
        assert session.plain("bob", PASSWORD) == OK
        assert session.message("bobs").startswith("250")
    assert "spf: the process that starts workers has ended" in relay.log()
    assert filter_of(relay) == pid and workers(pid) == []


def lower_memory(pid, size):
    """Of a process of nobody's, as whom the kernel lets it be done."""
    subprocess.run(
        [sys.executable, "-c", "import resource as r, sys; "
         "r.prlimit(int(sys.argv[1]), r.RLIMIT_DATA, (int(sys.argv[2]),) * 2)",
         str(pid), str(size)], check=True, user=int(NOBODY), group=int(NOBODY),
        extra_groups=[])


def test_workers_that_run_out_of_memory(redis, names, users):
    """Both that are asked do, so nobody knows the answer."""
    users.add("alice", PASSWORD, mode="any", account="acme")
    redis.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    session = "%016x" % 1
    with driver(redis, names, kind="rel", spf_workers=1) as filt:
        pid = filt.process.pid
        worker, = wait_workers(pid, 1)
        limits = re.search(r"Max data size +(\d+) +(\d+)",
                           read(worker, "limits").decode())
        assert limits.groups() == (str(8 << 20),) * 2

        def starve(message, _):
            lower_memory(workers(pid)[0], 1 << 16)
            return response(message, [(TXT, 300, b"\0")] * 4000
                            + [txt("v=spf1 -all")])

        names.tell("large.test", starve)
        names.tell("good.test", spf())
        filt.connect(session)
        filt.authenticate(session, "alice")
        assert filt.ask("mail-from", session, "a@large.test") == "proceed"
        assert commit(filt, session, "large.test") == "reject|" + UNKNOWN
        assert names.count("large.test") == 2
        assert filt.stderr().count(" has ended; another one is started") == 2
        assert filt.ask("mail-from", session, "a@good.test") == "proceed"
        assert commit(filt, session, "good.test") == "proceed"
        filt.disconnect(session)


def commit(filt, session, domain):
    """The verdict on a message from that domain."""
    filt.report("tx-begin", session, "12345678")
    write(filt, session, domain)
    return filt.ask("commit", session)


def write(filt, session, domain):
    for line in ("From: <a@%s>" % domain, "", "text", "."):
        filt.send("filter|0.7|1795237821.5|smtp-in|data-line|%s|%016x|%s"
                  % (session, 99, line))
        filt.line()


def unread(path):
    """Whether a question waits in the server's end of a socket."""
    rows = subprocess.run(["ss", "-xnH"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()
    return any(path in row and int(row.split()[2]) > 0 for row in rows)
