# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A private Redis (or Valkey) for a test, on a unix socket."""

import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from places import PATIENCE


class ReplyError(Exception):
    """An error reply from the server."""


class RedisServer:
    """A server of its own, with its data, log and socket in tmpdir.

    extra is appended to the server's command line, and wins over what is
    said here, e.g. ("--port", "6390") or ("--appendonly", "yes").
    """

    def __init__(self, tmpdir, program="redis-server", extra=()):
        self.dir = Path(tmpdir)
        self.program = program
        self.extra = [str(arg) for arg in extra]
        self.socket = str(self.dir / "redis.sock")
        self.log = self.dir / "redis.log"
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        """As the configuration's key `redis` wants it."""
        return "unix:" + self.socket

    def argv(self):
        return [self.program, "--port", "0", "--unixsocket", self.socket,
                "--unixsocketperm", "777", "--save", "", "--appendonly", "no",
                "--daemonize", "no", "--dir", str(self.dir),
                "--logfile", str(self.log), *self.extra]

    def start(self, timeout=PATIENCE):
        assert self.process is None, "already started"
        # A killed server leaves its socket behind.
        Path(self.socket).unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            wait_until(self._answers, timeout, "redis to answer")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("%s ended with %d: %s" % (
                self.program, self.process.returncode, self.log.read_text()))
        try:
            self.cli("PING", timeout=1)
        except OSError:
            return False
        except ReplyError as error:
            # Up and refusing (wants a password, is a replica) is up.
            return not str(error).startswith("LOADING")
        return True

    def stop(self, timeout=PATIENCE):
        """End the server in order; it writes what it is told to keep."""
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def kill(self):
        """End it as a power cut would."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None

    def pause(self):
        """Stand still: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        # Threads stop one by one; until all have, an answer may still come.
        wait_until(self._stopped, 10, "redis to stand still")

    def _stopped(self):
        tasks = Path("/proc/%d/task" % self.process.pid)
        return all(state(task / "stat") == "T" for task in tasks.iterdir())

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *args, timeout=PATIENCE, user=None, password=None):
        """One command by RESP2, the reply as Python has it.

        Strings are str, with bytes that are no UTF-8 as surrogateescape has
        them; arguments may be str, bytes or numbers. Hashes come as lists.
        """
        with self.connect(timeout) as connection:
            if password is not None:
                connection.command("AUTH", user or "default", password)
            return connection.command(*args)

    def connect(self, timeout=PATIENCE):
        """A connection that stays, for MULTI, SUBSCRIBE, MONITOR."""
        return Connection(self.socket, timeout)


class Connection:
    def __init__(self, path, timeout):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def command(self, *args):
        self.send(*args)
        reply = self.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def send(self, *args):
        words = [encode(arg) for arg in args]
        request = [b"*%d\r\n" % len(words)]
        request += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(request))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return decode(rest)
        if kind == b"-":
            return ReplyError(decode(rest))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            return self._array(int(rest))
        raise ValueError("not RESP2: %r" % line)

    def _bulk(self, length):
        if length < 0:
            return None
        data = self.file.read(length + 2)
        if len(data) != length + 2:
            raise ConnectionError("redis closed the connection")
        return decode(data[:-2])

    def _array(self, length):
        if length < 0:
            return None
        return [self.read() for _ in range(length)]


def encode(arg):
    if isinstance(arg, bytes):
        return arg
    return str(arg).encode("utf-8", "surrogateescape")


def decode(data):
    return data.decode("utf-8", "surrogateescape")


def state(path):
    """The state letter of a /proc stat file; the name before it may hold
    anything but is closed by the last parenthesis."""
    try:
        return path.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "T"


def wait_until(condition, timeout, what):
    """Poll until condition() is true; its value, or AssertionError. However
    soon it should be, a busy machine has its time."""
    timeout = max(timeout, PATIENCE)
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited %g s for %s" % (timeout, what))
        pause.wait(0.005)
