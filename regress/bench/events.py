# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How many events a second smtpusers-hook posts, beside what Redis gives to
who only reads and acknowledges them, one by one."""

import multiprocessing
import socket
import ssl
import statistics
import time

from hooks.panelhost import Deliverer
from hooks.panelsite import Site, install
from places import workdir
from redisserver import wait_until
from relay import certificate

KEY = "smtp:events"
EVENTS = 3000
TURNS = 3
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def bench_events(table, redis):
    rates = {"read and acknowledged": [], "posted": [], "posted by TLS": []}
    prefix = install()
    tls = certificate(workdir("tls"))
    for _ in range(TURNS):
        rates["read and acknowledged"].append(plain_rate(redis))
        rates["posted"].append(posted_rate(redis, prefix, None))
        rates["posted by TLS"].append(posted_rate(redis, prefix, tls))
    median = {name: statistics.median(row) for name, row in rates.items()}
    for name, rate in median.items():
        table.note("events, " + name, "%.0f/s" % rate)
    for name in ("posted", "posted by TLS"):
        table.at_least("events, %s / read and acknowledged" % name,
                       statistics.median(
                           mine / plain for mine, plain in zip(
                               rates[name], rates["read and acknowledged"])),
                       0.05)


def fill(redis):
    with redis.connect(60) as link:
        for number in range(EVENTS):
            link.send("XADD", KEY, "*", "id", "%016x" % number, "kind",
                      "limit.reached", "user", "alice", "account", "acme",
                      "limit", "1000", "relay", "mx1.example")
        for _ in range(EVENTS):
            link.read()


def plain_rate(redis):
    redis.cli("FLUSHALL")
    redis.cli("XGROUP", "CREATE", KEY, "panel", "0", "MKSTREAM")
    fill(redis)
    with redis.connect(60) as link:
        begun = time.monotonic()
        for _ in range(EVENTS):
            [[_, [[ident, _]]]] = link.command(
                "XREADGROUP", "GROUP", "panel", "c", "COUNT", "1", "STREAMS",
                KEY, ">")
            link.command("XACK", KEY, "panel", ident)
        return EVENTS / (time.monotonic() - begun)


def posted_rate(redis, prefix, tls):
    """From the first to the last, with a panel that only says yes."""
    redis.cli("FLUSHALL")
    listener = socket.create_server(("127.0.0.1", 0))
    panel = multiprocessing.Process(target=say_yes, args=(listener, tls),
                                    daemon=True)
    panel.start()
    keys = {"url": "%s://localhost:%d/" % (
        "https" if tls else "http", listener.getsockname()[1])}
    deliverer = Deliverer(Site(prefix, redis), panel={
        **keys, **({"ca": tls[0]} if tls else {})}).start()
    try:
        wait_until(deliverer.groups, 60, "it to begin")
        fill(redis)
        wait_until(lambda: read(deliverer) > 0, 60, "the first")
        count, begun = read(deliverer), time.monotonic()
        deliverer.settled("panel")
        return (EVENTS - count) / (time.monotonic() - begun)
    finally:
        deliverer.stop()
        panel.kill()
        listener.close()


def read(deliverer):
    return deliverer.groups()[0]["entries-read"] or 0


def say_yes(listener, tls):
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    while True:
        link = listener.accept()[0]
        if context:
            link = context.wrap_socket(link, server_side=True)
        data = b"-"
        while data:
            data = link.recv(65536)
            # A request is one record, or two.
            if data.endswith(b"}"):
                link.sendall(ANSWER)
