# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Sentinels and a cluster by TLS. Their certificate is for localhost, which
the configuration lists; they tell of each other by address, which it does not
hold."""

import contextlib

import pytest

from cli import EX_UNAVAILABLE, Smtpusers
from linedriver import TableDriver
from places import configuration, workdir
from quotas import Functions, Sender, limited
from redisserver import wait_until
from relay import certificate
from session import Session
from topologies import Cluster, Sentinels
from users import Users

PASSWORD = "Open-Sesame1"
USER = "smtp:user:{alice}"

# Certificates with their keys, and what the programs say of them.
REASONS = {"another host": "mismatch",
           "another authority": "self-signed certificate"}


@pytest.fixture(scope="module")
def tls():
    return certificate(workdir("nodes"), "DNS:localhost")


@pytest.fixture(scope="module")
def certificates(tls):
    """By what is wrong with them, and the file of those that are trusted."""
    others = {"another host": certificate(workdir("other"), "DNS:mx.test"),
              "another authority": certificate(workdir("stranger"),
                                               "DNS:localhost")}
    trusted = workdir("trusted") / "ca.pem"
    trusted.write_bytes(tls[0].read_bytes() +
                        others["another host"][0].read_bytes())
    return others, trusted


@pytest.fixture(scope="module", params=[Sentinels, Cluster])
def servers(request, tls):
    with request.param(tls=tls) as servers:
        limited(Users(servers), quota="100")
        yield servers


def keys_of(servers, ca, host="localhost"):
    return {"redis": servers.url.replace("127.0.0.1", host),
            "redis_ca": str(ca)}


# What works

def fail_over(servers):
    servers.wait_other(servers.fail_over())


def move(cluster):
    """The slot of the user, to a node that the relay does not take for its
    owner: who is asked first says MOVED."""
    source = cluster.owner(USER)
    target = next(node for node in cluster.primaries() if node is not source)
    cluster.move(cluster.slot(USER), source, target)
    return source


def sends(relay):
    with Session(relay) as session:
        return session.plain("alice", PASSWORD).startswith("235") and \
            session.message().startswith("250")


def test_mail_flows(servers, tls, new_relay):
    keys = keys_of(servers, tls[0])
    relay = new_relay(keys.pop("redis"), redis_replicas=1, **keys)
    assert sends(relay)
    if isinstance(servers, Sentinels):
        fail_over(servers)
        wait_until(lambda: sends(relay), 20, "mail to flow again")
    else:
        source = move(servers)
        source.cli("CONFIG", "RESETSTAT")
        assert sends(relay)
        assert "errorstat_MOVED" in source.cli("INFO", "errorstats")
    assert Functions(servers).used()["quota"] == 2


def test_the_command(servers, tls, tmp_path):
    cmd = Smtpusers(servers, tmp_path, **keys_of(servers, tls[0]))
    cmd.ok("add", "bob", "--stdin", stdin=b"Some-Secret-Word-9\n")
    assert cmd.json("show", "bob")["name"] == "bob"
    assert cmd.ok("list", "--names").stdout == "alice\nbob\n"
    cmd.ok("rm", "bob", "--yes")


# What is refused

def assert_refused(servers, reason, directory, *of):
    """By all three, and for this reason."""
    keys = keys_of(servers, *of)
    hasty = {**keys, "redis_timeout": 100}
    with TableDriver(workdir("table"), configuration(**hasty)) as table:
        assert table.lookup("credentials", "alice").startswith("error")
        wait_until(lambda: reason in table.stderr().lower(), 10, reason)
    with Sender(hasty.pop("redis"), **hasty) as sender:
        assert sender.mail().startswith("reject|451 4.3.0")
        wait_until(lambda: reason in sender.driver.stderr().lower(), 10,
                   reason)
    cmd = Smtpusers(servers, directory, **keys)
    assert reason in cmd.fails(EX_UNAVAILABLE, "show", "alice").lower()


def test_who_is_listed(servers, tls, certificates, tmp_path, monkeypatch):
    assert_refused(servers, REASONS["another host"], tmp_path, tls[0],
                   "127.0.0.1")
    # Whom the system trusts is nobody where there is a redis_ca.
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    stranger, _ = certificates[0]["another authority"]
    assert_refused(servers, REASONS["another authority"], tmp_path, stranger)


@contextlib.contextmanager
def showing(server, shown, own):
    """Who connects meanwhile is shown another certificate."""
    def show(cert, key):
        server.cli("CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key)
    show(*shown)
    try:
        yield
    finally:
        show(*own)


@pytest.mark.parametrize("what", REASONS)
def test_who_is_told_of(servers, tls, certificates, what, tmp_path):
    """The others are as they should be."""
    others, trusted = certificates
    server = servers.primary() if isinstance(servers, Sentinels) else \
        servers.owner(USER)
    with showing(server, others[what], tls):
        assert_refused(servers, REASONS[what], tmp_path, trusted)
