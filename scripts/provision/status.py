# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How the relays are, for people and for plug-ins of monitoring systems."""

import sys
import time

from .connection import Away
from .failure import EX_NOINPUT, Failure
from .relays import PROGRAMS, key_of, read_relays
from .text import columns, print_json, visible

# As plug-ins exit.
OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("ok", "warning", "critical", "unknown")

# Redis is slow when most replies take this part of the time that all may.
SLOW = 4

TOLD = 5                # problems in the line for plug-ins

# What there should be none of in a minute.
UNWANTED = {
    "temporary_failures": "%d temporary failures in the last minute",
    "lookups_failed": "%d lookups without an answer in the last minute",
    "redis_unanswered": "%d requests to Redis without a reply in the last "
    "minute",
    "writes_lost": "%d entries of logs or counters lost in the last minute"}


class Judged:
    """A relay, and what is wrong with it: pairs of how bad it is and words."""

    def __init__(self, name, programs, now):
        self.name = name
        self.programs = programs
        self.problems = []
        for program, found in programs.items():
            self.problems += [(bad, "%s: %s" % (program, words))
                              for bad, words in problems_of(found, now)]
        self.status = max([OK, *(bad for bad, _ in self.problems)])

    def number(self, name):
        """That of the first program that has it."""
        for found in self.programs.values():
            if found.numbers and name in found.numbers:
                return found.numbers[name]
        return None

    def worst(self, name):
        """The largest of all programs."""
        return max((found.numbers[name] for found in self.programs.values()
                    if found.numbers and name in found.numbers), default=None)


def problems_of(found, now):
    if found.strange:
        yield WARNING, "what it writes of itself cannot be read"
        if found.numbers is None:
            return
    if found.is_gone(now):
        yield CRITICAL, "not heard of for " + duration(found.age(now))
        return
    numbers = found.numbers
    share, taken = slowest(numbers)
    limit = numbers.get("redis_timeout", 0)
    if taken > limit * 1000 / SLOW:
        yield WARNING, ("Redis is slow: %d %% of replies within %s ms, of %d "
                        "that redis_timeout allows" %
                        (share, milliseconds(taken), limit))
    for name, words in UNWANTED.items():
        count = numbers.get(name + "_minute", 0)
        if count > 0:
            yield WARNING, words % count


def slowest(numbers):
    """Of how many replies the time counts, in percent, and the time: a single
    one that was late is none of Redis's habits."""
    if numbers.get("redis_requests_minute", 0) < 100:
        return 50, numbers.get("redis_median", 0)
    return 99, numbers.get("redis_p99", 0)


def do_status(args):
    try:
        redis = args.connect()
        if args.forget:
            forget(redis, args.forget)
            return
        code = show(args, *read_relays(redis))
    except Failure as failure:
        if args.forget:
            raise
        code = CRITICAL if isinstance(failure, Away) else UNKNOWN
        tell_failure(args, code, str(failure))
    sys.exit(code)


def tell_failure(args, code, words):
    if args.json:
        print_json({"status": WORDS[code], "problems": [words], "relays": []})
    else:
        print("%s: %s" % (WORDS[code].upper(), words))


def forget(redis, relay):
    """One that is not to come back."""
    gone = redis.one("ZREM", redis.key("relays"),
                     *("%s:%s" % (program, relay) for program in PROGRAMS))
    for program in PROGRAMS:
        gone += redis.one("UNLINK", key_of(redis, relay, program))
    if not gone:
        raise Failure(EX_NOINPUT, "%s: no such relay" % visible(relay))


def show(args, relays, strange):
    """Prints it; the status."""
    now = time.time()
    judged = [Judged(name, programs, now)
              for name, programs in relays.items()]
    problems = [(bad, "%s: %s" % (relay.name, words)) for relay in judged
                for bad, words in relay.problems]
    shared = list(common(judged, strange))
    problems += [(WARNING, words) for words in shared]
    problems.sort(key=lambda problem: -problem[0])
    code = max([OK, *(bad for bad, _ in problems)])
    if not judged:
        code, problems = UNKNOWN, [(UNKNOWN, "no relay has been heard of")]
    if args.json:
        print_json({"status": WORDS[code],
                    "problems": [words for _, words in problems],
                    "relays": [as_json(relay, now) for relay in judged]})
        return code
    print(summary(code, judged, problems))
    if judged:
        for line in columns([HEADINGS, *(row(relay, now)
                                         for relay in judged)]):
            print(line)
    for words in shared:
        print(words)
    return code


def common(judged, strange):
    """What is wrong with them together."""
    versions = sorted({found.version for relay in judged
                       for found in relay.programs.values() if found.version})
    if len(versions) > 1:
        yield "the versions differ: " + ", ".join(map(visible, versions))
    if strange:
        yield "%d of what is listed are no relays" % strange


def summary(code, judged, problems):
    """The line that a plug-in's user sees."""
    count = "%d relay%s" % (len(judged), "" if len(judged) == 1 else "s")
    told = [words for _, words in problems[:TOLD]]
    if len(problems) > TOLD:
        told.append("and %d more" % (len(problems) - TOLD))
    return "%s: %s" % (WORDS[code].upper(), "; ".join(
        [count, *told] if judged else told))


HEADINGS = ("RELAY", "VERSION", "UP", "SESSIONS", "MESSAGES", "REFUSED",
            "DEFERRED", "LOGINS", "FAILED", "REDIS-MS", "STATE")


def row(relay, now):
    """Numbers are of the last minute, but for the sessions."""
    started = relay.worst("started")
    versions = {found.version for found in relay.programs.values()
                if found.version}
    taken = [relay.number("messages_%s_minute" % result)
             for result in ("accepted", "sandboxed", "trusted")]
    times = [relay.worst("redis_" + name)
             for name in ("median", "p99", "worst")]
    return (relay.name, visible("/".join(sorted(versions))) or "-",
            "-" if started is None else duration(max(0, now - started)),
            shown(relay.number("sessions")),
            "-" if None in taken else str(sum(taken)),
            shown(relay.number("messages_refused_minute")),
            shown(relay.number("messages_deferred_minute")),
            shown(relay.number("logins_accepted_minute")),
            shown(relay.number("logins_failed_minute")),
            "-" if None in times else "/".join(map(milliseconds, times)),
            "; ".join(words for _, words in relay.problems) or "ok")


def shown(number):
    return "-" if number is None else str(number)


def as_json(relay, now):
    return {"name": relay.name, "status": WORDS[relay.status],
            "problems": [words for _, words in relay.problems],
            **{program: about(relay.programs.get(program), now)
               for program in PROGRAMS}}


def about(found, now):
    """None of one that there never was, an object without numbers of one that
    is gone."""
    if found is None:
        return None
    return {"age": found.age(now), "version": found.version,
            **(found.numbers or {})}


def milliseconds(us):
    """To three digits, about."""
    return "%.*f" % (2 if us < 10000 else 0, us / 1000)


UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def duration(seconds):
    for size, unit in UNITS:
        if seconds >= 2 * size:
            return "%d %s" % (seconds // size, unit)
    return "%d s" % seconds
