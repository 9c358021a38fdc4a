# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Some relays, without smtpd, and many clients who send as one user until the
quota is used up, whatever happens to Redis meanwhile."""

import itertools
import math
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from linedriver import FilterDriver
from places import PATIENCE, configuration, slack, workdir
from quotas import SOURCE_ADDRESS
from redisserver import wait_until

CLIENTS, RELAYS = 32, 3
PAUSE = 0.05            # seconds until somebody who was deferred comes again
PACE = 0.2              # seconds between messages, while servers come and go
SLOW = 2                # and where nothing else holds them up meanwhile


class Relay(FilterDriver):
    """One whose answers go to whom they are for."""

    def __init__(self, conf, before):
        super().__init__(workdir("crowd"), conf, before=before)
        self.lock = threading.Lock()
        self.waiting = {}
        self.tokens = itertools.count(1)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Until the socket is closed."""
        lines = self.socket.makefile("rb")
        for line in lines:
            kind, *rest = line.decode().rstrip("\n").split("|", 3)
            if kind == "filter-result":
                self.waiting.pop(rest[1]).set_result(rest[2])

    def say(self, *lines):
        with self.lock:
            self.socket.sendall(b"".join(line.encode() + b"\n"
                                         for line in lines))

    def answer(self, phase, session, parameter=""):
        if not self.registers("filter", phase):
            return "proceed"
        token = "%016x" % next(self.tokens)
        future = self.waiting[token] = Future()
        self.say("filter|0.7|%.6f|smtp-in|%s|%s|%s|%s" % (
            time.time(), phase, session, token, parameter))
        return future.result(PATIENCE)

    def tell(self, event, session, *rest):
        if self.registers("report", event):
            self.say("|".join(["report", "0.7", "%.6f" % time.time(),
                               "smtp-in", event, session, *rest]))


class Client:
    def __init__(self, relay, number):
        self.relay = relay
        self.session = "%016x" % number
        self.messages = itertools.count(number << 16)
        relay.tell("link-connect", self.session, "localhost", "pass",
                   SOURCE_ADDRESS + ":40000", "127.0.0.1:587")

    def send(self):
        """The verdict that refuses a message, or proceed."""
        relay, session = self.relay, self.session
        verdict = relay.answer("mail-from", session, "a@example.org")
        if verdict != "proceed":
            return verdict
        message = "%08x" % next(self.messages)
        relay.tell("tx-begin", session, message)
        relay.answer("rcpt-to", session, "b@example.com")
        relay.tell("tx-rcpt", session, message, "ok", "b@example.com")
        relay.say(*("filter|0.7|%.6f|smtp-in|data-line|%s|%016x|%s" % (
            time.time(), session, 1, line) for line in (
                "From: a@example.org", "", "x", ".")))
        verdict = relay.answer("commit", session)
        relay.tell("tx-commit" if verdict == "proceed" else "tx-rollback",
                   session, message, "100")
        return verdict


class Crowd:
    """places are where the relays are; keys are of their configuration."""

    def __init__(self, url, places=(None,) * RELAYS, pace=PACE, **keys):
        conf = configuration(redis=url, spf="off",
                             **{"redis_timeout": 1000, **keys})
        self.relays = [Relay(conf, place.argv([]) if place else ())
                       for place in places]
        self.pace = pace
        self.times = []         # when messages were accepted
        self.refused = set()
        self.over = threading.Event()
        self.hurry = threading.Event()
        self.pool = ThreadPoolExecutor(CLIENTS)
        self.clients = []

    def __enter__(self):
        self.clients = [
            self.pool.submit(self.one, relay, number) for number, relay in
            zip(range(1, CLIENTS + 1), itertools.cycle(self.relays))]
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.hurry.set()
        self.pool.shutdown()
        for relay in self.relays:
            relay.__exit__(kind)

    def one(self, relay, number):
        client = Client(relay, number)
        while not self.over.is_set():
            verdict = client.send()
            if verdict == "proceed":
                self.times.append(time.monotonic())
                self.hurry.wait(self.pace)
            elif "[QUOTA]" in verdict:
                return
            else:
                self.refused.add(verdict)
                self.over.wait(PAUSE)

    @property
    def accepted(self):
        return len(self.times)

    def wait_for(self, count):
        """That the crowd is in the midst of it; when that is."""
        wait_until(lambda: self.accepted >= count, 60,
                   "%d to be accepted" % count)
        return time.monotonic()

    def is_done(self):
        """Whether the quota is used up for all."""
        return all(client.done() for client in self.clients)

    def finish(self, timeout=PATIENCE):
        """How many were accepted, once the quota is used up for all."""
        self.hurry.set()
        for client in self.clients:
            client.result(timeout)
        assert self.refused <= {"reject|451 4.3.0 Temporary failure"}
        return self.accepted

    def assert_flows(self, gone, there):
        """That mail is accepted within two seconds of when the servers can do
        what is asked of them; not counted is what was before they had gone."""
        first = min((when for when in self.times if when > gone),
                    default=math.inf)
        assert first - there <= slack(2)
