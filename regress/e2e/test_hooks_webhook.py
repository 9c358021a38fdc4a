# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): events that a panel POSTs."""

import contextlib
import json
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hooks.panelsite import DATA, Site, modules
from hooks.receiver import (SECRET, Receiver, answer, applied, event, request,
                            signed)
from places import workdir
from redisserver import RedisServer, wait_until
from relay import certificate

OTHER = "another-secret-that-takes-the-place-of-the-old"
SLOW = 8                # seconds that a client may take here


@pytest.fixture
def receiver(site):
    receiver = Receiver(site).start()
    yield receiver
    receiver.check()
    receiver.stop()


# Events

@pytest.fixture(scope="module")
def tls():
    """Readable by whoever the receiver runs as."""
    paths = certificate(workdir("tls"))
    for path in paths:
        Path(path).chmod(0o644)
    return paths


@pytest.mark.parametrize("way", ["tcp", "unix", "tls"])
def test_each_event(site, way, tls):
    receiver = Receiver(site, unix=way == "unix",
                        tls=tls if way == "tls" else None).start()
    for name in ("account_created", "domain_created", "domain_renamed",
                 "domain_suspended", "domain_unsuspended", "account_plan",
                 "account_suspended", "account_unsuspended",
                 "domain_deleted"):
        body = (DATA / "webhook" / (name + ".json")).read_bytes()
        status, text = receiver.post(body)
        assert (status, json.loads(text)) == (202, {"status": "accepted"})
    applied(site)
    assert site.account() == ("allowed", "pro", {"example.org"})
    for name in ("account_renamed", "account_deleted"):
        receiver.posts((DATA / "webhook" / (name + ".json")).read_bytes(),
                       202)
    applied(site)
    assert site.account("alice") is site.account("carol") is None
    assert site.bad() == []
    receiver.stop()


def test_packages_are_plans(site):
    receiver = Receiver(site, plans={"gold": "pro"}).start()
    receiver.posts(event("account.plan", package="gold"), 202)
    applied(site)
    assert site.account()[1] == "pro"
    receiver.posts(event("account.plan", package="silver"), 202)
    applied(site)
    assert site.account()[1] == "basic"
    receiver.stop()


def test_an_answer_means_that_the_event_is_kept(prefix):
    """Killed at once and with Redis away, it is applied all the same."""
    with RedisServer(workdir("redis")) as server:
        site = Site(prefix, server)
        receiver = Receiver(site).start()
        server.stop()
        for number in range(10):
            receiver.posts(event(domain="d%d.example" % number), 202)
        receiver.stop()
        assert len(site.waiting()) == 10
        server.start()
        site.grant()
        receiver.start()
        applied(site)
        assert site.domains() == {"d%d.example" % n for n in range(10)}
        receiver.stop()


def test_a_bad_domain_is_set_aside(site, receiver):
    receiver.posts(event(domain="no domain"), 202)
    wait_until(site.bad, 20, "the event to be set aside")
    assert "not a domain" in site.bad()[0]["reason"]


# Who may

def test_who_does_not_know_the_secret(site, receiver):
    body = json.dumps(event()).encode()
    right = signed(body)
    wrong = [
        {}, {**right, "Smtpusers-Signature": "sha256=" + "0" * 64},
        signed(body, secret=OTHER), signed(body + b" "), signed(b""),
        {**right, "Smtpusers-Timestamp": str(int(time.time()) + 1)},
        {**right, "Smtpusers-Timestamp": ""},
        {**right, "Smtpusers-Timestamp": "-1"},
        {**right, "Smtpusers-Timestamp": "9" * 400},
        {**right, "Smtpusers-Timestamp": "\u0661".encode().decode("latin-1")},
        {**right, "Smtpusers-Signature": ""},
        {**right, "Smtpusers-Signature": SECRET},
        {**right, "Smtpusers-Signature": right["Smtpusers-Signature"] + "0"},
        {**right, "Smtpusers-Signature": "md5=" + "0" * 64}]
    for left_out in ("Smtpusers-Timestamp", "Smtpusers-Signature"):
        wrong.append({name: value for name, value in right.items()
                      if name != left_out})
    said = {receiver.posts(body, 401, headers=headers) for headers in wrong}
    # Nothing tells which part was wrong.
    assert said == {'{"error": "not authorized"}\n'}
    twice = request(body, right).replace(
        b"Smtpusers-Timestamp", b"Smtpusers-Signature: sha256=" + b"0" * 64 +
        b"\r\nSmtpusers-Timestamp")
    assert receiver.raw(twice)[0] == 401
    assert site.files("new") == site.files("seen") == []
    receiver.posts(body, 202, headers=right)


@pytest.mark.parametrize("seconds", [-3600, -310, 310, 3600])
def test_a_time_that_is_not_near(site, receiver, seconds):
    body = json.dumps(event()).encode()
    when = int(time.time()) + seconds
    receiver.posts(body, 401, headers=signed(body, when))
    assert site.files("new") == []
    when = int(time.time()) + int(seconds / abs(seconds)) * 200
    receiver.posts(body, 202, headers=signed(body, when))


def test_one_secret_after_another(site):
    (site.directory / "secret").write_text(OTHER + "\n\n" + SECRET + "\n")
    (site.directory / "secret").chmod(0o600)
    receiver = Receiver(site).start()
    for secret in (SECRET, OTHER):
        body = json.dumps(event()).encode()
        receiver.posts(body, 202, headers=signed(body, secret=secret))
    receiver.stop()
    assert OTHER not in receiver.said()


# Servers

def two_servers(site, **keys):
    for name, secret in (("one", SECRET), ("two", OTHER)):
        site.secret(name, secret)
    return Receiver(site, sections={
        "server " + name: {"secret_file": site.directory / name,
                           "account_prefix": name + "-", **keys}
        for name in ("one", "two")}).start()


def test_each_server_has_a_secret_and_accounts_of_its_own(site):
    receiver = two_servers(site)
    body = json.dumps(event(identity="same")).encode()
    for server, secret, code in (
            ("one", OTHER, 401), ("two", SECRET, 401), ("none", SECRET, 401),
            ("", OTHER, 401), (None, OTHER, 401), ("one", SECRET, 202),
            ("two", OTHER, 202), (None, SECRET, 202), ("one", SECRET, 200)):
        receiver.posts(body, code, headers=signed(body, None, secret, server))
    applied(site)
    for account in ("alice", "one-alice", "two-alice"):
        assert site.domains(account) == {"a.example"}
    # Nor does who names no server take the ids of one.
    for first in ("one/first", "first"):
        body = json.dumps(event(identity=first)).encode()
        receiver.posts(body, 202, headers=signed(body))
    body = json.dumps(event(identity="first", domain="b.example")).encode()
    receiver.posts(body, 202, headers=signed(body, None, SECRET, "one"))
    applied(site)
    assert site.domains("one-alice") == {"a.example", "b.example"}
    body = json.dumps(event(identity="same")).encode()
    both = request(body, signed(body, None, SECRET, "one")).replace(
        b"Smtpusers-Server", b"Smtpusers-Server: two\r\nSmtpusers-Server")
    assert receiver.raw(both)[0] == 401
    receiver.stop()


def test_servers_whose_clocks_differ(site):
    """As long as both are near ours, neither keeps the other out."""
    receiver = two_servers(site)
    for number in range(6):
        server, secret, off = (("one", SECRET, -280), ("two", OTHER, 280))[
            number % 2]
        body = json.dumps(event(domain="d%d.example" % number)).encode()
        receiver.posts(body, 202, headers=signed(
            body, int(time.time()) + off, secret, server))
    applied(site)
    assert len(site.domains("one-alice") | site.domains("two-alice")) == 6
    receiver.stop()


def test_a_clock_that_is_wrong_is_told_to_the_operator(site):
    receiver = two_servers(site)
    body = json.dumps(event()).encode()
    receiver.posts(body, 401, headers=signed(body, int(time.time()) - 4000,
                                             SECRET, "one"))
    receiver.posts(body, 401, headers=signed(body, int(time.time()) - 4000,
                                             OTHER, "one"))
    receiver.posts(body, 401, headers=signed(body, int(time.time()), OTHER,
                                             "nobody\tby that name"))
    receiver.posts(body, 401, headers={"X-Nothing": "1"})
    said = receiver.said()
    for text in (r"server one: 401: its clock and ours differ by 4\d+ s, and 300 "
                 "are allowed", "server one: 401: no secret of it makes this "
                 "signature", r"server nobody\S+by that name: 401: there is no "
                 "such server here", "server -: 401: its headers are not those "
                 "of a signature"):
        assert len(re.findall(text, said)) == 1, text
    receiver.stop()


def test_a_server_whose_secret_is_missing(site):
    receiver = two_servers(site)
    receiver.stop()
    (site.directory / "two").unlink()
    result = site.run(site.program, "webhook")
    assert result.returncode == 78
    assert b"/two: No such file" in result.stderr


# Once only

def test_a_request_that_was_caught(site, receiver):
    """It may come again at once, or after a restart: it changes nothing. The
    sender's own second try may be the same to the second."""
    created = json.dumps(event()).encode()
    caught = signed(created)
    receiver.posts(created, 202, headers=caught)
    applied(site)
    receiver.posts(event("domain.deleted", domain="a.example"), 202)
    applied(site)
    for _ in range(2):
        assert "accepted before" in receiver.posts(created, 200,
                                                   headers=caught)
        receiver.restart()
    applied(site)
    assert site.domains() == set()


def test_a_sender_that_tries_again(site, receiver):
    """Its reply was lost: it is welcome, and nothing is done twice."""
    body = json.dumps(event()).encode()
    receiver.posts(body, 202, headers=signed(body, int(time.time()) - 5))
    applied(site)
    receiver.posts(event("domain.deleted", domain="a.example"), 202)
    for _ in range(2):
        assert "accepted before" in receiver.posts(body, 200)
        receiver.restart()
    applied(site)
    assert site.domains() == set()


def test_another_event_with_the_same_id(site, receiver):
    receiver.posts(event(identity="one"), 202)
    receiver.posts(event(identity="one", domain="b.example"), 409)
    applied(site)
    assert site.domains() == {"a.example"}


def test_an_event_that_was_kept_but_not_remembered(site):
    """As a kill between the two leaves it."""
    receiver = Receiver(site)
    site.away()
    receiver.start()
    body = json.dumps(event()).encode()
    headers = signed(body)
    receiver.posts(body, 202, headers=headers)
    for remembered in ("restart", "drain"):
        receiver.stop()
        for path in site.files("seen"):
            path.unlink()
        if remembered == "drain":
            site.relay()
            site.drain()
        receiver.start()
        receiver.posts(body, 200, headers=headers)
        assert len(site.waiting()) == (remembered == "restart")
    applied(site)
    assert len(site.files("seen")) == 1
    receiver.stop()


def seen(site):
    return [json.loads(path.read_text()) for path in site.files("seen")]


def test_ids_are_forgotten_in_the_end(site, receiver):
    """And what was signed until then is refused, whatever becomes of our
    clock."""
    now = int(time.time())
    old, new = (json.dumps(event(domain=name)).encode()
                for name in ("old.example", "new.example"))
    receiver.posts(old, 202, headers=signed(old, now - 250))
    receiver.posts(old, 200, headers=signed(old, now - 200))
    assert [record["timestamp"] for record in seen(site)] == [now - 200]
    applied(site)
    for path in (*site.files("seen"), site.spool / "tidied"):
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    site.drain()
    assert site.files("seen") == []
    assert json.loads((site.spool / "forgotten").read_text()) == now - 200
    for _ in range(2):
        for when in (now - 250, now - 200):
            receiver.posts(old, 401, headers=signed(old, when))
            receiver.posts(new, 401, headers=signed(new, when))
        receiver.restart()
    receiver.posts(new, 202, headers=signed(new, now - 199))


def test_a_clock_that_was_wrong_shuts_nobody_out(site, receiver):
    """A request of a time to come does not make those of now old."""
    now = int(time.time())
    for when in (now + 290, now - 290, now):
        body = json.dumps(event()).encode()
        receiver.posts(body, 202, headers=signed(body, when))
        receiver.restart()


def test_an_id_that_comes_many_times_at_once(site, receiver):
    body = json.dumps(event()).encode()
    headers = signed(body)
    with ThreadPoolExecutor(40) as pool:
        codes = [status for status, _ in pool.map(
            lambda _: receiver.post(body, headers=headers), range(40))]
    assert sorted(codes) == [200] * 39 + [202]


# What is no event

@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b"null", b"7", b"nonsense", b"\xff", b"[" * 60000,
    b'{"a":' * 10000, b"NaN", b"1" * 6000,
    b'{"id": "x", "event": "domain.created", "account": "a", '
    b'"domain": "a.example", "domain": "b.example"}'],
    ids=lambda body: repr(body[:16]))
def test_other_bodies(site, receiver, body):
    receiver.posts(body, 400)
    assert site.files("new") == site.files("seen") == []


@pytest.mark.parametrize("changes", [
    {"id": None}, {"id": ""}, {"id": 7}, {"id": "x" * 129}, {"id": "a b"},
    {"id": "a\n"}, {"event": None}, {"event": "domain.eaten"},
    {"event": ["domain.created"]}, {"account": None}, {"account": ""},
    {"account": "a b"}, {"account": "../x"}, {"account": 7},
    {"account": ["alice"]}, {"account": "u" * 65}, {"domain": None},
    {"domain": ""}, {"domain": {}}, {"domain": True},
    {"domain": "x" * 2000}, {"domain": "a\0.example"},
    {"domain": "\ud800.example"}, {"event": "domain.renamed"},
    {"event": "account.renamed", "new_account": "a b"},
    {"event": "account.plan"}], ids=lambda value: ascii(value)[:40])
def test_other_fields(site, receiver, changes):
    receiver.posts({**event(), **changes}, 400)
    assert site.files("new") == site.files("seen") == []


def test_a_body_that_is_too_large(site, receiver):
    for body in (b"x" * 262145, b"x" * (4 << 20)):
        receiver.posts(body, 413)
    receiver.posts({**event(), "more": "x" * 260000}, 202)
    huge = request(b"", {**signed(b""), "Content-Length": "9" * 18})
    assert receiver.raw(huge)[0] == 413


@pytest.mark.parametrize("code, method, path", [
    (405, "GET", "/event"), (405, "HEAD", "/event"), (405, "PUT", "/event"),
    (405, "DELETE", "/event"), (405, "OPTIONS", "/event"),
    (405, "BREW", "/event"), (404, "POST", "/"), (404, "POST", "/event/"),
    (404, "POST", "/event?x"), (404, "POST", "/event//"),
    (404, "POST", "/../event"), (404, "POST", "http://localhost/event")])
def test_other_methods_and_paths(site, receiver, code, method, path):
    receiver.posts(event(), code, method=method, path=path)
    assert site.files("new") == []


@pytest.mark.parametrize("code, headers", [
    (411, {"Transfer-Encoding": "chunked"}), (400, {"Content-Length": "-1"}),
    (400, {"Content-Length": "+5"}), (400, {"Content-Length": "5, 5"}),
    (400, {"Content-Length": "0x10"}), (400, {"Content-Length": ""})])
def test_a_length_that_is_not_plain(site, receiver, code, headers):
    body = json.dumps(event()).encode()
    receiver.posts(body, code, headers={**signed(body), **headers})
    both = request(body, {"Content-Length": "1", **signed(body)}).replace(
        b"Host: ", b"Content-Length: 2\r\nHost: ")
    assert receiver.raw(both)[0] == 400
    none = request(body, signed(body)).replace(b"Content-Length",
                                               b"Content-Width")
    assert receiver.raw(none)[0] == 411


@pytest.mark.parametrize("code, data", [
    (None, b"\r\n\r\n"), (400, b"nonsense\r\n\r\n"),
    (400, b"POST /event\r\n\r\n"), (505, b"POST /event HTTP/9.9\r\n\r\n"),
    (400, b"\x16\x03\x01\x02\0\x01\0\0"),
    (414, b"POST /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n"),
    (431, b"POST /event HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n"),
    (431, b"POST /event HTTP/1.1\r\nA: " + b"x" * 200000 + b"\r\n\r\n")],
    ids=lambda value: repr(value)[:20])
def test_what_is_no_request(site, receiver, code, data):
    with receiver.connect() as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        status, _ = answer(connection)
    assert status == code
    receiver.posts(event(), 202)


def test_nobody_forges_a_line_of_the_log(site, receiver):
    receiver.raw(b"GET /x\x1b[2J\rtaken: HTTP/1.1\r\n\r\n")
    receiver.posts({**event(), "domain": "a\nsmtpusers-hook: b"}, 202)
    wait_until(site.bad, 20, "the event to be set aside")
    lines = receiver.said().splitlines()
    assert all(line.startswith("smtpusers-hook: ") for line in lines)
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("smtpusers-hook: b") for line in lines)


def test_a_worker_does_not_end(prefix):
    """Nobody would notice, and nothing would be applied any more."""
    library = modules(prefix)
    said = []
    worker = next(library)("webhook").Worker(None, None, said.append)
    assert worker.drain() is False
    assert len(said) == 1 and "NoneType" in said[0]
    list(library)


def test_panels_share_a_redis(site, redis):
    receiver = Receiver(site)
    receiver.configure(account_prefix="h1-")
    receiver.start()
    receiver.posts(event(), 202)
    applied(site)
    assert site.domains("h1-alice") == {"a.example"}
    receiver.posts(event(account="u" * 62), 400)
    receiver.stop()


# Many, and slow ones

def test_two_hundred_at_once(site, receiver):
    bodies = [event(domain="d%d.example" % number, identity=str(number))
              for number in range(200)]
    with ThreadPoolExecutor(200) as pool:
        codes = [status for status, _ in pool.map(receiver.post, bodies)]
    assert codes == [202] * 200
    receiver.stop()
    kept = {found["domain"] for found in site.waiting()} | (
        site.domains() or set())
    assert kept == {"d%d.example" % number for number in range(200)}


def test_a_slow_client_stands_in_nobodys_way(site):
    receiver = Receiver(site, deadline=SLOW).start()
    body = json.dumps(event()).encode()
    data = request(body, signed(body))
    begun = time.monotonic()
    slow = [receiver.connect() for _ in range(20)]
    for connection in slow[:10]:
        connection.sendall(data[:30])
    for connection in slow[10:]:
        connection.sendall(data[:-1])
    stop = threading.Event()

    def drip():
        """A byte now and then does not buy more time."""
        while not stop.wait(0.3):
            try:
                slow[0].sendall(b"x")
            except OSError:
                return

    dripper = threading.Thread(target=drip)
    dripper.start()
    receiver.posts(event(), 202)
    assert time.monotonic() - begun < SLOW
    answers = [answer(connection) for connection in slow]
    stop.set()
    dripper.join()
    assert {status for status, _ in answers[10:]} == {408}
    assert all(status is None or status >= 400 for status, _ in answers)
    receiver.stop()


@pytest.mark.parametrize("data", [b"", b"POST /event HTTP/1.1\r\n\r\n",
                                  b"\x16\x03\x01\x02\0\x01\0\0"])
def test_what_is_no_tls_stands_in_nobodys_way(site, tls, data):
    receiver = Receiver(site, tls=tls, deadline=SLOW).start()
    plain = []
    for _ in range(20):
        connection = socket.create_connection(receiver.address, 60)
        connection.sendall(data)
        plain.append(connection)
    receiver.posts(event(), 202)
    for connection in plain:
        answered = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                answered += more
        assert b"HTTP" not in answered
    receiver.check()
    receiver.stop()


def test_a_new_certificate_is_used(site):
    """Without a restart; one that is broken is not."""
    old, new = (certificate(workdir("tls")) for _ in range(2))
    for path in (*old, *new):
        Path(path).chmod(0o644)
    receiver = Receiver(site, tls=old).start()
    receiver.posts(event(), 202)
    text = Path(old[0]).read_bytes()
    Path(old[0]).write_text("broken\n")
    receiver.tls = new
    with pytest.raises(ssl.SSLError):
        receiver.post(event())
    Path(old[0]).write_bytes(Path(new[0]).read_bytes())
    Path(old[1]).write_bytes(Path(new[1]).read_bytes())
    receiver.posts(event(), 202)
    assert text != Path(old[0]).read_bytes()
    assert "the old certificate is used" in receiver.said()
    receiver.stop()


def test_no_more_connections_than_there_may_be(site):
    receiver = Receiver(site, connections=3, deadline=60).start()
    held = [receiver.connect() for _ in range(3)]
    for connection in held:
        connection.sendall(b"POST")
    assert receiver.raw(b"")[0] == 503
    for connection in held:
        connection.close()
    wait_until(lambda: receiver.post(event())[0] == 202, 20,
               "the receiver to have room")
    receiver.stop()


def test_clients_that_hang_up(site, receiver):
    body = json.dumps(event()).encode()
    data = request(body, signed(body))
    for size in range(0, len(data), 7):
        with receiver.connect() as connection:
            connection.sendall(data[:size])
    with receiver.connect() as connection:
        connection.sendall(data)
    applied(site)
    wait_until(lambda: site.domains() == {"a.example"}, 20,
               "the event that was whole")
    receiver.posts(event(), 202)


# How it is run

def test_the_disk_is_full(site, receiver):
    """Or whatever keeps it from being written: the sender has to come
    again."""
    gone = site.spool / "tmp"
    gone.rename(site.directory / "elsewhere")
    body = event()
    receiver.posts(body, 503)
    (site.directory / "elsewhere").rename(gone)
    receiver.posts(body, 202)
    applied(site)
    assert site.domains() == {"a.example"}


def test_it_does_not_run_as_root(site):
    os.chown(site.spool, 0, 0)
    site.configure(webhook={"listen": "127.0.0.1:0"})
    result = site.run(site.program, "webhook")
    assert result.returncode == 78
    assert b"does not run as root" in result.stderr


@pytest.mark.parametrize("text, mode, words", [
    (SECRET, 0o644, "everybody may read it"), ("short\n", 0o600, "fewer than"),
    ("\n \n", 0o600, "no secret"), (None, 0, "No such file")])
def test_secrets_that_are_none(site, text, mode, words):
    Receiver(site)
    secret = site.directory / "secret"
    if text is None:
        secret.unlink()
    else:
        secret.write_text(text)
        secret.chmod(mode)
    result = site.run(site.program, "webhook")
    assert result.returncode == 78
    assert words in result.stderr.decode()
    assert SECRET not in result.stderr.decode()


def test_ps_shows_no_secret(site, receiver):
    line = Path("/proc/%d/cmdline" % receiver.process.pid).read_bytes()
    environment = Path("/proc/%d/environ" % receiver.process.pid).read_bytes()
    assert SECRET.encode() not in line + environment


def test_a_file_is_no_socket(site):
    """It stays, whoever wrote its path into the configuration."""
    receiver = Receiver(site, unix=True)
    path = site.directory / "http.sock"
    path.write_text("precious\n")
    path.chmod(0o666)
    result = site.run(site.program, "webhook")
    assert result.returncode == 78
    assert b"no socket" in result.stderr
    assert path.read_text() == "precious\n"
    assert receiver.process is None


def test_a_socket_that_a_killed_one_has_left(site):
    receiver = Receiver(site, unix=True).start()
    receiver.restart()
    receiver.posts(event(), 202)
    second = site.run(site.program, "webhook")
    assert second.returncode == 75
    assert b"in use" in second.stderr
    receiver.posts(event(), 202)
    receiver.stop()
