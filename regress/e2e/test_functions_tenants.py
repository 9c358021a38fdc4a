# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A tenant's panel, with the rights that smtpusers-functions(7) grants it: it
does what is its own, and breaks out nowhere."""

import json

import pytest

from library import HASH, Library, pairs
from places import workdir
from redisserver import RedisServer, ReplyError
from session import Session
from test_functions_manual import EXAMPLES
from test_functions_servers import SERVERS
from users import crypt

OWN = "acme-bob"
PASSWORD = "Open-Sesame1"


class Tenant:
    """The connection of the ACL user."""

    def __init__(self, server):
        self.redis = server
        self.library = Library(server)
        server.cli(*EXAMPLES["A tenant"].replace(
            ">PASSWORD", ">secret").split())
        server.cli(*EXAMPLES["An account of a tenant"].split())
        self.connection = server.connect()
        self.connection.command("AUTH", "acme", "secret")

    def call(self, function, key, *words):
        return self.connection.command("FCALL", "smtpusers_" + function, 1,
                                       key, *words)

    def user(self, *rest):
        return self.library.user(OWN, *rest)


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    with RedisServer(workdir("redis"), SERVERS[request.param]) as server:
        yield server


@pytest.fixture
def tenant(server):
    """The account acme and that of another, with users of both."""
    server.cli("FLUSHALL")
    library = Library(server)
    library.call("account_add", library.account(), "domains", "acme.example")
    library.call("account_add", library.account("other"), "plan", "pro",
                 "domains", "other.example", "user_prefix", "other-")
    library.call("user_add", library.user("other-eve"), "password", HASH,
                 "account", "other", "mode", "all", "domains",
                 "eve.example", "ip_auth", "192.0.2.9")
    library.call("user_add", library.user(OWN), "password", HASH, "account",
                 "acme", "domains", "acme.example")
    tenant = Tenant(server)
    yield tenant
    tenant.connection.close()
    server.cli("ACL", "DELUSER", "acme")


def test_what_is_its_own(tenant):
    """All of a user's life."""
    carol = tenant.library.user("acme-carol")
    assert tenant.call("user_add", carol, *pairs(
        password=HASH, account="acme", mode="all", quota="5", rate="9/1h",
        ips="192.0.2.0/24")) == "added"
    assert tenant.call("user_set", carol, "status", "blocked") == "changed"
    assert tenant.call("user_put", carol, "status", "") == "changed"
    assert tenant.call("user_ip_add", carol, "::1") == 1
    assert tenant.call("user_ip_rm", carol, "::1") == 1
    assert tenant.call("user_reset", carol) == 0
    assert json.loads(tenant.call("user_get", carol))["problems"] == []
    assert json.loads(tenant.connection.command(
        "FCALL_RO", "smtpusers_account_get", 1, ACME))["domains"] == [
        "acme.example"]
    assert tenant.connection.command(
        "FCALL", "smtpusers_user_rename", 2, carol,
        tenant.library.user("acme-dave")) == "renamed"
    assert tenant.call("user_del", tenant.library.user("acme-dave")) == 1
    assert tenant.call("user_domain_rm", tenant.user(), "acme.example") == 1
    assert tenant.call("user_del", tenant.user(), "purge") == 1
    assert not [key for key in tenant.library.keys() if "{acme-" in key]


OTHER = "smtp:user:{other-eve}"
ACME, PRO = "smtp:account:{acme}", "smtp:account:{other}"
MINE = "smtp:user:{%s}" % OWN

CALLS = [
    ("user_put", MINE, "account", "other"),
    ("user_set", MINE, "account", "other"),
    ("user_add", "smtp:user:{acme-x}", "account", "other"),
    ("user_put", MINE, "domains", "other.example"),
    ("user_add", "smtp:user:{acme-x}", "domains", "other.example"),
    ("user_domain_add", MINE, "other.example"),
    ("mend", MINE, "domains", "acme.example", "other.example"),
    ("user_put", MINE, "ip_auth", "192.0.2.7"),
    ("user_ipauth", MINE, "192.0.2.7"),
    ("ip_claim", "smtp:ip:{192.0.2.7}", OWN),
    ("ip_release", "smtp:ip:{192.0.2.9}", "other-eve"),
    ("ip_forget", "smtp:ip:{192.0.2.9}", "other-eve"),
    ("user_put", "smtp:user:{bob}", "account", "acme"),
    ("user_add", "smtp:user:{acme}", "account", "acme"),
    ("user_put", OTHER, "password", HASH),
    ("user_set", OTHER, "status", "blocked"),
    ("user_del", OTHER), ("user_get", OTHER), ("user_check", OTHER),
    ("user_ip_add", OTHER, "::1"), ("user_ip_rm", OTHER, "::1"),
    ("user_domain_rm", OTHER, "eve.example"), ("user_reset", OTHER),
    ("account_set", ACME, "plan", "pro"),
    ("account_put", ACME, "status", "allowed", "plan", "pro"),
    ("account_set", ACME, "user_prefix", ""),
    ("account_domain_add", ACME, "other.example"),
    ("account_domain_rm", ACME, "acme.example"),
    ("account_add", "smtp:account:{acme-x}"), ("account_del", ACME),
    ("account_get", PRO), ("account_set", PRO, "user_prefix", ""),
    ("rows", OTHER, "user", "fields", "password"),
    ("bury", "smtp:user:{other-x}", "domains"),
]


@pytest.mark.parametrize("words", CALLS, ids=lambda words: "-".join(words[:3]))
def test_what_is_the_platforms(tenant, words):
    before = tenant.library.snapshot()
    with pytest.raises(ReplyError, match="^(NOPERM|ERR|INVALID) "):
        tenant.call(*words)
    assert tenant.library.snapshot() == before


def test_imports_and_renames_are_no_way_out(tenant):
    before = tenant.library.snapshot()
    reply = tenant.connection.command(
        "FCALL", "smtpusers_import", 1, MINE, "user_put", "2", "account",
        "other")
    assert reply[0].startswith(("NOPERM ", "ERR ", "INVALID "))
    for words in ((2, OTHER, "smtp:user:{acme-x}"),
                  (2, MINE, "smtp:user:{other-x}"), (2, MINE, OTHER)):
        with pytest.raises(ReplyError, match="^(NOPERM|ERR|EXISTS) "):
            tenant.connection.command("FCALL", "smtpusers_user_rename",
                                      *words)
    for function in ("page", "strays"):
        with pytest.raises(ReplyError, match="^(NOPERM|ERR) "):
            tenant.connection.command(
                "FCALL_RO", "smtpusers_" + function, 0, "smtp:",
                *(("user", "0") if function == "page" else ("0",)))
    with pytest.raises(ReplyError, match="^NOPERM "):
        tenant.connection.command("FCALL_RO", "smtpusers_import", 1, OTHER,
                                  "user_put", "0")
    assert tenant.library.snapshot() == before


COMMANDS = [
    ("SADD", MINE + ":domains", "other.example"),
    ("RENAME", MINE + ":ips", MINE + ":domains"),
    ("RENAME", PRO, ACME), ("RENAME", OTHER, MINE), ("RENAME", MINE, OTHER),
    ("COPY", PRO, ACME), ("COPY", OTHER, MINE),
    ("HSET", ACME, "plan", "pro"), ("HDEL", ACME, "user_prefix"),
    ("UNLINK", ACME), ("SADD", ACME + ":domains", "other.example"),
    ("SET", "smtp:ip:{192.0.2.7}", OWN), ("UNLINK", "smtp:ip:{192.0.2.9}"),
    ("GET", "smtp:ip:{192.0.2.9}"), ("HGETALL", OTHER),
    ("HSET", OTHER, "password", HASH), ("UNLINK", OTHER + ":ips"),
    ("SREM", OTHER + ":domains", "eve.example"), ("SMEMBERS", PRO + ":domains"),
    ("SET", OTHER + ":used:quota", "0 0"), ("SCAN", "0"), ("KEYS", "*"),
    ("EVAL", "return 1", 0), ("FUNCTION", "FLUSH"), ("FUNCTION", "LIST"),
    ("MULTI",), ("ACL", "SETUSER", "acme", "+@all"), ("CONFIG", "GET", "*"),
    ("SAVE",), ("SUBSCRIBE", "x"), ("MIGRATE", "h", 1, ACME, 0, 9), ("FLUSHALL",),
    ("RESTORE", ACME, 0, "x"), ("SORT", MINE + ":ips", "GET", "smtp:*"),
    ("DEL", MINE), ("MONITOR",), ("SELECT", 1), ("SWAPDB", 0, 1),
    ("SUNIONSTORE", MINE + ":domains", ACME + ":domains"),
]


@pytest.mark.parametrize("words", COMMANDS,
                         ids=lambda words: "-".join(map(str, words[:2])))
def test_commands_are_no_way_out(tenant, words):
    before = tenant.library.snapshot()
    with pytest.raises(ReplyError, match="^NOPERM "):
        tenant.connection.command(*words)
    assert tenant.library.snapshot() == before


def test_an_account_takes_only_users_of_its_prefix(relay, users, sink):
    """What a tenant writes by hand, the relay does not believe."""
    users.redis.cli("HSET", "smtp:account:{other}", "plan", "pro",
                    "user_prefix", "other-")
    users.redis.cli("SADD", "smtp:account:{other}:domains", "other.example")
    users.add("other-eve", PASSWORD, domains=(), account="other", mode="all")
    users.add("acme-bob", PASSWORD, account="other", mode="all")
    with Session(relay) as session:
        assert session.plain("other-eve", PASSWORD).startswith("235")
        assert session.mail("a@other.example").startswith("250")
    with Session(relay) as session:
        assert session.plain("acme-bob", PASSWORD).startswith("535")
    users.redis.cli("HSET", "smtp:account:{other}", "user_prefix", "acme-")
    with Session(relay) as session:
        assert session.plain("acme-bob", PASSWORD).startswith("235")
        users.redis.cli("HSET", "smtp:account:{other}", "user_prefix",
                        "other-")
        assert session.mail("a@other.example").startswith("530")


def test_a_prefix_that_ends_in_a_letter(redis):
    """The account beside a user is found whatever the keys begin with."""
    library = Library(redis, "relay")
    library.call("account_add", library.account("shop"), "user_prefix", "shop-")
    with pytest.raises(ReplyError, match="^INVALID shop: "):
        library.call("user_add", library.user("bob"), "account", "shop")
    assert library.call("user_add", library.user("shop-bob"), "account",
                        "shop") == "added"


def test_a_user_whom_the_tenant_takes_out_of_the_account(relay, users, sink):
    """With domains of the account alone, such a user can send nothing."""
    users.redis.cli("HSET", "smtp:account:{acme}", "plan", "basic")
    tenant = Tenant(users.redis)
    try:
        users.redis.cli("SADD", "smtp:account:{acme}:domains", "acme.example")
        assert tenant.call("user_add", MINE, "password",
                           crypt(PASSWORD), "account", "acme", "mode",
                           "all") == "added"
        with Session(relay) as session:
            assert session.plain(OWN, PASSWORD).startswith("235")
            assert session.mail("a@acme.example").startswith("250")
            session.command("RSET")
            users.redis.cli("HSET", "smtp:account:{acme}", "status", "blocked")
            assert session.mail("a@acme.example").startswith("530")
            assert tenant.connection.command("HDEL", MINE, "account") == 1
            assert session.mail("a@acme.example").startswith("550 5.7.1 [ACL]")
            for mode in ("default", "any"):
                assert tenant.call("user_set", MINE, "mode", mode)
                assert session.mail("a@acme.example").startswith("550")
    finally:
        tenant.connection.close()
        users.redis.cli("ACL", "DELUSER", "acme")
