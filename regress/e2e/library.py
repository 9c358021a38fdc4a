# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions that provisioning calls, as a client calls them."""

import json

import pytest

from quotas import LUA
from redisserver import ReplyError

# Of Open-Sesame1.
HASH = "$5$rounds=1000$uOW/0erx/V2EVXt6$" \
       "gJpuH86jSGeGK8ILRT5c3n1.cd/vTIii0j2jLaJIz9C"


class Library:
    """The library in a server, loaded as smtpusers-functions(7) says."""

    def __init__(self, redis, prefix="smtp:"):
        self.redis = redis
        self.prefix = prefix
        redis.cli("FUNCTION", "LOAD", "REPLACE", LUA.read_text())

    def user(self, name="alice", *rest):
        return ":".join(("%suser:{%s}" % (self.prefix, name),) + rest)

    def account(self, name="acme", *rest):
        return ":".join(("%saccount:{%s}" % (self.prefix, name),) + rest)

    def address(self, address):
        return "%sip:{%s}" % (self.prefix, address)

    def call(self, function, key, *args):
        """The reply to a call with one key."""
        return self.redis.cli("FCALL", "smtpusers_" + function, 1, key, *args)

    def get(self, key, *args):
        """What a view says; it only reads."""
        function = "account_get" if "account:{" in key else "user_get"
        return json.loads(self.redis.cli(
            "FCALL_RO", "smtpusers_" + function, 1, key, *args))

    def canonical(self, *words):
        return self.redis.cli("FCALL_RO", "smtpusers_canonical", 0, *words)

    def refuses(self, code, function, *words):
        """The text of the error, of which nothing has been changed."""
        before = self.snapshot()
        with pytest.raises(ReplyError) as error:
            if function == "canonical":
                self.canonical(*words)
            else:
                self.call(function, *words)
        assert self.snapshot() == before
        found, _, text = str(error.value).partition(" ")
        assert found == code, error.value
        assert plain(text), text
        return text

    def fields(self, key):
        flat = self.redis.cli("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))

    def members(self, key):
        return set(self.redis.cli("SMEMBERS", key))

    def keys(self):
        return set(self.redis.cli("KEYS", "*"))

    def snapshot(self):
        """Every key with its value."""
        return {key: self.value(key) for key in self.keys()}

    def value(self, key):
        kind = self.redis.cli("TYPE", key)
        if kind == "hash":
            return self.fields(key)
        if kind == "set":
            return self.members(key)
        return self.redis.cli("DUMP", key)


CHOOSE = """local chosen
local redis = setmetatable({ register_function = function(f)
	if f.function_name == 'smtpusers_' .. ARGV[1] then
		chosen = f.callback
	end
end }, { __index = redis })
"""


def as_script(before="", text=None):
    """The functions as a script, the first argument of which names one, behind
    what is to be different for them, such as the clock."""
    if text is None:
        text = LUA.read_text()
    # A function of its own, since Lua knows at most 200 locals in one.
    return (before + CHOOSE + ";(function()\n" + text.partition("\n")[2]
            + "\nend)()\ntable.remove(ARGV, 1)\nreturn chosen(KEYS, ARGV)\n")


def plain(text):
    """Whether it moves no cursor and turns no direction."""
    return text.isprintable() and len(text) < 1000


def pairs(**fields):
    return [word for pair in fields.items() for word in pair]
