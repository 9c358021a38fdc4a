# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Recipients that get no mail, of users and of accounts. Their lists grow
long: they are read in pages and written in pieces."""

import sys

from .alabels import alabels, texts_of
from .connection import ReplyError
from .failure import EX_DATAERR, EX_NOINPUT, EX_USAGE, Failure, note
from .functions import (
    call, call_each, canonical, fcall, need_functions, pieces)
from .names import name_of
from .others import Nobody
from .pages import pages
from .progress import Progress, counted
from .records import account_key, user_key
from .text import decode, print_json, visible

SORTED = 1000           # recipients that are shown in order
LINE_MAX = 1000         # bytes of a line that is read
LINES = 500             # lines that are written in one call


def owner_of(args, redis):
    """Whose list it is, as the functions call them, and the key; the words
    behind it."""
    words = list(args.words)
    if args.account is not None:
        return "account", account_key(redis, name_of(args.account)), words
    if not words:
        raise Failure(EX_USAGE, "no name of a user is given, and no "
                      "--account")
    return "user", user_key(redis, name_of(words[0])), words[1:]


def do_suppress_add(args):
    """If one of them is none, none is added."""
    redis = args.connect()
    kind, key, recipients = owner_of(args, redis)
    need_recipients(recipients)
    words = [word for text in recipients
             for word in ("suppressed", in_alabels(text))]
    write(redis, kind, key, args.period, canonical(redis, *words))


def need_recipients(recipients):
    if not recipients:
        raise Failure(EX_USAGE, "no recipient is given")


def in_alabels(text):
    """A time behind it stays as it is."""
    word, mark, time = text.rpartition("=")
    if not mark or "@" in time:
        return alabels(text)
    return alabels(word) + mark + time


def write(redis, kind, key, period, recipients):
    """How many were not there, or not for so long."""
    return sum(call(redis, kind + "_suppress_add", key, period, *some)
               for some in pieces(redis, recipients, lambda word: (word,)))


def do_suppress_rm(args):
    """One by one, to tell which were not there; also what is no recipient, by
    its exact text."""
    redis = args.connect()
    kind, key, recipients = owner_of(args, redis)
    function = kind + "_suppress_rm"
    if args.expired:
        progress = Progress("recipient")
        while removed := call(redis, function, key):
            progress.add(removed)
        progress.clear()
    else:
        need_recipients(recipients)
    replies = call_each(redis, [fcall(function, [key], *texts_of(text))
                                for text in recipients])
    for text, removed in zip(recipients, replies):
        if not removed:
            note("%s: not on the list" % visible(text))


def do_suppress_list(args):
    redis = args.connect()
    kind, key, rest = owner_of(args, redis)
    if rest:
        raise Failure(EX_USAGE, "%s: more than one name" % visible(rest[0]))
    first = []
    for pair in recipients_of(redis, kind, key):
        if first is not None:
            first.append(pair)
        else:
            show(args, pair)
        if first and len(first) > SORTED:
            show_all(args, first)
            first = None
    show_all(args, sorted(first or ()))


def recipients_of(redis, kind, key):
    """All that count now, each with the time or an empty text; some may come
    twice."""
    need_functions(redis)
    for page in pages(redis.another(), lambda cursor, _: fcall(
            kind + "_suppressed", [key], cursor), Nobody()):
        yield from zip(page[::2], page[1::2])


def entry_text(pair):
    return "=".join(filter(None, pair))


def show_all(args, some):
    for pair in some:
        show(args, pair)


def show(args, pair):
    if args.json:
        print_json({"recipient": pair[0], "until": pair[1] or None},
                   indent=None)
    else:
        print(visible(entry_text(pair)))


# A file with a recipient in each line

def do_suppress_import(args):
    redis = args.connect()
    kind, key, rest = owner_of(args, redis)
    if len(rest) > 1:
        raise Failure(EX_USAGE, "%s: more than one file" % visible(rest[1]))
    work = Import(redis, kind, key, args.period)
    with open_lines(rest[0] if rest else "-") as file:
        for number, line in enumerate(iter(
                lambda: file.readline(LINE_MAX + 1), b""), 1):
            work.take(number, line, file)
    work.flush()
    work.progress.clear()
    print("%s: %d added, %s" % (counted(work.lines, "recipient"), work.added,
                                counted(work.errors, "error")))
    if work.errors:
        raise Failure(EX_DATAERR, "%s not taken" % counted(work.errors,
                                                           "line"))


def open_lines(path):
    if path == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return open(path, "rb")
    except OSError as error:
        raise Failure(EX_NOINPUT, "%s: %s" %
                      (visible(path), error.strerror)) from None


class Import:
    """Lines that wait to be written, and what has become of the others."""

    def __init__(self, redis, kind, key, period):
        self.redis = redis
        self.kind = kind
        self.key = key
        self.period = period
        self.waiting = []
        self.lines = self.added = self.errors = 0
        self.progress = Progress("recipient")

    def take(self, number, line, file):
        if len(line) > LINE_MAX:
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_MAX)
            self.lines += 1
            self.refuse(number, "longer than %d bytes" % LINE_MAX)
            return
        text = decode(line).strip().removeprefix("\ufeff")
        if not text or text.startswith("#"):
            return
        self.lines += 1
        try:
            self.waiting.append((number, in_alabels(text)))
        except Failure as failure:
            self.refuse(number, str(failure))
        if len(self.waiting) >= LINES:
            self.flush()

    def refuse(self, number, why):
        self.errors += 1
        self.progress.clear()
        note("line %d: %s" % (number, why))

    def flush(self):
        for some in pieces(self.redis, self.waiting, lambda item: item[1:]):
            self.write(some)
        self.progress.add(len(self.waiting))
        self.waiting = []

    def write(self, some):
        """What is wrong is looked for in halves."""
        try:
            self.added += write(self.redis, self.kind, self.key, self.period,
                                [text for _, text in some])
        except ReplyError as error:
            if error.kind != "INVALID" or "a list has at most" in str(error):
                raise
            if len(some) == 1:
                self.refuse(some[0][0], str(error))
                return
            half = len(some) // 2
            self.write(some[:half])
            self.write(some[half:])
