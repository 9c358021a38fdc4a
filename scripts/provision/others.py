# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Whether a server serves others besides this program. While it does, they are
let in between: nothing is asked for before the last answer is made use of."""

import re
import time

from .connection import Away, ReplyError

EACH = 0.05             # seconds from a look to the next
FEW = 2                 # that a relay without mail asks meanwhile, too
READ = re.compile(r"^total_reads_processed:([0-9]+)", re.MULTILINE)


def others_of(redis):
    """In a cluster, where each server does a part of the work, nobody is looked
    for."""
    return Nobody() if redis.spread else Others(redis.another)


class Nobody:
    """Where there are no others, as far as is known."""

    @staticmethod
    def are_there():
        return False


class Others:
    """Those of a server that connect() is for."""

    def __init__(self, connect):
        self.connect = connect
        self.link = None
        self.there = False
        self.look()

    def are_there(self):
        """As it was at the last look, which is made when it is time."""
        if time.monotonic() > self.next:
            before = self.read
            self.look()
            self.there = None in (before, self.read) or (
                self.read - before > FEW)
        return self.there

    def look(self):
        """How often the server has read what others sent; None where it does
        not tell."""
        self.next = time.monotonic() + EACH
        try:
            self.link = self.link or self.connect()
            stats = self.link.one("INFO", "stats")
            self.read = int(READ.search(stats)[1]) - self.link.traffic.sent
        except (Away, ReplyError, TypeError):
            self.read = None
            self.next = float("inf")
            self.there = True
