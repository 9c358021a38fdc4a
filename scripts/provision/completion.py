# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a shell may offer next, soon and never wrong: names that begin with
what has been typed, fields and their words. Where anything is missing there
is nothing to offer."""

import os
import sys
import time

from .configuration import read_configuration
from .connection import glob_escape
from .failure import Failure
from .names import NAME, fold
from .pages import keys
from .servers import connect

# A shell waits for no more: of millions of users, those that were found.
SECONDS = 0.08
NAMES = 1000
SCANNED = "1000"        # keys of a step: half a millisecond of Redis


def is_asked(words):
    return behind_file(words)[1][:1] == ["complete"]


def behind_file(words):
    """The configuration, and the words behind it."""
    file = "/etc/smtpusers.conf"
    while words[:1] == ["-f"] and len(words) > 1:
        file, words = words[1], words[2:]
    return file, words


def main(words):
    """complete what [prefix], behind the configuration; 0 in any case."""
    file, words = behind_file(words)
    what, *rest = words[1:] or [""]
    try:
        redis = connect(read_configuration(file))
        for word in offers(redis, what, rest):
            # A shell may take more than a word for a command.
            if NAME.fullmatch(str(word)):
                print(word)
        sys.stdout.flush()
    except (Failure, OSError, KeyboardInterrupt):
        # Nobody is to see an error in the midst of a line.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def offers(redis, what, rest):
    kind = what.partition("-")[0]
    if what in ("user", "account"):
        return names(redis, kind, rest[0] if rest else "")
    if kind not in ("user", "account"):
        return []
    from .functions import schema_of
    schema = schema_of(redis)
    if what.endswith("-fields"):
        return schema.settable(kind)
    row = schema.fields[kind].get(rest[0] if rest else "")
    if row and row["kind"] == "account":
        return names(redis, "account", rest[1] if len(rest) > 1 else "")
    return row["words"] or [] if row else []


def names(redis, kind, prefix):
    """A prefix that no name has cannot have been meant."""
    prefix = fold(prefix)
    if prefix and not NAME.fullmatch(prefix):
        return
    before, found = redis.key(kind, ":{"), set()
    until = time.monotonic() + SECONDS
    for page in keys(redis, glob_escape(before + prefix) + "*}", SCANNED):
        found.update(name for name in (key[len(before):-1] for key in page)
                     if NAME.fullmatch(name))
        if len(found) > NAMES or time.monotonic() > until:
            break
    yield from sorted(found)[:NAMES]
