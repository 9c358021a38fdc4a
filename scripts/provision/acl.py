# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the users of Redis may do that programs log in as: no more than these
use."""

import re

# What the functions do for whoever calls them.
CALLING = ("fcall fcall_ro type exists time get set unlink expire rename hlen "
           "hget hmget hgetall hset hdel sadd srem scard smembers sismember "
           "smismember sscan zadd zcard zmscore zrange zrem zscan ping "
           "select").split()

# Who may replace the functions by newer ones.
LOADING = ["multi", "exec", "function|delete", "function|load"]

# With Sentinels, and in a cluster.
SEVERAL = ["cluster|info", "cluster|slots", "asking"]
MOVING = ["cluster|nodes", "cluster|getkeysinslot", "dump", "pttl", "restore",
          "watch"]

# What the relay counts alarms with.
ALARMS = "hlen hdel unlink sadd pfadd pfcount pexpire pexpiretime".split()

RIGHTS = {
    "relay": [*"ping select info hmget scard srandmember smismember sscan "
              "zcard zmscore get memory|usage set del time hset expire xadd "
              "fcall wait hincrby zincrby zadd".split(),
              *ALARMS, *SEVERAL, *LOADING],
    "command": [*CALLING, "scan", "xrevrange", "xread", "zrevrange",
                "zmscore", "info", "role",
                *SEVERAL, *MOVING, *LOADING],
    "panel": [*CALLING, "scan"]}

# Of which keys, behind the prefix.
KEYS = {"relay": ("%R~*", "%W~report:*", "%RW~user:*",
                  "%RW~failures:*", "%RW~stats:*", "%RW~top:*"), "command": ("~*",),
        "panel": ("~user:*", "~account:*", "~ip:*")}


def acl_rule(prefix, role, name, password=">PASSWORD"):
    """The words of an ACL SETUSER."""
    before = re.sub(r"([][*?\\^])", r"\\\1", prefix)
    return ["ACL", "SETUSER", name, "reset", "on", password,
            *(keys.replace("~", "~" + before) for keys in KEYS[role]),
            "-@all", *("+" + right for right in RIGHTS[role])]
