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
function redis.call(command, key, value, option, amount)
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
	elseif command == 'HMGET' then
		return real.call(command, key, value, option, amount)
	elseif command == 'DEL' then
		return real.call('DEL', key)
	end
	error('no stub for ' .. command)
end
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
        self.limit(**limits)

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


class Window:
    """A quota: what was charged since the first message of its window."""

    def __init__(self, limit, period):
        self.limit, self.period = limit, period * SECOND
        self.start, self.charges = None, {}

    def turn(self, now):
        if self.start is not None and now >= self.start + self.period:
            self.start, self.charges = None, {}

    def room(self, now, units):
        self.turn(now)
        return sum(self.charges.values()) + units <= self.limit

    def charge(self, now, hold, units):
        self.turn(now)
        if self.start is None:
            self.start = now
        self.charges[hold] = units

    def refund(self, now, hold):
        self.turn(now)
        self.charges.pop(hold, None)


class Gcra:
    """By its definition: a message conforms that is no earlier than its
    theoretical arrival time, less the burst. What was given back has never
    been; the time is found anew from all that remains."""

    def __init__(self, limit, period):
        self.increment = Fraction(period * SECOND, limit)
        self.burst = self.increment * limit
        self.charges = {}

    def arrival(self):
        tat = Fraction(0)
        for time, units in self.charges.values():
            tat = max(tat, time) + units * self.increment
        return tat

    def room(self, now, units):
        new = max(self.arrival(), now) + units * self.increment
        return new - self.burst <= now

    def charge(self, now, hold, units):
        self.charges[hold] = now, units

    def refund(self, now, hold):
        self.charges.pop(hold, None)


class Careful(Gcra):
    """Gives back no more than has not leaked away since: the least that a
    counter without a memory of every message can know to be still there."""

    def __init__(self, limit, period):
        super().__init__(limit, period)
        self.tat = Fraction(0)

    def arrival(self):
        return self.tat

    def charge(self, now, hold, units):
        self.tat = max(self.tat, now) + units * self.increment
        self.charges[hold] = now, units

    def refund(self, now, hold):
        if hold in self.charges:
            time, units = self.charges.pop(hold)
            self.tat -= max(0, units * self.increment - (now - time))


class Model:
    """All limits of one user together, and what became of reservations."""

    def __init__(self, limits):
        self.limits = limits
        self.holds = {}

    def room(self, now, units):
        return all(limit.room(now, units) for limit in self.limits)

    def charge(self, now, hold, units):
        self.holds[hold] = "held"
        for limit in self.limits:
            limit.charge(now, hold, units)

    def refund(self, now, hold):
        if self.holds.get(hold) == "kept":
            return
        if self.holds.get(hold) == "held":
            for limit in self.limits:
                limit.refund(now, hold)
        self.holds[hold] = "void"

    def keep(self, hold):
        self.holds[hold] = "kept"


def models(quota, period, rates):
    """The one that may never be exceeded, and the one to be no worse than."""
    window = [Window(quota, period)] if quota else []
    wide = Model(window + [Gcra(*rate) for rate in rates])
    window = [Window(quota, period)] if quota else []
    return wide, Model(window + [Careful(*rate) for rate in rates])


def step(dice, library, pair, now, known):
    """One call, with the answer that the models allow."""
    what = dice.choice(("reserve",) * 5 + ("retry", "keep", "refund",
                                           "refund", "check"))
    wide, narrow = pair
    units = dice.choice((1, 1, 1, 2, 3))
    if what in ("reserve", "check"):
        hold = "%x" % len(known)
        word = library.call(what, hold, units)[0]
        if word == "ok":
            assert wide.room(now, units), "more than the limit"
        else:
            assert word == "full"
            assert not narrow.room(now, units), "less than the limit"
        if what == "reserve":
            known.append(hold)
            if word == "ok":
                for model in pair:
                    model.charge(now, hold, units)
        return
    if not known:
        return
    hold = dice.choice(known[-4:])
    if what == "retry" and hold in wide.holds:
        word = library.call("reserve", hold, units)[0]
        assert word == ("void" if wide.holds[hold] == "void" else "ok")
    elif what == "keep" and wide.holds.get(hold) == "held":
        library.call("keep", hold)
        for model in pair:
            model.keep(hold)
    elif what == "refund":
        library.call("refund", hold)
        for model in pair:
            model.refund(now, hold)


CASES = {
    "quota": lambda dice: (dice.randint(1, 6), dice.randint(1, 60), []),
    "rate": lambda dice: (0, 60, [(dice.randint(1, 6), dice.randint(1, 60))]),
    "all": lambda dice: (dice.randint(1, 9), dice.randint(1, 60),
                         [(dice.randint(1, 3), dice.randint(1, 5)),
                          (dice.randint(4, 8), dice.randint(6, 90))]),
}


@pytest.mark.parametrize("case", CASES)
def test_model(library, case):
    clock = SECOND * 1000000000
    for seed in range(RUNS // len(CASES)):
        dice = random.Random("%s %d" % (case, seed))
        quota, period, rates = CASES[case](dice)
        library.begin(quota=str(quota), quota_period="%ds" % period,
                      rate=" ".join("%d/%ds" % rate for rate in rates))
        pair, known = models(quota, period, rates), []
        for number in range(STEPS):
            # Reservations last for an hour: that is another test.
            clock += dice.choice((0, 1, 999, 1000, 250000, SECOND,
                                  dice.randint(0, 20 * SECOND)))
            library.set_clock(clock)
            try:
                step(dice, library, pair, clock, known)
            except AssertionError as error:
                raise AssertionError("%s: seed %d, step %d, limits %r" % (
                    error, seed, number, (quota, period, rates))) from error


def test_gcra_by_definition(library):
    """No refunds: every answer is exactly that of the definition, at the
    edges too, unless the edge is nearer than a millionth of a message."""
    clock = SECOND * 2000000000
    near = 0
    for seed in range(300):
        dice = random.Random(seed)
        limit, period = dice.randint(1, 50), dice.randint(1, 300)
        library.begin(rate="%d/%ds" % (limit, period))
        gcra = Gcra(limit, period)
        tat = Fraction(0)
        for number in range(60):
            clock += dice.choice((0, 0, 1, int(gcra.increment),
                                  int(gcra.increment) + 1,
                                  dice.randint(0, period * SECOND // 4)))
            library.set_clock(clock)
            over = (max(tat, clock) + gcra.increment - gcra.burst - clock) \
                / gcra.increment
            word = library.call("reserve", "%d" % number, 1)[0]
            if abs(over) < Fraction(2, 1000000):
                near += 1
            else:
                assert word == ("full" if over > 0 else "ok"), (seed, number)
            if word == "ok":
                tat = max(tat, clock) + gcra.increment
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
