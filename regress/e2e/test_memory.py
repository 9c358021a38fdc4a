# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""No password, nor what stands for one, stays in the programs' memory."""

import base64
import fcntl
import struct
import subprocess

import pytest

from linedriver import FilterDriver, TableDriver
from memory import found
from places import configuration, free_port, workdir
from redisserver import RedisServer, wait_until
from relay import certificate
from session import FORMS, Session, b64
from users import Users

RIGHT = "Right-Password-5309"
WRONG = "Wrong-Password-8675"
LONG = "Long-Password-" + "0123456789" * 40
SIOCOUTQ = 0x5411


def forms(name, password):
    """A password as itself, and as it comes over the line."""
    plain = b64("", name, password)
    login = b64(password)
    # Parts: what one of several copies has lost the beginning of counts too.
    return {password.encode(), password.encode()[4:], plain.encode()[-16:],
            login.encode()[-16:], plain.encode()[8:24], login.encode()[:16]}


def stored(users, name):
    digest = users.redis.cli("HGET", users.key(name), "password")
    return {digest.encode(), digest.encode()[-40:]}


def secrets_of(users):
    secrets = stored(users, "alice") | stored(users, "bob")
    for password in (RIGHT, WRONG, LONG):
        secrets |= forms("alice", password) | forms("bob", password)
    return secrets


def nothing_left(pid, secrets):
    """What has been answered is wiped at once, which may be a moment later."""
    wait_until(lambda: not found(pid, secrets), 10,
               "nothing of %s to be left" % sorted(secrets))


@pytest.fixture(params=["plain", "tls"])
def server(request, redis):
    """Redis as it is asked over the socket, and with TLS."""
    if request.param == "plain":
        yield redis, {"redis": redis.url}
        return
    directory = workdir("tls")
    cert, key = certificate(directory)
    port = free_port()
    with RedisServer(directory, extra=[
            "--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file",
            cert, "--tls-key-file", key, "--tls-auth-clients", "no"]) as tls:
        yield tls, {"redis": "tls:127.0.0.1:%d" % port, "redis_ca": str(cert)}


def test_a_process_that_keeps_one_is_seen():
    """The search finds what is there."""
    with subprocess.Popen(["sh", "-c", "secret=$1; read x", "sh", RIGHT],
                          stdin=subprocess.PIPE) as keeper:
        wait_until(lambda: found(keeper.pid, {RIGHT.encode()}), 10,
                   "the password to be found")
        keeper.stdin.close()


def test_after_logins(server, new_relay, sink):
    redis, keys = server
    url = keys.pop("redis")
    users = Users(redis)
    users.add("alice", RIGHT)
    users.add("bob", LONG)
    relay = new_relay(url, kind="rel", **keys)
    for form in FORMS.values():
        for name, password in (("alice", RIGHT), ("alice", WRONG),
                               ("bob", LONG)):
            with Session(relay) as session:
                if form(session, name, password).startswith("2"):
                    assert session.message().startswith("250")
    for name in ("filter-smtpusers", "table-smtpusers"):
        nothing_left(relay.pid_of(name), secrets_of(users))


def heard(driver):
    """Whether all that was sent has been read."""
    unread = fcntl.ioctl(driver.socket, SIOCOUTQ, struct.pack("i", 0))
    return struct.unpack("i", unread)[0] == 0


def send_in_parts(driver, line, parts=3):
    """A line that comes in several reads."""
    data = line.encode() + b"\n"
    size = len(data) // parts + 1
    for at in range(0, len(data), size):
        driver.send_raw(data[at:at + size])
        wait_until(lambda: heard(driver), 10, "it to be read")


def test_a_filter_that_reads_a_line_in_parts(redis, users):
    users.add("alice", RIGHT)
    users.add("bob", LONG)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url),
                      kind="rel") as driver:
        for n, (name, password) in enumerate(
                (("alice", RIGHT), ("alice", WRONG), ("bob", LONG))):
            session = "%016x" % n
            driver.connect(session)
            driver.count += 1
            send_in_parts(driver, "filter|0.7|1.0|smtp-in|auth|%s|%016x|PLAIN "
                          "%s" % (session, driver.count,
                                  b64("", name, password)))
            assert driver.line().endswith("|proceed")
            nothing_left(driver.process.pid, secrets_of(users))
            driver.report("link-auth", session, "pass", name)
            assert driver.ask("mail-from", session,
                              "alice@example.org") == "proceed"
        nothing_left(driver.process.pid, secrets_of(users))


def data_line(session):
    return "filter|0.7|1.0|smtp-in|data-line|%s|%016x|%s" % (
        session, 1, "some text " * 5)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("before, behind", [(1, 0), (0, 1), (9, 9)])
def test_a_login_among_the_lines_of_a_message(redis, users, parts, before,
                                              behind):
    """The lines of a message go back as they came and are not wiped."""
    users.add("alice", RIGHT)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url),
                      kind="rel") as driver:
        writer, session = "%016x" % 1, "%016x" % 2
        driver.connect(writer)
        driver.connect(session)
        line = "filter|0.7|1.0|smtp-in|auth|%s|%016x|PLAIN %s" % (
            session, 2, b64("", "alice", RIGHT))
        send_in_parts(driver, "\n".join(
            [data_line(writer)] * before + [line]
            + [data_line(writer)] * behind), parts)
        replies = [driver.line() for _ in range(before + behind + 1)]
        assert sum(reply.endswith("|proceed") for reply in replies) == 1
        nothing_left(driver.process.pid,
                     stored(users, "alice") | forms("alice", RIGHT))


def test_a_table_that_is_asked_in_parts(redis, users):
    """The service that is given the password, and the one that gives the hash."""
    users.add("alice", RIGHT)
    users.add("bob", LONG)
    with TableDriver(workdir("table"), configuration(redis=redis.url),
                     "7.9.0-portable", kind="rel") as table:
        for name, password in (("alice", RIGHT), ("alice", WRONG),
                               ("bob", LONG)):
            table.count += 1
            send_in_parts(table, "table|0.1|1.0|users|check|auth|%08x|%s:%s" % (
                table.count, name, password))
            assert "found" in table.line()
            assert table.lookup("credentials", name).startswith("found|")
        nothing_left(table.process.pid, secrets_of(users))


def test_a_line_that_is_too_long(redis, users):
    """What is not taken is not kept either."""
    users.add("alice", RIGHT)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url),
                      kind="rel") as driver:
        word = base64.b64encode(RIGHT.encode()).decode()
        driver.connect("%016x" % 1)
        driver.send("filter|0.7|1.0|smtp-in|auth|%016x|%016x|PLAIN %s" % (
            1, 1, word * (1 << 16)))
        assert driver.ask("mail-from", "%016x" % 1,
                          "alice@example.org").startswith("reject|530")
        nothing_left(driver.process.pid, {word.encode()})
