# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users and accounts by the file: what the tests of export, import and check
share."""

import json
import subprocess
import sys

from places import PATIENCE, SOURCE

HASH = "$2b$05$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghijk"
CREATED = "2026-11-21T08:39:29Z"


def schema(name):
    return json.loads((SOURCE / "regress/e2e/schemas" / name).read_text())


def user(name, **keys):
    return {"type": "user", "name": name, "created": CREATED, **keys}


def lines_of(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def tally(added=0, changed=0, same=0, errors=0):
    """The line at the end of an import."""
    total = added + changed + same + errors
    return "%d line%s: %d added, %d changed, %d same, %d error%s\n" % (
        total, "" if total == 1 else "s", added, changed, same, errors,
        "" if errors == 1 else "s")


def contents(server):
    """What every key holds, in an order that does not depend on how Redis
    keeps it."""
    return {key: content(server, key) for key in server.cli("KEYS", "*")}


def content(server, key):
    kind = server.cli("TYPE", key)
    if kind == "hash":
        flat = server.cli("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))
    if kind == "set":
        return sorted(server.cli("SMEMBERS", key))
    if kind == "string":
        return server.cli("GET", key)
    return server.cli("DUMP", key)


def fill(server, count):
    """Users as a panel writes them, many at a time."""
    server.cli("EVAL", """for i = 1, tonumber(ARGV[1]) do
        local key = 'smtp:user:{u' .. string.format('%.0f', i) .. '}'
        redis.call('HSET', key, 'mode', 'all', 'password', ARGV[2],
            'account', 'acme')
        redis.call('SADD', key .. ':domains', 'example.org')
        redis.call('SADD', key .. ':ips', '192.0.2.0/24')
        redis.call('HSET', key, 'restricted', '1')
        end
        redis.call('HSET', 'smtp:account:{acme}', 'plan', 'pro')""",
               0, count, HASH, timeout=PATIENCE)


# What a process has used of memory at most counts that of its parent, before
# it became what it is: so it gets a small one.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(cmd, *words):
    """KiB of memory that the command, or one of its children, has used at
    most."""
    argv = [sys.executable, "-S", "-c", MEASURE, *cmd.argv(*words)]
    return int(subprocess.run(list(map(str, argv)), env=cmd.environment,
                              stdout=subprocess.PIPE, check=True).stdout)
