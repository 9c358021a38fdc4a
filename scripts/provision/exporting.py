# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""All users and accounts out of Redis."""

import sys

from .connection import ReplyError
from .failure import EX_DATAERR, Failure, note
from .functions import schema_of
from .interchange import Bad, csv_header, csv_text, json_text
from .pages import members, read_rows
from .progress import Progress, counted, make_way
from .schema import KINDS, OF, SUPPRESSED
from .suppressions import entry_text, recipients_of
from .text import visible

WRITERS = {"csv": csv_text, "jsonl": json_text}

BEGINNING = "100"       # members of a set that come with the record
RECIPIENTS = 500        # and bytes of them, of a line
RECIPIENT_BYTES = 20000


def do_export(args):
    redis = args.connect()
    schema = schema_of(redis)
    out = sys.stdout.buffer
    write = WRITERS[args.format]
    if args.format == "csv":
        out.write(csv_header(schema))
    left_out = 0

    def leave_out(key, why="not a name"):
        nonlocal left_out
        make_way()
        note("%s: %s" % (visible(key), why))
        left_out += 1

    # Accounts first: users name them.
    for kind in (args.only,) if args.only else reversed(KINDS):
        for row in read_all(redis, schema, kind, leave_out):
            key = redis.key(kind, ":{", row[0], "}")
            try:
                record = record_of(redis, schema, kind, row)
                make_way(for_good=True)
                out.write(write(record, schema))
                for some in suppressed_of(redis, kind, key, row):
                    out.write(write(some, schema))
            except Bad as bad:
                leave_out(key, bad)
            except ReplyError as error:
                # Gone, since it was found.
                if error.kind not in ("NOUSER", "NOACCOUNT"):
                    raise
    if left_out:
        out.flush()
        raise Failure(EX_DATAERR, "%s could not be exported" %
                      counted(left_out, "record"))


def read_all(redis, schema, kind, strange):
    """Rows of a name, the values of all fields, and the beginning of each
    set."""
    progress = Progress(kind)
    columns = [("HMGET", "", *schema.fields[kind])]
    columns += [("SSCAN", ":" + name, "0", "COUNT", BEGINNING)
                for name in schema.sets[kind]]
    columns.append(("ZCARD", ":" + SUPPRESSED))
    for page in read_rows(redis, kind, columns, strange=strange):
        progress.add(len(page))
        yield from page
    progress.clear()


def record_of(redis, schema, kind, row):
    name, values, *sets, _ = row
    if isinstance(values, ReplyError):
        raise Bad("not a hash")
    record = {"type": kind, "name": name,
              **dict(zip(schema.fields[kind], values))}
    for which, found in zip(schema.sets[kind], sets):
        if isinstance(found, ReplyError):
            raise Bad(which + ": not a set")
        record[which] = read_set(redis, redis.key(
            kind, ":{", name, "}:", which), *found)
    return record


def suppressed_of(redis, kind, key, row):
    """The lines about recipients that get no mail, behind their record."""
    line = {"type": next(word for word in OF if OF[word] == kind),
            "name": row[0], SUPPRESSED: []}
    if isinstance(row[-1], ReplyError):
        raise Bad(SUPPRESSED + ": not a sorted set")
    size = 0
    for pair in recipients_of(redis, kind, key) if row[-1] else ():
        line[SUPPRESSED].append(entry_text(pair))
        size += len(line[SUPPRESSED][-1])
        if len(line[SUPPRESSED]) == RECIPIENTS or size > RECIPIENT_BYTES:
            yield line
            line, size = {**line, SUPPRESSED: []}, 0
    if line[SUPPRESSED]:
        yield line


def read_set(redis, key, cursor, found):
    """All of it, of which the first step of SSCAN is there."""
    if cursor != "0":
        found = (member for page in members(redis, key) for member in page)
    return sorted(set(found))
