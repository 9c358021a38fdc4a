# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8): reports, logs, and what the relay would do."""

import configparser
import importlib.util
import json
import marshal
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from places import PATIENCE, REPORT_URL, SOURCE, program, workdir
from nameserver import NameServer
from cli import (EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE,
                       Smtpusers)
from reports import (OK, PASSWORD, entries, from_header, log, report,
                     report_id, try_message)
from redisserver import wait_until
from session import Session
from users import Users, crypt

EX_NOINPUT = 66
ID = "123456789012345678"
# What explain says beside the reasons of reports.
BESIDE = {"user-blocked", "account-missing", "source-not-listed",
          "source-list-missing", "quota"}


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path, report_url=REPORT_URL)


def reasons():
    """Every name that the filter gives to a reason."""
    text = (SOURCE / "filter" / "reason.c").read_text()
    found = re.findall(r'return \("([a-z-]+)"\)', text)
    assert len(found) > 15
    return found


def written(cmd, **fields):
    words = [word for pair in fields.items() for word in pair]
    cmd.server.cli("HSET", "smtp:report:{%s}" % ID, *words)


# report

def test_there_are_words_for_every_reason():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(SOURCE / "scripts" / "reasons.ini", encoding="utf-8")
    assert set(parser.sections()) == set(reasons()) | BESIDE
    texts = [parser.get(section, part) for section in parser.sections()
             for part in ("what", "why", "fix")]
    assert len(texts) == sum(len(set(parser.options(section)) - {"formerly"})
                             for section in parser.sections())
    assert all(len(text) > 20 for text in texts)


@pytest.mark.parametrize("reason", reasons())
def test_a_report_in_words(cmd, reason):
    written(cmd, time="2026-11-21T05:10:21Z", relay="mx1", user="alice",
            account="acme", reason=reason, domain="bank.test",
            spf="v=spf1 -all", envelope_sender="a@bank.test",
            **{"from": " A <a@bank.test>"}, source="192.0.2.1",
            message_id="<1@client.test>", msgid="0a0b0c0d")
    shown = cmd.ok("report", ID).stdout
    parts = ("blocked at 2026-11-21T05:10:21Z", "\nWhat happened:\n",
             "\nWhy:\n", "\nWhat to do:\n", "\nDetails:\n")
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)
    for value in (ID, reason, "mx1", "alice", "acme", "bank.test",
                  "v=spf1 -all", "A <a@bank.test>", "192.0.2.1",
                  "<1@client.test>", "0a0b0c0d"):
        assert value in shown.split("Details:")[1]
    assert not re.search(r"\{[a-z_]+\}", shown)
    assert all(len(line) < 80 for line in shown.splitlines())
    found = cmd.json("report", ID)
    assert (found["id"], found["reason"]) == (ID, reason)
    assert found["from"] == "A <a@bank.test>"
    assert len({found["what"], found["why"], found["fix"]}) == 3


@pytest.mark.parametrize("text", [
    ID, REPORT_URL + "?id=%s&auth=alice" % ID, "?auth=alice&id=" + ID,
    "550 5.7.1 [ACL] Blocked. See %s?id=%s&auth=alice" % (REPORT_URL, ID)])
def test_a_report_by_the_reply(cmd, text):
    written(cmd, reason="plan", user="alice")
    assert cmd.json("report", text)["id"] == ID


def test_reports_that_are_none(cmd):
    assert "no such report" in cmd.fails(EX_NOINPUT, "report", ID)
    for text in ("", "1", ID + "9", "x" * 18, "smtp:user:{alice}",
                 ID[:-1] + "*"):
        assert "not a report" in cmd.fails(EX_DATAERR, "report", text)
    cmd.server.cli("SET", "smtp:report:{%s}" % ID, "x")
    assert "not a hash" in cmd.fails(EX_DATAERR, "report", ID)


@pytest.mark.parametrize("old,new", [("user", "user-changed"),
                                     ("plan", "plan-not-pro")])
def test_a_report_of_before(cmd, old, new):
    """What reasons and fields were called once."""
    written(cmd, reason=old, user="alice", message="0a0b0c0d")
    found = cmd.json("report", ID)
    assert (found["reason"], found["msgid"]) == (old, "0a0b0c0d")
    assert "message" not in found
    written(cmd, reason=new, user="alice")
    assert found["what"] == cmd.json("report", ID)["what"]


def test_a_report_of_a_reason_nobody_knows(cmd):
    written(cmd, reason="the-future", user="alice")
    shown = cmd.ok("report", ID).stdout
    assert "the-future" in shown and "What happened" not in shown


def test_what_strangers_wrote_is_shown_harmlessly(cmd):
    written(cmd, reason="from-ambiguous", user="{domain}",
            domain="{spf}{from}%(x)s", **{
                "from": b"\x1b[2J\xff\n\nWhy:\n  \xe2\x80\xae{user}"})
    shown = cmd.ok("report", ID).stdout
    assert shown.count("\nWhy:\n") == 1
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "\\x1b[2J\\xff\\n\\nWhy:" in shown.replace("\n  ", " ")
    assert "{spf}{from}%(x)s" in shown
    assert "{user}" in shown


def test_a_real_report(cmd, relay, redis, users):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        reply = session.mail("a@bank.test")
    assert report(redis, report_id(reply, "alice"))
    shown = cmd.ok("report", reply).stdout
    assert "The user alice tried to send as bank.test" in \
        shown.replace("\n  ", " ")
    assert "domain-not-assigned" in shown


# log

def add_entry(cmd, name="alice", part=":log", ident="*", **fields):
    words = [word for pair in fields.items() for word in pair]
    return cmd.server.cli("XADD", cmd.key(name, part), ident, *words)


def test_a_log_for_people_and_programs(cmd, relay, redis, users):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.login("alice", "wrong-word").startswith("535")
        assert session.login("alice", PASSWORD) == OK
        assert session.message("told").startswith("250")
        refused = session.mail("a@bank.test")
        log(redis, "alice", 4)
    lines = cmd.ok("log", "Alice").stdout.splitlines()
    assert [line.split()[1:3] for line in lines] == [
        ["login", "refused"], ["login", "accepted"], ["message", "accepted"],
        ["message", "refused"]]
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line)
        assert " 127.0.0.1" in line
    assert "from=alice@example.org recipients=1 size=" in lines[2]
    assert "id=<told@client.test>" in lines[2]
    assert lines[3].endswith("reply=" + refused)
    found = [json.loads(line) for line in
             cmd.ok("log", "alice", "--json").stdout.splitlines()]
    for entry in found:
        assert entry.pop("id") and entry.pop("time")
    assert found == entries(redis, "alice")


def test_how_many_entries(cmd):
    cmd.ok("add", "alice", "--no-password")
    assert cmd.ok("log", "alice").stdout == ""
    for n in range(30):
        add_entry(cmd, event="login", result="accepted", source="s%d" % n)

    def sources(*words):
        return [json.loads(line)["source"] for line in
                cmd.ok("log", "alice", "--json", *words).stdout.splitlines()]
    assert sources() == ["s%d" % n for n in range(10, 30)]
    assert sources("-n", "3") == ["s27", "s28", "s29"]
    assert sources("-n", "0") == []
    assert len(sources("-n", "10000")) == 30
    for number in ("-1", "many", "10001", ""):
        cmd.fails(EX_USAGE, "log", "alice", "-n" + number)


def test_values_cannot_forge_an_entry(cmd):
    add_entry(cmd, event="message", result="refused", sender="1-1",
              reply="1700000000000-0", message_id="\nx\x1b[2J")
    add_entry(cmd, event="1-1", result="2-2")
    first, second = cmd.ok("log", "alice").stdout.splitlines()
    assert "from=1-1" in first and "reply=1700000000000-0" in first
    assert "id=\\nx\\x1b[2J" in first
    assert second.split()[1:3] == ["1-1", "2-2"]


@pytest.mark.parametrize("fields", [
    ("1-1", "x"), ("a", "b", "1-1", "x", "c", "d"), ("1-1", "sender"),
    ("9" * 5000 + "-1", "x"), ("id", "1-1", "time", "x")])
def test_a_field_that_is_named_like_an_id(cmd, fields):
    real = cmd.server.cli("XADD", cmd.key("alice", ":log"), "*", *fields)
    assert cmd.ok("log", "alice").stdout
    told = [json.loads(line) for line in
            cmd.ok("log", "alice", "--json").stdout.splitlines()]
    assert [entry["id"] for entry in told] == [real]
    assert told[0]["time"] != "x"
    assert {**told[0], **dict(zip(fields[::2], fields[1::2])), "id": real,
            "time": told[0]["time"]} == told[0]


@pytest.mark.parametrize("fields", [("1-1", "x"), ("id", "1-1"),
                                    ("id", "99999999999999-0")])
def test_a_log_is_followed_past_a_field_that_is_named_like_an_id(
        cmd, fields):
    cmd.server.cli("XADD", cmd.key("alice", ":log"), "*", "event", "first")
    with cmd.start("log", "alice", "-f") as process:
        patience = threading.Timer(60, process.kill)
        patience.start()
        assert "first" in process.stdout.readline()
        for words, awaited in ((fields, "-"), (("event", "second"), "second"),
                               (("event", "third"), "third")):
            cmd.server.cli("XADD", cmd.key("alice", ":log"), "*", *words)
            shown = process.stdout.readline()
            while awaited not in shown.split():
                assert shown and "first" not in shown
                shown = process.stdout.readline()
        patience.cancel()
        process.kill()


def test_a_log_of_nobody(cmd):
    cmd.fails(EX_NOUSER, "log", "alice")
    for part in (":log", ":failed"):
        key = cmd.key("alice", part)
        cmd.server.cli("SET", key, "x")
        said = cmd.fails(EX_DATAERR, "log", "alice")
        assert key + ": not a stream" in said
        cmd.server.cli("DEL", key)
    add_entry(cmd, event="login", result="refused")
    assert "refused" in cmd.ok("log", "alice").stdout


def test_failed_logins_stand_among_the_others(cmd):
    for n in range(12):
        add_entry(cmd, part=":failed" if n % 3 else ":log",
                  ident="1700000000%03d-%d" % (n // 2, n), n=str(n))
    for count in (1, 5, 12, 20):
        found = [json.loads(line)["n"] for line in cmd.ok(
            "log", "alice", "--json", "-n", str(count)).stdout.splitlines()]
        assert found == [str(n) for n in range(12)][-count:]


def test_a_log_is_followed(cmd):
    cmd.ok("add", "alice", "--no-password")
    for source in ("old", "new"):
        add_entry(cmd, event="login", result="accepted", source=source)
    process = cmd.start("log", "alice", "-f", "-n", "1", "--json")
    try:
        assert json.loads(process.stdout.readline())["source"] == "new"
        for n in range(5):
            add_entry(cmd, part=":failed" if n % 2 else ":log",
                      event="login", source="later%d" % n)
            line = json.loads(process.stdout.readline())
            assert line["source"] == "later%d" % n
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[0] == ""
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()


def test_an_empty_log_is_followed_past_a_silence(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path, redis_timeout=100)
    cmd.ok("add", "alice", "--no-password")
    process = cmd.start("log", "alice", "-f")
    try:
        def times(command):
            calls = redis.cli("INFO", "commandstats")
            found = re.search(r"cmdstat_%s:calls=(\d+)" % command, calls)
            return int(found[1]) if found else 0
        redis.cli("CONFIG", "RESETSTAT")
        wait_until(lambda: times("xread") >= 3, 20, "three silent waits")
        add_entry(cmd, event="login", result="accepted", source="at-last")
        assert "at-last" in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


# explain

def explained(cmd, *words):
    found = cmd.json("explain", "alice", *words)
    return found["where"], found.get("reason")


def test_explain_knows_what_the_relay_does(cmd, new_relay, redis):
    """The same question to both, for each mode."""
    zone = 'silent IN TXT "x"\npublished IN TXT "v=spf1 -all"\n'
    users = Users(redis)
    users.account("poor", "account.test", plan="basic")
    users.account("rich", "account.test", plan="pro")
    with NameServer(workdir("nsd"), zone) as nameserver:
        relay = new_relay(spf_resolver=nameserver.address)
        cmd.file.write_text(relay.conf_path.read_text())
        for mode, name in (("default", "poor"), ("all", "poor"),
                           ("any", "poor"), ("any", "rich")):
            users.add("alice", PASSWORD, domains=["own.test"], mode=mode,
                      account=name)
            for domain in ("own", "account", "published", "silent"):
                for sender, header in (
                        ("x@%s.test" % domain, from_header("x@own.test")),
                        ("x@own.test", from_header("x@%s.test" % domain)),
                        ("", from_header("x@%s.test" % domain))):
                    with Session(relay) as session:
                        assert session.plain("alice", PASSWORD) == OK
                        where, reply = try_message(session, sender, header)
                    ident = report_id(reply, "alice")
                    reason = report(redis, ident)["reason"] if ident else None
                    found = explained(cmd, "--from", sender, "--header",
                                      header)
                    assert found[1] == reason
                    # By then the relay may know SPF, or not.
                    assert found[0] == where or (
                        reason == "spf-none" and where in found[0])


def test_explain_in_words(cmd, users):
    users.account("acme", plan="basic")
    users.add("alice", PASSWORD, mode="any", account="acme")
    shown = cmd.ok("explain", "Alice", "--from", "a@bank.test").stdout
    rows = dict(line.split(None, 1) for line in
                shown.split("\n\n")[0].splitlines())
    assert rows == {
        "user": "alice", "mode": "any", "status": "allowed",
        "account": "acme", "plan": "other", "where": "MAIL FROM",
        "reply": "550 5.7.1 [ACL] Blocked. See %s?id=ID&auth=alice" %
                 REPORT_URL,
        "reason": "plan-not-pro", "domain": "bank.test"}
    assert "\nWhat to do:\n" in shown and '"pro"' in shown
    good = cmd.ok("explain", "alice", "--from", "<a@example.org>").stdout
    assert "250 accepted" in good and "What happened" not in good


def test_explain_knows_sources_and_statuses(cmd, users):
    users.add("alice", PASSWORD, ips=["192.0.2.0/24"])
    good = ("--from", "a@example.org")
    assert explained(cmd, *good, "--ip", "192.0.2.7") == ("end of data", None)
    assert explained(cmd, *good, "--ip", "192.0.3.7") == \
        ("AUTH or MAIL FROM", "source-not-listed")
    assert explained(cmd, *good) == ("end of data", None)
    with open(cmd.file, "a") as conf:
        conf.write("source_refusal = mail-from\n")
    assert explained(cmd, *good, "--ip", "192.0.3.7") == \
        ("MAIL FROM", "source-not-listed")
    users.set("alice", status="sandboxed")
    assert "nowhere" in cmd.json("explain", "alice", *good)["reply"]
    users.block("alice")
    assert explained(cmd, *good) == ("AUTH", "user-blocked")


def test_explain_knows_who_cannot_log_in(cmd, users):
    users.add("alice", PASSWORD)
    good = ("--from", "a@example.org", "--header", "From: a@example.org")
    assert explained(cmd, *good) == ("end of data", None)
    for locked in ("!" + crypt(PASSWORD), "*", ""):
        users.set("alice", password=locked)
        assert explained(cmd, *good) == ("AUTH", "user-without-login")
    # An address is a way in, where it is claimed.
    users.set("alice", ip_auth="192.0.2.7")
    assert explained(cmd, *good) == ("MAIL FROM", "not-logged-in")
    users.ip_auth("alice", "192.0.2.7")
    assert explained(cmd, *good) == ("end of data", None)
    assert explained(cmd, *good, "--ip", "192.0.2.8") == \
        ("MAIL FROM", "not-logged-in")
    users.add("bob", PASSWORD)
    users.ip_auth("bob", "192.0.2.8")
    assert explained(cmd, *good, "--ip", "192.0.2.8") == \
        ("MAIL FROM", "source-of-another-user")


def test_explain_knows_long_senders(cmd, users):
    users.add("alice", PASSWORD)
    sender = "a" * (342 - len("@example.org")) + "@example.org"
    assert explained(cmd, "--from", sender) == ("MAIL FROM", "sender-too-long")
    assert explained(cmd, "--from", sender[-321:]) == ("end of data", None)


def test_explain_knows_quotas(cmd, new_relay, redis, users):
    users.add("alice", PASSWORD)
    users.set("alice", quota="2", quota_period="1h", rate="9/1m")
    good = ("--from", "a@example.org", "--header", "From: a@example.org")
    relay = new_relay()
    cmd.file.write_text(relay.conf_path.read_text())
    for _ in range(2):
        assert explained(cmd, *good) == ("end of data", None)
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK
            assert session.message().startswith("250")
    assert explained(cmd, *good) == ("MAIL FROM", "quota")
    found = cmd.json("explain", "alice", *good)
    assert found["reply"].startswith(
        "451 4.7.1 [QUOTA] 2 messages per 1h used, try again in ")
    assert "higher limit" in found["fix"] and found["user"] == "alice"
    # Domains are judged before.
    assert explained(cmd, "--from", "a@bank.test") == \
        ("MAIL FROM", "domain-not-assigned")
    users.set("alice", quota="3")
    assert explained(cmd, *good) == ("end of data", None)
    users.set("alice", rate="two")
    assert explained(cmd, *good) == ("MAIL FROM", "limits-unreadable")


def test_explain_knows_limits_of_senders_and_accounts(cmd, new_relay, users):
    users.account("acme", quota="3", over="reject")
    users.add("alice", PASSWORD, account="acme", sender_quota="2")
    relay = new_relay()
    cmd.file.write_text(relay.conf_path.read_text())
    good = ("--from", "a@example.org", "--header", "From: a@example.org")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        for _ in range(2):
            assert session.message().startswith("250")
    assert explained(cmd, *good) == ("end of data", "sender-quota")
    found = cmd.json("explain", "alice", *good)
    assert found["domain"] == "example.org"
    assert "from example.org used" in found["reply"]
    assert "sent as many messages from example.org" in found["what"]
    users.set("alice", sender_quota="9")
    users.account("acme", quota="2")
    assert explained(cmd, *good) == ("MAIL FROM", "account-quota")
    found = cmd.json("explain", "alice", *good)
    assert found["reply"].startswith("550 5.7.1 [QUOTA] 2 messages per 1d of "
                                     "the account used")
    assert "account acme" in found["what"]


def test_explain_says_whom_it_is_about_without_spf(cmd, new_relay, users):
    """Where the name server answers nothing, too."""
    users.account("rich", plan="pro")
    users.add("alice", PASSWORD, mode="any", account="rich")
    with NameServer(workdir("nsd"), "") as nameserver:
        relay = new_relay(spf_resolver=nameserver.address)
        cmd.file.write_text(relay.conf_path.read_text())
        found = cmd.json("explain", "alice", "--from", "a@b.unloaded")
    assert found["reply"].startswith("451 4.4.3 ")
    assert (found["user"], found["plan"]) == ("alice", "pro")


def test_explain_reads_whole_headers(cmd, users):
    users.add("alice", PASSWORD)
    sender = ("--from", "a@example.org")
    header = "Subject: x\nFrom: A\n <a@example.org>"
    assert explained(cmd, *sender, "--header", header)[1] is None
    assert explained(cmd, *sender, "--header", header + "\nFrom: b@c.test") \
        == ("end of data", "from-multiple")
    assert explained(cmd, *sender, "--header", "") == \
        ("end of data", "from-missing")
    assert explained(cmd, "--from", "<>") == ("end of data", "from-missing")
    assert explained(cmd, *sender, "--header", "-f: x")[1] == "from-missing"


def test_explain_about_nobody_or_nothing(cmd, redis, users):
    good = ("--from", "a@example.org")
    assert "no such user" in cmd.fails(EX_NOUSER, "explain", "alice", *good)
    users.add("alice", PASSWORD)
    cmd.fails(EX_USAGE, "explain", "alice")
    cmd.fails(EX_DATAERR, "explain", "a b", *good)
    cmd.fails(EX_DATAERR, "explain", "alice", *good, "--ip", "300.1.1.1")
    users.set("alice", mode="whatever")
    cmd.fails(EX_DATAERR, "explain", "alice", *good)
    redis.kill()
    cmd.fails(EX_UNAVAILABLE, "explain", "alice", *good)


# installed

def test_installed_it_is_compiled(tmp_path):
    """Python takes what was compiled where the time of the source is as it was
    then, and the name of the source is that of the installed file."""
    subprocess.run(
        ["make", "-C", SOURCE, "install-hooks", "DESTDIR=%s" % tmp_path,
         "B=%s/build" % tmp_path, "PREFIX=/opt/x"],
        check=True, capture_output=True)
    for module in ("provision/commandline.py", "provision/connection.py",
                   "hooks/smtpusers_hooks/relay.py"):
        source = tmp_path / "opt/x/share/smtpusers" / module
        data = Path(importlib.util.cache_from_source(source)).read_bytes()
        assert int.from_bytes(data[8:12], "little") == int(
            source.stat().st_mtime)
        assert marshal.loads(data[16:]).co_filename == (
            "/opt/x/share/smtpusers/" + module)


def test_installed_it_finds_its_words(cmd):
    """make install fills in where they are."""
    place = workdir("install")
    subprocess.run(
        ["make", "-C", SOURCE, "install", "DESTDIR=%s" % place,
         "PREFIX=/opt/x", "LIBEXECDIR=%s" % program("x", "rel").parent],
        check=True, capture_output=True)
    script = (place / "opt/x/sbin/smtpusers").read_text()
    assert 'DATADIR = "/opt/x/share/smtpusers"' in script
    assert (place / "opt/x/share/smtpusers/reasons.ini").read_bytes() == \
        (SOURCE / "scripts" / "reasons.ini").read_bytes()
    moved = place / "smtpusers"
    moved.write_text(script.replace(
        '"/opt/x/share', '"%s/opt/x/share' % place))
    moved.chmod(0o755)
    written(cmd, reason="plan", user="alice")
    def run(*words):
        return subprocess.run([moved, "-f", cmd.file, *words],
                              env=cmd.environment, check=True, text=True,
                              capture_output=True).stdout
    assert "What to do" in run("report", ID)
    # The functions are found too, and nothing is left behind.
    files = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    cmd.server.cli("FUNCTION", "FLUSH")
    run("add", "alice", "--no-password")
    assert "name          alice\n" in run("show", "alice")
    assert files == {path: path.stat().st_mtime_ns
                     for path in place.rglob("*")}
    for path, source in (
            ("opt/x/share/bash-completion/completions/smtpusers",
             "smtpusers.bash"),
            ("opt/x/share/zsh/site-functions/_smtpusers", "_smtpusers")):
        assert (place / path).read_bytes() == (
            SOURCE / "scripts" / "completion" / source).read_bytes()
