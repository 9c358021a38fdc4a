# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What users and accounts have, as the functions in Redis describe it."""

import json

from .failure import EX_UNAVAILABLE, Failure

KINDS = ("user", "account")

# Lines of a file about the recipients that get no mail, apart from the record
# that they are of, since there may be very many.
SUPPRESSED = "suppressed"
OF = {kind + "_" + SUPPRESSED: kind for kind in KINDS}


class Schema:
    """fields and sets: by kind of record, a dictionary by name of what is
    described, in order; limits: what a call takes."""

    def __init__(self, text):
        try:
            found = json.loads(text)
            self.limits = found["limits"]
            self.fields = {kind: by_name(found["kinds"][kind]["fields"])
                           for kind in KINDS}
            self.sets = {kind: by_name(found["kinds"][kind]["sets"])
                         for kind in KINDS}
        except (TypeError, ValueError, KeyError):
            raise Failure(EX_UNAVAILABLE, "smtpusers_describe replied "
                          "nothing that can be understood; are the functions "
                          "in Redis others?") from None
        self.keys = {kind: (*self.fields[kind], *self.sets[kind])
                     for kind in KINDS}
        self.lists = {name for kind in KINDS for name in self.sets[kind]}
        self.keys.update((kind, (SUPPRESSED,)) for kind in OF)
        self.lists.add(SUPPRESSED)

    def columns(self):
        """Of a file that has users and accounts."""
        names = dict.fromkeys(name for kind in KINDS
                              for name in self.fields[kind])
        sets = dict.fromkeys(name for kind in KINDS
                             for name in self.sets[kind])
        return ("type", "name", *names, *sets, SUPPRESSED)

    def settable(self, kind):
        """What `set` changes: for the others there are other commands."""
        return [name for name, row in self.fields[kind].items()
                if row["settable"]]

    def row(self, kind, name):
        if kind in OF:
            return {"kind": SUPPRESSED}
        return self.fields[kind].get(name) or self.sets[kind][name]

    def kind_of(self, kind, name):
        """How a value, or a member, is called where it is judged."""
        return self.row(kind, name)["kind"]


def by_name(rows):
    return {row["name"]: row for row in rows}
