# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A record that is too large for one call: its sets come and go in pieces.

The order is such that a cut anywhere lets nobody in who is not to be: a
record begins blocked by what it lacks, and is whole when the last piece is
there. What a cut has left is finished by the same record again.
"""

from .addresses import write_record
from .connection import REFUSALS, ReplyError
from .functions import call, call_in_pieces, canonical
from .interchange import Bad
from .names import fold
from .pages import members
from .records import account_key, get_hash, user_key

FIRST = 100             # members of each set that come with the fields

ADD = {("user", "domains"): "user_domain_add", ("user", "ips"): "user_ip_add",
       ("account", "domains"): "account_domain_add"}
REMOVE = {("user", "domains"): "user_domain_rm", ("user", "ips"): "user_ip_rm",
          ("account", "domains"): "account_domain_rm"}


class LargeRecord:
    def __init__(self, schema, record, words, function, check):
        self.schema = schema
        self.kind = record["type"]
        self.name = fold(record["name"])
        self.record = record
        self.replace = function == "put"
        self.check = check
        pairs = dict(zip(words[::2], words[1::2]))
        self.sets = {key: pairs[key].split(" ") for key in pairs
                     if key in schema.lists and pairs[key]}
        self.empty = [key for key in pairs
                      if key in schema.lists and not pairs[key]]
        self.fields = {key: value for key, value in pairs.items()
                       if key not in schema.lists}

    def run(self, redis):
        """added, changed or same, or what is Bad about it."""
        try:
            return self.take(redis)
        except ReplyError as error:
            if error.kind not in (*REFUSALS, "WRONGTYPE"):
                raise
            return Bad(str(error).removeprefix(self.name + ": "))

    def take(self, redis):
        wanted = self.canonical_sets(redis)
        self.need_canonical_fields(redis)
        if self.check:
            return "same"
        key = (user_key if self.kind == "user" else account_key)(
            redis, self.name)
        held = get_hash(redis, key)
        kept = {name: {member for page in members(redis, key + ":" + name)
                       for member in page} if held else set()
                for name in self.schema.sets[self.kind]}
        if held and not self.replace and not self.is_part(
                redis, key, kept, wanted):
            return Bad("exists already")
        return self.write(redis, key, held, kept, wanted)

    def canonical_sets(self, redis):
        found = {}
        for name, texts in self.sets.items():
            how = self.schema.kind_of(self.kind, name)
            found[name] = set(canonical(
                redis, *[word for text in texts for word in (how, text)]))
        return found

    def need_canonical_fields(self, redis):
        canonical(redis, "name" if self.kind == "user" else "account",
                  self.name, *[
                      word for key, value in self.fields.items() if value
                      for word in (self.schema.kind_of(self.kind, key),
                                   value)])

    def is_part(self, redis, key, kept, wanted):
        """Whether what is there is the record, or what a cut has left."""
        some = {name: sorted(members)[:FIRST]
                for name, members in wanted.items()}
        return all(kept[name] <= wanted.get(name, set()) for name in kept) and (
            call(redis, "is", key, *self.words(some)))

    def write(self, redis, key, held, kept, wanted):
        extra = {name: kept[name] - some for name, some in wanted.items()}
        more = {name: sorted(some - kept[name])
                for name, some in wanted.items()}
        result = "same"
        if not held or self.replace:
            first = {name: some[:FIRST] for name, some in more.items()
                     if not held}
            result = self.put(redis, key, first)
            more = {name: some[len(first.get(name, ())):]
                    for name, some in more.items()}
        for name, some in more.items():
            call_in_pieces(redis, ADD[self.kind, name], key, some)
            if some:
                result = result if not held else (
                    "changed" if self.replace else "added")
        for name, some in extra.items():
            if some and self.replace:
                call_in_pieces(redis, REMOVE[self.kind, name], key,
                               sorted(some))
                result = "changed"
        return result

    def put(self, redis, key, sets):
        """The fields, and so much of the sets as goes into one call. A list
        of sources is never without those that there are to be."""
        function = self.kind + ("_put" if self.replace else "_add")
        return write_record(redis, function, self.name, key, self.words(sets))

    def words(self, sets):
        words = [word for pair in self.fields.items() for word in pair]
        for name, some in sets.items():
            words += name, " ".join(some)
        for name in self.empty:
            words += name, ""
        return words
