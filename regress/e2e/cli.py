# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8) as an operator runs it."""

import ctypes
import importlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from places import PATIENCE, SOURCE, configuration, program

SCRIPT = SOURCE / "scripts" / "smtpusers"
FILTER = os.environ.get("SMTPUSERS_FILTER") or program("filter-smtpusers")

EX_USAGE = 64
EX_DATAERR = 65
EX_NOUSER = 67
EX_UNAVAILABLE = 69
EX_CANTCREAT = 73
EX_IOERR = 74
EX_NOPERM = 77
EX_CONFIG = 78


def package(name):
    """A module of the command, or of the hooks."""
    for home in (SCRIPT.parent / "hooks", SCRIPT.parent):
        if str(home) not in sys.path:
            sys.path.append(str(home))
    return importlib.import_module(name)


def log_in_as(server, role, directory, **keys):
    """The command as a user of Redis with the rights that setup prints."""
    path = Path(directory) / (role + ".pw")
    path.write_text("pw\n")
    prefix = keys.get("prefix", "smtp:")
    server.cli(*package("provision.acl").acl_rule(prefix, role, role, ">pw"))
    return Smtpusers(server, directory, redis_user=role,
                     redis_password_file=str(path), **keys)


def called(server):
    """The commands that were called since CONFIG RESETSTAT, also those that
    functions call."""
    return set(re.findall(r"^cmdstat_([^:]+):calls=[1-9]", server.cli(
        "INFO", "commandstats"), re.MULTILINE))


class Smtpusers:
    """The command, with a configuration of its own that names a server."""

    def __init__(self, server, directory, **keys):
        self.server = server
        self.file = Path(directory) / "smtpusers.conf"
        keys = {"redis": server.url, **keys}
        self.prefix = keys.get("prefix", "smtp:")
        self.file.write_text(configuration(**keys))
        self.environment = {**os.environ, "SMTPUSERS_FILTER": str(FILTER)}
        self.patience = PATIENCE
        self.script = SCRIPT

    def argv(self, *args):
        return [self.script, "-f", self.file, *args]

    def start(self, *args, **options):
        return subprocess.Popen(
            self.argv(*args), env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="surrogateescape",
            **{"stdin": subprocess.DEVNULL, **options})

    def run(self, *args, stdin=b""):
        """What it printed, and its exit code."""
        result = subprocess.run(self.argv(*args), env=self.environment,
                                input=stdin, capture_output=True,
                                timeout=self.patience, check=False)
        return finished(result.returncode, result.stdout.decode(),
                        result.stderr.decode())

    def ok(self, *args, stdin=b""):
        result = self.run(*args, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result

    def redirected(self, how, *args):
        """Runs it with its streams as the words of a shell say."""
        result = subprocess.run(
            ["sh", "-c", 'exec "$@" ' + how, "sh", *self.argv(*args)],
            env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False)
        return finished(result.returncode, result.stdout, result.stderr)

    def fails(self, code, *args, stdin=b""):
        """The words on standard error, with nothing on standard output."""
        result = self.run(*args, stdin=stdin)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr.startswith(("smtpusers: ", "usage: "))
        return result.stderr

    def json(self, *args):
        return json.loads(self.ok(*args, "--json").stdout)

    def race(self, *commands):
        """Runs them all at once; their results in order."""
        processes = [self.start(*words) for words in commands]
        results = []
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE)
            results.append(finished(process.returncode, out, err))
        return results

    def typed(self, *args, answers):
        """Runs it on a terminal of its own and types an answer at each
        prompt; the exit code and all that the terminal showed."""
        return on_terminal(self.argv(*args), self.environment, answers)

    # What is in Redis

    def key(self, name, suffix=""):
        return "%suser:{%s}%s" % (self.prefix, name, suffix)

    def ip_key(self, address):
        return "%sip:{%s}" % (self.prefix, address)

    def fields(self, name):
        flat = self.server.cli("HGETALL", self.key(name))
        return dict(zip(flat[::2], flat[1::2]))

    def members(self, name, suffix):
        return set(self.server.cli("SMEMBERS", self.key(name, suffix)))

    def owner(self, address):
        return self.server.cli("GET", self.ip_key(address))

    def snapshot(self):
        """Every key with its value, to show that nothing has changed."""
        keys = self.server.cli("KEYS", "*")
        return {key: self.server.cli("DUMP", key) for key in keys}


def finished(code, out, err):
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess((), code, out, err)


def on_terminal(argv, environment, answers, timeout=PATIENCE):
    """The exit code, and all that a terminal of its own shows."""
    terminal, other = pty.openpty()
    with subprocess.Popen(
            ["setsid", "--ctty", *map(str, argv)], stdin=other, stdout=other,
            stderr=other, env=environment) as process:
        os.close(other)
        try:
            shown = converse(terminal, answers, timeout)
        finally:
            os.close(terminal)
    return process.returncode, shown


def converse(terminal, answers, timeout):
    """A prompt ends as ours, or curl's; what comes after the last answer is
    read to its end."""
    shown = b""
    waiting = list(answers)
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        assert select.select([terminal], [], [], max(left, 0))[0], shown
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # How Linux tells that nobody holds the other end any more.
            return shown.decode()
        shown += data
        if waiting and shown.endswith((b": ", b"] ", b"':")):
            os.write(terminal, as_bytes(waiting.pop(0)) + b"\n")


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


CRYPT = ctypes.CDLL("libcrypt.so.1")
CRYPT.crypt.restype = ctypes.c_char_p
CRYPT.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)


def verifies(password, stored):
    return CRYPT.crypt(as_bytes(password), stored.encode()) == stored.encode()
