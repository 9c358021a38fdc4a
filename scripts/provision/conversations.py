# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Many conversations with Redis at once.

A conversation is a generator: it yields lists of commands, is sent the list
of their replies, and returns its result. Some hundred of them ask together,
and while Redis answers, the results of others are made use of, and new ones
are begun. The results come in the order in which the conversations were begun.
"""

import contextlib
from collections import deque

from .connection import Away, ReplyError

# Yielded by a conversation that goes on when all before it have ended.
ALONE = object()

OPEN = 1000             # conversations begun and not ended
WAVE = 200              # of which so many ask at a time
BYTES = 4 << 20         # unless they are large
PAGE = "1000"           # keys of a step of SCAN, about


class Conversation:
    """One of them, with what it is about."""

    def __init__(self, about, steps, key=None, size=0):
        self.about = about
        self.steps = steps
        # No two with the same key are under way at a time.
        self.key = key
        self.size = size
        self.commands = None
        self.ended = False
        self.result = None

    def go_on(self, replies):
        try:
            self.commands = self.steps.send(replies)
        except StopIteration as end:
            self.ended = True
            self.result = end.value


class Talk:
    """All that are open, the oldest first."""

    def __init__(self, source):
        self.source = iter(source)
        self.next = None
        self.open = deque()
        self.ready = deque()
        self.asking = []
        self.keys = set()
        self.size = 0
        self.exhausted = False

    def admit(self):
        """Begins as many as there is room for."""
        while not self.exhausted and self.has_room():
            if self.next is None:
                self.next = next(self.source, None)
            if self.next is None:
                self.exhausted = True
                return
            if not self.fits(self.next):
                return
            self.begin(self.next)
            self.next = None

    def has_room(self):
        return len(self.open) < OPEN and len(self.ready) < WAVE

    def fits(self, conversation):
        if conversation.key is not None and conversation.key in self.keys:
            return False
        return not self.open or self.size + conversation.size <= BYTES

    def begin(self, conversation):
        self.open.append(conversation)
        self.size += conversation.size
        if conversation.key is not None:
            self.keys.add(conversation.key)
        self.advance(conversation, None)

    def advance(self, conversation, replies):
        conversation.go_on(replies)
        if conversation.ended:
            self.keys.discard(conversation.key)
        elif conversation.commands is not ALONE:
            self.ready.append(conversation)

    def results(self):
        """Of those that have ended, up to the first that has not."""
        while self.open:
            first = self.open[0]
            if not first.ended and first.commands is ALONE:
                self.advance(first, None)
            if not first.ended:
                return
            self.open.popleft()
            self.size -= first.size
            yield first.about, first.result

    def wave(self):
        """Those that ask next."""
        count = min(len(self.ready), WAVE)
        self.asking = [self.ready.popleft() for _ in range(count)]
        return [command for conversation in self.asking
                for command in conversation.commands]

    def restart(self):
        """What was asked and not answered is to be asked again."""
        self.ready.extendleft(reversed(self.asking))
        self.asking = []

    def hear(self, replies):
        replies, asking = iter(replies), self.asking
        self.asking = []
        for conversation in asking:
            self.advance(conversation,
                         [next(replies) for _ in conversation.commands])


def converse(redis, source, reconnect=None):
    """Yields (about, result) of every conversation of the source.

    reconnect(failure) is called when Redis is away and gives a new connection
    or raises.
    """
    talk = Talk(source)
    while True:
        try:
            with contextlib.closing(redis.another()) as link:
                yield from converse_by(link, talk)
            return
        except Away as failure:
            if reconnect is None:
                raise
            redis = reconnect(failure)
            talk.restart()


def converse_by(link, talk):
    """What has been answered is heard before anything else is asked."""
    while True:
        talk.admit()
        if talk.ready:
            link.send(talk.wave())
            yield from talk.results()
            talk.admit()
            talk.hear(whole(link.receive()))
        else:
            yield from talk.results()
            if talk.exhausted and not talk.open:
                return


def whole(replies):
    for reply in replies:
        if isinstance(reply, ReplyError) and reply.is_passing():
            raise Away(reply.code, str(reply))
    return replies


def scan(redis, pattern):
    """Every key that matches, some perhaps twice, however many there are; the
    next are looked for while these are made use of."""
    with contextlib.closing(redis.another()) as link:
        yield from scan_by(link, pattern)


def scan_by(link, pattern):
    def ask(cursor):
        link.send([("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)])

    cursor = "0"
    ask(cursor)
    while True:
        reply = link.receive()[0]
        if isinstance(reply, ReplyError):
            raise reply
        cursor, keys = reply
        if cursor != "0":
            ask(cursor)
        yield from keys
        if cursor == "0":
            return
