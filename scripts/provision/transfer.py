# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Many users and accounts out of Redis and into it: export and import."""

import os
import stat
import sys
import time

from .conversations import Conversation, converse, scan
from .exporting import read_record
from .failure import (
    EX_CANTCREAT, EX_DATAERR, EX_IOERR, EX_NOINPUT, EX_UNAVAILABLE, EX_USAGE,
    Failure, note, silence)
from .functions import prepare
from .importing import look_at, take
from .interchange import (
    SUFFIXES, Bad, csv_header, csv_text, json_text, read_lines)
from .records import fold
from .connection import glob_escape
from .text import visible

# Accounts first: users name them.
TYPES = ("account", "user")


# export

def do_export(args):
    redis = args.connect()
    types = (args.only,) if args.only else TYPES
    out = sys.stdout.buffer
    if args.format == "csv":
        out.write(csv_header())
    write = csv_text if args.format == "csv" else json_text
    left_out = 0
    for key, record in converse(redis, readers(redis, types)):
        try:
            if isinstance(record, Bad):
                raise record
            if record:
                out.write(write(record))
        except Bad as bad:
            note("%s: %s" % (visible(key), bad))
            left_out += 1
    if left_out:
        out.flush()
        raise Failure(EX_DATAERR, "%s could not be exported" %
                      counted(left_out, "record"))


def readers(redis, types):
    for kind in types:
        before, after = redis.key(kind, ":{"), "}"
        for key in scan(redis, glob_escape(before) + "*" + after):
            name = key[len(before):-len(after)]
            yield Conversation(key, read_record(kind, name, key))


def counted(count, word):
    return "%d %s%s" % (count, word, "" if count == 1 else "s")


# import

class Errors:
    """Where the lines go that were not taken."""

    def __init__(self, path, source):
        self.path = path
        self.file = None
        if path is None:
            return
        try:
            # There are hashes in them.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            if os.path.samestat(os.fstat(descriptor),
                                os.fstat(source.fileno())):
                os.close(descriptor)
                raise Failure(EX_USAGE, "%s: this is what is read" %
                              visible(path))
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, 0)
        except OSError as error:
            raise Failure(EX_CANTCREAT, "%s: %s" %
                          (visible(path), error.strerror)) from None
        self.file = open(descriptor, "wb", buffering=0)

    def write(self, data):
        if self.file is not None and data is not None:
            self.file.write(data if data.endswith(b"\n") else data + b"\n")

    def close(self):
        if self.file is not None:
            self.file.close()


class Progress:
    """What is told meanwhile on a terminal, in one line that stays."""

    PAUSE = 0.5

    def __init__(self):
        self.shown = sys.stderr.isatty()
        self.began = time.monotonic()
        self.next = self.began

    def show(self, tally):
        now = time.monotonic()
        if not self.shown or now < self.next:
            return
        self.next = now + self.PAUSE
        print("\r\x1b[K%s, %d/s, %s" % (
            counted(tally.lines, "line"), tally.lines / (now - self.began),
            counted(tally.errors, "error")),
            end="", file=sys.stderr, flush=True)

    def clear(self):
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Tally:
    """What became of the lines."""

    def __init__(self):
        self.counts = {"added": 0, "changed": 0, "same": 0}
        self.errors = 0
        # The first line that is not done.
        self.next = 1

    @property
    def lines(self):
        return sum(self.counts.values()) + self.errors

    def text(self, check):
        parts = [] if check else [
            "%d %s" % (count, word) for word, count in self.counts.items()]
        return "%s: %s" % (counted(self.lines, "line"), ", ".join(
            parts + [counted(self.errors, "error")]))


class Patience:
    """Waits for a Redis that is away, but not for ever: what counts is the
    time since something was done."""

    FIRST, LONGEST = 0.25, 8

    def __init__(self, args, progress):
        self.connect = args.connect
        self.seconds = args.wait
        self.progress = progress
        self.forget()

    def forget(self):
        self.deadline = None
        self.pause = self.FIRST

    def __call__(self, failure):
        if self.deadline is None:
            self.deadline = time.monotonic() + self.seconds
            self.progress.clear()
            note("%s; trying again for %d s" % (failure, self.seconds))
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Failure(failure.code, str(failure))
            time.sleep(min(self.pause, left))
            self.pause = min(self.pause * 2, self.LONGEST)
            try:
                return connect(self.connect)
            except Failure as again:
                if again.code != EX_UNAVAILABLE:
                    raise
                failure = again


def connect(how):
    redis = how()
    prepare(redis)
    return redis


def do_import(args):
    redis = connect(args.connect)
    progress, tally = Progress(), Tally()
    tally.next = args.from_line
    with open_source(args.source) as source:
        errors = Errors(args.errors, source)
        try:
            run_import(args, redis, source, errors, progress, tally)
        except Failure as failure:
            stop(args, progress, tally, failure.code, str(failure))
        except KeyboardInterrupt:
            stop(args, progress, tally, 130, "interrupted")
        except OSError as error:
            stop(args, progress, tally, EX_IOERR, error.strerror)
        finally:
            errors.close()
    progress.clear()
    print(tally.text(args.check))
    if tally.errors:
        raise Failure(EX_DATAERR, not_taken(args, tally))


def not_taken(args, tally):
    text = "%s not taken" % counted(tally.errors, "line")
    return text if args.errors is None else "%s; see %s" % (
        text, visible(args.errors))


def stop(args, progress, tally, code, why):
    progress.clear()
    try:
        print(tally.text(args.check), flush=True)
    except OSError:
        silence(sys.stdout)
    raise Failure(code, "%s; all lines before line %d are done: go on with "
                  "--from-line %d" % (why, tally.next, tally.next)) from None


def open_source(path):
    if path in (None, "-"):
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return open(path, "rb")
    except OSError as error:
        raise Failure(EX_NOINPUT, "%s: %s" %
                      (visible(path), error.strerror)) from None


def run_import(args, redis, source, errors, progress, tally):
    patience = Patience(args, progress)
    lines = read_lines(source, form_of(args), errors.write)
    takers = (taker(args, redis, line) for line in lines
              if line.number >= args.from_line)
    for line, result in converse(redis, takers, patience):
        patience.forget()
        tally.next = line.number
        if line.torn:
            raise Failure(EX_DATAERR, line.label + line.problem)
        if isinstance(result, Bad):
            progress.clear()
            note(line.label + str(result))
            errors.write(line.raw)
            tally.errors += 1
        else:
            tally.counts[result] += 1
        tally.next = line.number + 1
        progress.show(tally)


def form_of(args):
    """As the option or the name of the file says."""
    suffix = os.path.splitext(args.source or "")[1].lower()
    return args.format or SUFFIXES.get(suffix)


def taker(args, redis, line):
    if line.problem is not None:
        return Conversation(line, refuse(line))
    record = line.record
    steps = look_at(record) if args.check else take(redis, record,
                                                    args.replace)
    return Conversation(line, steps, (record["type"], fold(record["name"])),
                        len(line.raw))


def refuse(line):
    """A conversation without a question."""
    yield from ()
    return Bad(line.problem)
