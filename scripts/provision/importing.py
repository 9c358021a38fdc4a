# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users and accounts of a file into Redis: some of them in one call."""

import os
import stat
import sys
import time
from collections import deque

from .addresses import write_in_cluster
from .alabels import alabels
from .connection import REFUSALS, Away, ReplyError
from .failure import (
    EX_CANTCREAT, EX_DATAERR, EX_IOERR, EX_UNAVAILABLE, EX_USAGE,
    Failure, note, silence)
from .functions import fcall, prepare, schema_of
from .interchange import SUFFIXES, Bad, read_lines
from .large import LargeRecord
from .names import fold
from .others import others_of
from .progress import Progress, counted
from .schema import OF
from .suppressions import in_alabels, open_lines
from .text import encode, visible

# Lines of a call, and calls that are under way, where nobody else has to wait
# for Redis to be done with them.
LINES = 2
CALLS = 2
LINE_BYTES = 4 << 20
BESIDES = 64            # bytes of a call beside its words


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


class Tally:
    """What became of the lines."""

    def __init__(self, first):
        self.counts = {"added": 0, "changed": 0, "same": 0}
        self.errors = 0
        self.slow = 0
        # The first line that is not done.
        self.next = first

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

    def wait(self, failure):
        """A new connection, or the failure."""
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
    schema_of(redis)
    return redis


def do_import(args):
    redis = connect(args.connect)
    progress, tally = Progress("line"), Tally(args.from_line)
    with open_lines("-" if args.source is None else args.source) as source:
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
    if tally.slow:
        note("%s with a password whose hash takes long to verify: check "
             "lists the users" % counted(tally.slow, "line"))
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


def form_of(args):
    """As the option or the name of the file says."""
    suffix = os.path.splitext(args.source or "")[1].lower()
    return args.format or SUFFIXES.get(suffix)


def run_import(args, redis, source, errors, progress, tally):
    """While Redis takes some batches, the next one is read, and it is told
    what became of the last ones."""
    schema = schema_of(redis)
    lines = (line for line in read_lines(source, form_of(args), schema,
                                         errors.write)
             if line.number >= args.from_line)
    desk = Desk(redis, args, Patience(args, progress))
    for batch in batches(lines, schema, args, desk):
        done = desk.make_room(batch)
        desk.send(batch)
        for last in done:
            count(last, errors, progress, tally)
        while desk.waiting and desk.others.are_there():
            count(desk.receive(), errors, progress, tally)
    while desk.waiting:
        count(desk.receive(), errors, progress, tally)


def count(batch, errors, progress, tally):
    for line, result in zip(batch.lines, batch.results):
        tally.next = line.number
        if line.torn:
            raise Failure(EX_DATAERR, line.label + line.problem)
        if isinstance(result, Bad):
            progress.clear()
            note(line.label + str(result))
            errors.write(line.raw)
            tally.errors += 1
        else:
            word, _, warning = result.partition(" warning: ")
            tally.slow += bool(warning)
            tally.counts[word] += 1
        tally.next = line.number + 1
        progress.add(1, counted(tally.errors, "error"))


# Batches

class Batch:
    """Lines, what becomes of each, and the calls for those of which that is
    not known: which lines a call is about, and the command; for each, the
    commands that were sent."""

    def __init__(self, schema, args):
        self.schema = schema
        self.check = args.check
        self.function = "put" if args.replace else "add"
        self.lines = []
        self.results = []
        self.calls = []
        self.asked = []
        self.size = 0
        # Of the call that is being made.
        self.kind = None
        self.keys = []
        self.words = []
        self.about = []
        self.bytes = self.members = 0

    def add(self, line):
        """False where the line is for a batch of its own."""
        result = None
        if line.problem is not None:
            result = Bad(line.problem)
        else:
            try:
                words = words_for(self.schema, line.record)
            except Failure as failure:
                result = Bad(str(failure))
        size, members = size_of(words) if result is None else (0, 0)
        large = self.is_large(size, members)
        if large and line.record["type"] in OF:
            large, result = False, Bad(
                "too long: write several lines, each of at most %d "
                "recipients" % self.schema.limits["listed"])
        if large and self.lines:
            return False
        if large:
            self.calls.append(([0], LargeRecord(
                self.schema, line.record, words, self.function, self.check)))
        elif result is None and self.check:
            self.judge(line.record, len(self.lines))
        elif result is None:
            self.take(line.record, words, size, members)
        self.lines.append(line)
        self.results.append(result)
        self.size += len(line.raw or b"")
        return True

    def is_full(self, lines):
        return (len(self.lines) >= lines or self.size > LINE_BYTES or
                self.has_steps())

    def has_steps(self):
        """Whether it is a record that takes several calls."""
        return bool(self.calls) and isinstance(self.calls[-1][1], LargeRecord)

    def is_large(self, size, members):
        limits = self.schema.limits
        return size > limits["bytes"] or members > limits["members"]

    def judge(self, record, index):
        self.calls.append(([index], fcall("canonical", [], *judgement(
            self.schema, record))))

    def take(self, record, words, size, members):
        limits = self.schema.limits
        if self.about and (
                record["type"] != self.kind or
                self.bytes + size > limits["bytes"] or
                self.members + members > limits["members"]):
            self.close()
        self.kind = record["type"]
        self.keys.append(self.key_of(record))
        self.words += str(len(words)), *words
        self.about.append(len(self.lines))
        self.bytes += size
        self.members += members

    def key_of(self, record):
        """As it will be read, also where it is no name."""
        kind = OF.get(record["type"], record["type"])
        return kind + ":{" + fold(record["name"]) + "}"

    def close(self):
        if not self.about:
            return
        self.calls.append((self.about, (self.kind, self.keys, self.words)))
        self.keys, self.words, self.about = [], [], []
        self.bytes = self.members = 0


def batches(lines, schema, args, desk):
    batch = Batch(schema, args)
    for line in lines:
        if not batch.add(line):
            batch.close()
            yield batch
            batch = Batch(schema, args)
            batch.add(line)
        if batch.is_full(1 if desk.others.are_there() else LINES) or line.torn:
            batch.close()
            yield batch
            batch = Batch(schema, args)
    if batch.lines:
        batch.close()
        yield batch


def size_of(words):
    """Bytes, with what a call has besides, and words with those that are
    members of a set."""
    text = " ".join(words)
    size = len(text) if text.isascii() else len(encode(text))
    return size + BESIDES, text.count(" ") + 1


# How members are written that may have other letters than those of ASCII.
TEXTS = {"domains": alabels, "suppressed": in_alabels}


def words_for(schema, record):
    """The fields as the functions take them: nothing is empty text."""
    words = []
    for key in schema.keys[record["type"]]:
        if key in record:
            value = record[key] or ""
            if key in schema.lists:
                value = " ".join(map(TEXTS.get(key, str), value))
            words += key, value
    return words


def judgement(schema, record):
    """A record without writing it: kinds and texts."""
    kind = record["type"]
    words = ["name" if OF.get(kind, kind) == "user" else "account",
             record["name"]]
    for key in schema.keys[kind]:
        value, how = record.get(key), schema.kind_of(kind, key)
        if isinstance(value, list):
            for member in value:
                words += how, TEXTS.get(key, str)(member)
        elif value:
            words += how, value
    return words


class Desk:
    """Hands batches to Redis, again where it was away meanwhile."""

    def __init__(self, redis, args, patience):
        self.redis = redis
        self.others = others_of(redis)
        self.function = "put" if args.replace else "add"
        self.patience = patience
        # Batches without results, and of how many this connection was told.
        self.waiting = deque()
        self.told = 0

    def make_room(self, batch):
        """Those that are done, so that there is room for another. What takes
        several steps is alone: lines count in their order."""
        done = []
        while self.waiting and (
                len(self.waiting) >= CALLS or self.redis.spread or
                batch.has_steps() or self.waiting[0].has_steps()):
            done.append(self.receive())
        return done

    def send(self, batch):
        self.waiting.append(batch)
        self.trying(self.ask)

    def receive(self):
        """The first that was sent, with its results."""
        replies = self.trying(self.hear)
        self.patience.forget()
        batch = self.waiting.popleft()
        self.told -= 1
        for (about, call), reply in zip(batch.calls, replies):
            self.settle(batch, about, call, reply)
        return batch

    def trying(self, step):
        while True:
            try:
                return step()
            except Away as failure:
                self.redis = self.patience.wait(failure)
                self.others = others_of(self.redis)
                # What was asked may have been done, and is the same then.
                self.told = 0

    def ask(self):
        while self.told < len(self.waiting):
            batch = self.waiting[self.told]
            batch.asked = [self.commands(call) for _, call in batch.calls]
            self.redis.send(sum(batch.asked, []))
            self.told += 1

    def commands(self, call):
        if isinstance(call, LargeRecord):
            return []
        if not is_import(call):
            return [call]
        kind, keys, words = call
        function = "%s_%s" % (kind, self.function)
        keys = [self.redis.prefix + key for key in keys]
        # In a cluster no two keys go in one call.
        return [fcall("import", [key], function, *some) for key, some in zip(
            keys, records_of(words))] if self.redis.spread else [
                fcall("import", keys, function, *words)]

    def hear(self):
        self.ask()
        batch = self.waiting[0]
        replies = iter(self.redis.receive())
        found = []
        for commands, (_, call) in zip(batch.asked, batch.calls):
            reply = call.run(self.redis) if isinstance(
                call, LargeRecord) else joined(
                    [next(replies) for _ in commands])
            if is_import(call) and isinstance(reply, list):
                reply = [self.whole(some, call, number)
                         for number, some in enumerate(reply)]
            for some in reply if isinstance(reply, list) else [reply]:
                if isinstance(some, ReplyError) and some.is_passing():
                    raise Away(some.code, str(some))
            found.append(reply)
        return found

    def whole(self, reply, call, number):
        """A user whose address is in another slot is written step by step."""
        error = as_error(reply)
        if error is None or error.kind != "CROSSSLOT":
            return error or reply
        kind, keys, words = call
        name = keys[number].partition("{")[2][:-1]
        try:
            return write_in_cluster(
                self.redis, "%s_%s" % (kind, self.function), name,
                self.redis.prefix + keys[number],
                list(records_of(words))[number][1:])
        except ReplyError as error:
            return error

    @staticmethod
    def settle(batch, about, call, reply):
        if isinstance(reply, Bad) or not isinstance(reply, (list,
                                                            ReplyError)):
            replies = [reply]
        elif isinstance(reply, ReplyError):
            replies = [reply] * len(about)
        elif not is_import(call):
            replies = ["same"]
        else:
            replies = reply
        for index, result in zip(about, replies):
            batch.results[index] = judged(
                result, fold(batch.lines[index].record["name"]))


def is_import(call):
    """As opposed to a record that is only judged, or is too large."""
    return isinstance(call, tuple) and call[0] != "FCALL"


def records_of(words):
    """The words of each record, behind their number."""
    at = 0
    while at < len(words):
        count = 1 + int(words[at])
        yield words[at:at + count]
        at += count


def joined(replies):
    """Those for the parts of a call as the one for the whole."""
    if len(replies) == 1:
        return replies[0]
    return [some for reply in replies for some in (
        reply if isinstance(reply, list) else [reply])]


def as_error(reply):
    """An error among the replies for many, which comes as a text."""
    if isinstance(reply, ReplyError):
        return reply
    if reply.partition(" ")[0].isupper():
        return ReplyError(reply)
    return None


def judged(reply, name):
    """What is the record's fault; every other error is Redis's."""
    if not isinstance(reply, ReplyError):
        return reply
    if reply.kind not in (*REFUSALS, "WRONGTYPE"):
        raise reply
    return Bad(str(reply).removeprefix(name + ": "))
