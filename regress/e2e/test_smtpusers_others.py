# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8): what it asks Redis at once, alone and beside others."""

import contextlib
import re
import socket
import threading

import pytest

from cli import EX_DATAERR, Smtpusers, package
from transfers import lines_of, user

LINES = 4000


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


@contextlib.contextmanager
def somebody(redis):
    """Who asks Redis all the time."""
    ended = threading.Event()

    def ask():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(redis.socket)
            while not ended.is_set():
                link.sendall(b"PING\r\n")
                link.recv(64)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def calls_of(redis, cmd, *words, rights="+info", command="fcall"):
    """How often the command was called."""
    redis.cli("CONFIG", "RESETSTAT")
    redis.cli("ACL", "SETUSER", "default", rights)
    wanted = (0, EX_DATAERR) if words[0] == "check" else (0,)
    assert cmd.run(*words).returncode in wanted
    redis.cli("ACL", "SETUSER", "default", "+info")
    return int(re.search(r"^cmdstat_%s:calls=([0-9]+)" % command, redis.cli(
        "INFO", "commandstats"), re.MULTILINE)[1])


def calls_of_import(redis, cmd, tmp_path, rights="+info"):
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(lines_of(*[user("user%d" % number)
                                 for number in range(LINES)]))
    return calls_of(redis, cmd, "import", lines, rights=rights)


def test_an_import_takes_several_lines_together(redis, cmd, tmp_path):
    """Where it had reason to think that it is not alone, it was so soon."""
    assert calls_of_import(redis, cmd, tmp_path) < LINES * 0.9


def test_an_import_lets_others_in_between(redis, cmd, tmp_path):
    with somebody(redis):
        assert calls_of_import(redis, cmd, tmp_path) > LINES * 0.7


def test_who_may_not_look_lets_others_in_between(redis, cmd, tmp_path):
    assert calls_of_import(redis, cmd, tmp_path, "-info") >= LINES


@pytest.mark.parametrize("word, command, keys", [
    ("list", "scan", LINES), ("export", "scan", 2 * LINES),
    ("check", "fcall", LINES)])
def test_reading_takes_more_together_where_it_is_alone(
        redis, cmd, tmp_path, word, command, keys):
    """Keys are walked over once for each kind of record."""
    calls_of_import(redis, cmd, tmp_path)
    alone = calls_of(redis, cmd, word, command=command)
    beside = calls_of(redis, cmd, word, rights="-info", command=command)
    assert keys / 150 < alone < beside / 1.5
    assert beside > keys / 60


def reads(link):
    """How often the server has read what it was sent."""
    return int(re.search(r"total_reads_processed:([0-9]+)",
                         link.one("INFO", "stats"))[1])


def test_what_it_asks_is_told_from_what_others_ask(redis, cmd, tmp_path):
    """Two questions that are read at once would hide one of somebody else."""
    calls_of_import(redis, cmd, tmp_path)
    link = package("provision.servers").connect({
        "redis": redis.url, "prefix": "smtp:", "quota_period": 86400,
        "redis_timeout": 3000, "redis_db": 0})
    pages = package("provision.pages")
    pages.need_functions(link)
    for walk in (pages.read_rows(link, "user", [("HMGET", "", "status")]),
                 pages.judged_rows(link, "user", ["problems"]),
                 pages.strays(link)):
        before, sent = reads(link), link.traffic.sent
        assert sum(map(len, walk)) in (0, LINES)
        assert 0 <= reads(link) - before - (link.traffic.sent - sent) < 20
    link.close()
