# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The functions in Redis, which judge what is written and write it."""

import json
import os
import re

from .configuration import data_file
from .failure import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, Failure, note
from .schema import Schema
from .text import printable
from .alabels import alabels
from .connection import ReplyError

VERSION = re.compile(r"^local VERSION = ([0-9]+)$", re.MULTILINE)


def library_text():
    """One file where it is installed, its parts where it is not."""
    path = data_file("functions")
    try:
        if not os.path.isdir(path):
            return read_text(data_file("smtpusers.lua"))
        parts = [name for name in os.listdir(path) if name.endswith(".lua")]
        return "".join(read_text(os.path.join(path, name))
                       for name in sorted(parts))
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s" % (
            error.filename, error.strerror)) from None


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prepare(redis):
    """Loads the functions where there are none, or older ones; newer ones
    are used as they are."""
    if not has_functions(redis.many([fcall("version", [])])[0]):
        load_functions(redis)
    redis.prepared = True


def functions_problem(redis):
    """Why those that are there would not do, or None."""
    try:
        there = has_functions(redis.many([fcall("version", [])])[0])
    except Failure as failure:
        return str(failure)
    if there:
        return None
    return "the functions are missing or older than those of this command"


def has_functions(version):
    if isinstance(version, ReplyError):
        if "nknown command" in str(version):
            raise Failure(EX_UNAVAILABLE, "this Redis has no functions: it "
                          "must be Redis 7.0 or newer, or Valkey")
        if "unction not found" not in str(version):
            raise version
        return False
    return isinstance(version, int) and (
        version >= int(VERSION.search(library_text())[1]))


def load_functions(redis):
    """The filter does so too, when it connects."""
    try:
        redis.one("FUNCTION", "LOAD", "REPLACE", library_text())
    except ReplyError as error:
        if error.kind != "NOPERM":
            raise
        raise Failure(EX_NOPERM, "%s\nThe functions are missing or old; to "
                      "load them as a user who may: redis-cli -x FUNCTION "
                      "LOAD REPLACE <%s" % (
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
        raise Failure(EX_UNAVAILABLE, "smtpusers_%s replied no JSON; are the "
                      "functions in Redis others?" % function) from None


def canonical(redis, *words):
    """The canonical texts of pairs of kind and text, or why one has none."""
    return call(redis, "canonical", [], *words) if words else []


def judged(redis, kind, fields, domains=()):
    """The words that say these fields and domains in a call.  Each is judged
    by itself, for a call has the domains in one text."""
    schema = schema_of(redis)
    words = [word for field, value in fields.items()
             for word in (schema.kind_of(kind, field), value)]
    words += [word for domain in domains
              for word in ("domain", alabels(domain))]
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
