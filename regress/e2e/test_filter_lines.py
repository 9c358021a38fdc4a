# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""filter-smtpusers line by line: what smtpd sends, and what it never would."""

import random
from pathlib import Path

import pytest

from linedriver import FilterDriver, LineDriver
from places import configuration, program, workdir
from session import b64
from users import crypt

PASSWORD = "Open-Sesame1"
TRANSCRIPTS = Path(__file__).parent / "transcripts"
REQUIRED = "reject|530 5.7.0 Authentication required"
UNLISTED = "535 5.7.8 IP not authorized"


@pytest.fixture
def conf(redis):
    return configuration(redis=redis.url)


@pytest.fixture
def driver(conf):
    with FilterDriver(workdir("filter"), conf) as driver:
        yield driver


class Expected:
    """Who each session of a transcript is, by what smtpd reported."""

    def __init__(self, appliances):
        self.appliances = appliances
        self.sources, self.users = {}, {}
        self.blocked = set()

    def report(self, event, session, rest):
        if event == "link-connect":
            self.sources[session] = rest[-2].rpartition(":")[0].strip("[]")
        elif event == "link-auth" and rest[0] == "pass":
            self.users[session] = rest[1]

    def data_line(self, session, content):
        """One of the messages has a bare CR in its header."""
        if "\r" in content:
            self.blocked.add(session)

    def known(self, session):
        return session in self.users or \
            self.sources.get(session) in self.appliances


def replay(driver, lines, expected):
    """Every request gets its answer, each line of a message comes back."""
    requests = 0
    for line in lines:
        kind, _, _, _, event, session, *rest = line.split("|")
        if kind == "report":
            expected.report(event, session, rest)
        if not driver.registers(kind, event):
            continue
        driver.send(line)
        if kind == "report":
            continue
        requests += 1
        token = rest[0]
        reply = driver.line()
        if event == "data-line":
            content = line.split("|", 7)[7]
            assert reply == "|".join(["filter-dataline", session, token,
                                      content])
            expected.data_line(session, content)
            continue
        head = "filter-result|%s|%s|" % (session, token)
        assert reply.startswith(head)
        verdict = reply[len(head):]
        if event == "mail-from":
            good = expected.known(session)
            assert verdict == ("proceed" if good else REQUIRED), line
        elif event == "commit" and session in expected.blocked:
            assert verdict.startswith("reject|550 5.7.1 [ACL]"), line
        elif event in ("rcpt-to", "data", "commit") and \
                expected.known(session):
            assert verdict == "proceed", line
    return requests


def traffic(name):
    text = (TRANSCRIPTS / ("filter-%s.txt" % name)).read_bytes().decode(
        "utf-8", "surrogateescape")
    return [line[2:].encode("utf-8", "surrogateescape").decode("latin-1")
            for line in text.split("\n")
            if line.startswith(("> report|", "> filter|"))]


def provision(users):
    """The users of the transcripts, and what they send as."""
    domains = ("ex.test", "b.c")
    users.add("alice", "secret", domains=domains)
    for user, address in (("printer", "127.0.0.2"), ("scanner", "::1")):
        users.add(user, domains=domains)
        users.ip_auth(user, address)


@pytest.mark.parametrize("name", ["7.6", "7.9"])
@pytest.mark.parametrize("times", [1, 5])
def test_replayed_traffic(driver, users, name, times):
    provision(users)
    expected = Expected({"127.0.0.2", "::1"})
    for _ in range(times):
        lines = traffic(name)
        assert replay(driver, lines, expected) > 100
        assert driver.buffer == b""


def test_sessions_beside_each_other(driver, users):
    """Whole sessions of real traffic, their lines shuffled together."""
    provision(users)
    sessions = {}
    for line in traffic("7.6"):
        sessions.setdefault(line.split("|")[5], []).append(line)
    seed = random.Random(3)
    queues = [list(reversed(lines)) for lines in sessions.values()]
    mixed = []
    while queues:
        queue = seed.choice(queues)
        mixed.append(queue.pop())
        if not queue:
            queues.remove(queue)
    assert replay(driver, mixed, Expected({"127.0.0.2", "::1"})) > 100


def authenticated(driver, users, ident, name="alice"):
    users.add(name, PASSWORD)
    driver.connect(ident)
    driver.authenticate(ident, name)


def test_a_session(driver, users):
    ident = "00000000000000a1"
    authenticated(driver, users, ident)
    assert driver.ask("mail-from", ident, "alice@example.org") == "proceed"
    assert driver.ask("rcpt-to", ident, "bob@example.com") == "proceed"
    assert driver.ask("data", ident) == "proceed"
    data_line = "%s|00000000000000ff|From: alice@example.org" % ident
    driver.send("filter|0.7|1.0|smtp-in|data-line|" + data_line)
    assert driver.line() == "filter-dataline|" + data_line
    assert driver.ask("commit", ident) == "proceed"
    users.block("alice")
    assert driver.ask("mail-from", ident, "alice@example.org") == REQUIRED
    driver.disconnect(ident)
    assert driver.ask("mail-from", ident, "a@b").startswith("reject|")


def test_who_is_seen_at_auth(driver, users):
    users.add("alice", PASSWORD, ips=["192.0.2.1"])
    ident = "00000000000000a2"
    driver.connect(ident, "192.0.2.2:1234")
    answers = {
        "PLAIN " + b64("", "alice", PASSWORD): "reject|" + UNLISTED,
        "PLAIN " + b64("", "ALICE", PASSWORD): "reject|" + UNLISTED,
        "plain " + b64("", "alice", PASSWORD): "reject|" + UNLISTED,
        "PLAIN " + b64("", "alice", "wrong"): "proceed",
        "PLAIN": "proceed", "LOGIN": "proceed", "LOGIN " + b64("alice"):
            "proceed", "LOGIN " + b64("nobody"): "proceed"}
    for parameter, verdict in answers.items():
        assert driver.ask("auth", ident, parameter) == verdict, parameter
    driver.connect("00000000000000a3", "192.0.2.1:1234")
    for parameter in answers:
        assert driver.ask("auth", "00000000000000a3", parameter) == "proceed"


def test_disconnected_while_the_verdict_is_worked_out(driver, users, redis):
    for n in range(20):
        ident = "%016x" % (0xd00 + n)
        authenticated(driver, users, ident)
        redis.pause()
        driver.send("filter|0.7|1.0|smtp-in|mail-from|%s|%s|a@b" % (
            ident, ident))
        driver.disconnect(ident)
        redis.resume()
        # An answer for a session that is gone is ignored by smtpd.
        other = "%016x" % (0xe00 + n)
        driver.connect(other)
        driver.send("filter|0.7|1.0|smtp-in|mail-from|%s|%s|a@b" % (
            other, other))
        reply = driver.line()
        while reply.split("|")[1] == ident:
            reply = driver.line()
        assert reply == "filter-result|%s|%s|%s" % (other, other, REQUIRED)
        driver.disconnect(other)


def test_disconnected_while_a_password_is_verified(driver, users):
    users.secret(PASSWORD)
    users.set("alice", password=crypt(PASSWORD, "$2b$", 10), status="allowed")
    users.ips("alice", "192.0.2.1")
    for n in range(20):
        ident = "%016x" % (0xf00 + n)
        driver.connect(ident, "192.0.2.2:1234")
        driver.send("filter|0.7|1.0|smtp-in|auth|%s|%s|PLAIN %s" % (
            ident, ident, b64("", "alice", PASSWORD)))
        driver.disconnect(ident)
    alive(driver, users)


def alive(driver, users):
    """A session from its beginning to its end, whatever was before."""
    ident = "feedfacefeedface"
    users.add("zoe", PASSWORD)
    driver.connect(ident)
    driver.report("link-auth", ident, "fail", "zoe")
    driver.send("filter|0.7|1.0|smtp-in|mail-from|%s|%s|a@b" % (ident, ident))
    reply = driver.line()
    while reply.split("|")[1] != ident:
        reply = driver.line()
    assert reply.endswith("|" + REQUIRED)
    driver.disconnect(ident)


STRANGE = [
    b"", b"|", b"|||||||||", b"report", b"report|", b"report|0.7",
    b"report|0.7|1.0|smtp-in|link-connect",
    b"report|0.7|1.0|smtp-in|link-connect|",
    b"report|0.7|1.0|smtp-in|link-connect|00000000000000aa",
    b"report|0.7|1.0|smtp-in|link-connect|00000000000000aa|x|pass",
    b"report|0.7|1.0|smtp-in|link-connect|zz|x|pass|1.2.3.4:5|6.7.8.9:10",
    b"report|0.7|1.0|smtp-in|link-connect|00000000000000aa|x|pass|nowhere|x",
    b"report|0.7|1.0|smtp-in|link-connect|00000000000000aa|x|pass|[::1|[::1",
    b"report|0.7|1.0|smtp-in|link-auth|00000000000000aa",
    b"report|0.7|1.0|smtp-in|link-auth|00000000000000aa|pass",
    b"report|0.7|1.0|smtp-in|link-auth|00000000000000aa|pass|",
    b"report|0.7|1.0|smtp-in|link-auth|00000000000000aa|pass|a b|c",
    b"report|0.7|1.0|smtp-in|link-disconnect|00000000000000aa",
    b"report|0.7|1.0|smtp-in|link-unheard-of|00000000000000aa|x",
    b"report|0.7|1.0|smtp-out|link-connect|00000000000000aa|x|pass|a|b",
    b"report|9.9|1.0|smtp-in|link-connect|00000000000000aa|x|pass|a|b",
    b"filter", b"filter|0.7|1.0|smtp-in|mail-from",
    b"filter|0.7|1.0|smtp-in|mail-from|00000000000000aa",
    b"filter|0.7|1.0|smtp-in|mail-from|00000000000000aa|",
    b"filter|0.7|1.0|smtp-in|auth|00000000000000aa|00000000000000ab|",
    b"filter|0.7|1.0|smtp-in|auth|00000000000000aa|00000000000000ab|PLAIN =",
    b"filter|0.7|1.0|smtp-in|auth|00000000000000aa|00000000000000ab|PLAIN "
    + b"A" * 9000,
    b"filter|0.7|1.0|smtp-in|unheard-of|00000000000000aa|00000000000000ab|x",
    b"filter|0.7|1.0|smtp-in|data-line|00000000000000aa|00000000000000ab",
    b"filter|0.7|1.0|smtp-in|data-line|00000000000000aa|00000000000000ab|"
    + b"x" * 200_000,
    b"config|late|value", b"config|ready", b"register|ready",
    b"filter-result|1|2|proceed", b"table|0.1|1.0|users|lookup|x|y|z",
    b"\0\0\0", b"\xff\xfe\xfd", b"%s%s%s%n", b"x" * 5000,
]


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_strange_lines_end_nothing(driver, users, line):
    for _ in range(3):
        driver.send(line)
        alive(driver, users)


def test_strange_lines_in_every_order(driver, users):
    seed = random.Random(11)
    events = ["report|0.7|1.0|smtp-in|%s" % event for event in (
        "link-connect|%s|x|pass|127.0.0.1:1|127.0.0.1:2",
        "link-auth|%s|pass|alice", "link-auth|%s|fail|alice",
        "link-disconnect|%s", "tx-begin|%s|00000001",
        "tx-mail|%s|00000001|ok|a@b", "tx-rcpt|%s|00000001|ok|a@b",
        "tx-data|%s|00000001|ok", "tx-commit|%s|00000001|5",
        "tx-rollback|%s|00000001", "tx-reset|%s|00000001", "timeout|%s")]
    events += ["filter|0.7|1.0|smtp-in|%s" % event for event in (
        "auth|%s|00000000000000ab|LOGIN", "mail-from|%s|00000000000000ab|a@b",
        "rcpt-to|%s|00000000000000ab|a@b", "data|%s|00000000000000ab|",
        "data-line|%s|00000000000000ab|text", "commit|%s|00000000000000ab|")]
    for _ in range(3000):
        driver.send(seed.choice(events) % ("%016x" % seed.randrange(1, 6)))
    alive(driver, users)


def test_a_line_beyond_every_bound(driver, users):
    for _ in range(100):
        driver.send_raw(b"x" * 100_000)
    driver.send_raw(b"\n")
    alive(driver, users)


def test_lines_in_pieces(driver, users):
    users.add("alice", PASSWORD)
    text = ("report|0.7|1.0|smtp-in|link-connect|00000000000000aa|x|pass|"
            "127.0.0.1:1|127.0.0.1:2\n"
            "filter|0.7|1.0|smtp-in|data-line|00000000000000aa|"
            "00000000000000ab|.|a|\r b\n").encode()
    for byte in text:
        driver.send_raw(bytes([byte]))
    assert driver.line_bytes() == \
        b"filter-dataline|00000000000000aa|00000000000000ab|.|a|\r b"


def test_a_message_that_nobody_reads_yet(driver, users):
    """smtpd sends on while it does not read: nothing is lost."""
    authenticated(driver, users, "00000000000000aa")
    head = b"00000000000000aa|00000000000000ab|"
    lines = [head + b"%d " % n + b"x" * 900 for n in range(20000)]
    block = b"".join(b"filter|0.7|1.0|smtp-in|data-line|" + line + b"\n"
                     for line in lines)
    driver.send_raw(block)
    expected = block.replace(b"filter|0.7|1.0|smtp-in|data-line|",
                             b"filter-dataline|")
    # No assert on the texts: a difference of 20 MB is not fit to print.
    same = driver.take(len(expected)) == expected
    assert same


def test_data_lines_hold_anything(driver, users):
    authenticated(driver, users, "00000000000000aa")
    seed = random.Random(5)
    letters = bytes(n for n in range(256) if n != 10)
    head = b"00000000000000aa|00000000000000ab|"
    for _ in range(500):
        line = head + bytes(seed.choices(letters, k=seed.randrange(300)))
        driver.send(b"filter|0.7|1.0|smtp-in|data-line|" + line)
        assert driver.line_bytes() == b"filter-dataline|" + line


def data_line(driver, session, text):
    rest = "%s|00000000000000ab|%s" % (session, text)
    driver.send("filter|0.7|1.0|smtp-in|data-line|" + rest)
    assert driver.line() == "filter-dataline|" + rest


def test_lines_by_turns_are_of_their_own_sessions(driver, users):
    """The ids differ in their last digit, the tokens not at all."""
    good, bad = "00000000000000a1", "00000000000000a2"
    authenticated(driver, users, good)
    driver.connect(bad)
    driver.authenticate(bad, "alice")
    for session in (good, bad):
        assert driver.ask("mail-from", session, "alice@example.org") == \
            "proceed"
    for session in (good, bad, good, bad):
        data_line(driver, session, "Subject: x")
    data_line(driver, good, "From: alice@example.org")
    data_line(driver, bad, "From: alice@example.net")
    for session in (good, bad):
        data_line(driver, session, "")
        data_line(driver, session, ".")
    assert driver.ask("commit", bad).startswith("reject|550 5.7.1 [ACL]")
    assert driver.ask("commit", good) == "proceed"


def test_a_session_that_ends_between_two_lines(driver, users):
    """What follows is nobody's, and then that of the next one of this id."""
    ident = "00000000000000a1"
    authenticated(driver, users, ident)
    assert driver.ask("mail-from", ident, "alice@example.org") == "proceed"
    data_line(driver, ident, "From: alice@example.org")
    driver.disconnect(ident)
    data_line(driver, ident, "From: alice@example.org")
    driver.connect(ident)
    driver.authenticate(ident, "alice")
    assert driver.ask("mail-from", ident, "alice@example.org") == "proceed"
    for text in ("From: alice@example.net", "", "."):
        data_line(driver, ident, text)
    assert driver.ask("commit", ident).startswith("reject|550 5.7.1 [ACL]")


@pytest.mark.parametrize("source", [
    "unix:/var/run/smtpd.sock", "local", "<unknown>", ""])
def test_sources_that_are_no_address(conf, users, source):
    for policy, verdict in (("trust", "proceed"), ("enforce", REQUIRED)):
        directory = workdir("filter")
        with FilterDriver(directory, conf + "local = %s\n" % policy) as one:
            one.connect("00000000000000aa", source, source)
            answer = one.ask("mail-from", "00000000000000aa", "a@b")
            if source.startswith("unix:"):
                assert answer == verdict
            else:
                assert answer in (verdict, REQUIRED)


def test_a_name_from_the_dns_is_not_an_address(driver, users):
    """A reverse name is the client's to choose."""
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    driver.report("link-connect", "00000000000000aa",
                  "x|pass|127.0.0.2:25|127.0.0.1:25", "fail",
                  "192.0.2.9:1234", "127.0.0.1:25")
    assert driver.ask("mail-from", "00000000000000aa", "a@b") == REQUIRED
    driver.report("link-connect", "00000000000000bb", "unix:/x", "fail",
                  "192.0.2.9:1234", "127.0.0.1:25")
    assert driver.ask("mail-from", "00000000000000bb", "a@b") == REQUIRED


@pytest.mark.parametrize("password", ["", "!", "*", None])
def test_a_password_is_locked_while_smtpd_verifies_it(driver, users, password):
    """The session has logged in with one that is not there any more."""
    users.add("alice", PASSWORD)
    driver.connect("00000000000000aa")
    driver.ask("auth", "00000000000000aa", "LOGIN")
    if password is None:
        users.redis.cli("HDEL", users.key("alice"), "password")
    else:
        users.set("alice", password=password)
    driver.report("link-auth", "00000000000000aa", "pass", "alice")
    assert driver.ask("mail-from", "00000000000000aa",
                      "a@example.org") == REQUIRED


def test_sessions_leave_no_memory_behind(conf):
    """A slow Redis makes for higher peaks now and then; what is left behind
    is left behind every time."""
    with FilterDriver(workdir("filter"), conf, kind="rel") as driver:
        def run(count):
            for n in range(count):
                ident = "%016x" % (n + 1)
                driver.connect(ident)
                driver.report("link-auth", ident, "pass", "user%d" % n)
                driver.report("tx-begin", ident, "00000001")
                driver.report("tx-mail", ident, "00000001", "ok", "a@b")
                driver.disconnect(ident)
            assert driver.ask("mail-from", "ffffffffffffffff").startswith(
                "reject")
        run(5000)
        sizes = [driver.resident()]
        for _ in range(5):
            run(7000)
            sizes.append(driver.resident())
        growth = [after - before for before, after in zip(sizes, sizes[1:])]
        assert min(growth) < 1 << 17, growth


@pytest.mark.parametrize("handshake", [
    b"", b"config|protocol|0.7\n", b"config|ready", b"nonsense\n"])
def test_end_during_the_handshake(conf, handshake):
    directory = workdir("filter")
    path = directory / "smtpusers.conf"
    path.write_text(conf)
    with LineDriver([program("filter-smtpusers"), "-f", path],
                    directory) as driver:
        driver.send_raw(handshake)


@pytest.mark.parametrize("event", [
    "tx-rollback|{}|deadbeef", "tx-reset|{}|deadbeef", "tx-commit|{}|deadbeef|9",
    "link-auth|{}|pass|alice", "link-auth|{}|fail|alice"])
def test_an_event_while_the_end_of_data_is_judged(driver, users, redis, event):
    """smtpd ends a session with a rollback first: what waits must not fall."""
    ident = "00000000000000f1"
    authenticated(driver, users, ident)
    assert driver.ask("mail-from", ident, "alice@example.org") == "proceed"
    driver.send("report|0.7|1.0|smtp-in|tx-begin|%s|deadbeef" % ident)
    redis.pause()
    driver.send("filter|0.7|1.0|smtp-in|commit|%s|%s|" % (ident, ident))
    driver.send("report|0.7|1.0|smtp-in|" + event.format(ident))
    driver.send("filter|0.7|1.0|smtp-in|mail-from|%s|%s|a@b" % (ident, ident))
    redis.resume()
    assert {driver.line().split("|")[3] for _ in range(2)} == {"reject"}
    driver.disconnect(ident)
