# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""README.md: what it says to install, configure and type, done in its order."""

import re
import subprocess

import pytest

from manual import blocks
from places import PATIENCE, SOURCE, build, workdir
from cli import on_terminal
from redisserver import RedisServer, wait_until
from relay import certificate, greets

README = SOURCE / "README.md"
PASSWORD = "Rumpel-Stilz 9"
BLOCKS = {}
for heading, text in blocks(README):
    BLOCKS.setdefault(heading, []).append(text)

# What the README writes to becomes the test's own.
HOST = """
set -e
cp -a /etc /usr/libexec/opensmtpd "$1"
mount -t tmpfs -o mode=755 none /usr/local
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/spool
mount --bind "$1/opensmtpd" /usr/libexec/opensmtpd
mount --bind "$1/etc" /etc
echo ready
exec sleep infinity
"""


class Host:
    """A machine on which somebody follows the README."""

    def __init__(self, place):
        self.place = place
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             HOST, "sh", place], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.smtpd = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.smtpd:
            self.smtpd.terminate()
            self.smtpd.wait(PATIENCE)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def inside(self, *argv):
        return ["nsenter", "--target", str(self.holder.pid), "--mount",
                "--root", "--wd=" + str(self.place), *map(str, argv)]

    def start(self, conf):
        with open(self.place / "smtpd.log", "wb") as log:
            self.smtpd = subprocess.Popen(
                self.inside("smtpd", "-dv", "-f", conf), stdout=log,
                stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self.listens, 30, "smtpd to listen")

    def listens(self):
        assert self.smtpd.poll() is None, self.log()
        return greets(587)

    def log(self):
        return (self.place / "smtpd.log").read_text(errors="replace")

    def type(self, text, *answers):
        """What a terminal shows of commands that end well."""
        code, shown = on_terminal(
            self.inside("sh", "-euc", text), {
                "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8", "HOME": str(self.place)}, answers, 120)
        assert code == 0, shown
        return shown.replace("\r\n", "\n")


def write(path, text, mode=0o644):
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def host():
    with Host(workdir("host")) as machine:
        # As of the package ca-certificates.
        write(machine.place / "etc" / "ssl" / "certs" / "ca-certificates.crt",
              certificate(machine.place)[0].read_text())
        yield machine


@pytest.fixture
def server():
    with RedisServer(workdir("redis"), extra=("--port", 6379, "--bind",
                                              "127.0.0.1")) as redis:
        yield redis


def test_the_readme(host, server):
    install, tcp, checked = BLOCKS["Installing"]
    assert "\nmake\nmake install\ncp " in install
    _, commands = install.split("\nmake\n")
    host.type("cd %s\n%s" % (SOURCE, commands.replace(
        "make install", "make -o all install B=%s" % build())))
    with open(host.place / "etc" / "smtpusers.conf", "a") as conf:
        conf.write(tcp)
    assert tcp.strip() in host.type(checked)

    make_certificate, conf, restart = BLOCKS["smtpd.conf"]
    host.type(make_certificate)
    write(host.place / "etc" / "smtpd.conf", conf)
    assert restart.endswith("systemctl restart opensmtpd\n")
    host.start("/etc/smtpd.conf")

    add, curl, look, account, status, keep = BLOCKS["Users"]
    assert "alice" in host.type(add, PASSWORD, PASSWORD)
    host.type(curl, PASSWORD)
    assert " smtp message msgid=" in host.log()
    host.type("echo to root | /usr/sbin/sendmail root")
    wait_until(lambda: "to root" in host.type(
        "cat /var/spool/mail/root 2>/dev/null || cat /var/mail/root || :"),
        30, "local mail")
    look = host.type(look)
    assert "accepted" in look
    assert "550 5.7.1" in look
    host.type(account)
    command, *picture = status.splitlines()
    shown = wait_until(lambda: told(host, command), 60, "the state")
    assert [line.split()[0] for line in shown[:2]] == [
        line.split()[0] for line in picture[:2]] == ["OK:", "RELAY"]
    assert shown[1].split() == picture[1].split()
    kept = host.type(keep)
    assert "2 lines: 0 added, 0 changed, 2 same, 0 errors" in kept
    assert server.cli("HGET", "smtp:user:{alice}", "mode") == "all"
    explained = host.type("smtpusers explain alice --mail-from alice@example.net")
    assert "550" not in explained

    panel, = BLOCKS["From a panel"]
    said = host.type(panel, "Bob-Word 12345", "Bob-Word 12345")
    assert sorted(server.cli("SMEMBERS", "smtp:user:{bob}:domains")) == [
        "bob.example", "example.net"]
    assert set(server.cli("SMEMBERS", "smtp:user:{bob}:domains")) == {
        "bob.example", "example.net"}
    assert "INVALID" not in said
    for word in (PASSWORD, "Bob-Word"):
        assert word not in host.log()


def told(host, command):
    """What status says once the relay has told how it is. On a busy machine it
    may have to wait for a minute in which Redis was quick."""
    lines = host.type(command + " || :").splitlines()
    return lines if len(lines) > 2 and lines[0].startswith("OK:") else None


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def test_the_packages_that_it_installs_are_those_that_it_is_built_with():
    named = set(re.findall(r"lib[a-z0-9]+-dev|uthash-dev",
                           BLOCKS["Installing"][0]))
    held = (SOURCE / "scripts" / "devroot.packages.forky").read_text()
    assert named == set(re.findall(r"lib[a-z0-9]+-dev|uthash-dev", held))
