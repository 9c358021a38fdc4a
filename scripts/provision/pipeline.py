# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Many commands through one redis-cli that stays.

redis-cli asks one command after the other, so what is gained is the start of
a process for each, and that the next commands are made ready meanwhile.
"""

import contextlib
import fcntl
import os
import secrets
import select
import subprocess
from collections import deque

from .failure import EX_UNAVAILABLE, Failure
from .rediscli import (
    ReplyError, command_line, connection_failure, parse_reply)
from .text import decode

CHUNK = 1 << 16
PIPE = 1 << 20
# What Redis takes a long value apart at, at the least.
BYTES_A_SECOND = 1 << 20
# Redis cannot do it now, and may be able to in a while.
PASSING = ("LOADING", "MASTERDOWN", "READONLY", "BUSY", "CLUSTERDOWN",
           "TRYAGAIN", "MISCONF", "OOM", "NOREPLICAS", "UNBLOCKED")


class Away(Failure):
    """Redis cannot be asked now; what was asked may have been done."""


class Pipeline:
    """Batches of commands go in, their replies come out, in order.

    When a connection is lost, redis-cli says so on standard error and goes on
    with the next command, which leaves a reply out. So every batch ends with
    a PING with a word of its own, and counts only if that comes back where it
    should.
    """

    def __init__(self, redis):
        self.timeout = redis.timeout
        self.secret = secrets.token_hex(8)
        self.batches = deque()
        self.sent = 0
        self.output = deque()
        self.input = b""
        self.process = start(redis)
        for stream in self.streams():
            os.set_blocking(stream.fileno(), False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        for stream in self.streams():
            stream.close()
        self.process.wait()

    def streams(self):
        return self.process.stdin, self.process.stdout, self.process.stderr

    def send(self, commands):
        """Hands over a batch, and waits for nothing."""
        self.sent += 1
        mark = "%s-%d" % (self.secret, self.sent)
        lines = [command_line(words) for words in commands]
        lines.append(command_line(("PING", mark)))
        data = b"".join(lines)
        self.batches.append((mark, len(commands), len(data)))
        self.output.append(memoryview(data))
        self.write()

    def waiting(self):
        """How many batches have not been answered."""
        return len(self.batches)

    def receive(self):
        """The replies to the batch that was sent first: each a list of what
        redis-cli printed, or an error."""
        mark, count, size = self.batches[0]
        lines = self.read_lines(count + 1, size)
        replies = [parse(line) for line in lines]
        if replies[-1] != [mark]:
            raise Away(EX_UNAVAILABLE, "redis-cli has lost a reply")
        self.batches.popleft()
        for reply in replies:
            if isinstance(reply, ReplyError) and is_passing(reply):
                raise Away(reply.code, str(reply))
        return replies[:-1]

    def read_lines(self, count, size):
        patience = self.timeout + size / BYTES_A_SECOND
        chunks, seen = [self.input], self.input.count(b"\n")
        while seen < count:
            self.wait(patience)
            data = self.take(self.process.stdout)
            chunks.append(data)
            seen += data.count(b"\n")
        *lines, self.input = b"".join(chunks).split(b"\n", count)
        return lines

    def wait(self, patience):
        """Until there is something to read; what can be written is."""
        readers = [self.process.stdout, self.process.stderr]
        while True:
            writers = [self.process.stdin] if self.output else []
            ready = select.select(readers, writers, [], patience)
            if not any(ready):
                raise Away(EX_UNAVAILABLE, "Redis did not answer within %g s"
                           % patience)
            if self.process.stderr in ready[0]:
                self.fail()
            if ready[1]:
                self.write()
            if ready[0]:
                return

    def write(self):
        stdin = self.process.stdin.fileno()
        try:
            while self.output:
                done = os.write(stdin, self.output[0])
                self.output[0] = self.output[0][done:]
                if not self.output[0]:
                    self.output.popleft()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.fail()

    def take(self, stream):
        data = os.read(stream.fileno(), CHUNK)
        if not data:
            self.fail()
        return data

    def fail(self):
        """Whatever goes wrong with the connection is told there alone."""
        self.process.kill()
        os.set_blocking(self.process.stderr.fileno(), True)
        text = self.process.stderr.read()
        code = self.process.wait()
        failure = connection_failure(
            subprocess.CompletedProcess((), code, b"", text))
        if failure.code == EX_UNAVAILABLE:
            raise Away(failure.code, str(failure))
        raise failure


def start(redis):
    """Out of reach of the terminal's interrupts: what is under way is ended
    in order."""
    try:
        return subprocess.Popen(
            redis.argv, env=redis.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            process_group=0)
    except OSError as error:
        raise Failure(EX_UNAVAILABLE, "%s: %s" %
                      (redis.argv[0], error.strerror)) from None


def parse(line):
    """A reply as a list, or an error: there are many, and most are plain."""
    if b"\\" not in line and line[:1] == line[-1:] == b'"':
        values = decode(line[1:-1]).split('","')
        if line.count(b'"') == 2 * len(values):
            return values
    return parse_reply("SCAN", line)


def is_passing(error):
    """A server that was started again may have lost its functions."""
    return error.kind in PASSING or "unction not found" in str(error)
