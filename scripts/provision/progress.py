# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What takes its time: it gives way to others, and on a terminal tells how far
it is."""

import os
import sys
import time


NICE = 5


def counted(count, word):
    return "%d %s%s" % (count, word, "" if count == 1 else "s")


class Progress:
    """One line that stays, for those who look at a terminal and wait for more
    than a second. There is one at a time."""

    FIRST = 1.0
    PAUSE = 0.5

    current = None

    def __init__(self, word):
        give_way()
        Progress.current = self
        self.shown = sys.stderr.isatty()
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


def watched(word, pages, size=len):
    """The pages, while it is told how many things were in them."""
    progress = Progress(word)
    for page in pages:
        progress.add(size(page))
        yield page
    progress.clear()


def give_way():
    """Where the relay or Redis is on the same host, they come first."""
    here = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(here, NICE))


def make_way(for_good=False):
    """Before something is printed, which on the same terminal may be what is
    looked at from then on."""
    progress = Progress.current
    if progress is None:
        return
    progress.clear()
    if for_good and sys.stdout.isatty():
        progress.shown = False
