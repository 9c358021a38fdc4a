# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What check mends.

Nothing here lets anybody in who was kept out: what is unclear goes, and what
the relay refuses altogether stays refused. Each of these is one step in
Redis, which looks again at what it was begun for.
"""

from .importing import call, only
from .records import ip_key

CHUNK = 1000            # words of a command

# Entries by pairs: as it is, as it should be written.
REWRITE = " ".join("""
for i = 1, #ARGV, 2 do
	if redis.call('SREM', KEYS[1], ARGV[i]) == 1 then
		redis.call('SADD', KEYS[1], ARGV[i + 1])
	end
end
return 1
""".split())

# Only where the first word stays: an empty list allows every source.
REMOVE = " ".join("""
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
for i = 2, #ARGV do
	redis.call('SREM', KEYS[1], ARGV[i])
end
return 1
""".split())

# What is left of a user who is not there.
BURY = " ".join("""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('DEL', KEYS[2])
""".split())

FORGET = " ".join("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""".split())


def script(text, keys, *words):
    return [("EVAL", text, str(len(keys)), *keys, *words)]


def chunks(words):
    for start in range(0, len(words), CHUNK):
        yield words[start:start + CHUNK]


def rewrite(key, pairs):
    for some in chunks(pairs):
        only((yield script(REWRITE, [key], *sum(some, ()))))


def remove_ranges(key, entries, kept):
    """Whether they have gone, for one that counts is still there."""
    done = 1
    for some in chunks(entries):
        done = min(done, only((yield script(REMOVE, [key], kept, *some))))
    return bool(done)


def remove_domains(key, entries):
    for some in chunks(entries):
        only((yield [("SREM", key, *some)]))


def bury(owner, key):
    return bool(only((yield script(BURY, [owner, key]))))


def forget(key, value):
    return bool(only((yield script(FORGET, [key], value))))


def release(redis, name, address):
    return bool(only((yield call("ip_release", ip_key(redis, address),
                                 name))))


def clear_address(key, address):
    """Whether the record had it until now."""
    return only((yield call("user_ipauth", key, "", address))) == address
