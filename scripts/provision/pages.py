# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What Redis tells in pages. The next one is asked for while the last one is
made use of; there is no more in memory than these, however many there are."""

import contextlib

from .connection import ReplyError
from .functions import fcall, need_functions

SCANNED = "5000"        # keys of a step of SCAN, about


def pages(redis, ask):
    """The lists of what ask(cursor), a command, replies behind a cursor."""
    with contextlib.closing(redis.another()) as link:
        link.send([ask("0")])
        cursor = None
        while cursor != "0":
            reply = link.receive()[0]
            if isinstance(reply, ReplyError):
                raise reply
            cursor, *page = reply
            if cursor != "0":
                link.send([ask(cursor)])
            yield page


def records(redis, kind, *options):
    """Rows of records: a name, and the values that the options ask for."""
    need_functions(redis)
    return pages(redis, lambda cursor: fcall(
        "page", [], redis.prefix, kind, cursor, *options))


def strays(redis):
    """What is nobody's: key, what it is, the name in it."""
    need_functions(redis)
    return pages(redis, lambda cursor: fcall("strays", [], redis.prefix,
                                             cursor))


def keys(redis, pattern):
    return (page for page, in pages(redis, lambda cursor: (
        "SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)))


def members(redis, key):
    """A set, of which some may come twice."""
    return (page for page, in pages(redis, lambda cursor: (
        "SSCAN", key, cursor, "COUNT", SCANNED)))
