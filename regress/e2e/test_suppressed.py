# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Recipients that get no mail from a user, or an account."""

import contextlib
import time
from threading import Thread

import pytest

from cli import Smtpusers
from fakeredis import FakeRedis
from library import Library
from linedriver import FilterDriver
from places import configuration, workdir
from quotas import Functions
from redisserver import wait_until
from reports import PASSWORD, log
from session import Session
from topologies import Cluster
from users import Users

USER, ACCOUNT = "smtp:user:{alice}", "smtp:account:{acme}"
SUPPRESSED = "550 5.7.1 [SUPPRESSED] This recipient gets no mail from you"
UNREADABLE = "550 5.1.3 The recipient's domain cannot be read"
TEMPFAIL = "451 4.3.0 Temporary failure"
ID = "00000000000000aa"


@pytest.fixture(params=[USER, ACCOUNT])
def suppress(request, redis, users):
    """Whose list it is makes no difference."""
    users.account("acme", "example.org")
    users.add("alice", PASSWORD, account="acme")

    def add(*recipients, until="+inf"):
        for recipient in recipients:
            redis.cli("ZADD", request.param + ":suppressed", until, recipient)
    return add


def log_in(relay, name="alice"):
    session = Session(relay)
    assert session.plain(name, PASSWORD).startswith("235")
    return session


def replies(session, *recipients):
    assert session.mail().startswith("250")
    found = [session.rcpt(recipient) for recipient in recipients]
    session.command("RSET")
    return found


def taken(texts):
    return [text.startswith("250") for text in texts]


def test_addresses_and_domains(relay, suppress):
    suppress("bob@example.com", "example.net", "xn--bcher-kva.example",
             "o'hara+x=y@example.com")
    with log_in(relay) as session:
        refused = ["bob@example.com", "BOB@Example.COM", "bob@example.net",
                   "anybody@EXAMPLE.net", "x@xn--BCHER-kva.example",
                   "O'Hara+X=Y@example.com", "@a.example,@b.example:"
                   "bob@example.com", "@route.example:x@example.net"]
        assert set(replies(session, *refused)) == {SUPPRESSED}
        others = ["bob@example.org", "bobby@example.com", "bob+x@example.com",
                  "bob@sub.example.net", "bob@mail.example.com",
                  "x@bcher-kva.example", "ohara@example.com"]
        assert all(taken(replies(session, *others)))
        # What is free is sent, what is not is not.
        assert session.mail().startswith("250")
        assert session.rcpt("bob@example.com") == SUPPRESSED
        assert session.rcpt("carol@example.com").startswith("250")
        assert session.data("From: alice@example.org\r\n\r\nx\r\n").startswith(
            "250")


def test_strange_recipients(relay, suppress):
    """Where there is a list, none goes by it for its looks."""
    suppress("bob@example.com", "example.net")
    strange = ['"bob"@example.com', '"b ob"@example.net', "bob@[192.0.2.1]",
               '"b>x"@example.net', "bob", "bob@example.com.",
               "bob@example.net.", "@example.net", "bob@localhost",
               "bob@example.com@example.net", "bob\\@example.com",
               "b..b@example.net", ".b@example.net", "b\xf6b@example.net",
               "bob@b\xfccher.example", "x" * 65 + "@example.net", "bob@",
               "@@example.net:bob@example.com", "a:b:bob@example.com"]
    with log_in(relay) as session:
        for recipient in strange:
            reply, = replies(session, recipient)
            assert reply.startswith("5"), (recipient, reply)


@pytest.mark.smtpd79
def test_with_smtpd_7_9(relay, suppress):
    """It reads recipients in the same way."""
    test_addresses_and_domains(relay, suppress)
    test_strange_recipients(relay, suppress)


def test_who_has_no_list_is_not_judged(relay, users):
    users.add("alice", PASSWORD)
    with log_in(relay) as session:
        found = replies(session, "bob@[192.0.2.1]", "bob", "x@localhost")
        assert not set(found) & {SUPPRESSED, UNREADABLE, TEMPFAIL}


def test_until_when(relay, suppress):
    now = int(time.time())
    suppress("past@example.com", until=str(now - 1))
    suppress("future@example.com", until=str(now + 1000))
    suppress("zero@example.com", until="0")
    suppress("below@example.com", until="-inf")
    suppress("large@example.com", until="1e300")
    with log_in(relay) as session:
        assert taken(replies(session, *(
            word + "@example.com" for word in (
                "past", "future", "zero", "below", "large")))) == [
                    True, False, False, False, False]


def test_added_while_the_message_is_under_way(relay, redis, suppress):
    suppress("bob@example.com")
    with log_in(relay) as session:
        assert session.mail().startswith("250")
        assert session.rcpt("carol@example.com").startswith("250")
        suppress("carol@example.com")
        assert session.rcpt("carol@example.com") == SUPPRESSED
        session.command("RSET")
        # The first entry of all counts from the next message on.
        redis.cli("DEL", USER + ":suppressed", ACCOUNT + ":suppressed")
        assert all(taken(replies(session, "bob@example.com")))
        assert session.mail().startswith("250")
        suppress("bob@example.com")
        assert session.rcpt("bob@example.com").startswith("250")
        session.command("RSET")
        assert replies(session, "bob@example.com") == [SUPPRESSED]


def test_they_count_nowhere(relay, redis, users):
    """Neither in the quota, nor in the bounds of a message."""
    users.add("counted", PASSWORD, quota="3", max_recipients="1")
    redis.cli("ZADD", "smtp:user:{counted}:suppressed", "+inf", "example.net")
    with log_in(relay, "counted") as session:
        assert session.mail().startswith("250")
        for number in range(15):
            assert session.rcpt("r%d@example.net" % number) == SUPPRESSED
        assert session.rcpt("bob@example.com").startswith("250")
        assert session.rcpt("carol@example.com").startswith("452 4.5.3")
        assert session.data("From: alice@example.org\r\n\r\nx\r\n").startswith(
            "250")
        # One who is refused altogether leaves no message.
        assert replies(session, "x@example.net") == [SUPPRESSED]
    assert Functions(redis, "counted").used() == {"quota": 1}
    found = log(redis, "counted", 13)
    assert [entry["event"] for entry in found[1:]] == \
        ["recipient"] * 10 + ["message", "recipient"]
    first, message = found[1], found[11]
    assert first["recipient"] == "r0@example.net"
    assert first["reply"] == SUPPRESSED
    assert first["sender"] == "alice@example.org"
    assert (message["recipients"], message["suppressed"]) == ("1", "15")
    assert message["msgid"] == first["msgid"]


def test_sandboxed_users_are_told_too(relay, users, suppress):
    """Who is sandboxed is not to notice."""
    users.set("alice", status="sandboxed")
    suppress("bob@example.com")
    with log_in(relay) as session:
        assert taken(replies(session, "bob@example.com",
                             "carol@example.com")) == [False, True]


def test_both_lists_count(relay, redis, users):
    users.account("acme", "example.org")
    users.add("alice", PASSWORD, account="acme")
    redis.cli("ZADD", USER + ":suppressed", "+inf", "bob@example.com")
    redis.cli("ZADD", ACCOUNT + ":suppressed", "+inf", "example.net")
    with log_in(relay) as session:
        assert taken(replies(session, "bob@example.com", "x@example.net",
                             "x@example.com")) == [False, False, True]


def test_a_key_of_another_type(relay, redis, suppress, users):
    suppress("bob@example.com")
    key = next(key for key in (USER, ACCOUNT)
               if redis.cli("EXISTS", key + ":suppressed")) + ":suppressed"
    with log_in(relay) as session:
        assert session.mail().startswith("250")
        redis.cli("DEL", key)
        redis.cli("SADD", key, "bob@example.com")
        assert session.rcpt("carol@example.com") == TEMPFAIL
        session.command("RSET")
        assert session.mail() == TEMPFAIL
        assert key + ": bad record: wrong type" in relay.log()
        redis.cli("DEL", key)
        assert all(taken(replies(session, "bob@example.com")))


# Without smtpd, before a Redis that misbehaves

class Mail:
    """A session of alice's, behind MAIL FROM."""

    def __init__(self, driver):
        self.driver = driver
        driver.connect(ID, "192.0.2.1:40000")
        driver.authenticate(ID, "alice")
        assert driver.ask("mail-from", ID, "a@example.org") == "proceed"

    def rcpt(self, recipient):
        return self.driver.ask("rcpt-to", ID, recipient, 60)


def test_redis_goes_away(redis, suppress):
    suppress("bob@example.com")
    conf = configuration(redis=redis.url, redis_timeout=500)
    with FilterDriver(workdir("filter"), conf) as driver:
        mail = Mail(driver)
        redis.pause()
        assert mail.rcpt("carol@example.com") == "reject|" + TEMPFAIL
        redis.resume()
        wait_until(lambda: mail.rcpt("carol@example.com") == "proceed", 60,
                   "Redis to be asked again")
        assert mail.rcpt("bob@example.com") == "reject|" + SUPPRESSED


def hand_on(source, to):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            to.sendall(data)


@pytest.mark.parametrize("score", [
    b"*1\r\n$3\r\ninf\r\n", b"*3\r\n$-1\r\n$-1\r\n$-1\r\n", b":0\r\n",
    b"$3\r\ninf\r\n", b"-ERR no such thing\r\n",
    b"-NOPERM no\r\n", b"*-1\r\n"])
def test_replies_that_are_none(redis, suppress, score):
    suppress("bob@example.com")

    def serve(_, connection):
        with redis.connect() as upstream:
            Thread(target=hand_on, args=(upstream.socket, connection),
                   daemon=True).start()
            while data := connection.recv(1 << 18):
                # The word is in the functions, too.
                if asked := data.count(b"\r\nZMSCORE\r\n"):
                    connection.sendall(score * asked)
                    continue
                upstream.socket.sendall(data)

    with FakeRedis(workdir("fake"), serve) as fake:
        conf = configuration(redis=fake.url, redis_timeout=5000)
        with FilterDriver(workdir("filter"), conf) as driver:
            assert Mail(driver).rcpt("c@example.com") == "reject|" + TEMPFAIL


def test_very_many(redis, users):
    """Two members are looked up, however long the list is."""
    users.add("alice", PASSWORD)
    with redis.connect() as connection:
        for first in range(0, 200000, 2000):
            connection.command("ZADD", USER + ":suppressed", *(
                word for number in range(first, first + 2000)
                for word in ("+inf", "r%d@example.net" % number)))
    with FilterDriver(workdir("filter"), configuration(
            redis=redis.url)) as driver:
        mail = Mail(driver)
        assert mail.rcpt("r199999@example.net") == "reject|" + SUPPRESSED
        assert mail.rcpt("r200000@example.net") == "proceed"


def test_the_functions_and_the_relay_agree(relay, redis, users):
    """What a function writes the relay reads, however it was given."""
    users.add("alice", PASSWORD)
    library = Library(redis)
    assert library.call("user_suppress_add", USER, "1h", "Bob@EXAMPLE.com",
                   "Example.NET.", "x@a.example=2999-12-31T23:59:59Z") == 3
    with log_in(relay) as session:
        assert set(replies(session, "bob@example.com", "q@example.net",
                           "x@a.example")) == {SUPPRESSED}
        assert library.call("user_suppress_rm", USER, "BOB@example.COM",
                       "EXAMPLE.net", "X@A.example") == 3
        assert all(taken(replies(session, "bob@example.com", "q@example.net",
                                 "x@a.example")))


def test_in_a_cluster(tmp_path):
    """The lists of user and account are on two servers."""
    with Cluster() as servers:
        account = next(name for name in ("acme", "b", "c", "d", "e") if
                       servers.owner(USER) is not servers.owner(
                           "smtp:account:{%s}" % name))
        users = Users(servers)
        users.account(account, "example.org")
        users.add("alice", PASSWORD, account=account)
        cmd = Smtpusers(servers, tmp_path)
        cmd.ok("suppress", "add", "alice", "bob@example.com")
        cmd.ok("suppress", "import", "--account", account,
               stdin=b"example.net\n")
        with FilterDriver(workdir("filter"), configuration(
                redis=servers.url)) as driver:
            mail = Mail(driver)
            for recipient in ("bob@example.com", "x@example.net"):
                assert mail.rcpt(recipient) == "reject|" + SUPPRESSED
            assert mail.rcpt("bob@example.org") == "proceed"
            owner = servers.owner("smtp:account:{%s}" % account)
            owner.pause()
            try:
                assert mail.rcpt("carol@example.com") == "reject|" + TEMPFAIL
                # What one list says for certain is enough.
                assert mail.rcpt("bob@example.com")[:10] in (
                    "reject|550", "reject|451")
            finally:
                owner.resume()
        text = cmd.ok("export").stdout
        assert text.count("_suppressed") == 2
        servers.cli("FLUSHALL")
        cmd.ok("import", stdin=text.encode())
        cmd.ok("rename", "alice", "renamed")
        assert cmd.ok("suppress", "list", "renamed").stdout == \
            "bob@example.com\n"
        assert cmd.ok("suppress", "list", "--account", account).stdout == \
            "example.net\n"
