# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers setup writes what works, and check --server tells what does not."""

import json
import os
import pwd
import re
import subprocess

import jsonschema
import pytest

from manual import blocks
from places import SOURCE, free_port, program, workdir
from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE,
                       Smtpusers, called, log_in_as, package)
from redisserver import RedisServer, ReplyError
from relay import LIBEXEC
from session import Session
from transfers import schema

RELAY = "opensmtpd"
WITH_TABLE = """
mount -t tmpfs tmpfs /mnt && cp -a "$1"/. /mnt/ &&
    ln -sf "$2" /mnt/table-smtpusers && mount --move /mnt "$1" &&
    exec smtpd -n -f "$3"
"""
DURABLE = ("--appendonly", "yes")


@pytest.fixture
def server():
    """In a directory that smtpd's user can look into."""
    with RedisServer(workdir("setup"), extra=DURABLE) as server:
        yield server


@pytest.fixture
def cmd(server):
    cmd = Smtpusers(server, server.dir)
    # The functions are there from then on.
    cmd.ok("fields")
    return cmd


def written(server):
    return server.dir / "new.conf"


def setup(cmd, *words):
    return cmd.run("setup", "--redis", cmd.server.url, "--output",
                   written(cmd.server), *words)


def problems(cmd, *words):
    result = cmd.run("check", "--server", "--json", *words)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for finding in found:
        jsonschema.validate(finding, schema("check.json"))
        assert finding["kind"] == "server"
    assert result.returncode == (EX_DATAERR if found else 0)
    return [finding["problem"] for finding in found]


# setup

def test_what_is_written_works(cmd):
    result = setup(cmd, "--prefix", "x:", "--report-url",
                   "https://reports.example.net/")
    assert result.returncode == 0, result.stderr
    path = written(cmd.server)
    assert "%s: written, and %s can reach" % (path, RELAY) in result.stdout
    assert path.stat().st_mode & 0o777 == 0o644
    other = subprocess.run(
        [cmd.argv()[0], "-f", path, "add", "alice", "--no-password"],
        env=cmd.environment, check=False)
    assert other.returncode == 0
    assert cmd.server.cli("KEYS", "*alice*") == ["x:user:{alice}"]
    assert 'report_url = "https://reports.example.net/"' in path.read_text()
    assert not [name for name in os.listdir(path.parent)
                if name.startswith(".smtpusers.conf.")]


def test_a_file_that_is_there_stays(cmd):
    written(cmd.server).write_text("mine\n")
    assert setup(cmd).returncode == EX_CANTCREAT
    assert written(cmd.server).read_text() == "mine\n"
    assert setup(cmd, "--force").returncode == 0
    assert "redis = " in written(cmd.server).read_text()


def test_it_is_asked_on_a_terminal(cmd):
    code, shown = cmd.typed("setup", "--output", written(cmd.server),
                            answers=[cmd.server.url])
    assert code == 0 and "Where Redis is [" in shown
    assert cmd.server.url in written(cmd.server).read_text()


def test_redis_that_is_not_there(cmd):
    result = cmd.run("setup", "--redis", "tcp:127.0.0.1:%d" % free_port(),
                     "--output", written(cmd.server))
    assert result.returncode == EX_UNAVAILABLE
    assert "cannot connect" in result.stderr
    assert not written(cmd.server).exists()


def test_a_socket_that_smtpds_user_may_not_use(cmd):
    """Which root does not notice."""
    os.chmod(cmd.server.socket, 0o700)
    assert cmd.ok("list").stdout
    result = setup(cmd)
    assert result.returncode == EX_UNAVAILABLE
    assert RELAY in result.stderr and "Permission denied" in result.stderr
    assert not written(cmd.server).exists()
    assert "Permission denied" in problems(cmd)[0]


def test_a_password_that_smtpds_user_may_not_read(cmd):
    path = cmd.server.dir / "pw"
    path.write_text("pw\n")
    path.chmod(0o600)
    cmd.server.cli("ACL", "SETUSER", "relay", "on", ">pw", "~*", "+@all")
    words = ("--redis-user", "relay", "--password-file", path)
    result = setup(cmd, *words)
    assert result.returncode == EX_UNAVAILABLE
    assert "Permission denied" in result.stderr
    os.chown(path, -1, pwd.getpwnam(RELAY).pw_gid)
    path.chmod(0o640)
    assert setup(cmd, *words).returncode == 0


def test_a_user_who_is_not_there(cmd):
    assert setup(cmd, "--relay-user", "nobody-here").returncode == EX_NOUSER
    assert setup(cmd, "--relay-user", RELAY).returncode == 0


def test_the_lines_of_smtpd_conf_are_taken(cmd, tls):
    """By smtpd itself, with a certificate that there is."""
    out = setup(cmd).stdout
    lines = out.partition("# In smtpd.conf(5):\n")[2].partition(
        "\n# Users of Redis")[0]
    lines = re.sub('cert "[^"]*"', 'cert "%s"' % tls[0], lines)
    lines = re.sub('key "[^"]*"', 'key "%s"' % tls[1], lines)
    conf = cmd.server.dir / "smtpd.conf"
    conf.write_text(lines)
    conf.chmod(0o600)
    # Where smtpd looks for tables, ours is there while it looks.
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", WITH_TABLE, "sh", LIBEXEC,
         program("table-smtpusers"), conf], capture_output=True, text=True,
        check=False)
    assert "configuration OK" in result.stderr, result.stderr


def plain_lines(text):
    """Those of a smtpd.conf, whatever the host is called."""
    text = re.sub(r'((?:pki|cert|key)) ("[^"]*"|[^ \n]+)', r"\1 NAME", text)
    text = re.sub(r"/[^ \n]*smtpusers.conf|/[^ \n]*new.conf", "CONF", text)
    return {line.strip() for line in text.splitlines()
            if line.strip() and not line.startswith("#")}


def test_the_lines_of_smtpd_conf_are_those_of_the_readme(cmd):
    out = setup(cmd).stdout
    lines = out.partition("# In smtpd.conf(5):\n")[2].partition(
        "\n# Users of Redis")[0]
    [block] = [text for _, text in blocks(SOURCE / "README.md")
               if "listen on" in text]
    assert plain_lines(lines) == plain_lines(block)


def test_the_acl_lines_are_taken(cmd):
    out = setup(cmd).stdout
    rules = [line.split() for line in out.splitlines()
             if line.startswith("ACL SETUSER")]
    assert [rule[2] for rule in rules] == [
        "smtpusers-relay", "smtpusers-command", "smtpusers-panel",
        "smtpusers-hooks", "smtpusers-deliver", "smtpusers-monitor"]
    for rule in rules:
        assert cmd.server.cli(*rule) == "OK"


# check --server

def test_nothing_is_wrong(cmd):
    cmd.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert problems(cmd) == []


@pytest.mark.parametrize("settings, words", [
    (("maxmemory-policy", "allkeys-lru", "maxmemory", "1gb"),
     "users and counters vanish"),
    (("maxmemory-policy", "volatile-ttl"), "once there is a maxmemory"),
    (("appendonly", "no"), "no append-only file")])
def test_what_the_server_is_told(cmd, settings, words):
    cmd.server.cli("CONFIG", "SET", *settings)
    [problem] = problems(cmd)
    assert words in problem


def test_a_replica(cmd):
    cmd.server.cli("REPLICAOF", "127.0.0.1", free_port())
    assert any("replica, which cannot be written" in problem
               for problem in problems(cmd))


def test_functions_that_are_missing_or_old(cmd):
    cmd.server.cli("FUNCTION", "FLUSH")
    assert problems(cmd) == [
        "the functions are missing or older than those of this command"]


def test_a_configuration_that_smtpds_user_may_not_read(cmd):
    cmd.file.chmod(0o600)
    [problem] = problems(cmd)
    assert "Permission denied" in problem
    cmd.file.chmod(0o644)
    assert problems(cmd) == []


def test_a_password_that_others_may_read(cmd):
    path = cmd.server.dir / "pw"
    path.write_text("pw\n")
    path.chmod(0o644)
    cmd.server.cli("ACL", "SETUSER", "default", ">pw")
    directory = workdir("setup")
    other = Smtpusers(cmd.server, directory, redis_password_file=str(path))
    [problem] = problems(other)
    assert "others on this system may read" in problem


# The users of Redis that setup prints

def refused(server):
    """What Redis has refused to whom."""
    flat = server.cli("ACL", "LOG")
    return [dict(zip(entry[::2], entry[1::2])) for entry in flat]


def test_the_relay_has_the_rights_that_it_uses(new_relay, redis, users,
                                               tmp_path):
    log_in_as(redis, "relay", tmp_path)
    redis.cli("ACL", "LOG", "RESET")
    try:
        (tmp_path / "relay.pw").chmod(0o644)
        os.chmod(tmp_path, 0o755)
        password = workdir("acl") / "pw"
        password.write_text("pw\n")
        password.chmod(0o644)
        relay = new_relay(redis_user="relay",
                          redis_password_file=str(password))
        users.add("alice", "Right-Word1", account="acme", mode="all",
                  quota="5", rate="9/1h")
        redis.cli("SADD", "smtp:user:{alice}:domains", "a.example")
        redis.cli("SADD", "smtp:user:{alice}:ips", "127.0.0.0/8", "::1")
        redis.cli("HSET", "smtp:account:{acme}", "plan", "pro")
        redis.cli("SADD", "smtp:account:{acme}:domains", "b.example")
        with Session(relay) as session:
            assert session.login("alice", "Right-Word1").startswith("235")
            for domain in ("a.example", "b.example"):
                assert session.message(sender="x@" + domain).startswith("250")
            assert session.mail("x@c.example").startswith("550")
        users.add("box", "Other-Word1", ip_auth="127.0.0.9")
        redis.cli("SET", "smtp:ip:{127.0.0.9}", "box")
        with Session(relay, source="127.0.0.9") as session:
            session.mail("x@a.example")
        assert refused(redis) == []
        assert redis.cli("EXISTS", "smtp:user:{alice}:log") == 1
        assert len(redis.cli("KEYS", "smtp:report:*")) == 2
    finally:
        redis.cli("ACL", "DELUSER", "relay")


PANEL = [("user_add", "user:{bob}", "mode", "all", "ip_auth", "192.0.2.1"),
         ("user_set", "user:{bob}", "quota", "5", "rate", "9/1h"),
         ("user_put", "user:{bob}", "mode", "any", "domains", "a.example"),
         ("user_domain_add", "user:{bob}", "b.example"),
         ("user_domain_rm", "user:{bob}", "b.example"),
         ("user_ip_add", "user:{bob}", "192.0.2.0/24"),
         ("user_ip_rm", "user:{bob}", "192.0.2.0/24"),
         ("user_ipauth", "user:{bob}", "192.0.2.2"),
         ("user_get", "user:{bob}"), ("user_reset", "user:{bob}"),
         ("account_add", "account:{a}", "domains", "c.example"),
         ("account_set", "account:{a}", "plan", "pro"),
         ("account_domain_add", "account:{a}", "d.example"),
         ("account_domain_rm", "account:{a}", "d.example"),
         ("account_get", "account:{a}"), ("account_reset", "account:{a}"),
         ("user_suppress_add", "user:{bob}", "1h", "a.example"),
         ("user_suppress_rm", "user:{bob}", "a.example"),
         ("user_suppressed", "user:{bob}", "0"), ("user_check", "user:{bob}"),
         ("rows", "user:{bob}", "user", "fields", "problems suppressed_count"),
         ("odd_members", "user:{bob}", "suppressed", "0"),
         ("odd_members", "user:{bob}", "domains", "0"),
         ("mend", "user:{bob}", "ips", "192.0.2.0/24", ""),
         ("user_set", "user:{bob}", "quota", ""),
         ("user_set", "user:{bob}", "sender_quota", "5"),
         ("sender_usage", "user:{bob}", "86400", "0"),
         ("account_del", "account:{a}"), ("user_del", "user:{bob}")]


def test_a_panel_has_the_rights_that_it_uses(cmd):
    server = cmd.server
    log_in_as(server, "panel", server.dir)
    server.cli("ACL", "LOG", "RESET")
    server.cli("CONFIG", "RESETSTAT")
    with server.connect() as panel:
        panel.command("AUTH", "panel", "pw")
        panel.command("PING")
        panel.command("SELECT", "0")
        for function, key, *words in PANEL:
            panel.command("FCALL", "smtpusers_" + function, 1, "smtp:" + key,
                          *words)
        for name in ("carl", "dora"):
            panel.command("FCALL", "smtpusers_user_add", 1,
                          "smtp:user:{%s}" % name, "mode", "all")
        server.cli("XADD", "smtp:user:{carl}:log", "*", "event", "login")
        panel.command("FCALL", "smtpusers_user_del", 1, "smtp:user:{carl}")
        panel.command("FCALL", "smtpusers_user_rename", 2,
                      "smtp:user:{dora}", "smtp:user:{carl}")
        panel.command("FCALL_RO", "smtpusers_page", 0, "smtp:", "user", "0")
        assert refused(server) == []
        assert called(server) >= set(package("provision.acl").RIGHTS["panel"])
        for words in (("FUNCTION", "FLUSH"), ("GET", "other"),
                      ("HGETALL", "smtp:report:{1}"), ("CONFIG", "GET", "*"),
                      ("KEYS", "*"), ("EVAL", "return 1", "0")):
            with pytest.raises(ReplyError, match="NOPERM"):
                panel.command(*words)
