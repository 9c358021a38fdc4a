# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers-functions(7): what it shows is run as it stands there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from library import Library
from manual import displays
from places import PATIENCE, SOURCE, free_port, workdir
from cli import verifies
from quotas import LUA
from redisserver import RedisServer, ReplyError
from relay import certificate
from test_functions_servers import RIGHTS, live

PAGE = SOURCE / "scripts" / "smtpusers-functions.7"
SOCKET = Path("/run/redis/redis-server.sock")
INSTALLED = Path("/usr/local/share/smtpusers/smtpusers.lua")


EXAMPLES = dict(displays(PAGE))
OVER_TLS = {"Over TLS with PHP": ("php", ".php"),
            "Over TLS with Node.js": ("node", ".js"),
            "Over TLS with Python": ("python3", ".py")}


@pytest.fixture
def library():
    """A Redis where the page says that it is."""
    with RedisServer(workdir("redis")) as server:
        SOCKET.parent.mkdir(parents=True, exist_ok=True)
        SOCKET.symlink_to(server.socket)
        try:
            yield Library(server)
        finally:
            SOCKET.unlink()


def run(*argv, text, suffix, **options):
    """The output of a program that ends well."""
    path = workdir("example") / ("example" + suffix)
    path.write_text(text)
    result = subprocess.run([*argv, path], capture_output=True,
                            timeout=PATIENCE,
                            encoding="utf-8", check=False, **options)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_all_examples_are_run():
    assert set(EXAMPLES) == {"Loading", "The platform", "A tenant",
                             "An account of a tenant",
                             "redis-cli", "PHP", "Node.js", "Python",
                             *OVER_TLS}


def words(text):
    """What a list of mdoc(7) names."""
    return [word for line in re.findall(r"^\.(?:It )?Cm (.*)", text, re.M)
            for word in re.findall(r"\w+", line)]


def test_the_fields_and_kinds_are_those_that_are_told(library):
    page = PAGE.read_text()
    kinds = json.loads(library.redis.cli("FCALL_RO", "smtpusers_describe", 0))[
        "kinds"]
    for kind, heading in (("user", "Fields"), ("account", "Accounts")):
        listed = page.partition(".Ss %s\n" % heading)[2].partition(".El\n")[0]
        rows = kinds[kind]["fields"] + kinds[kind]["sets"]
        assert sorted(words("\n".join(re.findall(r"^\.It Cm .*", listed,
                                                 re.M)))) == sorted(
            row["name"] for row in rows), heading
    listed = page.partition(".It Ic smtpusers_canonical ")[2].partition(
        ".Ar kind\nis\n")[2].partition(".It ")[0]
    assert sorted(words(listed)) == sorted(
        {row["kind"] for kind in kinds.values()
         for row in kind["fields"] + kind["sets"]} | {"name", "domain",
                                                       "suppressed"})


def test_loading(library):
    library.redis.cli("FUNCTION", "FLUSH")
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    INSTALLED.symlink_to(LUA)
    try:
        command = EXAMPLES["Loading"].replace(
            "redis-cli", "redis-cli -s %s" % SOCKET)
        assert subprocess.run(["sh", "-ec", command], check=True,
                              stdout=subprocess.PIPE).stdout.startswith(
                                  b"smtpusers_")
    finally:
        INSTALLED.unlink()
    assert library.redis.cli("FCALL", "smtpusers_version", 0)


def test_redis_cli(library):
    text = EXAMPLES["redis-cli"]
    out = run("sh", text=text, suffix=".sh", input="Sesame-77\n").splitlines()
    assert out[:3] == ["added", "changed", "2"]
    user = json.loads(out[3])
    assert len(out) == 4
    assert user["domains"] == ["alice.example", "xn--bcher-kva.example"]
    assert (user["mode"], user["rate"]) == ("all", "20/1m 500/1d")
    assert user["problems"] == []
    stored = library.fields(library.user())["password"]
    assert verifies("Sesame-77", stored)
    out = run("sh", text=text, suffix=".sh", input="Sesame-77\n").splitlines()
    assert out[:3] == ["same", "changed", "0"]


def test_redis_cli_ends_at_an_error(library):
    text = EXAMPLES["redis-cli"].replace("mode all", "mode everything")
    with pytest.raises(AssertionError, match="INVALID everything: not one of"):
        run("sh", text=text, suffix=".sh", input="Sesame-77\n")
    assert library.keys() == set()


def test_php(library):
    out = run("php", text=EXAMPLES["PHP"], suffix=".php")
    assert out == ("Please correct: lots: not a quota: a number of messages, "
                   "at most 10^12, 0 = unlimited\nadded\n")
    fields = library.fields(library.user("bob"))
    assert fields["quota"] == "100"
    word = "correct horse battery"
    assert verifies(word, fields["password"])
    assert library.members(library.user("bob", "domains")) == {"bob.example"}
    assert "EXISTS" in run("php", text=EXAMPLES["PHP"], suffix=".php")


def test_php_without_the_library(library):
    """The error that phpredis does not throw by itself."""
    library.redis.cli("FUNCTION", "FLUSH")
    assert run("php", text=EXAMPLES["PHP"], suffix=".php") == "ERR\nERR\n"


def test_node(library):
    out = run("node", text=EXAMPLES["Node.js"], suffix=".js",
              env={**os.environ, "NO_COLOR": "1"})
    assert out.splitlines() == [
        "1", "0 of 50 per 1d", "[", "  'no password and no IP authentication, "
        "so nobody can log in',", "  'mode default without domains: can never "
        "send'", "]"]
    assert library.fields(library.account()) == {"plan": "pro"}
    assert library.members(library.account("acme", "domains")) == {
        "acme.example"}
    assert library.fields(library.user("carol"))["account"] == "acme"


def test_python(library):
    out = run("python3", text=EXAMPLES["Python"], suffix=".py")
    assert re.fullmatch(r"INUSE 2001:db8::25: another user has this address\n"
                        r"1\nerin default 2\d{3}\n", out)
    assert library.keys() == {library.user("erin"),
                              library.user("erin", "domains")}
    assert "ip_auth" not in library.fields(library.user("erin"))


@pytest.fixture(scope="module")
def encrypted():
    """A Redis with TLS, a panel's user and the functions; how a program that
    the page shows is pointed at it."""
    cert, key = certificate(workdir("tls"), "DNS:localhost")
    port = free_port()
    extra = ("--tls-port", port, "--tls-key-file", key, "--tls-cert-file",
             cert, "--tls-auth-clients", "no")
    with RedisServer(workdir("redis"), extra=extra) as server:
        server.cli(*EXAMPLES["The platform"].replace(
            ">PASSWORD", ">secret").split())
        Library(server)
        yield lambda text: text.replace("redis.example.net", "localhost") \
            .replace("6379", str(port)) \
            .replace("/etc/ssl/redis-ca.pem", str(cert))


@pytest.mark.parametrize("name", OVER_TLS)
def test_over_tls(encrypted, name):
    program, suffix = OVER_TLS[name]
    environment = {**os.environ, "REDIS_PASSWORD": "secret"}
    assert run(program, text=encrypted(EXAMPLES[name]), suffix=suffix,
               env=environment).strip().isdigit()


@pytest.mark.parametrize("name", OVER_TLS)
def test_over_tls_to_a_stranger(encrypted, name):
    """A server that another authority has signed gets no password."""
    program, suffix = OVER_TLS[name]
    other, _ = certificate(workdir("tls"), "DNS:localhost")
    text = re.sub(r"(['\"])/[^'\"]*cert\.pem", lambda match: match[1] +
                  str(other), encrypted(EXAMPLES[name]))
    assert str(other) in text
    with pytest.raises(AssertionError):
        run(program, text=text, suffix=suffix,
            env={**os.environ, "REDIS_PASSWORD": "secret"})


def test_the_grant_of_the_platform(library):
    words = EXAMPLES["The platform"].replace(">PASSWORD", ">secret").split()
    assert set(words) >= set(RIGHTS)
    library.redis.cli(*words)
    with library.redis.connect() as panel:
        panel.command("AUTH", "panel", "secret")
        live(library, lambda function, key, *rest: panel.command(
            "FCALL", "smtpusers_" + function, 1, key, *rest))
        for command in (("FUNCTION", "FLUSH"), ("KEYS", "*"), ("GET", "x"),
                        ("SCRIPT", "FLUSH"), ("CONFIG", "GET", "*")):
            with pytest.raises(ReplyError, match="^NOPERM "):
                panel.command(*command)


def test_every_function_is_told_of(library):
    text = PAGE.read_text()
    for row in library.redis.cli("FUNCTION", "LIST")[0][5]:
        name = dict(zip(row[::2], row[1::2]))["name"]
        assert re.search(r"\b%s\b" % name, text), name


def test_every_code_is_told_of():
    lua = LUA.read_text()
    codes = set(re.findall(r"fail\('([A-Z]+)'", lua))
    codes |= set(re.findall(r"missing = '([A-Z]+)'", lua))
    told = set(re.findall(r"Bq Er ([A-Z]+)", PAGE.read_text()))
    assert codes == told
