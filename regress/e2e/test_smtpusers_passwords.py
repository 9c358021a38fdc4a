# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8): what it says of passwords that are easy to guess."""

import os
import subprocess

import pytest

from cli import EX_DATAERR, EX_IOERR, SCRIPT, Smtpusers, verifies

WARNING = "smtpusers: the password is weak: "
GOOD = "Correct:Horse|Battery Staple"

WEAK = [
    ("x", "shorter than"), ("elephants", "dictionary"),
    ("abcdefghijklmn", ""), ("aaaaaaaaaaaaaaa", ""),
    ("Alice.Smith-2026!", "user name"), ("2026!htimS.ecilA", "user name"),
    ("2026-Bigcorp!mail", "forbidden words"),
    ("Kj4-xT9q2", "fewer than 12 characters")]


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    cmd.ok("add", "alice.smith", "--no-password", "--domain",
           "bigcorp.example")
    return cmd


@pytest.mark.parametrize("password, reason", WEAK)
def test_a_weak_password_is_warned_of_and_taken(cmd, password, reason):
    result = cmd.ok("passwd", "alice.smith", "--stdin",
                    stdin=password.encode())
    assert result.stderr.startswith(WARNING) and reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert password not in result.stderr and result.stdout == ""
    assert verifies(password, cmd.fields("alice.smith")["password"])


@pytest.mark.parametrize("password", [
    GOOD.encode(), "größer als 本 Bäume".encode(),
    b"\xff\xfe\x01 \x80 Kj4-xT9",
    b"%s %n $(id) badwords= Kj4"])
def test_a_good_password_is_taken_in_silence(cmd, password):
    assert cmd.ok("passwd", "alice.smith", "--stdin",
                  stdin=password).stderr == ""


def test_add_knows_the_names_that_it_is_given(cmd):
    result = cmd.ok("add", "bob", "--stdin", "--domain", "Foobarbaz.example",
                    stdin=b"Foobarbaz-Kj4-xT9")
    assert result.stderr.startswith(WARNING)
    assert cmd.ok("add", "carol", "--stdin", "--domain", "a.example",
                  stdin=b"Foobarbaz-Kj4-xT9").stderr == ""


def test_a_typed_password_is_judged(cmd):
    code, shown = cmd.typed("passwd", "alice.smith", answers=["tiny"] * 2)
    assert code == 0 and WARNING in shown
    code, shown = cmd.typed("passwd", "alice.smith", answers=[GOOD] * 2)
    assert code == 0 and WARNING not in shown


def test_a_generated_password_is_not(cmd):
    for _ in range(5):
        result = cmd.ok("passwd", "alice.smith", "--generate")
        assert result.stderr == ""
        assert verifies(result.stdout[:-1],
                        cmd.fields("alice.smith")["password"])


@pytest.mark.parametrize("answers", [[b"caf\xe9"], [GOOD, b"caf\xe9"]])
def test_typed_bytes_that_are_no_text_are_refused(cmd, answers):
    cmd.environment["LC_ALL"] = "C.UTF-8"
    before = cmd.snapshot()
    code, shown = cmd.typed("passwd", "alice.smith", answers=answers)
    assert code == EX_DATAERR and "Traceback" not in shown
    assert "the password is not text as the locale has it" in shown
    assert cmd.snapshot() == before


# A password that nobody sees

@pytest.mark.parametrize("how, why", [
    (">&-", "standard output is closed: nobody would see the password"),
    (">/dev/full", "standard output: No space left on device"),
    ("1</dev/null", "standard output: Bad file descriptor")])
@pytest.mark.parametrize("words", [("passwd", "alice.smith"), ("add", "bob")])
def test_a_password_that_cannot_be_printed_is_not_set(cmd, how, why, words):
    before = cmd.snapshot()
    result = cmd.redirected(how, *words, "--generate")
    assert (result.returncode, result.stderr) == (
        EX_IOERR, "smtpusers: %s\n" % why)
    assert cmd.snapshot() == before


def test_a_password_for_a_reader_who_has_gone_is_not_set(cmd):
    before = cmd.snapshot()
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        cmd.argv("passwd", "alice.smith", "--generate"), stdout=writer,
        env=cmd.environment, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (
        EX_IOERR, "smtpusers: standard output: Broken pipe\n")
    assert cmd.snapshot() == before


def test_a_password_that_could_not_be_printed_is_told_of(cmd, tmp_path):
    """A file that may not grow is found out by writing to it alone."""
    before = cmd.fields("alice.smith")
    with open(tmp_path / "out", "wb") as out:
        result = subprocess.run(
            ["prlimit", "--fsize=0", *cmd.argv("passwd", "alice.smith",
                                               "--generate")],
            stdout=out, env=cmd.environment, stderr=subprocess.PIPE,
            text=True, check=False)
    assert (result.returncode, result.stderr) == (
        EX_IOERR, "smtpusers: the password was changed but could not be "
        "printed: File too large\n")
    assert "password" not in before
    assert cmd.fields("alice.smith")["password"].startswith("$y$")


def test_a_password_may_be_thrown_away_on_purpose(cmd):
    result = cmd.redirected(">/dev/null", "passwd", "alice.smith",
                            "--generate")
    assert (result.returncode, result.stderr) == (0, "")
    assert "password" in cmd.fields("alice.smith")


def test_standard_input_that_cannot_be_read(cmd):
    result = cmd.redirected("0>/dev/null", "passwd", "alice.smith", "--stdin")
    assert (result.returncode, result.stderr) == (
        EX_IOERR, "smtpusers: standard input: Bad file descriptor\n")
    assert "password" not in cmd.fields("alice.smith")


def test_domains_of_the_wrong_type_do_not_matter(cmd):
    cmd.server.cli("DEL", cmd.key("alice.smith", ":domains"))
    cmd.server.cli("SET", cmd.key("alice.smith", ":domains"), "x")
    assert cmd.ok("passwd", "alice.smith", "--stdin",
                  stdin=GOOD.encode()).stderr == ""


def changed(cmd, path, line):
    """The command after a line of Python."""
    text = SCRIPT.read_text().replace('"@DATADIR@"', '"%s"' % SCRIPT.parent)
    path.write_text(text.replace("    sys.exit(", "    %s\n    sys.exit(" %
                                 line))
    path.chmod(0o755)
    cmd.argv = lambda *args: [path, "-f", cmd.file, *args]
    return cmd


def test_without_the_library_the_length_counts(cmd, tmp_path):
    changed(cmd, tmp_path / "smtpusers", "sys.modules['pwquality'] = None")
    for password, warning in ((b"Kj4-xT9q2Zz", WARNING + "it has fewer than "
                               "12 characters\n"), (b"password1234", "")):
        assert cmd.ok("passwd", "alice.smith", "--stdin",
                      stdin=password).stderr == warning


def test_without_the_dictionary_the_rest_counts(cmd, tmp_path):
    changed(cmd, tmp_path / "smtpusers", "import pwquality as q; "
            "new = q.PWQSettings; q.PWQSettings = lambda: "
            "[setattr(s, 'dictpath', '/nonexistent') or s for s in [new()]]"
            "[0]")
    for password, weak in ((GOOD, False), ("aaaaaaaaaaaaaaa", True)):
        told = cmd.ok("passwd", "alice.smith", "--stdin",
                      stdin=password.encode()).stderr
        assert (WARNING in told) is weak
