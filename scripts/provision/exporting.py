# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""All users and accounts out of Redis."""

import sys

from .connection import ReplyError, glob_escape
from .failure import EX_DATAERR, Failure, note
from .functions import schema_of
from .interchange import Bad, csv_header, csv_text, json_text
from .pages import keys, members, records
from .progress import Progress, counted, make_way
from .records import NAME, account_key, user_key
from .schema import KINDS
from .text import visible

WRITERS = {"csv": csv_text, "jsonl": json_text}


def do_export(args):
    redis = args.connect()
    schema = schema_of(redis)
    out = sys.stdout.buffer
    write = WRITERS[args.format]
    if args.format == "csv":
        out.write(csv_header(schema))
    left_out = 0
    # Accounts first: users name them.
    for kind in (args.only,) if args.only else reversed(KINDS):
        for key, record in read_all(redis, schema, kind):
            try:
                if isinstance(record, Bad):
                    raise record
                make_way(for_good=True)
                out.write(write(record, schema))
            except Bad as bad:
                make_way()
                note("%s: %s" % (visible(key), bad))
                left_out += 1
    if left_out:
        out.flush()
        raise Failure(EX_DATAERR, "%s could not be exported" %
                      counted(left_out, "record"))


def read_all(redis, schema, kind):
    """Keys and records, or what is Bad about them."""
    progress = Progress(kind)
    for page in records(redis, kind, "fields", " ".join(schema.keys[kind])):
        progress.add(len(page))
        for row in page:
            key = (user_key if kind == "user" else account_key)(redis, row[0])
            yield key, read_record(redis, schema, kind, key, row)
    progress.clear()
    yield from strangers(redis, kind)


def strangers(redis, kind):
    """What has no name, which pages leave out."""
    before = redis.key(kind, ":{")
    for page in keys(redis, glob_escape(before) + "*}"):
        for key in page:
            if not NAME.fullmatch(key[len(before):-1]):
                yield key, Bad("not a name")


def read_record(redis, schema, kind, key, row):
    if len(row) == 1:
        return Bad("not a hash")
    record = {"type": kind, "name": row[0],
              **dict(zip(schema.keys[kind], row[1:]))}
    for name in schema.sets[kind]:
        try:
            record[name] = read_set(redis, key + ":" + name, record[name])
        except ReplyError as error:
            if error.kind != "WRONGTYPE":
                raise
            return Bad(name + ": not a set")
    return record


def read_set(redis, key, found):
    """Of one that is large, the number is found."""
    if isinstance(found, list):
        return sorted(found)
    return sorted({member for page in members(redis, key)
                   for member in page})
