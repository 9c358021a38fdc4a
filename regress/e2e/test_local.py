# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Sessions on smtpd's own socket: sendmail(8) on the relay itself."""

import pytest

from session import Session, simple

PASSWORD = "Open-Sesame1"
RULES = ['match auth from any for any action "relay"',
         'match from src <users> for any action "relay"',
         'match from local for any action "relay"']


def sendmail(relay, mark):
    return relay.enter("sendmail", "-f", "root@example.org",
                       "bob@example.com", input=simple(mark).encode())


def test_the_relays_own_mail_is_trusted_unless_told(new_relay, sink):
    relay = new_relay(socket_filter=True, rules=RULES)
    result = sendmail(relay, "own-mail")
    assert result.returncode == 0, result.stderr
    assert sink.wait_for(b"own-mail").sender == "root@example.org"


def test_trusted_while_redis_is_away(new_relay, redis, sink):
    relay = new_relay(socket_filter=True, rules=RULES, local="trust")
    redis.kill()
    result = sendmail(relay, "own-mail")
    assert result.returncode == 0, result.stderr
    sink.wait_for(b"own-mail")


def test_enforced_it_is_nobody(new_relay, users, sink):
    users.add("alice", PASSWORD)
    relay = new_relay(socket_filter=True, rules=RULES, local="enforce")
    result = sendmail(relay, "own-mail")
    assert result.returncode != 0
    assert b"530 5.7.0 Authentication required" in \
        result.stderr + relay.log_path.read_bytes()
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert session.message("not-own").startswith("250")
    sink.wait_for(b"not-own")
    assert not [m for m in sink.messages if b"own-mail\r\n" == m.body]


@pytest.mark.parametrize("source", ["127.0.0.1", "::1"])
def test_loopback_is_not_the_socket(new_relay, source):
    """Anybody on the machine, or a proxy on it, connects from there."""
    relay = new_relay(socket_filter=True, rules=RULES, local="trust")
    with Session(relay, source) as session:
        assert session.mail() == "530 5.7.0 Authentication required"
