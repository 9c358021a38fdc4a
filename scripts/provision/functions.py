# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The functions in Redis, which judge what is written and write it."""

import hashlib
import json
import os
import re

from .configuration import data_file
from .failure import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, Failure
from .rediscli import ReplyError

# The library's name has its number and its hash.
NAME = re.compile(r"#!lua name=smtpusers_([0-9]+)_([0-9a-f]{16})\n")
FORMER = "smtpusers"            # of those that did not
TRIES = 5


def library_text():
    """One file where it is installed, its parts where it is not."""
    path = data_file("functions")
    try:
        if not os.path.isdir(path):
            return read_text(data_file("smtpusers.lua"))
        parts = [name for name in os.listdir(path) if name.endswith(".lua")]
        return with_hash("".join(read_text(os.path.join(path, name))
                                 for name in sorted(parts)))
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s" % (
            error.filename, error.strerror)) from None


def with_hash(text):
    """As make does it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("@HASH@", digest[:16])


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prepare(redis):
    """Loads the functions where there are none, or older ones; newer ones
    are used as they are."""
    text = library_text()
    wanted = version_of(NAME.match(text).groups())
    reply = redis.version
    for _ in range(TRIES):
        there = version_found(reply)
        if there and (there == wanted or there[0] > wanted[0]):
            redis.version = None
            return
        load_functions(redis, there, text)
        reply = redis.many([fcall("version", [])])[0]
    raise Failure(EX_UNAVAILABLE, "the functions in Redis are others all the "
                  "time: does another client load older ones?")


def version_of(words):
    number, digest = words
    return int(number), digest


def version_found(reply):
    """Number and hash; None for none, or those that had no hash."""
    if isinstance(reply, ReplyError):
        if "nknown command" in str(reply):
            raise Failure(EX_UNAVAILABLE, "this Redis has no functions: it "
                          "must be Redis 7.0 or newer, or Valkey")
        if "unction not found" not in str(reply):
            raise reply
        return None
    if not isinstance(reply, list) or len(reply) != 2 or not (
            isinstance(reply[0], int)):
        return None
    return version_of(reply)


def load_functions(redis, there, text):
    """In the place of those that were found, if they are still there; the
    filter does so too, when it connects."""
    name = "%s_%d_%s" % (FORMER, *there) if there else FORMER
    replies = redis.many([("MULTI",), ("FUNCTION", "DELETE", name),
                          ("FUNCTION", "LOAD", text), ("EXEC",)])
    for error in replies[1:3]:
        if isinstance(error, ReplyError) and error.kind == "NOPERM":
            raise Failure(EX_NOPERM, "%s\nThe functions are missing or old; "
                          "see Loading in smtpusers-functions(7), and load "
                          "%s as a user who may" % (
                              error, data_file("smtpusers.lua"))) from None


def fcall(function, keys, *args):
    """The command that calls it."""
    return ("FCALL", "smtpusers_" + function, str(len(keys)), *keys, *args)


def call_list(redis, function, keys, *args):
    return call_each(redis, [fcall(function, keys, *args)])[0]


def call_each(redis, commands):
    """The replies to several calls, each a list; or the first error."""
    need_functions(redis)
    return redis.each(commands)


def call_many(redis, commands):
    """The replies to several calls, errors among them."""
    need_functions(redis)
    return redis.many(commands)


def need_functions(redis):
    if redis.version is not None:
        prepare(redis)


def call(redis, function, key, *args):
    """The reply of a function that has one key and one thing to say."""
    reply = call_list(redis, function, [key], *args)
    return reply[0] if reply else None


def call_json(redis, function, key, *args):
    reply = call(redis, function, key, *args)
    try:
        return json.loads(reply)
    except (TypeError, ValueError):
        raise Failure(EX_UNAVAILABLE, "smtpusers_%s replied no JSON; are the "
                      "functions in Redis others?" % function) from None


def canonical(redis, *words):
    """The canonical texts of pairs of kind and text, or why one has none."""
    return call_list(redis, "canonical", [], *words) if words else []


# The kinds of values whose fields have other names.
KINDS = {"quota_period": "period"}


def judged(redis, fields, domains):
    """The words that say these fields and domains in a call.  Each domain is
    judged by itself, for a call has them in one text."""
    words = [word for field, value in fields.items()
             for word in (KINDS.get(field, field), value)]
    words += [word for domain in domains for word in ("domain", domain)]
    texts = canonical(redis, *words)
    pairs = list(zip(fields, texts))
    if domains:
        pairs.append(("domains", " ".join(texts[len(fields):])))
    return [word for pair in pairs for word in pair]


def canonical_or_none(redis, kind, text):
    try:
        return canonical(redis, kind, text)[0]
    except ReplyError as error:
        if error.kind != "INVALID":
            raise
        return None
