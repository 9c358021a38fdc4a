# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Shows what fields and sets users and accounts have."""

from .functions import schema_of
from .schema import KINDS
from .text import columns, print_json


def do_fields(args):
    schema = schema_of(args.connect())
    if args.json:
        print_json({kind: {"fields": list(schema.fields[kind].values()),
                           "sets": list(schema.sets[kind].values())}
                    for kind in KINDS})
        return
    for line in columns([("OF", "FIELD", "DEFAULT", "WHAT"),
                         *described(schema)]):
        print(line)


def described(schema):
    """Rows of all fields and sets, for people."""
    for kind in KINDS:
        for row in (*schema.fields[kind].values(),
                    *schema.sets[kind].values()):
            words = ": " + ", ".join(row["words"]) if row["words"] else ""
            yield (kind, row["name"], row["absent"] or "-",
                   row["help"] + words)
