# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The ways to Redis, and the servers that speak its protocol."""

import contextlib
import shutil
import socket

import pytest

from crowd import Client, Relay
from linedriver import TableDriver
from places import REDIS7, configuration, free_port, workdir
from quotas import Functions, limited
from redisserver import RedisServer, wait_until
from relay import certificate
from session import Session
from users import Users

OK = "235 2.0.0 Authentication succeeded"
PASSWORD = "Open-Sesame1"
REDIS_PASSWORD = "Redis \"Secret\" 9"


def smoke(relay, users, redis):
    """A user comes, sends and goes; an appliance too."""
    users.add("alice", PASSWORD, ips=["127.0.0.1", "::1"])
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    for source in ("127.0.0.1", "::1"):
        with Session(relay, source) as session:
            assert session.plain("alice", "open-sesame1").startswith("535")
            assert session.login("alice", PASSWORD) == OK
            assert session.message().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", PASSWORD).startswith("535 5.7.8")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        redis.kill()
        assert session.mail() == "451 4.3.0 Temporary failure"


@pytest.mark.parametrize("name", ["redis-server", "valkey-server", REDIS7])
def test_servers(new_relay, name):
    if not shutil.which(name):
        pytest.skip("there is no " + name)
    with RedisServer(workdir("server"), name) as server:
        smoke(new_relay(server.url), Users(server), server)


@pytest.fixture
def acl():
    """A Redis on every transport whose default user may do nothing."""
    directory = workdir("acl")
    cert, key = certificate(directory)
    plain, tls = free_port(), free_port()
    (directory / "password").write_text(REDIS_PASSWORD + "\n")
    (directory / "password").chmod(0o644)
    extra = ["--bind", "127.0.0.1", "::1", "--port", plain,
             "--tls-port", tls, "--tls-cert-file", cert,
             "--tls-key-file", key, "--tls-auth-clients", "no"]
    with RedisServer(directory, extra=extra) as server:
        server.cli("ACL", "SETUSER", "relay", "on", ">" + REDIS_PASSWORD,
                   "~smtp:*", "+@all", "-@admin")
        server.cert, server.plain_port, server.tls_port = cert, plain, tls
        server.login = {"redis_user": "relay",
                        "redis_password_file": str(directory / "password")}
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_tcp(acl, new_relay, host):
    relay = new_relay("tcp:%s:%d" % (host, acl.plain_port), **acl.login)
    smoke(relay, Users(acl), acl)


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_address_of_a_name(acl, scheme, address):
    """localhost has both, Redis listens on one of them alone."""
    Users(acl).add("alice", PASSWORD)
    acl.cli("CONFIG", "SET", "bind", address)
    port = acl.plain_port if scheme == "tcp" else acl.tls_port
    conf = configuration(redis="%s:localhost:%d" % (scheme, port),
                         redis_ca=str(acl.cert), **acl.login)
    with TableDriver(workdir("table"), conf) as table:
        wait_until(lambda: table.lookup("credentials", "alice")
                   .startswith("found|"), 20, "the other address to be tried")
        # With one of them refusing there was no outage.
        assert "refused" not in table.stderr()
        # And from one to the other.
        acl.cli("CONFIG", "SET", "bind",
                "::1" if address == "127.0.0.1" else "127.0.0.1")
        acl.cli("CLIENT", "KILL", "TYPE", "normal")
        wait_until(lambda: table.lookup("credentials", "alice")
                   .startswith("found|"), 20, "the first address to be tried")


def test_a_name_that_leads_to_another_server():
    """As soon as the first one is read-only."""
    hosts, port = workdir("hosts") / "hosts", free_port()
    begin = ["unshare", "--mount", "sh", "-euc",
             'mount --bind "$1" /etc/hosts; shift; exec "$@"', "sh", hosts]
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(RedisServer(
            workdir("server"), extra=("--bind", address, "--port", port)))
            for address in ("127.0.0.2", "127.0.0.3"))
        limited(Users(first), quota="100")
        second.cli("REPLICAOF", "127.0.0.2", port)
        wait_until(lambda: "master_link_status:up" in second.cli(
            "INFO", "replication"), 20, "the replica")
        hosts.write_text("127.0.0.2 redis.test\n")
        relay = Relay(configuration(redis="tcp:redis.test:%d" % port,
                                    spf="off"), begin)
        stack.callback(relay.__exit__, None)
        client = Client(relay, 1)
        assert client.send() == "proceed"
        wait_until(lambda: second.cli("EXISTS", "smtp:user:{alice}:used:quota"),
                   20, "the charge to be copied")
        second.cli("REPLICAOF", "NO", "ONE")
        hosts.write_text("127.0.0.3 redis.test\n")
        first.cli("REPLICAOF", "127.0.0.3", port)
        wait_until(lambda: client.send() == "proceed", 20, "mail to flow")
        assert "the primary is redis.test:" in relay.stderr()
        assert Functions(second).used() == {"quota": 2}


def test_no_address_of_a_name():
    """The log names each, and why."""
    conf = configuration(redis="tcp:localhost:1", redis_timeout=500)
    with TableDriver(workdir("table"), conf) as table:
        assert table.lookup("credentials", "alice").startswith("error")
        text = table.stderr()
    for address in ("127.0.0.1", "::1"):
        assert "%s: Connection refused" % address in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(acl, new_relay, host):
    relay = new_relay("tls:%s:%d" % (host, acl.tls_port),
                      redis_ca=str(acl.cert), **acl.login)
    smoke(relay, Users(acl), acl)


def unavailable(conf):
    with TableDriver(workdir("table"), conf) as table:
        results = {table.lookup("credentials", "alice") for _ in range(5)}
    return all(result.startswith("error") for result in results)


def test_a_certificate_of_a_stranger(acl):
    Users(acl).add("alice", PASSWORD)
    stranger, _ = certificate(workdir("stranger"))
    url = "tls:127.0.0.1:%d" % acl.tls_port
    assert unavailable(configuration(
        redis=url, redis_ca=str(stranger), **acl.login))
    assert unavailable(configuration(redis=url, **acl.login))


def test_a_certificate_of_another_name(acl):
    """The certificate is not for 127.0.0.9, wherever that leads."""
    Users(acl).add("alice", PASSWORD)
    acl.cli("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.9 ::1")
    conf = configuration(redis="tls:127.0.0.9:%d" % acl.tls_port,
                         redis_ca=str(acl.cert), **acl.login)
    assert unavailable(conf)
    with TableDriver(workdir("table"),
                     conf.replace("127.0.0.9", "127.0.0.1")) as table:
        assert table.lookup("credentials", "alice").startswith("found|")


def test_a_certificate_of_a_node_that_others_tell_of():
    """Nodes tell their addresses: a certificate for a host that the operator
    has written is good for those, and one for another host is not."""
    directory, port = workdir("node"), free_port()
    cert, key = certificate(directory, "DNS:localhost")
    extra = ["--port", 0, "--tls-port", port, "--tls-cert-file", cert,
             "--tls-key-file", key, "--tls-auth-clients", "no",
             "--tls-ca-cert-file", cert, "--tls-cluster", "yes",
             "--cluster-enabled", "yes",
             "--cluster-port", free_port(),
             "--cluster-announce-ip", "127.0.0.1"]
    with RedisServer(directory, extra=extra) as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: "cluster_state:ok" in server.cli(
            "CLUSTER", "INFO"), 20, "the cluster")
        Users(server).add("alice", PASSWORD)
        keys = {"redis_ca": str(cert), "redis_timeout": 5000}
        conf = configuration(redis="cluster+tls:localhost:%d" % port, **keys)
        with TableDriver(workdir("table"), conf) as table:
            assert table.lookup("credentials", "alice").startswith("found|")
        assert unavailable(conf.replace("localhost", "127.0.0.1"))


def test_tls_to_a_port_that_speaks_none(acl):
    assert unavailable(configuration(
        redis="tls:127.0.0.1:%d" % acl.plain_port, redis_ca=str(acl.cert),
        **acl.login))


def test_a_tls_server_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert unavailable(configuration(
            redis="tls:127.0.0.1:%d" % silent.getsockname()[1]))


def test_a_wrong_password_of_the_acl_user(acl, new_relay):
    wrong = workdir("wrong") / "password"
    wrong.write_text("Not-The-Secret\n")
    relay = new_relay("tcp:127.0.0.1:%d" % acl.plain_port, redis_user="relay",
                      redis_password_file=str(wrong))
    users = Users(acl)
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("421 4.3.0")
        assert session.mail() == "451 4.3.0 Temporary failure"
    relay.check([b"Not-The-Secret", REDIS_PASSWORD.encode()])


def test_a_user_whom_the_acl_denies_the_keys(acl, new_relay):
    relay = new_relay("tcp:127.0.0.1:%d" % acl.plain_port, **acl.login)
    users = Users(acl)
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        acl.cli("ACL", "SETUSER", "relay", "resetkeys", "~other:*")
        assert session.mail() == "451 4.3.0 Temporary failure"
        acl.cli("ACL", "SETUSER", "relay", "resetkeys", "~smtp:*")
        assert session.message().startswith("250")


def test_another_database(new_relay, redis, users):
    relay = new_relay(redis_db=3)
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("535")
        redis.cli("MOVE", users.key("alice"), "3")
        redis.cli("MOVE", users.key("alice", "domains"), "3")
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


def test_another_prefix(new_relay, users):
    relay = new_relay(prefix="mail|x:")
    users.add("alice", "Wrong-Place1")
    users.prefix = "mail|x:"
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", "Wrong-Place1").startswith("535")
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


def test_no_password_in_the_process_list(acl, new_relay):
    relay = new_relay("tcp:127.0.0.1:%d" % acl.plain_port, **acl.login)
    for pid in relay.descendants():
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as file:
                assert REDIS_PASSWORD.encode() not in file.read()
