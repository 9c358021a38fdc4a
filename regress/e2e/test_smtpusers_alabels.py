# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8) converts domains as the relay does."""

import pytest

from cli import EX_DATAERR, Smtpusers, package
from transfers import lines_of, tally, user
from vectors import vectors

alabels = package("provision.alabels").alabels
Failure = package("provision.failure").Failure


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path)


def converted(text):
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    try:
        return alabels(text)
    except Failure as failure:
        assert failure.code == EX_DATAERR
        return None


def test_other_letters(cmd):
    """What libidn2 makes of them is Redis's to judge still."""
    cmd.ok("add", "alice", "--no-password")
    for case in vectors("ulabels"):
        found = converted(case.text)
        if found != case.canonical:
            assert case.canonical is None, case
            assert cmd.run("domain", "add", "alice", "--", found).returncode \
                == EX_DATAERR, case
    assert cmd.members("alice", ":domains") == set()


def test_ascii_is_left_to_redis():
    for text in ("A.Example.", "xn--a.example", "", "a b", "-x"):
        assert alabels(text) == text


U = "bücher.example"
A = "xn--bcher-kva.example"


def test_everywhere(cmd):
    cmd.ok("add", "alice", "--no-password", "--domain", U)
    assert cmd.members("alice", ":domains") == {A}
    cmd.ok("domain", "rm", "alice", U)
    assert cmd.members("alice", ":domains") == set()
    cmd.ok("domain", "add", "alice", "BÜCHER.example")
    assert cmd.ok("list", "--names", "--domain", U).stdout == "alice\n"
    cmd.ok("account", "add", "acme", "--domain", U)
    cmd.ok("account", "domain", "add", "acme", "пример.рф")
    assert cmd.json("account", "show", "acme")["domains"] == [
        A, "xn--e1afmkfd.xn--p1ai"]
    cmd.ok("account", "domain", "rm", "acme", "пример.рф")
    assert cmd.json("account", "show", "acme")["domains"] == [A]
    for words in (("domain", "add", "alice", "faß.example"),
                  ("list", "--domain", "☺.example"),
                  ("add", "bob", "--no-password", "--domain", "b\u200bc.de")):
        assert "not a domain" in cmd.fails(EX_DATAERR, *words)


def test_import(cmd):
    data = lines_of(user("bob", domains=[U, A]),
                    user("carol", domains=["a.example", "faß.example"]))
    for options in (("--check",), ()):
        result = cmd.run("import", *options, stdin=data)
        assert result.returncode == EX_DATAERR
        assert "line 2: carol: faß.example: not a domain" in result.stderr
    assert result.stdout == tally(added=1, errors=1)
    assert cmd.members("bob", ":domains") == {A}
