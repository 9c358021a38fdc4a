# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the users of Redis may do that programs log in as: no more than these
use."""

import re

# What the functions do for whoever calls them.
CALLING = ("fcall type exists time get set unlink expire rename hlen "
           "hget hmget hgetall hset hdel sadd srem scard smembers sismember "
           "smismember sscan zadd zcard zmscore zrange zrangebyscore zrem "
           "zscan ping select").split()

# Who may replace the functions by newer ones.
LOADING = ["multi", "exec", "function|delete", "function|load"]

# With Sentinels, and in a cluster.
SEVERAL = ["cluster|info", "cluster|slots", "asking"]
MOVING = ["cluster|nodes", "cluster|getkeysinslot", "dump", "pttl", "restore",
          "watch"]

# What the relay counts alarms with.
ALARMS = "hlen unlink sadd pfadd pfcount pexpire pexpiretime".split()

RIGHTS = {
    "relay": [*"ping select info hmget scard srandmember smismember sscan "
              "zcard zmscore get memory|usage set del time hset expire xadd "
              "zadd zremrangebyscore fcall wait hincrby zincrby hget hdel "
              "sismember zcount zrangebyscore zrem zscore".split(),
              *ALARMS, *SEVERAL, *LOADING],
    "command": [*CALLING, "srandmember", "zcount", "zscore", "scan", "hscan",
                "xrevrange", "xread", "xadd", "zrevrange", "info", "role",
                *SEVERAL, *MOVING, *LOADING],
    "panel": [*CALLING, "fcall_ro", "scan"],
    # Who loads no functions cannot have the relay run others.
    "hooks": [*CALLING, "scan", "xadd", "role", "cluster|nodes", *SEVERAL],
    "deliver": ["ping", "select", "role", "xgroup|create", "xreadgroup",
                "xpending", "xclaim", "xack", "set", "get",
                "cluster|slots"],
    "monitor": ["ping", "select", "zrange", "hmget", "hscan", "role",
                *SEVERAL]}

# Of which keys, behind the prefix.
KEYS = {"relay": ("%R~*", "%W~report:*", "%W~events", "%RW~user:*",
                  "%RW~account:*", "%RW~failures:*", "%RW~stats:*", "%RW~top:*",
                  "%W~relay*"),
        "command": ("~*",), "panel": ("~user:*", "~account:*", "~ip:*"),
        "hooks": ("~user:*", "~account:*", "%W~events"),
        "deliver": ("~events", "~mailed:*"), "monitor": ("%R~relay*",)}


def acl_rule(prefix, role, name, password=">PASSWORD"):
    """The words of an ACL SETUSER."""
    before = re.sub(r"([][*?\\^])", r"\\\1", prefix)
    return ["ACL", "SETUSER", name, "reset", "on", password,
            *(keys.replace("~", "~" + before) for keys in KEYS[role]),
            "-@all", *("+" + right for right in RIGHTS[role])]
