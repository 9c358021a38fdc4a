# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""table-smtpusers line by line: what smtpd sends, and what it never would."""

import itertools
import re
import time
from pathlib import Path

import pytest

from linedriver import LineDriver, TableDriver
from places import configuration, program, slack, workdir
from redisserver import wait_until
from users import crypt

PASSWORD = "Mixed-Case: p|w"
TRANSCRIPTS = Path(__file__).parent / "transcripts"
NEWER = "7.9.0-portable"


@pytest.fixture
def conf(redis):
    return configuration(redis=redis.url)


@pytest.fixture
def table(conf):
    with TableDriver(workdir("table"), conf) as driver:
        yield driver


@pytest.fixture
def newer(conf):
    with TableDriver(workdir("table"), conf, NEWER) as driver:
        yield driver


@pytest.mark.parametrize("version,auth", [
    ("7.6.0-portable", False), ("7.6.0", False), ("7.8.0p9", False),
    ("7.8.99", False), ("6.8.0p2", False), ("", False), ("x", False),
    ("-1.9", False), ("7", False), ("7.", False), ("7.x", False),
    ("7.9.0-portable", True), ("7.9.0", True), ("7.9", True),
    ("7.10.1", True), ("7.90", True), ("8.0.0", True), ("10.0", True)])
def test_auth_is_registered_where_keys_keep_their_case(conf, version, auth):
    with TableDriver(workdir("table"), conf, version) as driver:
        expected = {"credentials", "netaddr"} | ({"auth"} if auth else set())
        assert set(driver.services) == expected
        assert len(driver.services) == len(expected)


def test_auth_is_refused_where_it_is_not_registered(table, users):
    users.add("alice", "lowercase")
    assert table.check("auth", "alice:lowercase").startswith("error")


@pytest.mark.parametrize("name", ["7.6", "7.9"])
def test_replayed_traffic(users, conf, name):
    users.add("alice", "secret")
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    users.add("scanner")
    users.ip_auth("scanner", "::1")
    directory = workdir("table")
    text = (TRANSCRIPTS / ("table-%s.txt" % name)).read_text()
    asked = 0
    with TableDriver(directory, conf) as driver:
        for line in text.splitlines():
            if not line.startswith("> table|"):
                continue
            driver.send(line[2:])
            fields = line[2:].split("|")
            reply = driver.line()
            head = "%s-result|%s|" % (fields[4], fields[6])
            assert reply.startswith(head)
            known = fields[7] in ("alice", "127.0.0.2", "[::1]")
            assert reply[len(head):].startswith("found") == known
            asked += 1
    assert asked == 20


def test_credentials(table, users):
    hashed = crypt(PASSWORD)
    users.set("alice", password=hashed, status="allowed")
    for key in ("alice", "ALICE", "Alice"):
        assert table.lookup("credentials", key) == "found|alice:" + hashed
    assert table.lookup("credentials", "nobody") == "not-found"
    users.block("alice")
    assert table.lookup("credentials", "alice") == "not-found"
    users.delete("alice")
    assert table.lookup("credentials", "alice") == "not-found"


def test_netaddr(table, users):
    for name, address in (("v4", "192.0.2.1"), ("v6", "2001:db8::1")):
        users.add(name)
        users.ip_auth(name, address)
    for key in ("192.0.2.1", "[2001:db8::1]", "[2001:0DB8::0:1]",
                "[::ffff:192.0.2.1]", "2001:db8::1"):
        assert table.check("netaddr", key) == "found", key
    for key in ("192.0.2.2", "[2001:db8::2]", "192.0.2.1/32", "", "[", "[]",
                "[192.0.2.1", "local", "x" * 300):
        assert not table.check("netaddr", key).startswith("found"), key
    users.block("v4")
    assert table.check("netaddr", "192.0.2.1") == "not-found"
    users.redis.cli("HDEL", users.key("v6"), "ip_auth")
    assert table.check("netaddr", "[2001:db8::1]") == "not-found"


@pytest.mark.parametrize("service", [
    "alias", "domain", "mailaddr", "mailaddrmap", "source", "relayhost",
    "string", "userinfo", "addrname", "nonsense", ""])
def test_services_it_does_not_serve(table, users, service):
    users.add("alice")
    for operation in ("lookup", "check"):
        result, _ = table.ask(operation, service, "alice")
        assert result.startswith("error"), result
    assert table.lookup("credentials", "alice").startswith("found")


def test_operations_it_does_not_serve(table, users):
    users.add("alice")
    for service in ("credentials", "netaddr", "source"):
        table.send("table|0.1|1.0|users|fetch|%s|000000fe" % service)
        assert table.line().startswith("fetch-result|000000fe|error")
    assert table.check("credentials", "alice").startswith(("found", "error"))
    assert table.lookup("netaddr", "127.0.0.2").startswith(
        ("not-found", "error"))


STRANGE = [
    b"", b"|", b"||||||||", b"table", b"table|", b"table|0.1", b"table|0.1|",
    b"table|0.1|1.0|users", b"table|0.1|1.0|users|lookup",
    b"table|0.1|1.0|users|lookup|credentials",
    b"table|0.1|1.0|users|lookup|credentials|", b"report|0.7|1|smtp-in|x|y",
    b"config|late|value", b"config|ready", b"filter-result|1|2|proceed",
    b"\0\0\0", b"\xff\xfe\xfd", b"%s%s%s%n", b"x" * 5000,
    b"table|0.1|1.0|users|lookup|credentials|" + b"i" * 500 + b"|alice",
]


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_strange_lines_end_nothing(table, users, line):
    users.add("alice")
    table.send(line)
    answered_in_the_end(table)
    # As smtpd would send it, out of a user's name: behind a request.
    request = b"table|0.1|1.0|users|lookup|credentials|000000aa|alice"
    for _ in range(3):
        table.send(request, line)
        assert table.line().startswith("lookup-result|000000aa|found|alice:")
    assert table.lookup("credentials", "alice").startswith("found|alice:")


def answered_in_the_end(table):
    """What comes in one read with another line is not smtpd's, and ignored."""
    def answered():
        table.count += 1
        ident = "%08x" % table.count
        table.send("table|0.1|1.0|users|lookup|credentials|%s|alice" % ident)
        try:
            while not (line := table.line(0.5)).startswith(
                    "lookup-result|%s|" % ident):
                pass
            return "|found|alice:" in line
        except TimeoutError:
            return False
    wait_until(answered, 10, "the answer")


def test_an_endless_line(table, users):
    users.add("alice")
    for _ in range(100):
        table.send_raw(b"x" * 100_000)
    table.send_raw(b"\n")
    answered_in_the_end(table)


def test_a_request_in_pieces(table, users):
    users.add("alice")
    for byte in b"table|0.1|1.0|users|lookup|credentials|00000077|alice\n":
        table.send_raw(bytes([byte]))
    assert table.line().startswith("lookup-result|00000077|found|alice:")


def test_end_in_the_middle_of_a_line(conf):
    with TableDriver(workdir("table"), conf) as driver:
        driver.send_raw(b"table|0.1|1.0|users|look")


def test_end_while_a_request_is_under_way(conf, redis):
    with TableDriver(workdir("table"), conf) as driver:
        driver.lookup("credentials", "alice")
        redis.pause()
        driver.send("table|0.1|1.0|users|lookup|credentials|00000077|alice")


@pytest.mark.parametrize("handshake", [
    b"", b"config|protocol|0.1\n", b"config|ready", b"nonsense\n",
    b"config|smtpd-version|" + b"9" * 5000 + b"\n"])
def test_end_during_the_handshake(conf, handshake):
    directory = workdir("table")
    path = directory / "smtpusers.conf"
    path.write_text(conf)
    with LineDriver([program("table-smtpusers"), path], directory) as driver:
        driver.send_raw(handshake)


# The service auth, which smtpd knows to use from 7.9 on.

@pytest.mark.parametrize("scheme", ["$2b$", "$6$", "$y$", "$gy$", "$5$"])
def test_auth(newer, users, scheme):
    users.add("alice", PASSWORD, scheme)
    for _ in range(2):
        assert newer.check("auth", "alice:" + PASSWORD) == "found"
        assert newer.check("auth", "ALICE:" + PASSWORD) == "found"
        for wrong in (PASSWORD.lower(), PASSWORD + "x", PASSWORD[:-1], ""):
            assert newer.check("auth", "alice:" + wrong) == "not-found"
    assert newer.check("auth", "nobody:" + PASSWORD) == "not-found"
    for key in ("alice", "", ":", ":" + PASSWORD, "a b:" + PASSWORD):
        assert not newer.check("auth", key).startswith("found")


@pytest.mark.parametrize("password", [
    "a:b:c", ":", "|", "a|b", " ", "Ünïcode-Ω", "x" * 72, b"caf\xe9"])
def test_auth_with_passwords_of_any_kind(newer, users, password):
    users.add("alice", password)
    data = password if isinstance(password, bytes) else password.encode()
    assert newer.check("auth", b"alice:" + data) == "found"
    assert newer.check("auth", b"alice:" + data + b"x") == "not-found"


def test_a_remembered_success_ends_with_its_reason(newer, users):
    users.add("alice", PASSWORD)
    for _ in range(3):
        assert newer.check("auth", "alice:" + PASSWORD) == "found"
    users.block("alice")
    assert newer.check("auth", "alice:" + PASSWORD) == "not-found"
    users.set("alice", status="allowed")
    assert newer.check("auth", "alice:" + PASSWORD) == "found"
    users.password("alice", "Another-Word2")
    assert newer.check("auth", "alice:" + PASSWORD) == "not-found"
    assert newer.check("auth", "alice:Another-Word2") == "found"
    users.delete("alice")
    assert newer.check("auth", "alice:Another-Word2") == "not-found"


def test_one_users_success_is_not_anothers(newer, users):
    hashed = crypt(PASSWORD)
    users.secret(PASSWORD)
    for name in ("alice", "alic"):
        users.set(name, password=hashed, status="allowed")
    assert newer.check("auth", "alice:" + PASSWORD) == "found"
    users.block("alic")
    assert newer.check("auth", "alic:" + PASSWORD) == "not-found"
    assert newer.check("auth", "alic:e:" + PASSWORD) == "not-found"


def least(newer, key, expected, times=9):
    """The seconds of the fastest answer, which a busy machine delayed least."""
    taken = []
    for _ in range(times):
        result, took = newer.ask("check", "auth", key)
        assert result == expected
        taken.append(took)
    return min(taken)


COSTLY = 11     # of bcrypt: many times what else there is to an answer


def found_in(newer, key):
    """The seconds; None where it is not found, or not looked at."""
    result, took = newer.ask("check", "auth", key)
    return took if result == "found" else None


def test_what_was_verified_is_remembered(newer, users):
    users.set("alice", password=crypt(PASSWORD, "$2b$", COSTLY),
              status="allowed")
    first, took = newer.ask("check", "auth", "alice:wrong-word")
    assert first == "not-found"
    assert least(newer, "alice:wrong-word", "not-found") < took / 3
    # A busy machine may have used up what wrong words may take.
    took = wait_until(lambda: found_in(newer, "alice:" + PASSWORD), 60,
                      "alice's password to be verified")
    assert least(newer, "alice:" + PASSWORD, "found") < took / 3


def test_who_cannot_log_in_costs_no_hash(newer, users):
    for name in ("alice", "mallory"):
        users.set(name, password=crypt(PASSWORD, "$2b$", COSTLY),
                  status="allowed")
    users.block("mallory")
    users.set("printer", status="allowed")
    _, wrong = newer.ask("check", "auth", "alice:wrong-word")
    for name in ("mallory", "printer", "nobody"):
        assert least(newer, name + ":" + PASSWORD, "not-found") < wrong / 3


def questions(redis):
    """How often a record has been asked for."""
    calls = re.search(r"^cmdstat_hmget:calls=(\d+)", redis.cli(
        "INFO", "commandstats"), re.MULTILINE)
    return int(calls[1]) if calls else 0


def test_a_name_that_nobody_has_is_remembered_for_a_moment(
        newer, users, redis):
    """Also while it is guessed at all the time."""
    before, began = questions(redis), time.monotonic()
    for number in range(100):
        assert newer.check("auth", "alice:%d" % number) == "not-found"
    assert questions(redis) - before <= 2 + time.monotonic() - began
    before = questions(redis)
    assert newer.check("auth", "bob:1") == "not-found"
    assert questions(redis) > before
    users.add("alice", PASSWORD)
    began = time.monotonic()
    wait_until(lambda: newer.check("auth", "alice:" + PASSWORD) == "found",
               20, "alice to be known")
    assert time.monotonic() - began < slack(2)


def test_a_name_is_looked_up_each_time(table, users):
    for name in ("alice", "bob"):
        assert table.ask("lookup", "credentials", name)[0] == "not-found"
        users.add(name, PASSWORD)
        assert table.ask("lookup", "credentials", name)[0].startswith("found")


def test_a_remembered_failure_ends_with_its_reason(newer, users):
    """A wrong password becomes right with another hash."""
    users.add("alice", "Another-Word2")
    for _ in range(3):
        assert newer.check("auth", "alice:" + PASSWORD) == "not-found"
    users.password("alice", PASSWORD)
    assert newer.check("auth", "alice:" + PASSWORD) == "found"
    assert newer.check("auth", "alice:Another-Word2") == "not-found"


def guess(newer, name, numbers):
    """The seconds that so many different wrong passwords take, each."""
    taken = []
    for number in numbers:
        result, took = newer.ask("check", "auth", "%s:wrong-%d" % (
            name, number))
        assert result == "not-found"
        taken.append(took)
    return taken


def test_guesses_do_not_take_all_the_time(newer, users):
    """Wrong passwords are waited for as long as they have a share of the
    time; others are verified at once meanwhile."""
    hashed = crypt(PASSWORD, "$2b$", 10)
    users.secret(PASSWORD)
    for name in ("alice", "bob", "carol"):
        users.set(name, password=hashed, status="allowed")
    assert newer.check("auth", "alice:" + PASSWORD) == "found"
    guess(newer, "carol", [0])
    verified, = guess(newer, "alice", [0])
    numbers = itertools.count(1)
    while "too many wrong passwords" not in newer.stderr():
        guess(newer, "alice", [next(numbers)])
    assert min(guess(newer, "alice", itertools.islice(numbers, 20))) < \
        verified / 3
    # Known right, and not guessed at: found at the first try.
    assert newer.check("auth", "alice:" + PASSWORD) == "found"
    assert newer.check("auth", "bob:" + PASSWORD) == "found"
    # Guessed at and not known: verified behind the refusal.
    assert newer.check("auth", "carol:" + PASSWORD) == "not-found"
    wait_until(lambda: newer.check("auth", "carol:" + PASSWORD) == "found",
               20, "carol's password to be verified")


def test_a_hash_that_takes_longer_than_the_deadline(redis, users):
    conf = configuration(redis=redis.url, redis_timeout=500)
    users.set("alice", password=crypt(PASSWORD, "$2b$", 14), status="allowed")
    with TableDriver(workdir("table"), conf, NEWER) as newer:
        result, took = newer.ask("check", "auth", "alice:" + PASSWORD)
        assert not result.startswith("found") or took < 0.5
        assert took < 0.5 + slack(2)
        users.add("bob", PASSWORD)
        _, took = newer.ask("check", "auth", "bob:" + PASSWORD)
        assert took < 0.5 + slack(2)


@pytest.mark.parametrize("key", [
    b"alice:\xff\xfe", b"\xff:x", b"alice:" + b"x" * 1900, b"a" * 1900,
    b"alice:\x01\x02\x7f", b"alice:\r"])
def test_auth_with_bytes_of_any_kind(newer, users, key):
    users.add("alice", PASSWORD)
    assert not newer.check("auth", key).startswith("found")
    assert newer.check("auth", "alice:" + PASSWORD) == "found"


@pytest.mark.parametrize("field", ["status", "password"])
def test_a_record_cannot_write_lines(table, users, field):
    for end in ("\n", "\r\n", "\nlookup-result|00000001|found|alice:x\n"):
        users.add("alice", PASSWORD)
        users.set("alice", **{field: "$6$salt$" + "x" * 86 + end})
        reply = table.lookup("credentials", "alice")
        assert reply.startswith("error") or reply == "not-found"
        users.add("alice", PASSWORD)
        assert table.lookup("credentials", "alice").startswith("found|alice:$6$")
        assert table.buffer == b""
