# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What Redis tells in pages. The next ones are asked for while the last one is
made use of; there is no more in memory than these, however many there are.

Redis answers nobody else while it makes a page, so a page is small: about a fifth
of a millisecond while there is nobody else, and a tenth beside others."""

from collections import deque, namedtuple
from contextlib import ExitStack, closing

from .connection import ReplyError, bulk, glob_escape, packed
from .functions import call_each, fcall, need_functions
from .names import NAME
from .others import Nobody, Others
from .records import account_key, user_key
from .text import encode

# About how many keys SCAN looks at, and strays; how many records are asked
# about together, and how many are judged together; how many of these questions
# are under way while an answer is made use of.
Portion = namedtuple("Portion", "scanned, strays, read, judged, ahead")
ALONE = Portion("100", "75", 16, 6, 2)
BESIDE = Portion("50", "25", 4, 1, 0)
CALLED = 8              # records of a call by their names


def nodes(redis):
    """For each server that has keys, what makes a connection to it."""
    with redis.standing_still():
        for server in redis.primaries():
            yield server.another


def portion_for(others):
    return BESIDE if others.are_there() else ALONE


def pages(link, ask, others):
    """The lists of what ask(cursor, portion), a command, replies behind a
    cursor, on a connection that is closed then."""
    with closing(link):
        link.send([ask("0", portion_for(others))])
        cursor = None
        while cursor != "0":
            reply = link.receive()[0]
            if isinstance(reply, ReplyError):
                raise reply
            cursor, *page = reply
            wait = others.are_there()
            if cursor != "0" and not wait:
                link.send([ask(cursor, ALONE)])
            yield page
            if cursor != "0" and wait:
                link.send([ask(cursor, BESIDE)])


def everywhere(redis, ask):
    """The same of every server that has keys."""
    for connect in nodes(redis):
        yield from pages(connect(), ask, Others(connect))


def strays(redis):
    """What is nobody's: key, what it is, the name in it."""
    need_functions(redis)
    return everywhere(redis, lambda cursor, portion: fcall(
        "strays", [], redis.prefix, cursor, portion.strays))


def keys(redis, pattern, count=None):
    return (page for page, in everywhere(redis, scan(pattern, count)))


def members(redis, key):
    """A set, of which some may come twice."""
    return (page for page, in pages(redis.another(), lambda cursor, _: (
        "SSCAN", key, cursor, "COUNT", "1000"), Nobody()))


def scan(pattern, count=None):
    return lambda cursor, portion: ("SCAN", cursor, "MATCH", pattern,
                                    "COUNT", count or portion.scanned)


# Records by a function

def rows_of(redis, kind, names, *options):
    """A row of each, of its name and the values that the options ask for; None
    for one that is not there."""
    key = user_key if kind == "user" else account_key
    calls = calls_about(redis, [key(redis, name) for name in names], kind,
                        *options)
    return [row for some in call_each(redis, calls) for row in some]


def judged_rows(redis, kind, fields):
    """Pages of such rows, of all that there are."""
    need_functions(redis)
    before = redis.key(kind, ":{")

    def ask(some):
        calls = calls_about(redis, some, kind, "fields", " ".join(fields))
        return b"".join(map(packed, calls)), len(calls)

    for connect in nodes(redis):
        page = []
        others = Others(connect)
        for _, replies in answered(connect, ask, batches(
                connect(), before, "*", lambda portion: portion.judged, others),
                others):
            page += [row for some in replies for row in some if row]
            if len(page) >= CALLED:
                yield page
                page = []
        yield page


def calls_about(redis, some, kind, *options):
    """In a cluster one for each, since they are in different slots."""
    most = 1 if redis.spread else CALLED
    return [fcall("rows", some[at:at + most], kind, *options)
            for at in range(0, len(some), most)]


# Records by plain commands, which take Redis half the time

def read_rows(redis, kind, columns, match="*", strange=None):
    """Pages of records: a name, and the reply to each column. That is a
    command, with what its key has behind {NAME} in second place; the first
    one is HMGET. Replies may be errors of the type of a key. The keys of
    records without a name go to strange()."""
    before = redis.key(kind, ":{")
    question = Question(columns)
    for connect in nodes(redis):
        others = Others(connect)
        for some, replies in answered(connect, question.about, batches(
                connect(), before, match, lambda portion: portion.read,
                others, strange), others):
            page = [[key[len(before):-1], *replies[at:at + len(columns)]]
                    for at, key in zip(range(0, len(replies), len(columns)),
                                       some)]
            yield [row for row, key in zip(page, some)
                   if is_there(redis, key, row[1])]


def batches(link, before, match, most, others, strange=None):
    """Keys of records, not many at once: as many as most() says of a
    portion."""
    for page, in pages(link, scan(glob_escape(before) + match + "}"), others):
        some = []
        for key in page:
            if NAME.fullmatch(key, len(before), len(key) - 1):
                some.append(key)
            elif strange:
                strange(key)
        while some:
            count = most(portion_for(others))
            yield some[:count]
            del some[:count]


def answered(connect, question, asked, others):
    """The lists of keys that are asked about, each with the replies to what
    question() says: data, and how many commands they are. Each that is under
    way has a connection to itself: Redis would read two on one at once, and
    others could not be told from what was asked here."""
    waiting = deque()
    with ExitStack() as links:
        idle = [links.enter_context(closing(connect()))
                for _ in range(ALONE.ahead + 1)]

        def oldest():
            some, link = waiting.popleft()
            idle.append(link)
            return some, checked(link.receive())

        for some in asked:
            link = idle.pop()
            link.send_packed(*question(some))
            waiting.append((some, link))
            while len(waiting) > portion_for(others).ahead:
                yield oldest()
        while waiting:
            yield oldest()


def checked(replies):
    for reply in replies:
        if isinstance(reply, ReplyError) and reply.kind != "WRONGTYPE":
            raise reply
    return replies


def is_there(redis, key, held):
    """Whether a record is, which may have gone since its key was found."""
    return isinstance(held, ReplyError) or any(
        value is not None for value in held) or redis.one("EXISTS", key)


class Question:
    """Commands that are the same about each key, packed but for the key."""

    def __init__(self, columns):
        self.parts = [(b"*%d\r\n" % (len(rest) + 2) + bulk(verb),
                       encode(suffix), b"".join(map(bulk, rest)))
                      for verb, suffix, *rest in columns]

    def about(self, some):
        out = []
        for key in map(encode, some):
            for verb, suffix, rest in self.parts:
                out.append(b"%s$%d\r\n%s%s\r\n%s" % (
                    verb, len(key) + len(suffix), key, suffix, rest))
        return b"".join(out), len(out)
