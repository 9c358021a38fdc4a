# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the users of Redis may do that its programs log in as: no more than
these use."""

# What the functions do for whoever calls them.
WRITING = ("fcall fcall_ro type exists time get set unlink expire rename hlen "
           "hget hmget hgetall hset hdel sadd srem scard smembers sismember "
           "smismember sscan").split()

# What table-smtpusers and filter-smtpusers ask for besides the functions: the
# filter loads these where they are missing.
RELAY = ("fcall fcall_ro ping select time exists type get set incrby "
         "unlink del expire pexpire ttl pttl hget hmget hgetall hset hdel "
         "hincrby sismember smismember smembers scard sscan srandmember "
         "xadd xtrim info wait multi exec function|load "
         "function|delete").split()

COMMAND = [*WRITING, "scan", "xrevrange", "xread", "ping", "select", "info",
           "multi", "exec", "function|load", "function|delete"]

PANEL = [*WRITING, "scan", "ping", "select"]

USERS = {"relay": RELAY, "command": COMMAND, "panel": PANEL}

KEYS = {"relay": ("user:*", "account:*", "ip:*", "report:*"),
        "command": ("*",), "panel": ("user:*", "account:*", "ip:*")}


def acl_rule(prefix, role, name, password=">PASSWORD"):
    """The words of an ACL SETUSER."""
    return ["ACL", "SETUSER", name, "reset", "on", password,
            *("~" + prefix + keys for keys in KEYS[role]), "-@all",
            *("+" + command for command in USERS[role])]
