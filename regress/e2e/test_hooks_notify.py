# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hooks(8): the script on a server with a panel, by itself."""

import contextlib
import fcntl
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hooks.panelsite import Site, kill
from hooks.receiver import Receiver, applied, receiving, signed
from places import PATIENCE, SOURCE, workdir
from redisserver import wait_until
from relay import certificate

SECRETS = ["x" * 32, "hex-0123456789abcdef" * 4, "y" * 63, "y" * 64,
           "y" * 65, "z" * 300, "back\\slash %s \\0 $HOME `id` 'q' \"q\" *" +
           "!" * 9, "\u00fc" * 40]


@pytest.fixture(scope="module")
def tls():
    paths = certificate(workdir("tls"))
    for path in paths:
        Path(path).chmod(0o644)
    return paths


def bash():
    """bash as it is where it is sh."""
    link = workdir("shell") / "sh"
    link.symlink_to("/usr/bin/bash")
    return str(link)


@pytest.fixture(params=["dash", "bash"])
def shell(request):
    return "/usr/bin/dash" if request.param == "dash" else bash()


@pytest.fixture
def site(prefix, redis, shell):
    site = Site(prefix, redis, shell)
    with receiving(site):
        yield site


def says(site, hook, code=0, **changes):
    result = site.directadmin(hook, **changes)
    assert result.returncode == code, result.stderr
    return result


# As it is set up

def test_by_tls(prefix, redis, shell, tls):
    """Whose certificate it does not know, it does not talk to."""
    site = Site(prefix, redis, shell)
    receiver = Receiver(site, tls=tls).start()
    url = "https://localhost:%d/event" % receiver.address[1]
    site.tell(receiver, url=url)
    says(site, "user_create_post")
    wait_until(lambda: (site.outbox / "trouble").exists(), 60, "the trouble")
    assert "certificate" in site.run(
        site.notify, "list").stdout.decode().splitlines()[0]
    assert len(site.unsent()) == 1
    site.tell(receiver, url=url, ca=tls[0])
    wait_until(lambda: idle(site), 60, "the sender to end")
    site.send()
    site.settle()
    assert site.domains() == {"example.org"}
    assert site.run(site.notify, "list").stdout == b""
    receiver.stop()


@pytest.mark.parametrize("secret", SECRETS, ids=len)
def test_secrets(prefix, redis, shell, secret):
    """What is computed in the shell is the HMAC that the receiver has."""
    site = Site(prefix, redis, shell)
    site.secret("secret", secret)
    receiver = Receiver(site).start()
    site.tell(receiver)
    says(site, "user_create_post")
    site.settle()
    assert site.domains() == {"example.org"}
    receiver.stop()


def test_a_server_with_a_name(prefix, redis, shell):
    site = Site(prefix, redis, shell)
    secret = site.secret("web1", "w" * 40)
    receiver = Receiver(site, sections={"server web1": {
        "secret_file": secret, "account_prefix": "web1-",
        "user": "server-1"}}).start()
    site.tell(receiver, server="web1", secret_file=secret,
              host="server1.hosting.example")
    says(site, "user_create_post")
    site.settle()
    assert site.domains("web1-alice") == {"example.org"}
    assert "server-1: no such user" in receiver.said()
    assert site.bad() == []
    site.user("server-1", status="allowed")
    for host in ("server1.hosting.example", "Server2.Hosting.Example",
                 "localhost"):
        site.tell(receiver, server="web1", secret_file=secret, host=host)
        says(site, "domain_create_post", domain="x.example")
        site.settle()
        assert site.user_domains("server-1") == {
            "server2.hosting.example" if host != "server1.hosting.example"
            else host}
    # What the operator gives it besides stays.
    site.server.cli("SADD", "smtp:user:{server-1}:domains", "own.example")
    site.tell(receiver, server="web1", secret_file=secret,
              host="server3.hosting.example")
    says(site, "domain_create_post", domain="x.example")
    site.settle()
    assert site.user_domains("server-1") == {"own.example",
                                             "server3.hosting.example"}
    receiver.stop()


def test_ps_shows_no_secret(site):
    """Nor does any environment, while a message is being sent."""
    secret = (site.directory / "secret").read_bytes().strip()
    site.receiver.process.send_signal(signal.SIGSTOP)
    says(site, "user_create_post")
    wait_until(lambda: b"curl" in seen_by_ps(), 60, "curl")
    shown = seen_by_ps()
    site.receiver.process.send_signal(signal.SIGCONT)
    assert secret not in shown
    assert b"sha256=" not in shown
    site.settle()
    assert site.domains() == {"example.org"}


def seen_by_ps():
    found = b""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                found += (process / name).read_bytes()
            except OSError:
                pass
    return found


def test_only_what_old_programs_can_do():
    """curl 7.29 and OpenSSL 1.0.2, as the manual page says."""
    text = (SOURCE / "scripts" / "hooks" / "smtpusers-notify").read_text()
    code = "\n".join(line for line in text.splitlines()
                     if not line.lstrip().startswith("#"))
    call, = re.findall(r"\| curl ((?:.*\\\n)*.*)", code)
    assert set(re.findall(r"(?<![\w-])--?[A-Za-z-]+", call)) == {
        "-q", "-s", "-S", "-K", "--data-binary", "-o", "-w",
        "--connect-timeout", "--max-time", "-"} - {"-"}
    assert set(re.findall(r"openssl ([a-z]+ .*?)(?:[)|]|$)", code,
                          re.MULTILINE)) <= {
        "rand -hex 16", "dgst -sha256 -binary", "dgst -sha256 -binary ",
        "dgst -sha256 "}
    # What GNU's programs take, and others need not.
    assert not re.findall(r"-mindepth|-maxdepth|head -c|grep -[a-z]*H|"
                          r"\bsed -[a-z]*[irE]|hostname|readlink|stat -", code)
    # Which puts a key where ps shows it.
    assert "-hmac" not in code and "macopt" not in code


# What the panel says

def test_every_byte(site):
    value = bytes(range(1, 256)) + b"\n\n"
    site.away()
    environment = {name.encode(): text.encode() for name, text in
                   site.directadmin_environment("user_create_post").items()}
    result = site.run(site.directadmin_hook("user_create_post"),
                      env={**environment, b"domain": value,
                           b"package": b"a=b\n"})
    assert (result.returncode, result.stderr) == (0, b"")
    kept = site.arrive()[0]
    assert kept["domain"].encode(errors="surrogateescape") == value
    assert kept["package"] == "a=b\n"


def test_names_that_are_the_scripts_own(site):
    """What else is in the panel's environment does nothing."""
    hostile = dict.fromkeys((
        "CONFIG", "PATH", "IFS", "work", "command", "spool", "url", "key",
        "server", "secret_file", "id", "name", "hook", "quiet", "host",
        "max_waiting", "INPUT_MAX", "DIRECTADMIN_HOOKS", "ENV", "BASH_ENV",
        "http_proxy", "https_proxy", "CURL_HOME", "HOME", "TMPDIR", "EX_USAGE",
        "DIRECTADMIN_VARIABLES", "given_domain", "given", "now", "line"),
        "/nonexistent; touch /tmp/x")
    result = site.run(
        site.directadmin_hook("user_create_post"),
        env={**site.directadmin_environment("user_create_post"), **hostile})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    site.settle()
    assert site.account() == ("allowed", "basic", {"example.org"})


@pytest.mark.parametrize("size", [256, 4000, 100000, 5000000])
def test_a_long_value(site, size):
    """Of what an environment can hold; the receiver has the last word."""
    says(site, "user_create_post")
    site.settle()
    if size > 100000:
        result = site.cpanel("domain_park", new_domain="x" * size)
        assert result.stdout == b"1 stored\n"
    else:
        says(site, "domain_create_post", domain="x" * size)
    site.settle()
    assert len(site.bad()) == 1
    says(site, "domain_create_post", domain="good.example")
    site.settle()
    assert site.domains() == {"example.org", "good.example"}


def test_values_that_are_too_long_together(site):
    """Who can add them to a change does not hide it."""
    says(site, "user_create_post")
    says(site, "domain_destroy_post", **dict.fromkeys(
        ("newdomain", "from", "package", "suspended"), "x" * 100000))
    site.settle()
    assert site.domains() == set()
    assert site.refused() == site.bad() == []


def test_too_much_for_the_receiver(site):
    """It is set aside on this side, and the next goes on."""
    (site.users / "alice").write_text("".join(
        "DNS%d=d%d.example\n" % (number, number) for number in range(20000)))
    assert site.cpanel("pkgacct_restore").returncode == 0
    says(site, "domain_create_post", domain="good.example")
    site.settle()
    assert len(site.refused()) == 1
    assert site.domains() == {"good.example"}


CONTEXT = ("category", "event", "stage")
ARGUMENTS = ("domain", "newdomain", "new_domain", "subdomain", "rootdomain",
             "DNS", "plan", "new_pkg")
SAID = (*ARGUMENTS, "user", "username", "newuser", "old_user", "result",
        "status")


def needed(call):
    """What is sent of a call."""
    data = call["data"]
    return {"context": plain(call["context"], CONTEXT), "data": {
        **plain(data, SAID), "args": plain(data["args"], ARGUMENTS),
        "output": [plain(part, ["result"]) for part in data["output"]]}}


def plain(found, names):
    return {name: found[name] for name in names
            if name in found and not isinstance(found[name], (dict, list))}


def some_value(chance, depth=0):
    kinds = ["text", "text", "number", "word"]
    kind = chance.choice(kinds + ["object", "list"] * (depth < 4))
    if kind == "text":
        return "".join(chance.choice(
            ['"', "\\", ":", ",", "{", "}", " ", "a", "pass", "\n", "/",
             "\u00e9", "\U0001f600", "user", "\x01", "[", "]"])
            for _ in range(chance.randrange(12)))
    if kind == "number":
        return chance.choice([0, 1, -7, 1.5, 1e300, 12345678])
    if kind == "word":
        return chance.choice([True, False, None])
    if kind == "list":
        return [some_value(chance, depth + 1)
                for _ in range(chance.randrange(4))]
    return some_object(chance, ["pass", "x", 'q"\\', "dbuserpass", "", "data",
                                "args", "output", *CONTEXT, *SAID], depth)


def some_object(chance, names, depth=0):
    return {chance.choice(names): some_value(chance, depth + 1)
            for _ in range(chance.randrange(4))}


def test_what_is_sent_of_json(site):
    """Of any: what is needed, as it is, and nothing else."""
    chance = random.Random(20261125)
    site.receiver.process.send_signal(signal.SIGSTOP)
    context = {"category": "Whostmgr", "event": "Accounts::Create",
               "stage": "post"}
    told = []
    for number in range(40):
        call = {"x": some_value(chance), "context": context, "data": {
            **some_object(chance, SAID), **some_object(chance, SAID),
            "values": [some_value(chance) for _ in range(20)],
            "args": {**some_object(chance, SAID), "x": some_value(chance)},
            "output": [{"x": some_value(chance), "result": chance.choice(
                [0, 1, "0", "1", True, None])} for _ in range(number % 3)],
            "pass": "Never-Tell-7", "password": 777123}}
        if number % 2:
            call = dict(reversed(call.items()))
        text = json.dumps(call, ensure_ascii=number % 4 < 2,
                          indent=chance.choice([None, 1, "\t"]))
        assert site.cpanel_says(text.encode()).stdout == b"1 stored\n"
        told.append(call)
    sent = [path.read_bytes().partition(b"\n\n")[2] for path in site.unsent()]
    assert [json.loads(text) for text in sent] == list(map(needed, told))
    assert not any(b"Never-Tell" in text or b"777123" in text
                   for text in sent)
    for path in site.unsent():
        path.unlink()
    site.receiver.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("text", [
    b'\\"' * 1000000, b"\\" * 2000000, b'"' * 1000000, b'{"user":' * 500000,
    b"[" * 4000000, b'"user":"' + b"\\\\" * 1500000], ids=range(6))
def test_long_input_takes_no_longer(site, text):
    """A test that does not end is the failure."""
    context = (b'{"context": {"category": "Whostmgr", "event": '
               b'"Accounts::Create", "stage": "post"}, "data": ')
    result = site.cpanel_says(context + text)
    assert result.stdout == b"1 stored\n"
    wait_until(lambda: not site.unsent(), 60, "the answer")
    assert len(site.refused()) == 1


# The operator's words

def test_all_that_the_panel_has(site):
    (site.users / "alice").write_text(
        "DNS=example.org\nDNS1=addon.example\nSUSPENDED=1\n")
    (site.users / "system").write_text("DNS=none.example\n")
    bob = site.directory / "data-users" / "bob"
    (bob / "domains").mkdir(parents=True)
    (bob / "domains.list").write_text("bob.example\nbob.test.example\n")
    (bob / "domains" / "bob.example.pointers").write_text(
        "pointer.example=alias\n")
    (bob / "user.conf").write_text("package=gold\nsuspended=no\n")
    for words in ((), ("bob", "alice"), ("bob",)):
        result = site.run(site.notify, "sync", *words)
        assert (result.returncode, result.stderr) == (0, b"")
        site.settle()
        assert site.account() == ("blocked", "basic", {
            "example.org", "addon.example"})
        assert site.account("bob") == ("allowed", "basic", {
            "bob.example", "bob.test.example", "pointer.example"})
        assert site.account("system") is None
    for words in (("carol",), ("../alice",), ("",)):
        result = site.run(site.notify, "sync", *words)
        assert result.returncode in (64, 65)
    site.receiver.process.send_signal(signal.SIGSTOP)
    site.tell(site.receiver, max_waiting=1)
    result = site.run(site.notify, "sync")
    assert (result.returncode, result.stderr) == (
        75, b"smtpusers-notify: 1 events wait already\n")
    site.receiver.process.send_signal(signal.SIGCONT)
    site.send()


def test_what_has_no_hook(site):
    """A domain that is moved, a user who is renamed."""
    for words in (("domain.created", "account=alice", "domain=a.example"),
                  ("account.renamed", "account=alice", "new_account=carol"),
                  ("domain.deleted", "account=carol", "domain=a.example"),
                  ("domain.created", "account=bob", "domain=a.example")):
        result = site.run(site.notify, "event", *words)
        assert (result.returncode, result.stderr) == (0, b"")
    site.settle()
    assert (site.account("alice"), site.domains("carol"),
            site.domains("bob")) == (None, set(), {"a.example"})
    for words in ((), ("Domain",), ("domain.created", "a"),
                  ("domain.created", "=a")):
        assert site.run(site.notify, "event", *words).returncode == 64
    for words in (("domain.eaten", "account=a"), ("server.named", "user=a"),
                  ("account.restored", "account=a"),
                  ("domain.created", "account=a", "account=b", "domain=c.d")):
        assert site.run(site.notify, "event", *words).returncode == 0
    wait_until(lambda: len(site.refused()) == 4, 60, "the refusals")
    assert site.unsent() == site.bad() == []


@pytest.mark.parametrize("text, words", [
    (None, "it cannot be read"), ("url = ftp://x/\n", "neither https nor"),
    ("url = http://192.0.2.1/\n", "neither https nor"),
    ("url = http://127.0.0.1.example/\n", "neither https nor"),
    ("url = http://localhost@evil.example/\n", "neither https nor"),
    ('url = https://x/"\n', "a character"), ("url = https://x/\\\n", "a char"),
    ("colour = red\n", "colour: unknown"), ("url https://x/\n", "of the form"),
    ("url = https://x/\nspool = var\n", "not an absolute path"),
    ("url = https://x/\nmax_waiting = many\n", "not a number")])
def test_what_is_wrong_with_the_configuration(site, text, words):
    if text is None:
        site.notify_file.unlink()
    else:
        site.notify_file.write_text(text)
    for command in ("send", "directadmin"):
        result = site.run(site.notify, command, "user_create_post")
        assert result.returncode == 78
    assert words in result.stderr.decode()
    assert site.cpanel("accounts_create").stdout.startswith(b"0 ")
    assert not site.outbox.exists()


def test_words_on_the_command_line(site):
    result = site.run(site.notify, "--version")
    assert (result.returncode, result.stdout.decode()) == (
        0, "smtpusers " + (SOURCE / "VERSION").read_text())
    for words in ((), ("nonsense",), ("-f",), ("directadmin", "all_pre"),
                  ("install", "plesk"), ("install",)):
        assert site.run(site.notify, *words).returncode == 64


# The relay is away

def test_the_order_is_kept(site):
    site.receiver.stop()
    for hook, domain in (("domain_create_post", "a.example"),
                         ("domain_destroy_post", "a.example"),
                         ("domain_create_post", "b.example"),
                         ("domain_destroy_post", "b.example"),
                         ("domain_create_post", "a.example")):
        says(site, hook, domain=domain)
    assert len(site.unsent()) == 5
    listed = site.run(site.notify, "list").stdout.decode().splitlines()
    assert [line.split()[1:] for line in listed[-5:]] == [
        ["new", "directadmin", "domain_%s_post" % word]
        for word in ("create", "destroy", "create", "destroy", "create")]
    wait_until(lambda: idle(site), 60, "the senders to end")
    wait_until(lambda: site.run(site.notify, "send", env={}).returncode == 75,
               60, "a sender to find nobody there")
    site.tell(site.receiver.start())
    site.send()
    site.settle()
    assert site.domains() == {"a.example"}


def test_the_clock_is_turned_back(site):
    """What comes later is sent later all the same."""
    site.receiver.stop()
    says(site, "domain_create_post", domain="a.example")
    only = site.unsent()[0]
    later = only.with_name("%d000%s" % (time.time() + 1e7, only.name[13:]))
    only.rename(later)
    for number in range(2):
        says(site, "domain_destroy_post", domain="d%d.example" % number)
    waiting = site.unsent()
    assert len(waiting) == 3 and waiting[0] == later
    assert [b"d%d.example" % number in path.read_bytes()
            for number, path in enumerate(waiting[1:])] == [True, True]


def test_the_panel_does_not_wait(site):
    """Whatever the relay does."""
    site.receiver.process.send_signal(signal.SIGSTOP)
    says(site, "domain_create_post")
    assert site.cpanel("accounts_create").stdout == b"1 stored\n"
    assert len(site.unsent()) == 2
    site.receiver.process.send_signal(signal.SIGCONT)
    site.settle()
    assert site.domains() == {"example.org"}


class Web:
    """Answers each request as it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.status = 202
        self.bodies = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                length = 0
                for line in iter(file.readline, b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split()[1])
                self.bodies.append(file.read(length))
                if self.status:
                    connection.sendall(
                        b"HTTP/1.0 %d X\r\nContent-Length: 6\r\n\r\nwhy \x1b\n"
                        % self.status)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("status, waits", [
    (200, 0), (202, 0), (400, 0), (409, 0), (413, 0), (None, 1), (301, 1),
    (401, 1), (403, 1), (404, 1), (408, 1), (500, 1), (503, 1)])
def test_answers(site, status, waits):
    """Only what can never be taken is out of the way without being so."""
    web = Web()
    web.status = status
    site.tell(site.receiver, url="http://127.0.0.1:%d/e" % web.address[1])
    says(site, "domain_create_post")
    wait_until(lambda: web.bodies and len(site.unsent()) == waits and (
        not waits or (site.outbox / "trouble").exists()), 60, "the answer")
    wait_until(lambda: idle(site), 60, "the sender to end")
    assert len(site.refused()) == (status in (400, 409, 413))
    if waits:
        asked = len(web.bodies)
        site.send(75)
        says(site, "domain_create_post", domain="b.example")
        wait_until(lambda: len(web.bodies) >= asked + 2 and idle(site), 60,
                   "the next try")
        # The first one first, as it was.
        assert set(web.bodies) == {web.bodies[0]}
        said = (site.outbox / "trouble").read_text()
        assert said.isascii() and "\x1b" not in said
        assert said.startswith("curl: (52)" if status is None else
                               "the relay answers %d why" % status)
        web.status = 202
        site.send()
        assert site.unsent() == []
        assert not (site.outbox / "trouble").exists()
    web.close()


def idle(site):
    with open(site.outbox / "send.lock", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_no_more_than_may_wait(site):
    """The panel is told; nothing is dropped."""
    web = Web()
    web.status = 503
    url = "http://127.0.0.1:%d/e" % web.address[1]
    site.tell(site.receiver, url=url, max_waiting=3)
    for number in range(3):
        says(site, "domain_create_post", domain="d%d.example" % number)
    result = says(site, "domain_create_post", 75, domain="d3.example")
    assert result.stderr == b"smtpusers-notify: 3 events wait already\n"
    assert site.cpanel("accounts_create").stdout == (
        b"0 3 events wait already\n")
    assert len(site.unsent()) == 3
    site.tell(site.receiver)
    wait_until(lambda: idle(site), 60, "the sender to end")
    site.send()
    site.settle()
    says(site, "domain_create_post", domain="d3.example")
    site.settle()
    assert site.domains() == {"d%d.example" % number for number in range(4)}
    web.close()


def test_messages_that_were_refused_do_not_pile_up(site):
    """Nor are they among those that wait."""
    site.tell(site.receiver, max_waiting=3)
    bad = site.outbox / "bad"
    bad.mkdir(parents=True)
    for number in range(1003):
        (bad / ("1795250000%03d-%032x" % (number % 1000, number))).touch()
    oldest = site.refused()[:4]
    (site.users / "alice").write_text("".join(
        "DNS%d=d%d.example\n" % (number, number) for number in range(20000)))
    assert site.cpanel("pkgacct_restore").stdout == b"1 stored\n"
    says(site, "domain_create_post", domain="good.example")
    site.settle()
    assert site.domains() == {"good.example"}
    left = site.refused()
    assert len(left) == 1000
    assert b"hook PkgAcct Restore post\n" in left[-1].read_bytes()
    assert not set(oldest) & set(left)


def test_the_disk_is_full(site):
    """What is stored is whole, and the panel is told of the rest."""
    site.outbox.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none",
                    site.outbox], check=True)
    try:
        site.receiver.stop()
        says(site, "domain_create_post", domain="a.example")
        filler = site.outbox / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        assert says(site, "domain_create_post", 75,
                    domain="b.example").stderr.count(b"\n") == 1
        assert site.cpanel("accounts_create").stdout == (
            b"0 the event could not be stored\n")
        assert len(site.unsent()) == 1
        filler.unlink()
        says(site, "domain_create_post", domain="c.example")
        site.tell(site.receiver.start())
        wait_until(lambda: idle(site), 60, "the sender to end")
        site.send()
        site.settle()
        assert site.domains() == {"a.example", "c.example"}
    finally:
        subprocess.run(["umount", "-l", site.outbox], check=True)


# Killed, lost, twice

def test_a_hook_is_killed_at_any_time(site):
    """What it had said it would do is done, and nothing else."""
    chance = random.Random(20261125)
    told = set()
    domains = ["d%d.example" % number for number in range(40)]
    for domain in domains:
        hook = site.start(
            site.directadmin_hook("domain_create_post"),
            env=site.directadmin_environment("domain_create_post",
                                             domain=domain))
        try:
            status = hook.wait(chance.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            status = None
        kill(hook)
        if status == 0:
            told.add(domain)
    assert told
    wait_until(lambda: idle(site), 60, "the sender to end")
    site.send()
    site.settle()
    assert told <= site.domains() <= set(domains)
    assert site.bad() == [] and site.refused() == []


def test_a_sender_is_killed_at_any_time(site):
    """All is applied, in order: what was sent twice was taken once."""
    chance = random.Random(20261125)
    site.receiver.stop()
    for number in range(12):
        for hook in ("domain_create_post", "domain_destroy_post"):
            says(site, hook, domain="d%d.example" % number)
    says(site, "domain_create_post", domain="last.example")
    wait_until(lambda: idle(site), 60, "the senders to end")
    site.tell(site.receiver.start())
    for _ in range(60):
        sender = site.start(site.notify, "send", start_new_session=True)
        try:
            sender.wait(chance.uniform(0.02, 0.4))
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(sender.pid, signal.SIGKILL)
        sender.communicate()
        if not site.unsent():
            break
    wait_until(lambda: idle(site), 120, "the sender to end")
    site.send()
    site.settle()
    assert site.domains() == {"last.example"}
    assert site.bad() == [] and site.refused() == []
    taken = [line for line in site.receiver.said().splitlines()
             if "taken: " in line]
    assert len(taken) == 25


def test_an_answer_that_is_lost(site):
    """The message is sent again, and taken once."""
    web = Web()
    web.status = None
    site.tell(site.receiver, url="http://127.0.0.1:%d/e" % web.address[1])
    says(site, "domain_create_post")
    wait_until(lambda: web.bodies and idle(site), 60, "the request")
    body = web.bodies[0]
    site.receiver.posts(body, 202, headers=signed(body))
    applied(site)
    says(site, "domain_destroy_post")
    wait_until(lambda: len(web.bodies) > 1 and idle(site), 60,
               "the sender to have tried again")
    site.tell(site.receiver)
    site.send()
    site.settle()
    assert site.domains() == set()
    web.close()


def test_messages_that_were_caught(site):
    """They change nothing, at once or later, in whichever order they come;
    and none can be made of two."""
    web = Web()
    site.tell(site.receiver, url="http://127.0.0.1:%d/e" % web.address[1])
    for hook in ("user_create_post", "user_suspend_post",
                 "domain_destroy_post"):
        says(site, hook)
    wait_until(lambda: len(web.bodies) == 3, 60, "the messages")
    caught = [(body, signed(body)) for body in web.bodies]
    for body, headers in caught:
        site.receiver.posts(body, 202, headers=headers)
    applied(site)
    before = site.account()
    assert before == ("blocked", "basic", set())
    for body, headers in caught[::-1] + caught:
        assert "before" in site.receiver.posts(body, 200, headers=headers)
    for body, _ in caught:
        for _, headers in caught:
            if headers != signed(body, headers["Smtpusers-Timestamp"]):
                site.receiver.posts(body, 401, headers=headers)
    changed = caught[0][0].replace(b"example.org", b"example.net")
    site.receiver.posts(changed, 401, headers=caught[0][1])
    site.receiver.posts(changed, 409, headers=signed(changed))
    applied(site)
    assert site.account() == before
    web.close()


HEAD = (b"smtpusers-notify 1\nid " + b"0" * 32 + b"\ncreated %d\n"
        b"panel directadmin\nhook domain_create_post\n")


@pytest.mark.parametrize("change", [
    lambda body: body.replace(b" 1\n", b" 2\n", 1),
    lambda body: body.replace(b"\n\n", b"\n"),
    lambda body: body.replace(b"id 0", b"id g"),
    lambda body: body.replace(b"id ", b"id 0"),
    lambda body: body.replace(b"panel directadmin", b"panel plesk"),
    lambda body: body.replace(b"hook domain_create", b"hook domain_eat"),
    lambda body: body.replace(b"panel directadmin\n", b""),
    lambda body: body.replace(b"panel ", b"panel a\npanel "),
    lambda body: body.replace(b"panel ", b"\0panel "),
    lambda body: body.replace(b"panel ", b"colour red\npanel "),
    lambda body: body.replace(b"panel ", b"known alice\npanel "),
    lambda body: body.replace(b"panel ", b"known ../a DNS a.b\npanel "),
    lambda body: body.replace(b"created ", b"created x"),
    lambda body: re.sub(b"created [0-9]+", b"created 1000000000", body),
    lambda body: body + b"domain=b.example\0",
    lambda body: body[:19]], ids=range(16))
def test_what_is_no_message(prefix, redis, change):
    site = Site(prefix, redis)
    receiver = Receiver(site).start()
    body = HEAD % time.time() + b"\nusername=alice\0domain=a.example\0"
    receiver.posts(change(body), 400, headers=signed(change(body)))
    assert site.files("seen") == site.files("new") == []
    receiver.posts(body, 202, headers=signed(body))
    applied(site)
    assert site.domains() == {"a.example"}
    receiver.check()
    receiver.stop()


def test_twenty_hooks_at_once(site):
    domains = {"d%d.example" % number for number in range(20)}
    hooks = [site.start(site.directadmin_hook("domain_create_post"),
                        env=site.directadmin_environment(
                            "domain_create_post", domain=domain))
             for domain in sorted(domains)]
    for hook in hooks:
        assert hook.communicate(timeout=PATIENCE) == (b"", b"")
        assert hook.returncode == 0
    site.settle()
    assert site.domains() == domains
