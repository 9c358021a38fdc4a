# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The functions against a plain model of what they count.

The text is the one that is loaded, run by EVAL with a clock of the test's own:
TIME is what the key `clock` says, and keys expire by it.
"""

import random
from fractions import Fraction

import pytest

from places import workdir
from library import as_script
from redisserver import RedisServer, ReplyError

pytestmark = pytest.mark.exact

RUNS, STEPS = 3000, 30
SECOND = 1000000

# Values are kept with the time that they expire at in front. A run's keys
# carry its number, so that none has to be cleared.
CLOCK = """
local real = redis
local redis = {}
local function clock()
	return tonumber(real.call('GET', 'clock'))
end
function redis.call(...)
	local command, key, value, option, amount = ...
	if command == 'TIME' then
		local t = clock()
		return { string.format('%.0f', math.floor(t / 1000000)),
		    string.format('%.0f', t % 1000000) }
	elseif command == 'GET' then
		local stored = real.call('GET', key)
		if not stored then
			return false
		end
		local expiry, text = string.match(stored, '^(%d+) (.*)$')
		if math.floor(clock() / 1000) >= tonumber(expiry) then
			return false
		end
		return text
	elseif option == 'KEEPTTL' then
		local expiry = string.match(real.call('GET', key), '^%d+')
		return real.call('SET', key, expiry .. ' ' .. value)
	elseif command == 'SET' then
		local ms = option == 'EX' and amount * 1000 or amount
		return real.call('SET', key, string.format('%.0f %s',
		    math.floor(clock() / 1000) + ms, value))
	elseif command == 'EXPIRE' then
		return 1	-- what is over is told by the set of domains
	elseif command == 'DEL' or command == 'HMGET' or
	    string.find(command, '^[HZ]') then
		return real.call(...)
	end
	error('no stub for ' .. command)
end
redis.pcall = redis.call
"""


class Library:
    """The functions, and the clock they see."""

    def __init__(self, connection):
        self.connection = connection
        self.sha = connection.command("SCRIPT", "LOAD", as_script(CLOCK))
        self.runs = 0
        self.set_clock(0)

    def set_clock(self, time):
        self.connection.command("SET", "clock", time)

    def begin(self, **limits):
        self.runs += 1
        self.user = "u%d" % self.runs
        if limits:
            self.limit(**limits)

    def set_limits(self, limits):
        self.limit(quota=str(limits["quota"]),
                   quota_period="%ds" % limits["period"],
                   rate=" ".join("%d/%ds" % rate for rate in limits["rates"]))

    def set_sender_limits(self, limits):
        self.limit(sender_quota=str(limits["quota"]), sender_rate=" ".join(
            "%d/%ds" % rate for rate in limits["rates"]))

    def forget(self):
        self.connection.command("DEL", self.user + ":q", self.user + ":r")

    def limit(self, **limits):
        words = [word for pair in limits.items() for word in pair]
        self.connection.command("HSET", self.user, *words)

    def call(self, function, hold="none", *args):
        return self.connection.command(
            "EVALSHA", self.sha, 4, self.user, self.user + ":q",
            self.user + ":r", self.user + ":h:" + hold, function, "1d", *args)


@pytest.fixture(scope="module")
def library():
    with RedisServer(workdir("redis")) as server, server.connect() as link:
        yield Library(link)


class Bucket:
    """What a rate has counted in one period: every charge there was, with
    the number of messages that leak in a period from then on. What was given
    back is a charge of none; the level is found anew from all that remains."""

    def __init__(self, period, time, level, n):
        self.period = period * SECOND
        self.charges = [[time, None, level, n]]

    def level(self, now):
        level, time, n = Fraction(0), 0, 0
        for charged, _, units, leaks in self.charges:
            level = leaked(level, charged - time, n, self.period) + units
            time, n = charged, leaks
        return leaked(level, now - time, n, self.period)

    def leaks(self):
        return self.charges[-1][3]

    def refund(self, hold):
        for charge in self.charges:
            if charge[1] == hold:
                charge[2] = 0


def leaked(level, time, n, period):
    return max(Fraction(0), level - Fraction(max(0, time) * n, period))


class Model:
    """All limits of one user together, and what became of reservations."""

    kind = ""

    def __init__(self, limits):
        self.limits = limits
        self.holds = {}
        self.forget()

    def forget(self):
        """The user is deleted, and another one of the name is there."""
        self.start = self.count = None
        self.buckets = {}
        self.expiry = self.last = 0

    def least(self):
        least = {}
        for n, period in self.limits["rates"]:
            least[period] = min(n, least.get(period, n))
        return least

    def window(self, now):
        if self.start is None or (
                now >= self.start + self.limits["period"] * SECOND):
            return now, 0
        return self.start, self.count

    def counted(self, now):
        """The buckets, with those that a charge would begin."""
        if now // 1000 >= self.expiry:
            self.buckets = {}
        found = dict(self.buckets)
        last = self.last if found else now
        for period, n in self.least().items():
            if period not in self.buckets:
                parts = period * SECOND
                level = max((-(-bucket.level(last) * parts // 1)
                             for bucket in self.buckets.values()), default=0)
                found[period] = Bucket(period, last, min(
                    Fraction(level, parts), n), n)
        return found

    def refusal(self, now, units):
        """What is said where there is no room."""
        limit, period = self.limits["quota"], self.limits["period"]
        start, count = self.window(now)
        if limit and count + units > limit:
            return full(self.kind + "quota", limit, period, units, Fraction(
                start + period * SECOND - now, SECOND))
        found = self.counted(now)
        for n, period in self.rates():
            over = found[period].level(now) + units - n
            if over > 0:
                return full(self.kind + "rate", n, period, units, max(
                    1, over * period / found[period].leaks()))
        return None

    def rates(self):
        return dict.fromkeys(self.limits["rates"])

    def reserve(self, now, hold, units):
        if hold in self.holds:
            return ["void" if self.holds[hold][0] == "void" else "ok"]
        why = self.refusal(now, units)
        if why:
            return why
        start, count = self.window(now)
        if self.limits["quota"]:
            self.start, self.count = start, count + units
        self.holds[hold] = ["held", units,
                            start if self.limits["quota"] else None]
        least = self.least()
        self.buckets = {
            period: bucket for period, bucket in self.counted(now).items()
            if period in least or bucket.level(now) > 0}
        for period, bucket in self.buckets.items():
            bucket.charges.append([now, hold, units, least.get(
                period, bucket.leaks())])
        self.last = now
        self.written(now)
        return ["ok"]

    def written(self, now):
        left = max((bucket.level(self.last) * bucket.period / bucket.leaks()
                    for bucket in self.buckets.values()), default=0)
        if left == 0:
            self.buckets = {}
        self.expiry = now // 1000 + max(
            1, -(-(self.last + left - now) // 1000))

    def keep(self, now, hold):
        if self.holds[hold][0] == "held":
            self.settle(now, lambda bucket: None)
        self.holds[hold] = ["kept"]

    def refund(self, now, hold):
        state, *rest = self.holds.get(hold, ["none"])
        if state == "kept":
            return
        self.holds[hold] = ["void"]
        if state != "held":
            return
        units, start = rest
        if start is not None and self.window(now) == (start, self.count):
            self.count = max(0, self.count - units)
            if self.count == 0:
                self.start = None
        self.settle(now, lambda bucket: bucket.refund(hold))

    def settle(self, now, how):
        if now // 1000 >= self.expiry:
            self.buckets = {}
        for bucket in self.buckets.values():
            how(bucket)
        self.written(now)

    def usage(self, now):
        rows = []
        limit, period = self.limits["quota"], self.limits["period"]
        if limit:
            start, count = self.window(now)
            left = -(-(start + period * SECOND - now) // SECOND)
            rows.append([self.kind + "quota", str(limit), "%ds" % period, str(count),
                         str(left if count else 0)])
        found = self.counted(now)
        for n, period in self.rates():
            level, leaks = found[period].level(now), found[period].leaks()
            rows.append([self.kind + "rate", str(n), "%ds" % period, str(-(-level // 1)),
                         str(-(-level * period / leaks // 1))])
        return ["ok", *rows]


class Domain(Model):
    """The limits of one sender domain: forgotten once nothing is left of
    what was used as it was charged last."""

    kind = "sender_"
    until = 0

    def at(self, now):
        if self.until * 1000 < now:
            self.forget()
        return self

    def forget(self):
        super().forget()
        self.expiry = float("inf")

    def any(self):
        return self.limits["quota"] or self.limits["rates"]

    def left(self):
        return max((bucket.level(self.last) * bucket.period / bucket.leaks()
                    for bucket in self.buckets.values()), default=0)

    def written(self, now):
        if self.left() == 0:
            self.buckets = {}

    def reserve(self, now, hold, units):
        super().reserve(now, hold, units)
        ends = [self.last + self.left()] if self.buckets else []
        if self.limits["quota"]:
            ends.append(self.start + self.limits["period"] * SECOND)
        self.until = -(-max(ends) // 1000)


class User(Model):
    """With limits of each sender domain."""

    def __init__(self, limits, sender_limits):
        super().__init__(limits)
        self.domains = {name: Domain(sender_limits)
                        for name in ("a.example", "b.example", "c.example")}

    def set_sender_limits(self, limits):
        for domain in self.domains.values():
            domain.limits = limits

    def refusal_of(self, now, units, names):
        why = self.refusal(now, units)
        for name in names:
            domain = self.domains[name].at(now)
            if not why and domain.any() and (
                    found := domain.refusal(now, units)):
                why = [*found, name]
        return why

    def reserve_as(self, now, hold, units, names):
        if hold not in self.holds and (
                why := self.refusal_of(now, units, names)):
            return why
        for name in names:
            domain = self.domains[name].at(now)
            if hold not in self.holds and domain.any():
                domain.reserve(now, hold, units)
        return self.reserve(now, hold, units)

    def settle_as(self, what, now, hold):
        for domain in self.domains.values():
            if what == "refund" or hold in domain.holds:
                getattr(domain, what)(now, hold)
        getattr(self, what)(now, hold)

    def sender_usage(self, now):
        rows = {name: domain.at(now).usage(now)[1:]
                for name, domain in self.domains.items() if domain.any()}
        return {name: found for name, found in rows.items()
                if any(row[3] != "0" for row in found)}


def full(which, n, period, units, seconds):
    return ["full", which, str(n), "%ds" % period,
            "" if units > n else str(-(-seconds // 1)), ""]


def limits_of(dice, kind):
    """Few periods, so that changes meet what was counted."""
    rates = [(dice.randint(1, 9), dice.choice((1, 5, 20, 60)))
             for _ in range(dice.randint(0, 3))]
    return {"quota": dice.randint(1, 9) if kind != "rate" else 0,
            "period": dice.choice((2, 10, 60)),
            "rates": rates if kind != "quota" else []}


def step(dice, library, model, now, known):
    """One call, and all that is said of it."""
    what = dice.choice(("reserve",) * 6 + ("retry", "keep", "keep", "refund",
                                           "refund", "check", "limit",
                                           "delete"))
    units = dice.choice((1, 1, 1, 2, 3))
    if what == "reserve":
        known.append("%x" % len(known))
        assert said(library, what, known[-1], units) == model.reserve(
            now, known[-1], units)
    elif what == "check":
        assert said(library, what, "none", units) == (
            model.refusal(now, units) or ["ok"])
    elif what == "limit" and dice.random() < 0.5:
        model.limits = limits_of(dice, dice.choice(("all", "rate", "quota")))
        library.set_limits(model.limits)
    elif what == "delete" and dice.random() < 0.2:
        library.forget()
        model.forget()
    elif known:
        hold = dice.choice(known[-5:])
        if what == "retry" and hold in model.holds:
            assert said(library, "reserve", hold, units) == model.reserve(
                now, hold, units)
        elif what == "keep" and model.holds.get(hold, [""])[0] == "held":
            library.call("keep", hold)
            model.keep(now, hold)
        elif what == "refund":
            library.call("refund", hold)
            model.refund(now, hold)
    assert library.call("usage") == model.usage(now)


def said(library, function, hold, units, *tags):
    """Without the version behind."""
    reply = library.call(function, hold, units, *tags)
    assert isinstance(reply.pop(), int)
    if isinstance(reply[-1], list):
        # What is told has tests of its own.
        assert reply.pop()[0] in ("limit.near", "limit.reached")
    return reply


@pytest.mark.parametrize("kind", ["quota", "rate", "all"])
def test_model(library, kind):
    """Every answer is the model's, whatever is changed, given back, kept or
    deleted, in any order."""
    clock = SECOND * 1000000000
    for seed in range(RUNS // 3):
        dice = random.Random("%s %d" % (kind, seed))
        model, known = Model(limits_of(dice, kind)), []
        library.begin()
        library.set_limits(model.limits)
        for number in range(STEPS):
            # Reservations last for an hour: that is another test.
            clock += dice.choice((0, 1, 999, 1000, 250000, SECOND,
                                  dice.randint(0, 20 * SECOND)))
            library.set_clock(clock)
            try:
                step(dice, library, model, clock, known)
            except AssertionError as error:
                raise AssertionError("%s: seed %d, step %d, limits %r" % (
                    error, seed, number, model.limits)) from error


def domains_of(library):
    """Those that have used anything."""
    word, start, *rows = library.call("sender_usage", "none", "0")
    assert (word, start) == ("ok", "0")
    return {row[0]: row[1:] for row in rows
            if any(limit[3] != "0" for limit in row[1:])}


def sender_step(dice, library, model, now, known):
    what = dice.choice(("reserve",) * 6 + ("retry", "keep", "refund", "refund",
                                           "check", "limit"))
    units = dice.choice((1, 1, 1, 2))
    names = dice.sample(sorted(model.domains), dice.choice((1, 1, 1, 2, 3)))
    tags = ("senders", len(names), *names)
    if what == "reserve":
        known.append("%x" % len(known))
        assert said(library, what, known[-1], units, *tags) == (
            model.reserve_as(now, known[-1], units, names))
    elif what == "check":
        assert said(library, what, "none", units, *tags) == (
            model.refusal_of(now, units, names) or ["ok"])
    elif what == "limit" and dice.random() < 0.5:
        set_limits(library, model, limits_of(dice, "all"), limits_of(
            dice, dice.choice(("all", "rate", "quota", "quota"))))
    elif known:
        hold = dice.choice(known[-5:])
        if what == "retry" and hold in model.holds:
            assert said(library, "reserve", hold, units, *tags) == (
                model.reserve_as(now, hold, units, names))
        elif what == "keep" and model.holds.get(hold, [""])[0] == "held":
            library.call("keep", hold)
            model.settle_as("keep", now, hold)
        elif what == "refund":
            library.call("refund", hold)
            model.settle_as("refund", now, hold)
    assert library.call("usage") == model.usage(now)
    assert domains_of(library) == model.sender_usage(now)


def set_limits(library, model, limits, sender_limits):
    """The period of the quota is that of both."""
    sender_limits["period"] = limits["period"]
    if sender_limits["quota"] == 0 and not sender_limits["rates"]:
        sender_limits["quota"] = 3
    limits["quota"] *= 4
    model.limits = limits
    model.set_sender_limits(sender_limits)
    library.set_limits(limits)
    library.set_sender_limits(sender_limits)


def test_model_of_sender_domains(library):
    """What one domain uses is no other's, and all are charged or none."""
    clock = SECOND * 1500000000
    for seed in range(RUNS // 6):
        dice = random.Random("senders %d" % seed)
        model, known = User({}, {}), []
        library.begin()
        set_limits(library, model, limits_of(dice, "all"),
                   limits_of(dice, "all"))
        for number in range(STEPS):
            clock += dice.choice((0, 1, 999, 1000, 250000, SECOND,
                                  dice.randint(0, 20 * SECOND)))
            library.set_clock(clock)
            try:
                sender_step(dice, library, model, clock, known)
            except AssertionError as error:
                raise AssertionError("%s: seed %d, step %d" % (
                    error, seed, number)) from error


class Member:
    """A record in Redis, and its model."""

    def __init__(self, library, limits):
        self.library = library
        library.begin()
        library.set_limits(limits)
        self.name, self.model = library.user, Model(limits)

    def call(self, function, hold, *args):
        self.library.user = self.name
        return self.library.call(function, hold, *args)

    def refund(self, now, hold):
        self.call("refund", hold)
        self.model.refund(now, hold)

    def reserve(self, now, hold, units):
        self.library.user = self.name
        reply = said(self.library, "reserve", hold, units)
        assert reply == self.model.reserve(now, hold, units)
        return reply[0] == "ok"

    def check(self, now):
        assert self.call("usage", "none") == self.model.usage(now)


def test_model_of_an_account(library):
    """Two reservations of one id, in any order: whichever is refused gives
    the other back, so that the account has what its users have together."""
    clock = SECOND * 1700000000
    for seed in range(RUNS // 10):
        dice = random.Random("account %d" % seed)
        members = [Member(library, limits_of(dice, "all")) for _ in range(2)]
        account = Member(library, limits_of(dice, "all"))
        known = []
        for number in range(STEPS):
            clock += dice.choice((0, 1000, SECOND, dice.randint(0, SECOND)))
            library.set_clock(clock)
            if dice.random() < 0.7 or not known:
                user, hold = dice.choice(members), "%x" % number
                both = [user, account]
                dice.shuffle(both)
                taken = [one.reserve(clock, hold, 1) for one in both]
                if all(taken):
                    known.append((user, hold))
                for one, ok in zip(both, taken):
                    if ok and not all(taken):
                        one.refund(clock, hold)
            else:
                user, hold = known.pop(dice.randrange(len(known)))
                user.refund(clock, hold)
                account.refund(clock, hold)
            for one in (*members, account):
                one.check(clock)


def test_gcra_by_definition(library):
    """No refunds: a message conforms that is no earlier than its theoretical
    arrival time, less the burst; to the microsecond."""
    clock = SECOND * 2000000000
    near = 0
    for seed in range(300):
        dice = random.Random(seed)
        limit, period = dice.randint(1, 50), dice.randint(1, 300)
        library.begin(rate="%d/%ds" % (limit, period))
        increment = Fraction(period * SECOND, limit)
        tat = Fraction(0)
        for number in range(60):
            clock += dice.choice((0, 0, 1, int(increment),
                                  int(increment) + 1,
                                  dice.randint(0, period * SECOND // 4)))
            library.set_clock(clock)
            new = max(tat, clock) + increment
            over = new - increment * limit - clock
            near += abs(over) < increment / 1000000
            word = library.call("reserve", "%d" % number, 1)[0]
            assert word == ("full" if over > 0 else "ok"), (seed, number)
            if word == "ok":
                tat = new
    assert near > 100, "the edges were not met"


def test_long_run_of_a_rate(library):
    """Asked without end, it lets through its burst and what leaks."""
    clock = SECOND * 3000000000
    library.begin(rate="10/10s")
    accepted = 0
    for number in range(2001):
        library.set_clock(clock + number * SECOND // 20)
        accepted += library.call("reserve", "%d" % number, 1)[0] == "ok"
    assert accepted == 10 + 100


def test_unlimited_is_not_charged_and_not_given_back(library):
    """A reservation made while there was no quota returns nothing to it."""
    clock = SECOND * 4000000000
    library.set_clock(clock)
    library.begin(quota="2", rate="100/1h")
    for hold in ("a", "b"):
        assert library.call("reserve", hold, 1)[0] == "ok"
    library.limit(quota="0")
    assert library.call("reserve", "c", 1)[0] == "ok"
    library.limit(quota="2")
    library.call("refund", "c")
    assert library.call("reserve", "d", 1)[0] == "full"


def test_clock_that_goes_back(library):
    """A replica that takes over may be behind: nothing is forgotten."""
    clock = SECOND * 5000000000
    library.set_clock(clock)
    library.begin(quota="2", quota_period="1h", rate="2/1h")
    for hold in ("a", "b"):
        assert library.call("reserve", hold, 1)[0] == "ok"
    library.set_clock(clock - SECOND)
    assert library.call("reserve", "c", 1)[0] == "full"
    library.limit(rate="")
    assert library.call("reserve", "d", 1)[0] == "full"


@pytest.mark.parametrize("limits", [
    {"quota": "3", "quota_period": "1h"}, {"rate": "3/1h"},
    {"rate": "3/1h 50/1d"}])
def test_clock_that_was_far_ahead(library, limits):
    """Nobody waits for the time that it told; what was used stays so."""
    clock, longest = SECOND * 5000000000, 86400 if "1d" in limits.get(
        "rate", "") else 3600
    library.set_clock(clock + SECOND * 365 * 86400)
    library.begin(**limits)
    for hold in ("a", "b"):
        assert library.call("reserve", hold, 1)[0] == "ok"
    library.set_clock(clock)
    assert library.call("check", "none", 2)[0] == "full"
    assert library.call("reserve", "c", 1)[0] == "ok"
    assert library.call("reserve", "d", 1)[0] == "full"
    library.set_clock(clock + SECOND * longest)
    for hold in ("e", "f", "g"):
        assert library.call("reserve", hold, 1)[0] == "ok"
    assert library.call("reserve", "h", 1)[0] == "full"


def test_refund_of_a_window_gone_by(library):
    clock = SECOND * 6000000000
    library.set_clock(clock)
    library.begin(quota="1", quota_period="10s")
    assert library.call("reserve", "a", 1)[0] == "ok"
    library.set_clock(clock + 10 * SECOND - 1)
    assert library.call("reserve", "b", 1)[0] == "full"
    library.set_clock(clock + 10 * SECOND)
    assert library.call("reserve", "c", 1)[0] == "ok"
    library.call("refund", "a")
    assert library.call("reserve", "d", 1)[0] == "full"
    library.call("refund", "c")
    library.call("refund", "c")
    assert library.call("reserve", "e", 1)[0] == "ok"
    assert library.call("reserve", "f", 1)[0] == "full"


def test_refund_before_the_reservation(library):
    """What was under way on a connection that is lost comes too late."""
    library.set_clock(SECOND * 7000000000)
    library.begin(quota="1")
    library.call("refund", "a")
    assert library.call("reserve", "a", 1)[0] == "void"
    assert library.call("reserve", "b", 1)[0] == "ok"


def test_nothing_is_unstubbed(library):
    """The stub ends a command that it does not know."""
    text = CLOCK + "return redis.call('INCR', 'x')"
    with pytest.raises(ReplyError, match="no stub for INCR"):
        library.connection.command("EVAL", text, 0)


# When limits change

MINUTE = 60 * SECOND


def used(library):
    """By limit, as messages."""
    return [(row[1], row[2], int(row[3])) for row in library.call("usage")[1:]]


def send(library, count, name="m"):
    """How many of so many are taken, all kept."""
    taken = 0
    for number in range(count):
        hold = "%s%d" % (name, number)
        taken += library.call("reserve", hold, 1)[0] == "ok"
        library.call("keep", hold)
    return taken


@pytest.mark.parametrize("rates, room", [
    (("50/1h",), 0), (("50/1h", "100/1h"), 0), (("150/1h",), 50),
    (("10/1h", "150/1h"), 50), (("150/1h", "120/1h"), 20),
    (("", "100/1h"), 0), (("50/1h 200/1h",), 0), (("10/1m", "100/1h"), 0),
    (("100/1h 10/1m",), 0), (("120/1h 130/1h",), 20), (("5/10m",), 0)])
def test_a_rate_starts_from_what_was_used(library, rates, room):
    library.set_clock(SECOND * 8000000000)
    library.begin(rate="100/1h")
    assert send(library, 101) == 100
    for rate in rates:
        library.limit(rate=rate)
    assert send(library, 200, "n") == room


def test_what_is_sent_without_a_rate_counts_when_it_is_back(library):
    library.set_clock(SECOND * 8100000000)
    library.begin(rate="10/1h")
    assert send(library, 4) == 4
    library.limit(rate="20/1m")
    assert send(library, 3, "n") == 3
    library.limit(rate="10/1h")
    assert used(library) == [("10", "1h", 7)]


def test_a_lowered_rate_has_room_when_enough_is_gone(library):
    clock = SECOND * 8200000000
    library.set_clock(clock)
    library.begin(rate="100/1h")
    assert send(library, 100) == 100
    library.limit(rate="10/1h")
    reply = library.call("check", "none", 1)
    assert reply[:5] == ["full", "rate", "10", "1h", str(91 * 36)]
    library.set_clock(clock + 91 * 36 * SECOND - 1)
    assert send(library, 1, "n") == 0
    library.set_clock(clock + 91 * 36 * SECOND)
    assert send(library, 2, "o") == 1


def test_a_longer_period_extends_the_window(library):
    clock = SECOND * 8300000000
    library.set_clock(clock)
    library.begin(quota="3", quota_period="2s")
    assert send(library, 4) == 3
    library.limit(quota_period="1d")
    library.set_clock(clock + 86400 * SECOND - 1)
    assert send(library, 1, "n") == 0
    library.set_clock(clock + 86400 * SECOND)
    assert send(library, 4, "o") == 3


def test_a_shorter_period_ends_the_window(library):
    clock = SECOND * 8400000000
    library.set_clock(clock)
    library.begin(quota="3", quota_period="1d")
    assert send(library, 4) == 3
    library.limit(quota_period="10s")
    library.set_clock(clock + 10 * SECOND - 1)
    assert send(library, 1, "n") == 0
    library.set_clock(clock + 10 * SECOND)
    assert send(library, 4, "o") == 3


def test_a_refund_is_what_the_message_was(library):
    """As if it had never been, in a bucket that is busy."""
    clock = SECOND * 8500000000
    for number in range(10):
        library.set_clock(clock)
        library.begin(rate="10/1m")
        for hold in range(10):
            library.call("reserve", str(hold), 1)
        library.set_clock(clock + 6 * SECOND)
        assert used(library) == [("10", "1m", 9)]
        library.call("refund", str(number))
        assert used(library) == [("10", "1m", 8)]


def test_a_refund_gives_no_more_than_is_there(library):
    """One that has leaked away is not there; the next one is."""
    clock = SECOND * 8600000000
    library.set_clock(clock)
    library.begin(rate="1/1m")
    assert library.call("reserve", "a", 1)[0] == "ok"
    library.set_clock(clock + MINUTE)
    assert library.call("reserve", "b", 1)[0] == "ok"
    library.set_clock(clock + MINUTE + SECOND)
    library.call("refund", "a")
    assert library.call("reserve", "c", 1)[0] == "full"


def test_a_late_refund_is_not_the_next_users(library):
    clock = SECOND * 8700000000
    library.set_clock(clock)
    library.begin(quota="5", quota_period="1d", rate="5/1d")
    assert library.call("reserve", "late", 3)[0] == "ok"
    library.forget()
    library.set_clock(clock + 1)
    assert library.call("reserve", "new", 4)[0] == "ok"
    library.call("refund", "late")
    assert used(library) == [("5", "1d", 4), ("5", "1d", 4)]


def test_many_that_are_under_way(library):
    """More than a counter tells apart: what is given back may be too little,
    and is never too much."""
    clock = SECOND * 8800000000
    library.set_clock(clock)
    library.begin(rate="600/1h")
    for number in range(600):
        library.set_clock(clock + number)
        assert library.call("reserve", str(number), 1)[0] == "ok"
    for number in range(599, 99, -1):
        library.call("refund", str(number))
    assert 100 <= used(library)[0][2] <= 445
    text = library.connection.command("GET", library.user + ":r")
    assert len(text) < 16000


# Counters of version 3

def store(library, suffix, text):
    """For a hundred years."""
    library.connection.command("SET", library.user + suffix,
                               "%d %s" % (10 ** 14, text))


def test_former_counters_are_read_on(library):
    clock = SECOND * 8900000000
    library.set_clock(clock)
    library.begin(quota="10", rate="10/1m 100/1h")
    store(library, ":q", "%d 4" % (clock - SECOND))
    store(library, ":r:10/60", "%d 3.5" % clock)
    store(library, ":r:100/3600", "%d 50" % clock)
    assert used(library) == [("10", "1d", 4), ("10", "1m", 4),
                             ("100", "1h", 50)]
    assert library.call("reserve", "a", 2)[0] == "ok"
    assert used(library) == [("10", "1d", 6), ("10", "1m", 6),
                             ("100", "1h", 52)]
    library.set_clock(clock + 6 * SECOND)
    assert used(library)[1] == ("10", "1m", 5)


def test_a_former_reservation(library):
    """Its quota is given back, its rates stay used."""
    clock = SECOND * 9000000000
    library.set_clock(clock)
    library.begin(quota="10", rate="10/1m")
    store(library, ":q", "%d 4" % clock)
    store(library, ":r:10/60", "%d 4" % clock)
    store(library, ":h:a", "held 3 %d %d 10/60" % (clock, clock))
    assert library.call("reserve", "a", 3)[0] == "ok"
    library.call("refund", "a")
    assert used(library) == [("10", "1d", 1), ("10", "1m", 4)]


@pytest.mark.parametrize("suffix, text", [
    (":q", "x"), (":q", ""), (":q", "1"), (":q", "1 -1"), (":q", "9" * 17),
    (":r", "x"), (":r", ""), (":r", "1 1 1 60:10"), (":r", "1 1 1 60:0:1"),
    (":r", "1 1 1 0:10:1"), (":r", "1 1 %s 60:10:1" % ("9" * 17)),
    (":r", "1 1 1 60:10:1:2"), (":r", "1 1 1 x"),
    (":r:10/60", "x"), (":r:10/60", "1 -1"), (":r:10/60", "1 1e99")])
def test_what_cannot_be_read_is_used_up(library, suffix, text):
    library.set_clock(SECOND * 9100000000)
    library.begin(quota="10", rate="10/1m")
    store(library, suffix, text)
    key = library.user + suffix
    for function in ("check", "reserve"):
        reply = library.call(function, "a", 1)
        assert reply[0] == "full"
        assert reply[5] == key
    rows = library.call("usage")[1:]
    assert [row[5] for row in rows if len(row) > 5] == [key]
    assert [row[3] for row in rows if len(row) > 5] == ["10"]
