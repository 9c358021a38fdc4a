# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How one record gets out of Redis."""

from .conversations import ALONE
from .interchange import FIELDS, SETS, Bad
from .records import NAME
from .connection import ReplyError

# A set that has more members is read alone, and in pages.
SMALL = 100
PAGE = "5000"

# Type, number of values and the values of each key.
READ = " ".join("""
local out = {}
for _, key in ipairs(KEYS) do
	local kind, found = redis.call('TYPE', key).ok, {}
	if kind == 'hash' then
		found = redis.call('HGETALL', key)
	elseif kind == 'set' and redis.call('SCARD', key) > tonumber(ARGV[1]) then
		kind = 'large'
	elseif kind == 'set' then
		found = redis.call('SMEMBERS', key)
	end
	out[#out + 1] = kind
	out[#out + 1] = tostring(#found)
	for _, value in ipairs(found) do
		out[#out + 1] = value
	end
end
return out
""".split())


def read_record(kind, name, key):
    """A conversation whose result is the record, None where it has gone
    meanwhile, or the Bad that says why it cannot be read."""
    if not NAME.fullmatch(name):
        return Bad("not a name")
    keys = [key] + [key + ":" + suffix for suffix in SETS[kind]]
    reply = (yield [("EVAL", READ, str(len(keys)), *keys, str(SMALL))])[0]
    if isinstance(reply, ReplyError):
        raise reply
    (form, flat), *found = parts(reply)
    try:
        if form == "none":
            return None
        if form != "hash":
            raise Bad("not a hash")
        sets = yield from read_sets(kind, key, found)
    except Bad as bad:
        return bad
    return make_record(kind, name, dict(zip(flat[::2], flat[1::2])), sets)


def parts(flat):
    """What READ found, key by key."""
    values = iter(flat)
    return [(form, [next(values) for _ in range(int(next(values)))])
            for form in values]


def read_sets(kind, key, found):
    sets = {}
    for suffix, (form, members) in zip(SETS[kind], found):
        if form not in ("none", "set", "large"):
            raise Bad(suffix + ": not a set")
        if form == "large":
            yield ALONE
            members = yield from read_pages(key + ":" + suffix, suffix)
        sets[suffix] = members
    return sets


def read_pages(key, suffix):
    members, cursor = set(), "0"
    while True:
        reply = (yield [("SSCAN", key, cursor, "COUNT", PAGE)])[0]
        if isinstance(reply, ReplyError):
            raise wrong_set(reply, suffix)
        cursor, found = reply
        members.update(found)
        if cursor == "0":
            return members


def wrong_set(error, suffix):
    """It may have become something else meanwhile."""
    if error.kind == "WRONGTYPE":
        return Bad(suffix + ": not a set")
    return error


def make_record(kind, name, fields, sets):
    record = {"type": kind, "name": name}
    record.update((field, fields.get(field)) for field in FIELDS[kind])
    if kind == "user":
        record["ip_auth"] = fields.get("ip_auth")
    record.update((suffix, sorted(sets[suffix]))
                  for suffix in SETS[kind])
    return record
