# Copyright (c) 2026 The smtpusers authors
#
# Permission to use, copy, modify, and/or distribute this software for any
# purpose with or without fee is hereby granted, provided that the above
# copyright notice and this permission notice appear in all copies.
#
# THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
# WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
# MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
# ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
# WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
# ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
# OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.


"""smtpusers(8): what it says of passwords that are easy to guess."""

import pytest

from provision import SCRIPT, Smtpusers, verifies

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
