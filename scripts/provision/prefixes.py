# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Which account takes which names of users. Once tenants write their users, no
two may take the same, and none may take all."""

from bisect import bisect

from .text import visible

KEPT = 100000           # accounts


class Prefixes:
    """The user_prefix of all accounts, of so many at most."""

    def __init__(self):
        self.found = set()      # of prefix and account
        self.without = set()    # accounts
        self.outer = []         # what was found, in order; none begins with another
        self.more = False

    def add(self, account, prefix):
        some = self.found if prefix else self.without
        some.add((visible(prefix), account) if prefix else account)
        if len(some) > KEPT:
            some.pop()
            self.more = True

    def problems(self):
        """Of accounts, when all are there: name and problem."""
        for account in sorted(self.without if self.found else ()):
            yield account, ("user_prefix: missing, so this account takes users "
                            "of any name, also those of other accounts")
        for prefix, account in sorted(self.found):
            if self.outer and prefix.startswith(self.outer[-1][0]):
                yield account, "user_prefix: %s: account %s takes such " \
                    "names, too" % (prefix, self.outer[-1][1])
            else:
                self.outer.append((prefix, account))

    def owner(self, name):
        """The prefix that the name of a user begins with, and its account, or
        None."""
        at = bisect(self.outer, (name, "~"))
        if at and name.startswith(self.outer[at - 1][0]):
            return self.outer[at - 1]
        return None
