# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A record too large to be read fails those whose it is, and nobody else."""

import os
import threading
import time

import pytest

from places import slack
from redisserver import wait_until
from session import Session

OK = "235 2.0.0 Authentication succeeded"
LARGE = "x" * 40_000_000
ATTEMPTS = 8


def in_field(users):
    users.set("mallory", account=LARGE)
    return "user:{mallory}"


def in_list(users):
    users.redis.cli("SADD", users.key("mallory", "ips"), LARGE)
    return "user:{mallory}:ips"


def in_account(users):
    users.set("mallory", account="acme")
    users.account("acme", plan=LARGE)
    return "account:{acme}"


PLACES = {"field": in_field, "list": in_list, "account": in_account}


def clients(redis):
    """The connections that stay, by their ids."""
    return {line.split()[0] for line in
            redis.cli("CLIENT", "LIST").splitlines() if " cmd=client" not in line}


def sent(redis):
    lines = redis.cli("INFO", "stats").splitlines()
    return next(int(line.split(":")[1]) for line in lines
                if line.startswith("total_net_output_bytes:"))


def resident(pid):
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def programs(relay):
    return [relay.pid_of(name)
            for name in ("table-smtpusers", "filter-smtpusers")]


def try_again_and_again(relay, over, replies):
    while not over.is_set() or len(replies) < ATTEMPTS:
        with Session(relay) as session:
            reply = session.plain("mallory", "Open-Sesame1")
            # Of the sources of a login smtpd's table is not asked.
            replies.append(session.message() if reply == OK else reply)


def slowest_of(relay, count):
    """The longest that anybody else waits for a login and a message."""
    slowest = 0.0
    for _ in range(count):
        with Session(relay) as session:
            began = time.monotonic()
            assert session.plain("alice", "Open-Sesame1") == OK
            assert session.message().startswith("250")
            slowest = max(slowest, time.monotonic() - began)
    return slowest


@pytest.mark.parametrize("place", PLACES)
def test_a_large_record(relay, users, redis, place):
    users.add("alice")
    users.add("mallory")
    quiet = slowest_of(relay, 5)
    users.ips("mallory", "127.0.0.1")
    key = PLACES[place](users)
    connected, before = clients(redis), sent(redis)
    memory = list(map(resident, programs(relay)))

    over, replies = threading.Event(), []
    thread = threading.Thread(target=try_again_and_again,
                              args=(relay, over, replies))
    thread.start()
    try:
        busy = slowest_of(relay, 10)
    finally:
        over.set()
        thread.join()

    assert len(replies) >= ATTEMPTS
    assert not [reply for reply in replies if reply.startswith("2")]
    # Nobody's connection was lost, nobody waited, nothing was kept.
    assert clients(redis) == connected
    assert busy < quiet + slack(4)  # and every one was answered
    for now, then in zip(map(resident, programs(relay)), memory):
        assert now < then + 20_000_000
    # Each of the programs has read it once.
    assert sent(redis) < before + 3 * len(LARGE)
    log = relay.log()
    assert "smtp:%s: bad record: too large" % key in log
    print("%s: %d attempts; slowest login and message of another %.3f s, "
          "%.3f s without" % (place, len(replies), busy, quiet))

    users.delete("mallory")
    redis.cli("DEL", users.prefix + "account:{acme}")
    users.add("mallory")
    with Session(relay) as session:
        wait_until(lambda: session.plain("mallory", "Open-Sesame1") == OK,
                   30, "mallory to be let in again")
