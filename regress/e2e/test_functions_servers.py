# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions on every server, in a cluster, and with few rights."""

import json

import pytest

from library import HASH, Library
from places import REDIS7, free_port, workdir
from quotas import LUA
from redisserver import RedisServer, ReplyError, wait_until

ADDRESS = "192.0.2.7"
SERVERS = {"redis": "redis-server", "redis-7.0": REDIS7,
           "valkey": "valkey-server"}

# One call of every function, and its reply.
LIFE = [
    ("user_add", "user", ("password", HASH, "domains", "a.example",
                          "ips", "192.0.2.0/24"), "added"),
    ("user_put", "user", ("quota", "5", "rate", "5/1h"), "changed"),
    ("user_set", "user", ("quota", "5"), "same"),
    ("user_domain_add", "user", ("xn--bcher-kva.example",), 1),
    ("user_domain_rm", "user", ("xn--bcher-kva.example",), 1),
    ("user_ip_add", "user", ("2001:db8::/32",), 1),
    ("user_ip_rm", "user", ("2001:db8::/32",), 1),
    ("ip_claim", "ip", ("alice",), 1),
    ("user_ipauth_only", "user", (ADDRESS,), ""),
    ("user_reset", "user", (), 0),
    ("rows", "user", ("user", "fields", "mode"), [["alice", None]]),
    ("odd_members", "user", ("ips",), ["0", 1]),
    ("is", "user", ("mode", "any"), 0),
    ("mend", "user", ("ips",), 0),
    ("bury", "user", ("ips",), 0),
    ("import", "user", ("user_set", "2", "quota", "5"), ["same"]),
    ("account_add", "account", ("domains", "b.example"), "added"),
    ("account_set", "account", ("plan", "pro"), "changed"),
    ("account_put", "account", ("plan", "pro"), "same"),
    ("account_domain_add", "account", ("c.example",), 1),
    ("account_domain_rm", "account", ("c.example",), 1),
    ("account_get", "account", (), None),
    ("user_get", "user", (), None),
    ("user_check", "user", (), []),
    ("ip_release", "ip", ("alice",), 1),
    ("ip_forget", "ip", ("x",), 0),
    ("user_ipauth_only", "user", ("", ADDRESS), ADDRESS),
    ("user_del", "user", (), 1),
    ("account_del", "account", (), 1),
]


def live(library, call):
    """All of a user's life; nothing is left of it."""
    keys = {"user": library.user(), "account": library.account(),
            "ip": library.address(ADDRESS)}
    for function, kind, words, expected in LIFE:
        reply = call(function, keys[kind], *words)
        if expected is None:
            assert json.loads(reply)["problems"] == []
        else:
            assert reply == expected, function
    assert library.keys() == set()


def fails(call, key):
    """The errors, codes first and no place in a script behind them."""
    for words, told in (
            (("user_set", key, "quota", "1"), "NOUSER alice: no such user"),
            (("user_put", key, "mode", "x"),
             "INVALID x: not one of default, all, any"),
            (("user_put", key, "domains", "a.b x"),
             "INVALID x: not a domain: there is no dot in it")):
        with pytest.raises(ReplyError) as error:
            call(*words)
        assert str(error.value) == told


@pytest.mark.parametrize("name", SERVERS)
def test_servers(name):
    with RedisServer(workdir("redis"), SERVERS[name]) as server:
        library = Library(server)
        live(library, library.call)
        fails(library.call, library.user())
        assert library.canonical("address", "[::FFFF:1.2.3.4]", "domain",
                                 "XN--BCHER-KVA.example.") == [
            "1.2.3.4", "xn--bcher-kva.example"]


@pytest.fixture
def cluster():
    """A cluster of one server, which has every slot."""
    extra = ("--cluster-enabled", "yes", "--port", free_port(),
             "--cluster-port", free_port(), "--bind", "127.0.0.1")
    with RedisServer(workdir("redis"), extra=extra) as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: "cluster_state:ok" in server.cli("CLUSTER", "INFO"),
                   20, "the cluster to be one")
        yield server


def test_no_function_crosses_slots(cluster):
    library = Library(cluster)
    assert cluster.cli("CLUSTER", "KEYSLOT", library.user()) != cluster.cli(
        "CLUSTER", "KEYSLOT", library.account())
    live(library, library.call)
    # That such a cluster does tell, and does not let it pass.
    with pytest.raises(ReplyError, match="CROSSSLOT"):
        cluster.cli("DEL", library.user(), library.account())
    cluster.cli("FUNCTION", "LOAD", "REPLACE", """#!lua name=cross
redis.register_function('cross', function(keys)
	return redis.call('SET', 'another', redis.call('GET', keys[1]) or '')
end)
""")
    with pytest.raises(ReplyError, match="slot"):
        cluster.cli("FCALL", "cross", 1, library.user())


RIGHTS = ("~smtp:user:*", "~smtp:account:*", "~smtp:ip:*",
          "+fcall", "+fcall_ro", "+type", "+exists", "+time", "+get", "+set",
          "+unlink", "+expire", "+rename", "+hlen", "+hget", "+hmget",
          "+hgetall", "+hset", "+hdel", "+sadd", "+srem", "+scard",
          "+smembers", "+sismember", "+smismember", "+sscan")


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_of_few_rights(name):
    with RedisServer(workdir("redis"), SERVERS[name]) as server:
        library = Library(server)
        server.cli("ACL", "SETUSER", "panel", "reset", "on", ">secret-word",
                   *RIGHTS)
        panel = server.connect()
        panel.command("AUTH", "panel", "secret-word")

        def call(function, key, *words):
            return panel.command("FCALL", "smtpusers_" + function, 1, key,
                                 *words)

        live(library, call)
        other = Library(server, "other:")
        for words in (("user_put", other.user()), ("user_get", other.user()),
                      ("ip_claim", other.address(ADDRESS), "alice")):
            with pytest.raises(ReplyError, match="^NOPERM "):
                call(*words)
        for words in (("FUNCTION", "LOAD", "REPLACE", LUA.read_text()),
                      ("FLUSHALL",), ("KEYS", "*")):
            with pytest.raises(ReplyError, match="^NOPERM "):
                panel.command(*words)
        panel.close()


def test_rights_that_are_missing_are_told(redis):
    """What was not permitted is Redis's error, with its code in front."""
    library = Library(redis)
    redis.cli("ACL", "SETUSER", "panel", "reset", "on", ">secret-word",
              *RIGHTS, "-hset")
    try:
        with redis.connect() as panel:
            panel.command("AUTH", "panel", "secret-word")
            with pytest.raises(ReplyError) as error:
                panel.command("FCALL", "smtpusers_user_put", 1,
                              library.user())
        assert str(error.value).startswith(("ERR ", "NOPERM "))
        assert "on @user_function" not in str(error.value)
        assert library.keys() == set()
    finally:
        redis.cli("ACL", "DELUSER", "panel")
