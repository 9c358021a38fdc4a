# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8) and Redis: every byte, every way to connect, every failure."""

import os
import subprocess
from pathlib import Path

import pytest

from places import PATIENCE, free_port
from cli import (EX_CONFIG, EX_DATAERR, EX_IOERR, EX_NOPERM,
                       EX_NOUSER, EX_UNAVAILABLE, EX_USAGE, SCRIPT, Smtpusers,
                       called, log_in_as, package, verifies)
from redisserver import RedisServer, wait_until

SECRET = "Not:In|Ps 8"
acl = package("provision.acl")


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


@pytest.fixture
def server(tmp_path):
    """A Redis that the test may do to what it likes."""
    with RedisServer(tmp_path) as server:
        yield server


# What is in Redis may be anything

HOSTILE = [
    ("two\nlines", "two\\nlines"),
    ("\r\x1b[2Jgone", "\\r\\x1b[2Jgone"),
    ("tab\t nul\0 del\x7f", "tab\\t nul\\x00 del\\x7f"),
    ('"quoted" \'too\' \\n', '"quoted" \'too\' \\\\n'),
    ("bücher 本 🙂", "bücher 本 🙂"),
    ("\u202etxt.exe", "\\u202etxt.exe"),
    ("c1 \x9b31m", "c1 \\u009b31m"),
    ("soft\u00ad zero\u200b", "soft\\u00ad zero\\u200b"),
    ("\U000e0041", "\\U000e0041"),
    ("ERROR,\"x\"", "ERROR,\"x\""), ("NULL", "NULL"), ("(nil)", "(nil)"),
    (",", ","), ("", "-")]


@pytest.mark.parametrize("stored, shown", HOSTILE)
def test_fields_are_shown_safely_and_kept_exactly(cmd, stored, shown):
    cmd.server.cli("HSET", cmd.key("bob"), "description", stored, "mode",
                   stored, "status", "allowed", "account", stored)
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), stored)
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), stored)

    text = cmd.ok("show", "bob").stdout
    rows = text.split("\n")
    assert "description   " + shown in rows
    assert all(row.isprintable() for row in rows)
    listing = cmd.ok("list").stdout.split("\n")
    assert len(listing) == 3 and shown in listing[1]
    assert all(row.isprintable() for row in listing)

    user = cmd.json("show", "bob")
    assert user["description"] == user["mode"] == stored
    assert user["domains"] == user["ips"] == [stored]
    assert cmd.json("list")[0]["account"] == stored


def test_every_byte_comes_back_as_far_as_it_is_text(cmd):
    every = bytes(range(256)) * 2
    cmd.server.cli("HSET", cmd.key("bob"), every, every, "status", every)
    members = [bytes([first]) + every[first:first + 7]
               for first in range(256)]
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), *members)
    user = cmd.json("show", "bob")
    text = every.decode("utf-8", "replace")
    assert user["other"] == {text: text}
    assert set(user["domains"]) == {member.decode("utf-8", "replace")
                                    for member in members}
    assert cmd.json("list")[0]["status"] == text


def test_bytes_that_are_no_text_are_named_among_the_problems(cmd):
    """For then they can be removed."""
    cmd.server.cli("HSET", cmd.key("bob"), "status", "allowed")
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), b"\xff\xc3(")
    assert "\ufffd\ufffd(" in cmd.ok("show", "bob").stdout
    assert "ips: \\xff\\xc3(: neither" in cmd.ok("show", "bob").stdout
    assert cmd.ok("source", "rm", "bob", b"\xff\xc3(").stderr.endswith(
        "smtpusers set bob restricted 0\n")


def test_every_byte_goes_in(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "status", "allowed")
    for start in range(1, 256, 51):
        member = bytes(range(start, min(start + 51, 256)))
        cmd.server.cli("SADD", cmd.key("bob", ":ips"), member, "192.0.2.1")
        cmd.ok("source", "rm", "bob", member)
        assert cmd.members("bob", ":ips") == {"192.0.2.1"}


def test_output_in_the_locale_c(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "description", "本\udcff")
    cmd.environment["LC_ALL"] = "C"
    assert "本\ufffd\n" in cmd.ok("show", "bob").stdout


# Nothing secret where others can see it

def processes():
    """Command lines of everything that runs, by pid."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_no_command_line_holds_a_secret(server, tmp_path):
    server.cli("ACL", "SETUSER", "panel", "on", ">Redis-Pass", "~*", "+@all")
    (tmp_path / "pw").write_text("Redis-Pass\n")
    cmd = Smtpusers(server, tmp_path, redis_user="panel",
                    redis_password_file=str(tmp_path / "pw"))
    cmd.ok("add", "alice", "--no-password")
    server.cli("CLIENT", "PAUSE", 60000, "WRITE")
    process = cmd.start("passwd", "alice", "--stdin", stdin=subprocess.PIPE)
    try:
        process.stdin.write(SECRET + "\n")
        process.stdin.flush()
        # The command that stores the hash waits to be let through.
        wait_until(lambda: "blocked_clients:1" in server.cli(
            "INFO", "clients"), 20, "the change")
        seen = list(processes().values())
    finally:
        server.cli("CLIENT", "UNPAUSE")
        _, err = process.communicate(timeout=PATIENCE)
    assert any(b"passwd" in line for line in seen)
    assert process.returncode == 0, err
    stored = cmd.fields("alice")["password"]
    assert verifies(SECRET, stored)
    for line in seen:
        for secret in (SECRET, stored, stored[-20:], "Redis-Pass"):
            assert secret.encode() not in line


def test_no_secret_is_printed(cmd):
    results = [cmd.ok("add", "alice", "--stdin", stdin=SECRET.encode()),
               cmd.ok("passwd", "alice", "--stdin", stdin=SECRET.encode()),
               cmd.ok("show", "alice"), cmd.ok("list")]
    for result in results:
        assert SECRET not in result.stdout + result.stderr


# Ways to connect

def works(cmd):
    cmd.ok("add", "alice", "--no-password", "--description", "é \"")
    cmd.ok("source", "add", "alice", "192.0.2.1")
    assert [user["name"] for user in cmd.json("list")] == ["alice"]
    assert cmd.json("show", "alice")["description"] == "é \""
    cmd.ok("rm", "alice", "--yes")
    assert cmd.json("list") == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_tcp(tmp_path, host):
    port = free_port()
    extra = ("--port", port, "--bind", "127.0.0.1", "::1")
    with RedisServer(tmp_path, extra=extra) as server:
        works(Smtpusers(server, tmp_path, redis="tcp:%s:%d" % (host, port)))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("redis-tls")
    key, pem = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,"
         "IP:127.0.0.1", "-keyout", key, "-out", pem],
        check=True, capture_output=True)
    return key, pem


def test_tls(tmp_path, certificate):
    key, pem = certificate
    port = free_port()
    extra = ("--tls-port", port, "--tls-key-file", key, "--tls-cert-file",
             pem, "--tls-auth-clients", "no")
    with RedisServer(tmp_path, extra=extra) as server:
        url = "tls:localhost:%d" % port
        works(Smtpusers(server, tmp_path, redis=url, redis_ca=str(pem)))
        # A server that nobody has vouched for is not spoken to.
        stranger = Smtpusers(server, tmp_path, redis=url)
        words = stranger.fails(EX_UNAVAILABLE, "list")
        assert "certificate" in words


def test_acl_user_and_password_file(server, tmp_path):
    password = "p w\"'\\é"
    (tmp_path / "pw").write_text(password + "\r\nnot this\n")
    server.cli("ACL", "SETUSER", "panel", "on", ">" + password, "~smtp:*",
               "+@all")
    server.cli("ACL", "SETUSER", "default", "off")
    works(Smtpusers(server, tmp_path, redis_user="panel",
                    redis_password_file=str(tmp_path / "pw")))
    anonymous = Smtpusers(server, tmp_path)
    assert "NOAUTH" in anonymous.fails(EX_NOPERM, "list")
    (tmp_path / "pw").write_text("wrong\n")
    for user in ({"redis_user": "panel"}, {}):
        wrong = Smtpusers(server, tmp_path,
                          redis_password_file=str(tmp_path / "pw"), **user)
        told = wrong.fails(EX_NOPERM, "list")
        assert "AUTH failed" in told and "wrong" not in told


def test_a_refused_user_does_not_go_on_as_another(server, tmp_path):
    (tmp_path / "pw").write_text("wrong\n")
    Smtpusers(server, tmp_path).ok("add", "alice", "--no-password")
    cmd = Smtpusers(server, tmp_path, redis_user="nobody",
                    redis_password_file=str(tmp_path / "pw"))
    before = cmd.snapshot()
    for words in COMMANDS:
        cmd.fails(EX_NOPERM, *words)
    assert cmd.snapshot() == before


def test_no_permission(server, tmp_path):
    (tmp_path / "pw").write_text("pw\n")
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read",
               "+ping")
    cmd = Smtpusers(server, tmp_path, redis_user="reader",
                    redis_password_file=str(tmp_path / "pw"))
    assert "NOPERM" in cmd.fails(EX_NOPERM, "add", "a", "--no-password")
    cmd.ok("list")
    assert cmd.ok("list", "--names").stdout == ""


# What a command needs beside those: Sentinels, clusters.
ELSEWHERE = {"role", *acl.SEVERAL, *acl.MOVING}


def test_the_rights_that_setup_prints_suffice(server, tmp_path):
    """And each of them is used."""
    cmd = log_in_as(server, "command", tmp_path, redis_db=1)
    with server.connect() as connection:
        connection.command("SELECT", 1)
        for words in BEFORE:
            connection.command(*words)
    server.cli("CONFIG", "RESETSTAT")
    cmd.fails(EX_NOUSER, "show", "alice")
    server.cli("ACL", "SETUSER", "command", "-function|load")
    for words in EVERYTHING:
        cmd.ok(*words)
    cmd.ok("import", stdin=b'{"name": "carol", "domains": ["a.example"]}')
    cmd.ok("suppress", "import", "alice", stdin=b"b.example\n")
    for words in WITHOUT_SUCCESS:
        result = cmd.run(*words)
        assert "NOPERM" not in result.stdout + result.stderr
    cmd.ok("rm", "odd", "--yes")
    follower = cmd.start("events", "-f")
    try:
        wait_until(lambda: "cmd=xread " in server.cli("CLIENT", "LIST"), 20,
                   "the one who follows")
        cmd.ok("block", "carol")
        assert "user.blocked" in follower.stdout.readline()
    finally:
        follower.kill()
        follower.communicate()
    assert [dict(zip(entry[::2], entry[1::2]))["object"]
            for entry in server.cli("ACL", "LOG")] == []
    assert set(acl.RIGHTS["command"]) - ELSEWHERE <= called(server)
    server.cli("FUNCTION", "FLUSH")
    told = cmd.fails(EX_NOPERM, "show", "alice")
    assert "The functions are missing or old; see Loading in" in told


# What a relay has written, and what check finds.
BEFORE = [
    ("HSET", "smtp:report:{%s}" % ("1" * 18), "reason", "domain"),
    ("HSET", "smtp:relay:{mx1}:filter", "version", "1.0"),
    ("ZADD", "smtp:relays", 2 ** 31, "filter:mx1", 5, "table:mx1"),
    ("SET", "smtp:ip:{192.0.2.77}", "-"), ("SET", "smtp:ip:{x}", "alice"),
    ("SADD", "smtp:user:{gone}:ips", "192.0.2.1"),
    ("HSET", "smtp:user:{odd}", "mode", "all", "account", "acme"),
    ("XADD", "smtp:user:{odd}:log", "*", "event", "login"),
    ("SADD", "smtp:user:{odd}:domains", "A.example"),
    ("SADD", "smtp:user:{odd}:ips", "192.0.2.1", "192.0.2.7/24")]

EVERYTHING = [words.split() for words in (
    "add alice --generate --domain example.org --quota 5 --rate 9/1h",
    "passwd alice --generate", "ip add alice 192.0.2.1 192.0.2.0/25",
    "ip rm alice 192.0.2.1 192.0.2.0/25", "set alice restricted 0",
    "ipauth set alice 192.0.2.1",
    "ipauth set alice 192.0.2.2", "show alice", "list --ip-auth --unused 0",
    "explain alice --mail-from a@example.org --source 192.0.2.1",
    "list --domain example.org --json", "ipauth clear alice",
    "domain add alice a.example", "domain rm alice a.example",
    "set alice description x", "set alice description", "block alice",
    "allow alice", "set alice sender_quota 5", "quota alice --reset",
    "log alice",
    "account add acme --domain b.example", "set alice account acme",
    "account set acme plan pro", "account domain add acme c.example",
    "account domain rm acme c.example", "account show acme",
    "account list", "account quota acme --reset", "account set acme quota 5",
    "explain alice --mail-from a@c.example --source 192.0.2.1",
    "suppress add alice --for 1h x.example y.example",
    "suppress rm alice x.example", "suppress rm alice --expired",
    "suppress list alice", "suppress add --account acme z.example",
    "fields", "report " + "1" * 18, "events", "events alice --since 1h",
    "top", "stats", "metrics", "export", "list --names",
    "status --forget mx1", "account set acme status blocked",
    "account rm acme --yes", "rename alice bob", "rm bob --yes --purge",
    "add alice --no-password", "complete user", "complete user-fields")]

# Which find something, or lack something that is not Redis's.
WITHOUT_SUCCESS = [words.split() for words in (
    "check --fix", "check", "check alice gone", "status", "queue alice",
    "check --server --relay-user root")]


def test_database(server, tmp_path):
    cmd = Smtpusers(server, tmp_path, redis_db=3)
    cmd.ok("add", "alice", "--no-password")
    assert server.cli("DBSIZE") == 0
    with server.connect() as connection:
        connection.command("SELECT", 3)
        assert connection.command("EXISTS", cmd.key("alice")) == 1


def test_a_refused_database_does_not_go_on_in_another(server, tmp_path):
    Smtpusers(server, tmp_path).ok("add", "alice", "--no-password")
    cmd = Smtpusers(server, tmp_path, redis_db=99)
    before = cmd.snapshot()
    for words in COMMANDS:
        assert "99" in cmd.fails(EX_UNAVAILABLE, *words)
    assert cmd.snapshot() == before


def test_prefix(cmd, redis, tmp_path):
    other = Smtpusers(redis, tmp_path, prefix="other:")
    other.ok("add", "alice", "--no-password")
    assert redis.cli("KEYS", "*") == ["other:user:{alice}"]


def test_valkey(tmp_path):
    with RedisServer(tmp_path, program="valkey-server") as server:
        cmd = Smtpusers(server, tmp_path)
        works(cmd)
        for n in range(16):
            server.cli("HSET", cmd.key("u%d" % n), "status", "allowed")
        results = cmd.race(*[("ipauth", "set", "u%d" % n, "192.0.2.7")
                             for n in range(16)])
        assert [result.returncode for result in results].count(0) == 1
        cmd.server.cli("HSET", cmd.key("bob"), "description", "a\n\"\\\x01")
        assert cmd.json("show", "bob")["description"] == "a\n\"\\\x01"


# Failures

COMMANDS = [("add", "bob", "--no-password"), ("show", "alice"), ("list",),
            ("passwd", "alice", "--generate"), ("block", "alice"),
            ("rm", "alice", "--yes"), ("source", "add", "alice", "192.0.2.1"),
            ("ipauth", "set", "alice", "192.0.2.1")]


@pytest.mark.parametrize("words", COMMANDS)
def test_redis_is_gone(server, tmp_path, words):
    cmd = Smtpusers(server, tmp_path)
    server.stop()
    assert "connect" in cmd.fails(EX_UNAVAILABLE, *words)


def test_redis_stands_still(server, tmp_path):
    cmd = Smtpusers(server, tmp_path, redis_timeout=20)
    server.pause()
    words = cmd.fails(EX_UNAVAILABLE, "block", "alice")
    assert "did not answer within 0.2 s" in words
    server.resume()


def test_redis_that_may_not_be_written(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    cmd.ok("add", "alice", "--no-password")
    server.cli("REPLICAOF", "127.0.0.1", free_port())
    for words in COMMANDS[:1] + COMMANDS[3:]:
        assert "READONLY" in cmd.fails(EX_UNAVAILABLE, *words)
    assert cmd.json("show", "alice")["status"] == "allowed"


def test_configuration_is_missing(cmd):
    cmd.file.unlink()
    assert str(cmd.file) in cmd.fails(EX_CONFIG, "list")


def test_configuration_is_wrong(cmd):
    cmd.file.write_text("prefix = \"smtp:\"\nredis = \"nowhere\"\n")
    assert "%s:2: " % cmd.file in cmd.fails(EX_CONFIG, "list")


def test_parser_of_the_configuration_is_missing(cmd):
    cmd.environment["SMTPUSERS_FILTER"] = "/nonexistent/filter"
    assert "/nonexistent/filter" in cmd.fails(EX_CONFIG, "list")


@pytest.mark.parametrize("words", [
    (), ("frob",), ("add",), ("ip",), ("source", "add", "alice"),
    ("ip", "frob", "alice"), ("ipauth", "set", "alice"), ("list", "alice"),
    ("add", "alice", "--passwrod"), ("add", "alice", "--gen"),
    ("add", "alice", "--stdin", "--generate"),
    ("add", "alice", "--no-password", "--generate"), ("-x", "list")])
def test_usage(cmd, words):
    told = cmd.fails(EX_USAGE, *words)
    assert told.startswith("usage: smtpusers")
    assert "\nsmtpusers: " in told


@pytest.mark.parametrize("words", [
    ("passwd", "alice", "--scheme", "md5"), ("add", "a", "--scheme", "")])
def test_scheme(cmd, words):
    assert "not one of yescrypt, bcrypt" in cmd.fails(EX_DATAERR, *words)


@pytest.mark.parametrize("words", [
    (), ("add",), ("passwd",), ("show",), ("list",), ("rm",), ("block",),
    ("allow",), ("source",), ("source", "add"), ("source", "rm"), ("ipauth",),
    ("ipauth", "set"), ("ipauth", "clear")])
def test_help_needs_no_redis(words):
    result = subprocess.run([SCRIPT, *words, "--help"], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 0 and result.stderr == ""
    assert " ".join(("usage: smtpusers",) + words) in result.stdout


@pytest.mark.parametrize("words, closed, code", [
    (("rm", "alice"), "<&-", EX_USAGE), (("passwd", "alice"), "<&-", EX_USAGE),
    (("passwd", "alice", "--stdin"), "<&-", EX_DATAERR),
    (("list",), ">&-", 0), (("rm", "alice", "--yes"), "<&- >&- 2>&-", 0)])
def test_streams_that_the_caller_has_closed(cmd, words, closed, code):
    cmd.ok("add", "alice", "--no-password")
    result = subprocess.run(["sh", "-c", 'exec "$@" ' + closed, "sh",
                             *cmd.argv(*words)], env=cmd.environment,
                            capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words, code", [
    (("list",), EX_IOERR), (("list", "--json"), EX_IOERR),
    (("list", "--names"), EX_IOERR), (("show", "alice"), EX_IOERR),
    (("quota", "alice"), EX_IOERR), (("log", "alice"), EX_IOERR),
    (("account", "list"), EX_IOERR), (("export",), EX_IOERR),
    (("import",), EX_IOERR), (("--help",), EX_IOERR),
    (("add", "--help"), EX_IOERR), (("block", "alice"), 0),
    # What was wrong before counts.
    (("check",), EX_DATAERR), (("show", "bob"), EX_NOUSER)])
def test_output_that_cannot_be_written(cmd, words, code):
    cmd.ok("add", "alice", "--no-password")
    cmd.server.cli("XADD", cmd.key("alice", ":log"), "*", "event", "login")
    result = cmd.redirected(">/dev/full", *words)
    assert result.returncode == code
    assert len(result.stderr.splitlines()) == (
        2 if words == ("check",) else code != 0)
    told = "smtpusers: standard output: No space left on device\n"
    assert (told in result.stderr) is (
        code == EX_IOERR or words == ("check",))


@pytest.mark.parametrize("words, code", [
    (("list", "--frob"), EX_USAGE), (("show", "bob"), EX_NOUSER),
    (("set", "alice", "account", "acme"), 0)])
def test_errors_that_cannot_be_written(cmd, words, code):
    cmd.ok("add", "alice", "--no-password")
    assert cmd.redirected("2>/dev/full", *words).returncode == code


@pytest.mark.parametrize("words", [
    ("list", "\x1b[31mx"), ("list", "--status", "\x1b]0;x\x07"),
    ("-f", "/x\x1b[2J", "list"), ("show", "alice", "a\nb\x9b"),
    ("\x1b[31m",)])
def test_the_command_line_comes_back_visible(cmd, words):
    told = cmd.run(*words).stderr
    assert told and all(line.isprintable() for line in told.splitlines())
    assert "\\x1b" in told or "\\u009b" in told


def test_a_reader_that_has_seen_enough(cmd):
    cmd.ok("add", "alice", "--no-password")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(cmd.argv("list"), env=cmd.environment,
                                stdout=writer, stderr=subprocess.PIPE,
                                check=False)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")
