# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers export: every record, exactly, and what comes of it again."""

import csv
import io
import json
import subprocess

import jsonschema
import pytest

from places import PATIENCE, REDIS7
from cli import EX_DATAERR, EX_UNAVAILABLE, Smtpusers
from redisserver import RedisServer, encode
from transfers import CREATED, HASH, contents, fill, peak, schema

SCHEMA = schema("export.json")
EX_IOERR = 74
COLUMNS = ["type", "name", "password", "account", "mode", "status", "quota",
           "quota_period", "rate", "over", "sender_quota", "sender_rate",
           "max_recipients", "max_size",
           "alarms", "ip_auth", "restricted", "blocked_by", "blocked_at",
           "blocked_until", "description", "created", "plan", "user_prefix", "domains", "ips",
           "suppressed"]


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


@pytest.fixture
def server(tmp_path):
    """A Redis that the test may do to what it likes."""
    with RedisServer(tmp_path) as server:
        yield server


def exported(cmd, *options):
    """The objects of an export, each as the schema wants it."""
    records = [json.loads(line) for line
               in cmd.ok("export", *options).stdout.splitlines()]
    for record in records:
        jsonschema.validate(record, SCHEMA)
    return records


def populate(server):
    """Records as provisioning writes them, with all that they can have."""
    server.cli("HSET", "smtp:account:{acme}", "plan", "pro", "status",
               "allowed")
    server.cli("SADD", "smtp:account:{acme}:domains", "acme.example",
               "xn--bcher-kva.example")
    server.cli("HSET", "smtp:account:{basic}", "plan", "basic")
    server.cli("HSET", "smtp:user:{alice}", "password", HASH, "account",
               "acme", "mode", "any", "status", "sandboxed", "quota", "1000",
               "quota_period", "30d", "rate", "10/1m 100/1h", "description",
               "the \"big\" one, \\ é 本 🙂", "created", CREATED, "ip_auth",
               "2001:db8::1", "restricted", "1")
    server.cli("SET", "smtp:ip:{2001:db8::1}", "alice")
    server.cli("SADD", "smtp:user:{alice}:domains", "example.org",
               "example.net")
    server.cli("SADD", "smtp:user:{alice}:ips", "192.0.2.0/24",
               "2001:db8::/32")
    server.cli("HSET", "smtp:user:{b.o+b_1-x}", "password", "!" + HASH,
               "created", CREATED)
    server.cli("HSET", "smtp:user:{printer}", "ip_auth", "192.0.2.7",
               "created", CREATED)
    server.cli("SET", "smtp:ip:{192.0.2.7}", "printer")


def test_a_record_is_an_object(cmd):
    populate(cmd.server)
    records = {record["name"]: record for record in exported(cmd)}
    assert records["acme"] == {
        "type": "account", "name": "acme", "plan": "pro", "status": "allowed",
        "user_prefix": None, "alarms": None, "quota": None, "quota_period": None,
        "rate": None, "over": None, "max_recipients": None, "max_size": None,
        "domains": ["acme.example", "xn--bcher-kva.example"]}
    assert records["alice"] == {
        "type": "user", "name": "alice", "password": HASH, "account": "acme",
        "mode": "any", "status": "sandboxed", "quota": "1000",
        "quota_period": "30d", "rate": "10/1m 100/1h",
        "description": "the \"big\" one, \\ é 本 🙂", "created": CREATED,
        "over": None, "sender_quota": None, "sender_rate": None,
        "max_recipients": None, "max_size": None,
        "alarms": None, "blocked_by": None, "blocked_at": None,
        "blocked_until": None, "ip_auth": "2001:db8::1", "restricted": "1",
        "domains": ["example.net", "example.org"],
        "ips": ["192.0.2.0/24", "2001:db8::/32"]}
    assert records["printer"]["password"] is None
    assert records["printer"]["domains"] == []
    assert set(records) == {"acme", "basic", "alice", "b.o+b_1-x", "printer"}


def test_accounts_come_first(cmd):
    populate(cmd.server)
    types = [record["type"] for record in exported(cmd)]
    assert types == ["account"] * 2 + ["user"] * 3
    assert {r["type"] for r in exported(cmd, "--users")} == {"user"}
    assert {r["type"] for r in exported(cmd, "--accounts")} == {"account"}


def test_csv_is_as_rfc_4180_has_it(cmd):
    populate(cmd.server)
    text = cmd.ok("export", "--format", "csv").stdout
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    alice = next(row for row in rows if row["name"] == "alice")
    assert alice["description"] == "the \"big\" one, \\ é 本 🙂"
    assert alice["domains"] == "example.net example.org"
    assert alice["plan"] == ""
    assert [row["type"] for row in rows] == ["account"] * 2 + ["user"] * 3


def test_nothing_is_nothing(cmd):
    assert cmd.ok("export").stdout == ""
    assert cmd.ok("export", "--format", "csv").stdout == (
        ",".join(COLUMNS) + "\r\n")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_round_trip(cmd, tmp_path, form):
    populate(cmd.server)
    before = contents(cmd.server)
    path = tmp_path / "backup"
    path.write_text(cmd.ok("export", "--format", form).stdout, newline="")
    cmd.server.cli("FLUSHALL")
    done = cmd.ok("import", str(path))
    assert done.stdout == ("5 lines: 5 added, 0 changed, 0 same, 0 errors\n")
    assert contents(cmd.server) == before
    again = cmd.ok("import", str(path))
    assert again.stdout == ("5 lines: 0 added, 0 changed, 5 same, 0 errors\n")
    assert contents(cmd.server) == before


def test_what_panels_leave_out_comes_back_as_the_same(cmd):
    """An account without a plan, a list of sources without restricted; the
    user also with more domains than a call takes."""
    cmd.server.cli("HSET", "smtp:account:{acme}", "status", "allowed")
    cmd.server.cli("HSET", cmd.key("alice"), "password", HASH)
    cmd.server.cli("SADD", cmd.key("alice", ":ips"), "192.0.2.1")
    for domains in (), ["d%d.example" % n for n in range(3000)]:
        if domains:
            cmd.server.cli("SADD", cmd.key("alice", ":domains"), *domains)
        before = cmd.snapshot()
        backup = cmd.ok("export").stdout.encode()
        assert cmd.ok("import", stdin=backup).stdout == (
            "2 lines: 0 added, 0 changed, 2 same, 0 errors\n")
        assert cmd.snapshot() == before


@pytest.mark.parametrize("program", ["valkey-server", REDIS7])
def test_round_trip_on_other_servers(tmp_path, program):
    with RedisServer(tmp_path, program=program) as server:
        cmd = Smtpusers(server, tmp_path)
        populate(server)
        before = contents(server)
        text = cmd.ok("export").stdout
        server.cli("FLUSHALL")
        cmd.ok("import", stdin=text.encode())
        assert contents(server) == before


def test_round_trip_by_valkey_cli(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "valkey-cli").symlink_to("/usr/bin/valkey-cli")
    with RedisServer(tmp_path, program="valkey-server") as server:
        cmd = Smtpusers(server, tmp_path)
        cmd.environment["PATH"] = str(tools)
        populate(server)
        before = contents(server)
        text = cmd.ok("export").stdout
        server.cli("FLUSHALL")
        cmd.ok("import", stdin=text.encode())
        assert contents(server) == before
        assert "can never send" in cmd.run("check").stdout


def test_a_prefix_and_its_special_characters(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path, prefix="a*[b]?:")
    redis.cli("HSET", "a*[b]?:user:{bob}", "mode", "all")
    redis.cli("HSET", "axb:user:{other}", "mode", "all")
    assert [record["name"] for record in exported(cmd)] == ["bob"]


EVERY = bytes(range(1, 256)).replace(b" ", b"")


def test_every_byte_survives_json(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "description", EVERY + b"\0",
                   "mode", b"\xff")
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), EVERY, b"\xc3", b"",
                   b"a b")
    [bob] = exported(cmd)
    assert encode(bob["description"]) == EVERY + b"\0"
    assert encode(bob["mode"]) == b"\xff"
    assert set(map(encode, bob["domains"])) == {EVERY, b"\xc3", b"", b"a b"}


def test_every_byte_survives_csv(cmd):
    cmd.server.cli("HSET", cmd.key("bob"), "description", EVERY)
    cmd.server.cli("SADD", cmd.key("bob", ":ips"), EVERY, b"\xc3")
    out = subprocess.run(cmd.argv("export", "--format", "csv"),
                         env=cmd.environment, check=True,
                         capture_output=True).stdout
    text = out.decode("utf-8", "surrogateescape")
    [bob] = csv.DictReader(io.StringIO(text, newline=""))
    assert encode(bob["description"]) == EVERY
    assert set(map(encode, bob["ips"].split(" "))) == {EVERY, b"\xc3"}


def test_a_forged_line_in_a_field_stays_in_its_field(cmd, tmp_path):
    cmd.server.cli("HSET", cmd.key("bob"), "description",
                   "x\r\nuser,mallory,%s\r\n{\"name\": \"mallory\"}" % HASH)
    for form in ("jsonl", "csv"):
        text = cmd.ok("export", "--format", form).stdout
        cmd.run("import", "--format", form, stdin=text.encode())
        assert cmd.server.cli("KEYS", "*") == [cmd.key("bob")]


@pytest.mark.parametrize("member", ["", "two words"])
def test_what_csv_cannot_tell(cmd, member):
    cmd.server.cli("HSET", cmd.key("bob"), "mode", "all")
    cmd.server.cli("SADD", cmd.key("bob", ":domains"), member)
    cmd.server.cli("HSET", cmd.key("carol"), "mode", "all")
    result = cmd.run("export", "--format", "csv")
    assert result.returncode == EX_DATAERR
    assert "smtp:user:{bob}: domains: " in result.stderr
    assert [row["name"] for row in csv.DictReader(
        io.StringIO(result.stdout, newline=""))] == ["carol"]


BROKEN = [
    (("SET", "smtp:user:{bob}", "x"), "smtp:user:{bob}: not a hash"),
    (("SADD", "smtp:account:{acme}", "x"), "smtp:account:{acme}: not a hash"),
    (("SET", "smtp:user:{alice}:domains", "x"),
     "smtp:user:{alice}: domains: not a set"),
    (("HSET", "smtp:user:{alice}:ips", "x", "y"),
     "smtp:user:{alice}: ips: not a set"),
    (("HSET", "smtp:user:{Bob}", "mode", "all"),
     "smtp:user:{Bob}: not a name"),
    (("HSET", "smtp:user:{a\n}", "mode", "all"),
     "smtp:user:{a\\n}: not a name"),
    (("HSET", "smtp:user:{a}{b}", "mode", "all"),
     "smtp:user:{a}{b}: not a name")]


@pytest.mark.parametrize("command, words", BROKEN)
def test_what_cannot_be_exported_is_told_and_the_rest_goes_on(cmd, command,
                                                              words):
    for number in range(50):
        cmd.server.cli("HSET", cmd.key("u%d" % number), "mode", "all")
    cmd.server.cli("HSET", cmd.key("alice"), "mode", "all")
    cmd.server.cli(*command)
    broken = command[1].startswith(cmd.key("alice"))
    result = cmd.run("export")
    assert result.returncode == EX_DATAERR
    assert result.stderr == ("smtpusers: %s\nsmtpusers: 1 record could not "
                             "be exported\n" % words)
    names = [json.loads(line)["name"] for line in result.stdout.splitlines()]
    assert len(names) == 50 + (not broken)


def test_a_large_set_is_one_line(cmd):
    names = ["d%d.example" % number for number in range(20000)]
    with cmd.server.connect() as connection:
        connection.command("HSET", cmd.key("bob"), "mode", "all")
        for start in range(0, len(names), 1000):
            connection.command("SADD", cmd.key("bob", ":domains"),
                               *names[start:start + 1000])
        connection.command("HSET", cmd.key("carol"), "mode", "any")
    records = {record["name"]: record for record in exported(cmd)}
    assert records["bob"]["domains"] == sorted(names)
    assert records["carol"]["mode"] == "any"


def test_many_users(cmd):
    fill(cmd.server, 5000)
    lines = cmd.ok("export", "--users").stdout.splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert sorted(names) == sorted("u%d" % n for n in range(1, 5001))


def test_redis_goes_in_the_middle(server, tmp_path):
    """What is exported does not fit a pipe: the command is in its midst."""
    cmd = Smtpusers(server, tmp_path)
    fill(server, 5000)
    with cmd.start("export") as process:
        assert process.stdout.readline().startswith("{")
        server.kill()
        rest, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == EX_UNAVAILABLE
    assert rest.count("\n") < 4999 and rest.endswith("}\n")
    assert err.startswith("smtpusers: ") and "Traceback" not in err


def test_a_reader_that_has_seen_enough(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    fill(server, 5000)
    with cmd.start("export") as process:
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        err = process.stderr.read()
        assert (process.wait(PATIENCE), err) == (0, "")


@pytest.mark.parametrize("count", [1, 5000])
def test_a_full_disk(cmd, count):
    fill(cmd.server, count)
    with open("/dev/full", "wb") as full:
        result = subprocess.run(cmd.argv("export"), env=cmd.environment,
                                stdout=full, stderr=subprocess.PIPE,
                                text=True, check=False)
    assert (result.returncode, result.stderr) == (
        EX_IOERR, "smtpusers: standard output: No space left on device\n")


def test_output_that_the_caller_has_closed(cmd):
    populate(cmd.server)
    result = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh",
                             *cmd.argv("export")], env=cmd.environment,
                            capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_memory_does_not_grow_with_the_number_of_users(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    fill(server, 500)
    few = peak(cmd, "export")
    fill(server, 20000)
    assert peak(cmd, "export") < few + (8 << 10)
