# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a user's log tells of logins and messages."""

import calendar
import re
import time

import pytest

from linedriver import FilterDriver
from places import configuration, workdir
from redisserver import wait_until
from reports import OK, PASSWORD, entries, log, report_id, try_message
from session import FORMS, Session, simple

FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
MAX = 1000


@pytest.fixture
def name(users, request):
    """A name of this test's own, for no log of another test's."""
    return re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-60:].strip("-")


def without_session(entry):
    assert re.fullmatch("[0-9a-f]{16}", entry["session"])
    return {key: value for key, value in entry.items() if key != "session"}


@pytest.mark.parametrize("form", FORMS)
def test_logins(relay, redis, users, form, name):
    users.add(name, PASSWORD)
    with Session(relay, "127.0.0.5") as session:
        assert FORMS[form](session, name.upper(), "wrong-word") == FAILED
        assert FORMS[form](session, name.upper(), PASSWORD) == OK
        assert [without_session(entry) for entry in log(redis, name, 2)] == [
            {"event": "login", "result": "refused", "reply": FAILED,
             "source": "127.0.0.5"},
            {"event": "login", "result": "accepted", "source": "127.0.0.5"}]
    with Session(relay, "::1") as session:
        assert FORMS[form](session, name, PASSWORD) == OK
        first, second, third = log(redis, name, 3)
    assert first["session"] == second["session"] != third["session"]
    assert third["source"] == "::1"


@pytest.mark.parametrize("result", ["pass", "fail"])
def test_who_leaves_at_once_is_not_forgotten(redis, users, name, result):
    users.add(name, PASSWORD)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        for ident in ("00000000000000aa", "00000000000000bb"):
            f.connect(ident)
            assert f.ask("auth", ident, "LOGIN") == "proceed"
            parts = ("smtp-in|link-auth|%s|%s|%s" % (ident, result, name),
                     "smtp-in|link-disconnect|" + ident)
            f.send(*("report|0.7|1.0|" + part for part in parts))
        found = log(redis, name, 2)
    assert {entry["result"] for entry in found} == {
        {"pass": "accepted", "fail": "refused"}[result]}


@pytest.mark.parametrize("form", FORMS)
def test_logins_from_a_wrong_source(relay, redis, users, form, name):
    users.add(name, PASSWORD, ips=["127.0.0.9"])
    with Session(relay) as session:
        reply = FORMS[form](session, name, PASSWORD)
        if reply == OK:
            assert session.mail() == UNLISTED
            assert session.closed()
            expected = [("login", "accepted", None),
                        ("message", "refused", UNLISTED)]
        else:
            assert reply == UNLISTED
            expected = [("login", "refused", UNLISTED)]
    found = log(redis, name, len(expected))
    assert [(entry["event"], entry["result"], entry.get("reply"))
            for entry in found] == expected


@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_password_from_a_wrong_source(relay, redis, users, form, name):
    users.add(name, PASSWORD, ips=["127.0.0.9"])
    with Session(relay) as session:
        assert FORMS[form](session, name, "wrong-word") == FAILED
    entry, = log(redis, name, 1)
    assert (entry["result"], entry["reply"]) == ("refused", FAILED)


@pytest.mark.parametrize("form", FORMS)
def test_a_blocked_users_login(relay, redis, users, form, name):
    users.add(name, PASSWORD, status="blocked")
    with Session(relay) as session:
        assert FORMS[form](session, name, PASSWORD) == FAILED
    entry, = log(redis, name, 1)
    assert (entry["event"], entry["result"]) == ("login", "refused")


@pytest.mark.parametrize("form", FORMS)
def test_names_of_nobody_leave_nothing(relay, redis, users, form):
    users.add("witness", PASSWORD)
    strange = ["nobody", "NOBODY", "no body", "a" * 65, "x:y", "x|y", "*",
               "witness}:log", "{witness}"]
    with Session(relay) as session:
        assert FORMS[form](session, strange[0], PASSWORD) == FAILED
        # Whoever is there next is not taken for who was not.
        assert FORMS[form](session, "witness", PASSWORD) == OK
        log(redis, "witness", 1)
    for name in strange[1:]:
        with Session(relay) as session:
            assert not FORMS[form](session, name, PASSWORD).startswith("2")
    assert [entry["result"] for entry in log(redis, "witness", 1)] == \
        ["accepted"]
    # A relay, and the totals of all, are nobody's.
    assert {key for key in redis.cli("KEYS", "*") if not key.startswith(
            ("smtp:relay", "smtp:stats:"))} == {
        "smtp:user:{witness}", "smtp:user:{witness}:domains",
        "smtp:user:{witness}:last", "smtp:user:{witness}:log"}


def test_messages(relay, redis, users, sink, name):
    users.add(name, PASSWORD)
    many = ["user%d@example.com" % n for n in range(3)]
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        accepted = session.message("first", recipients=many)
        assert accepted.startswith("250")
        refused = session.mail("a@bank.test")
        where, late = try_message(session, "", "From: a@bank.test", "third")
        assert where == "end of data"
    _, first, second, third = [
        without_session(entry) for entry in log(redis, name, 4)]
    message = sink.wait_for(b"first")
    assert first["msgid"] == accepted.split()[2]
    assert first.pop("msgid").encode() in message.head
    # smtpd counts its own Received header, and lines as the queue has them.
    assert int(first.pop("size")) > len(simple("first")) // 2
    assert first == {
        "event": "message", "result": "accepted", "source": "127.0.0.1",
        "sender": "alice@example.org", "recipients": "3",
        "message_id": "<first@client.test>"}
    assert second == {
        "event": "message", "result": "refused", "reply": refused,
        "source": "127.0.0.1", "sender": "a@bank.test", "recipients": "0",
        "report": report_id(refused, name)}
    assert re.fullmatch("[0-9a-f]{8}", third.pop("msgid"))
    assert third == {
        "event": "message", "result": "refused", "reply": late,
        "source": "127.0.0.1", "sender": "<>", "recipients": "1",
        "message_id": "<third@client.test>",
        "report": report_id(late, name)}


def test_recipients_that_smtpd_refuses_do_not_count(relay, redis, users, name):
    users.add(name, PASSWORD)
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.rcpt("no at sign").startswith("5")
        assert session.rcpt("carol@example.com").startswith("250")
        assert session.data(simple()).startswith("250")
    assert log(redis, name, 2)[1]["recipients"] == "2"


def test_given_up_before_the_end_is_no_message(relay, redis, users, name):
    users.add(name, PASSWORD)
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("RSET").startswith("250")
        assert session.message().startswith("250")
    results = [entry["event"] for entry in log(redis, name, 2)]
    assert results == ["login", "message"]


def test_a_message_that_smtpd_fails_to_take(redis, users, name):
    """Accepted by us, then rolled back."""
    users.add(name, PASSWORD)
    ident = "00000000000000aa"
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        f.connect(ident)
        f.authenticate(ident, name)
        for message in ("0000000a", "0000000b"):
            assert f.ask("mail-from", ident, "alice@example.org") == "proceed"
            f.report("tx-begin", ident, message)
            f.report("tx-rcpt", ident, message, "ok", "bob@example.com")
            line = "%s|00000000000000ff|From: alice@example.org" % ident
            f.send("filter|0.7|1.0|smtp-in|data-line|" + line)
            assert f.line() == "filter-dataline|" + line
            assert f.ask("commit", ident) == "proceed"
            if message == "0000000a":
                f.report("tx-rollback", ident, message)
            else:
                f.report("tx-commit", ident, message, "77")
        _, failed, taken = log(redis, name, 3)
    assert (failed["result"], failed["msgid"]) == ("failed", "0000000a")
    assert (taken["result"], taken["size"]) == ("accepted", "77")


def test_users_of_an_address_have_a_log(relay, redis, users, name):
    users.add(name)
    users.ip_auth(name, "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
        assert report_id(session.mail("a@bank.test"), name)
    assert [entry["result"] for entry in log(redis, name, 2)] == \
        ["accepted", "refused"]


def test_smtpds_log_names_who_sends_by_address(relay, redis, users, name):
    """It knows itself who has logged in."""
    users.add(name, PASSWORD)
    users.ip_auth(name, "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain(name, PASSWORD) == OK
        assert session.message().startswith("250")
    first, _, second = log(redis, name, 3)
    assert (first["event"], second["event"]) == ("message", "message")
    line = "%s message accepted: user=%s source=127.0.0.2 msgid=%s\n" % (
        first["session"], name, first["msgid"])
    wait_until(lambda: line in relay.log(), 60, "the line")
    said = [line for line in relay.log().splitlines()
            if "message accepted: user=%s " % name in line]
    assert len(said) == 1
    # smtpd's own line of that message.
    assert "%s smtp message msgid=%s " % (first["session"],
                                          first["msgid"]) in relay.log()


def test_the_log_is_capped(redis, users, name):
    users.add(name, PASSWORD)
    ident, count = "00000000000000aa", 3 * MAX
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        f.connect(ident)
        f.authenticate(ident, name)
        for n in range(count):
            f.ask("mail-from", ident, "a%d@bank.test" % n)
        wait_until(lambda: entries(redis, name)[-1].get("sender") ==
                   "a%d@bank.test" % (count - 1), 20, "the last entry")
    # About as many as it is capped to: Redis cuts whole nodes.
    assert MAX <= redis.cli("XLEN", users.key(name, "log")) < MAX + 200


def added(redis, stream):
    """Entries that a stream has had, those that are gone too."""
    if not redis.cli("EXISTS", stream):
        return 0
    told = redis.cli("XINFO", "STREAM", stream)
    return told[told.index("entries-added") + 1]


def test_strangers_push_nothing_out(redis, users, name):
    """Wrong passwords, far more than the log has room for."""
    users.add(name, PASSWORD)
    ident = "00000000000000aa"
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        f.connect(ident)
        f.authenticate(ident, name)
        assert report_id(f.ask("mail-from", ident, "a@bank.test")
                         .partition("|")[2], name)
        log(redis, name, 2)
        for n in range(3 * MAX):
            other = "%016x" % (n + 256)
            f.connect(other)
            f.report("link-auth", other, "fail", name)
            f.disconnect(other)
        wait_until(lambda: added(redis, users.key(name, "failed")) == 3 * MAX,
                   20, "failed logins")
    assert redis.cli("XLEN", users.key(name, "failed")) < MAX + 200
    kept = entries(redis, name, parts=["log"])
    assert [(entry["event"], entry["result"]) for entry in kept] == [
        ("login", "accepted"), ("message", "refused")]


LATER = "451 4.3.0 Temporary failure"


def deferred(redis, name):
    """What the log says of messages that could not be judged."""
    return [(entry["result"], entry["reply"], entry.get("sender"))
            for entry in entries(redis, name)
            if entry["event"] == "message"]


def logs_in_again(relay, name):
    """The filter goes back to Redis after a pause of its own."""
    def attempt():
        with Session(relay) as session:
            return session.plain(name, PASSWORD) == OK
    wait_until(attempt, 20, "a login")


@pytest.mark.parametrize("stage", ["MAIL FROM", "end of data"])
def test_what_cannot_be_judged_is_in_the_log(relay, redis, users, name, stage):
    """Redis stands still until the deadline; the entry waits for it."""
    users.add(name, PASSWORD)
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        log(redis, name, 1)
        if stage == "end of data":
            assert session.mail().startswith("250")
            assert session.rcpt().startswith("250")
            assert session.command("DATA").startswith("354")
        redis.pause()
        try:
            reply = (session.mail() if stage == "MAIL FROM"
                     else session.finish(simple("never")))
        finally:
            redis.resume()
        assert reply == LATER
    wait_until(lambda: deferred(redis, name) ==
               [("refused", LATER, "alice@example.org")], 20, "the entry")
    logs_in_again(relay, name)


@pytest.mark.parametrize("field", ["mode", "quota"])
@pytest.mark.parametrize("stage", ["MAIL FROM", "end of data"])
def test_a_bad_record_is_in_the_log(relay, redis, users, name, stage, field):
    users.add(name, PASSWORD)
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        if stage == "end of data":
            assert session.mail().startswith("250")
        users.set(name, **{field: "none"})
        if stage == "end of data":
            assert session.rcpt().startswith("250")
            assert session.data(simple()) == LATER
        else:
            assert session.mail() == LATER
        assert [(entry["event"], entry["result"], entry.get("reply"))
                for entry in log(redis, name, 2)] == [
            ("login", "accepted", None), ("message", "refused", LATER)]


def test_what_nobody_can_be_told_leaves_nothing(relay, redis, users):
    """Who has not logged in is nobody while Redis cannot be asked."""
    users.add("witness", PASSWORD)
    with Session(relay) as session:
        redis.pause()
        try:
            assert session.mail() == LATER
        finally:
            redis.resume()
    logs_in_again(relay, "witness")
    wait_until(lambda: entries(redis, "witness"), 10, "the log")
    # The one that the relay was tried with may have left something, too, and
    # so may those of tests before, who are named after them.
    assert [key for key in redis.cli("KEYS", "*") if key.endswith(":log") and
            "probe" not in key and "{test-" not in key] == [
                "smtp:user:{witness}:log"]


# The last use


def last(redis, name):
    flat = redis.cli("HGETALL", "smtp:user:{%s}:last" % name)
    return dict(zip(flat[::2], flat[1::2]))


def test_the_last_use(relay, redis, users, name):
    users.add(name, PASSWORD)
    began = time.time()
    with Session(relay) as session:
        assert session.plain(name, "wrong-word") == FAILED
        log(redis, name, 1)
        assert last(redis, name) == {}
        assert session.plain(name, PASSWORD) == OK
        log(redis, name, 2)
        wait_until(lambda: set(last(redis, name)) == {"login"}, 10, "a login")
        assert report_id(session.mail("a@bank.test"), name)
        log(redis, name, 3)
        assert set(last(redis, name)) == {"login"}
        assert session.message().startswith("250")
        wait_until(lambda: set(last(redis, name)) == {"login", "message"},
                   10, "a message")
    for text in last(redis, name).values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
        when = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
        assert int(began) <= when <= time.time()


def test_the_last_use_of_an_address(relay, redis, users, name):
    users.add(name)
    users.ip_auth(name, "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
    wait_until(lambda: set(last(redis, name)) == {"message"}, 10, "a message")


def test_a_last_use_of_a_wrong_type_is_nobodys_trouble(
        relay, redis, users, name):
    users.add(name, PASSWORD)
    redis.cli("SET", "smtp:user:{%s}:last" % name, "x")
    with Session(relay) as session:
        assert session.plain(name, PASSWORD) == OK
        assert session.message().startswith("250")
    # What Redis refuses for good is not tried again, and is told.
    wait_until(lambda: "are lost: WRONGTYPE" in relay.log(), 70, "a word")
    assert [entry["event"] for entry in log(redis, name, 2)] == \
        ["login", "message"]
