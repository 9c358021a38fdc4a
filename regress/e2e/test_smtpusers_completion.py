# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""What bash and zsh complete on a command line of smtpusers(8)."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from places import PATIENCE, SOURCE
from cli import SCRIPT, Smtpusers
from redisserver import RedisServer
from transfers import fill

COMPLETION = SCRIPT.parent / "completion"

# Each shell tells what it would offer, besides offering it.
SETUP = {
    "bash": r"""
PS1="READY:"
bind 'set enable-bracketed-paste off'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set bell-style none'
. %s/smtpusers.bash
offer() { _smtpusers "$@"; printf 'HIT:%%s:\n' "${COMPREPLY[@]}"; }
complete -F offer smtpusers
""",
    "zsh": r"""
PROMPT="READY:" RPROMPT= LISTMAX=100000
unsetopt beep prompt_sp prompt_cr zle_bracketed_paste
unset zle_bracketed_paste
fpath=(%s $fpath)
autoload -Uz compinit
compinit -D -u
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a offered
    builtin compadd -A offered "$@"
    print -r -- "HIT:"$^offered":"
    builtin compadd "$@"
}
"""}
ARGV = {"bash": ["bash", "--norc", "--noprofile", "-i"],
        "zsh": ["zsh", "-f", "-i"]}


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name, directory, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(name, ARGV[name], {
                **environment, "TERM": "dumb", "HISTFILE": "/dev/null",
                "PATH": "%s:%s" % (directory, os.environ["PATH"])})
        # Wide: nothing is wrapped.
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 500, 2000, 0, 0))
        setup = directory / ("setup." + name)
        setup.write_text(SETUP[name] % COMPLETION)
        self.ask(". %s\n" % setup)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def offers(self, line):
        """What is offered for the last word of the line."""
        told = self.ask(line + "\t\x15")
        self.noise = [row for row in told.split("\n")
                      if "No such" in row or "rror" in row]
        return {part.partition(":")[0].strip()
                for part in told.split("HIT:")[1:]} - {""}

    def ask(self, keys, timeout=PATIENCE):
        """What is shown from these keys to the end of the next command.
        What is typed before the prompt is there would not be edited."""
        os.write(self.terminal, keys.encode() + b"echo DO''NE\n")
        deadline = time.monotonic() + timeout
        shown = b""
        while b"READY:" not in shown.partition(b"DONE")[2]:
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self.terminal], [], [], left)[0], shown
            shown += os.read(self.terminal, 65536)
        return shown.decode().replace("\r", "")


def wrapper(directory, cmd):
    """The command in PATH, with the test's configuration."""
    path = directory / "smtpusers"
    path.write_text("#!/bin/sh\nexec %s -f %s \"$@\"\n" % (SCRIPT, cmd.file))
    path.chmod(0o755)


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    for name in ("alice", "al.b+c", "bob"):
        cmd.ok("add", name, "--no-password")
    for name in ("acme", "apex"):
        cmd.ok("account", "add", name)
    wrapper(tmp_path, cmd)
    return cmd


@pytest.fixture(params=["bash", "zsh"])
def shell(request, cmd, tmp_path):
    with Shell(request.param, tmp_path, cmd.environment) as shell:
        yield shell


USERS = {"alice", "al.b+c", "bob"}
ACCOUNTS = {"acme", "apex"}
STATUSES = {"allowed", "blocked", "sandboxed"}

CASES = {
    "smtpusers show ": USERS, "smtpusers show al": {"alice", "al.b+c"},
    "smtpusers show x": set(), "smtpusers rm --yes b": {"bob"},
    "smtpusers passwd --scheme bcrypt bo": {"bob"},
    "smtpusers passwd alice --scheme ": {"yescrypt", "bcrypt"},
    "smtpusers add new --mode ": {"default", "all", "any"},
    "smtpusers add new --status s": {"sandboxed"},
    "smtpusers add new --account ": ACCOUNTS, "smtpusers add ": set(),
    "smtpusers domain add a": {"alice", "al.b+c"},
    "smtpusers source rm b": {"bob"}, "smtpusers ip rm b": {"bob"}, "smtpusers ipauth clear b": {"bob"},
    "smtpusers log -n 5 b": {"bob"}, "smtpusers log -f b": {"bob"},
    "smtpusers events -f --since 1d b": {"bob"},
    "smtpusers set b": {"bob"}, "smtpusers set bob status ": STATUSES,
    "smtpusers set bob mo": {"mode"}, "smtpusers set bob quota ": set(),
    "smtpusers set bob mode ": {"default", "all", "any"},
    "smtpusers set bob account ": ACCOUNTS,
    "smtpusers explain --mail-from a@b.example b": {"bob"},
    "smtpusers account show a": ACCOUNTS,
    "smtpusers account domain rm a": ACCOUNTS,
    "smtpusers account set acme p": {"plan"},
    "smtpusers rename b": {"bob"}, "smtpusers fields ": set(),
    "smtpusers account set acme status ": STATUSES,
    "smtpusers list --account a": ACCOUNTS,
    "smtpusers list --status ": STATUSES,
    "smtpusers top --by ": {"messages", "recipients", "bytes", "blocks"},
    "smtpusers top --account ": set(),
    "smtpusers stats --by ": {"hour", "reason"},
    "smtpusers i": {"ipauth", "import"},
}


def offered(shell, line):
    """The words, without options.  zsh matches what it is told, bash is told
    what matches."""
    last = line.rpartition(" ")[2]
    return {word for word in shell.offers(line)
            if word.startswith(last) and not word.startswith("-")}


def settles(ask, expected):
    """On a busy machine Redis is given up sometimes."""
    return any(ask() == expected for _ in range(5))


def test_words(shell):
    for line, expected in CASES.items():
        assert settles(lambda: offered(shell, line), expected), line


def test_names_come_from_the_configuration_that_is_given(shell, cmd,
                                                         tmp_path):
    directory = tmp_path / "other"
    directory.mkdir()
    other = Smtpusers(cmd.server, directory, prefix="other:")
    other.ok("add", "carol", "--no-password")
    assert settles(lambda: shell.offers("smtpusers -f %s show " % other.file),
                   {"carol"})


def test_a_value_behind_an_equals_sign(shell):
    def values():
        words = shell.offers("smtpusers add new --mode=a")
        return {word.rpartition("=")[2] for word in words} & {"all", "any"}
    assert settles(values, {"all", "any"})


def test_names_that_are_strange_are_not_offered(shell, cmd):
    """Nothing of what strangers write reaches the shell."""
    for name in ("$(touch x)", "a b", "`id`", "--yes", "x;y"):
        cmd.server.cli("HSET", cmd.key(name), "status", "allowed")
    assert shell.offers("smtpusers show ") == USERS


# Whoever may load functions describes the fields as they like.
DESCRIBES = """#!lua name=other
redis.register_function({ function_name = 'smtpusers_version',
    callback = function() return { 999999, 'x' } end,
    flags = { 'no-writes' } })
redis.register_function({ function_name = 'smtpusers_describe',
    callback = function() return [==[%s]==] end, flags = { 'no-writes' } })
"""


def strange_words(mark):
    return [text.replace("%s", str(mark)) for text in (
        "$(touch %s)", "`touch %s`", ";touch %s", "x$(touch\t%s)",
        "bl'$(touch %s)", 'bl"$(touch %s)', "bl\n$(touch %s)", "${x:=%s}",
        "--yes", "*")]


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_words_that_are_strange_are_not_offered(tmp_path, name):
    mark = tmp_path / "mark"
    with RedisServer(tmp_path) as server:
        cmd = Smtpusers(server, tmp_path)
        wrapper(tmp_path, cmd)
        known = {row["name"] for row in describe_strangely(cmd, mark)}
        with Shell(name, tmp_path, cmd.environment) as shell:
            assert "status" in offered(shell, "smtpusers set bob ") <= known
            assert STATUSES <= offered(
                shell, "smtpusers set bob status ") <= {*STATUSES, "5", "None"}
            shell.offers("smtpusers set bob status bl")
    assert not mark.exists()


def describe_strangely(cmd, mark):
    """What was there before."""
    cmd.ok("fields")
    described = json.loads(cmd.server.cli("FCALL", "smtpusers_describe", 0))
    fields = described["kinds"]["user"]["fields"]
    known = list(fields)
    [status] = [row for row in fields if row["name"] == "status"]
    fields += [{**status, "name": word} for word in strange_words(mark)]
    status["words"] += strange_words(mark) + [5, None, ["x"]]
    cmd.server.cli("FUNCTION", "FLUSH")
    cmd.server.cli("FUNCTION", "LOAD", DESCRIBES % json.dumps(described))
    return known


def test_words_of_the_command_are_not_run(shell, tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "words").write_text("".join(
        word + "\n" for word in strange_words(mark)))
    (tmp_path / "smtpusers").write_text(
        "#!/bin/sh\nexec cat %s/words\n" % tmp_path)
    for line in ("show ", "set ", "set bob status ", "set bob status bl",
                 "account show "):
        shell.offers("smtpusers " + line)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["bash", "zsh"])
@pytest.mark.parametrize("state", ["gone", "silent"])
def test_redis_is_away(tmp_path, name, state):
    with RedisServer(tmp_path) as server:
        cmd = Smtpusers(server, tmp_path)
        wrapper(tmp_path, cmd)
        with Shell(name, tmp_path, cmd.environment) as shell:
            server.kill() if state == "gone" else server.pause()
            assert shell.offers("smtpusers show ") == set()
            assert not shell.noise
            assert offered(shell, "smtpusers sh") == {"show"}
        if state == "silent":
            server.resume()


# What the parser knows, the shells know

TREE = """
import argparse, json, sys
sys.path.insert(0, sys.argv[1])
from provision.commandline import make_parser

def walk(parser, path):
    options, words = [], []
    for action in parser._actions:
        # Former names are taken, and not offered.
        options += [option for option in action.option_strings
                    if option not in ("--from", "--header", "--ip")]
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                if name != "ip":
                    words.append(name)
                yield from walk(child, path + [name])
    yield path, options, words

print(json.dumps(list(walk(make_parser(), []))))
"""


def test_every_subcommand_and_option(shell):
    told = subprocess.run(
        ["/usr/bin/python3", "-IB", "-c", TREE, SOURCE / "scripts"],
        check=True, capture_output=True)
    tree = json.loads(told.stdout)
    assert len(tree) > 25
    for path, options, words in tree:
        line = " ".join(["smtpusers", *path, ""])
        assert shell.offers(line + "-") == set(options), line
        if words:
            assert offered(shell, line) == set(words), line


# Among many

def test_names_among_very_many_come_soon(tmp_path):
    """What is found within the time that a shell waits; all of few."""
    with RedisServer(tmp_path) as server:
        cmd = Smtpusers(server, tmp_path)
        fill(server, 30000)
        found = cmd.ok("complete", "user", "U299").stdout.split()
        assert found == sorted(found) and set(found) <= {
            "u299", *("u299%d" % n for n in range(10)),
            *("u299%02d" % n for n in range(100))}
        assert 0 < len(cmd.ok("complete", "user").stdout.split()) <= 1000
        for prefix in ("*", "[u]", "u?", "x y"):
            assert cmd.ok("complete", "user", prefix).stdout == ""


@pytest.mark.parametrize("words", [
    (), ("frob",), ("user-words",), ("user-words", "frob"), ("user", "a", "b"),
    ("user-words", "quota"), ("account",)])
def test_nothing_to_offer(cmd, words):
    result = cmd.ok("complete", *words)
    assert result.stderr == "" and (words == ("account",) or
                                    words[:1] == ("user",) or
                                    result.stdout == "")
