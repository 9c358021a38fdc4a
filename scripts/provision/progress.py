# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is told meanwhile on a terminal, of what takes its time."""

import sys
import time


def counted(count, word):
    return "%d %s%s" % (count, word, "" if count == 1 else "s")


class Progress:
    """One line that stays, for those who look at one and wait for more than a
    second. Where the results go to the terminal too, they are what is seen."""

    FIRST = 1.0
    PAUSE = 0.5

    def __init__(self, word, quiet=None):
        quiet = sys.stdout.isatty() if quiet is None else quiet
        self.shown = sys.stderr.isatty() and not quiet
        self.word = word
        self.count = 0
        self.began = time.monotonic()
        self.next = self.began + self.FIRST
        self.told = False

    def add(self, count, *more):
        """So many have been done; what else there is to say of them all."""
        self.count += count
        now = time.monotonic() if self.shown else 0
        if now < self.next:
            return
        self.next = now + self.PAUSE
        self.told = True
        words = [counted(self.count, self.word),
                 "%d/s" % (self.count / (now - self.began)), *more]
        print("\r\x1b[K" + ", ".join(words), end="", file=sys.stderr,
              flush=True)

    def clear(self):
        if self.told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.told = False
