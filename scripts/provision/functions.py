# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The functions in Redis, which judge what is written and write it."""

import hashlib
import json
import os
import re

from .alabels import alabels
from .configuration import data_file, release
from .connection import ReplyError
from .failure import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, Failure, note
from .schema import Schema
from .text import encode, printable

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
    text = text.replace("@RELEASE@", release())
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("@HASH@", digest[:16])


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prepare(redis):
    """Loads the functions where there are none, or older ones; newer ones
    are used as they are."""
    for server in redis.primaries():
        prepare_one(server)
    redis.prepared = True


def prepare_one(redis):
    text = library_text()
    wanted = version_of(NAME.match(text).groups())
    for _ in range(TRIES):
        there = version_there(redis)
        if will_do(there, wanted):
            return
        load_functions(redis, there, text)
    raise Failure(EX_UNAVAILABLE, "the functions in Redis change all the "
                  "time: does another client load older ones?")


def functions_problem(redis):
    """Why those that are there would not do, or None."""
    try:
        there = version_there(redis)
    except Failure as failure:
        return str(failure)
    if will_do(there, version_of(NAME.match(library_text()).groups())):
        return None
    return "the functions are missing or older than those of this command"


def will_do(there, wanted):
    return bool(there) and (there == wanted or there[0] > wanted[0])


def version_of(words):
    number, digest = words
    return int(number), digest


def version_there(redis):
    """Number and hash; None for none, or those that had no hash."""
    reply = redis.many([fcall("version", [])])[0]
    if isinstance(reply, ReplyError):
        if "nknown command" in str(reply):
            raise Failure(EX_UNAVAILABLE, "this Redis has no functions: it "
                          "must be Redis 7, Valkey 8, or newer")
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


def schema_of(redis):
    """What users and accounts have, asked for once."""
    if redis.schema is None:
        redis.schema = Schema(call(redis, "describe", []))
    return redis.schema


def fcall(function, keys, *args):
    """The command that calls it."""
    return ("FCALL", "smtpusers_" + function, str(len(keys)), *keys, *args)


def call(redis, function, keys, *args):
    """The reply of a function, of one key or several."""
    keys = [keys] if isinstance(keys, str) else keys
    return call_each(redis, [fcall(function, keys, *args)])[0]


def call_each(redis, commands):
    """The replies to several calls, or the first error."""
    need_functions(redis)
    return redis.each(commands)


def call_many(redis, commands):
    """The replies to several calls, errors among them."""
    need_functions(redis)
    return redis.many(commands)


def need_functions(redis):
    if not redis.prepared:
        prepare(redis)


def call_json(redis, function, key, *args):
    reply = call(redis, function, key, *args)
    try:
        return json.loads(reply)
    except (TypeError, ValueError):
        raise Failure(EX_UNAVAILABLE, "smtpusers_%s replied no JSON: Redis "
                      "has other functions than this command" % function) from None


def canonical(redis, *words):
    """The canonical texts of pairs of kind and text, or why one has none."""
    pairs = list(zip(words[::2], words[1::2]))
    texts = []
    for some in pieces(redis, pairs, lambda pair: pair):
        texts += call(redis, "canonical", [], *sum(some, ()))
    return texts


def call_in_pieces(redis, function, key, words):
    """Calls it as often as it takes for so many words."""
    for some in pieces(redis, words, lambda word: (word,)):
        call(redis, function, key, *some)


def pieces(redis, items, words_of):
    """Lists of items, each of no more words than a call takes."""
    limits = schema_of(redis).limits
    some, count, size = [], 0, 0
    for item in items:
        words = words_of(item)
        length = sum(len(encode(word)) for word in words)
        if some and (count + len(words) > limits["members"] or
                     size + length > limits["bytes"]):
            yield some
            some, count, size = [], 0, 0
        some.append(item)
        count += len(words)
        size += length
    if some:
        yield some


def judged(redis, kind, fields, domains=()):
    """The words that say these fields and domains in a call.  Each is judged
    by itself, for a call has the domains in one text."""
    schema = schema_of(redis)
    words = [word for field, value in fields.items()
             for word in (schema.kind_of(kind, field), value)]
    words += [word for domain in domains
              for word in (schema.row(kind, "domains")["kind"],
                           alabels(domain))]
    texts = canonical(redis, *words)
    pairs = list(zip(fields, texts))
    if domains:
        pairs.append(("domains", " ".join(texts[len(fields):])))
    return [word for pair in pairs for word in pair]


def warned(reply):
    """The first word of a reply; a warning behind it is told."""
    word, _, warning = reply.partition(" warning: ")
    if warning:
        note(printable(warning))
    return word


def canonical_or_none(redis, kind, text):
    try:
        return canonical(redis, kind, text)[0]
    except ReplyError as error:
        if error.kind != "INVALID":
            raise
        return None
