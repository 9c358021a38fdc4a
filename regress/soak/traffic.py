#!/usr/bin/env python3
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Three relays with one Redis, honest and hostile users, and things that break.

    traffic.py SECONDS

Prints what was accepted, delivered and charged, and the memory and descriptors
of the programs before and after; exits 1 where these do not fit together.
SEED in the environment makes the faults those of another run.
"""

import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from places import configuration, workdir
from quotas import Functions
from redisserver import RedisServer
from relay import Relay, certificate
from session import FORMS, Closed, Session, simple
from sink import Sink
from users import Users

RELAYS, SENDERS = 3, 8
PASSWORD, WRONG = "Open-Sesame1", "Close-Sesame2"
CAP = 200
PATIENCE = 60
SETTLE = 10
# Messages on their way to the sink at most: smtpd takes more in a second than
# it delivers.
BACKLOG = 500
# What a program may have more of at the end, in bytes.
GROWTH = 16 << 20
FAULT_PAUSE = 3, 12

# Redis writes each command to the disk before it answers: so nothing that was
# counted may be gone after it was killed.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class Marks(Sink):
    """A receiving side that remembers the subjects of messages alone."""

    def __init__(self):
        self.seen = Counter()
        super().__init__()

    def keep(self, message):
        subject = [line[9:] for line in message.head.split(b"\r\n")
                   if line.startswith(b"Subject: ")]
        with self.arrived:
            self.seen[subject[0].decode() if subject else "?"] += 1
            self.arrived.notify_all()

    def more(self):
        """Waits until another one has come; False: none does."""
        with self.arrived:
            return self.arrived.wait(PATIENCE)


class Tally:
    """What has become of the messages, by who sent them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.replies = Counter()
        self.accepted = {}
        self.unknown = {}
        self.wrong = []

    def note(self, kind, reply):
        with self.lock:
            self.replies[kind, reply[:3]] += 1

    def sent(self, mark, user):
        """The end of the message is on its way, and no reply is here yet."""
        with self.lock:
            self.unknown[mark] = user

    def answered(self, mark, kind, reply):
        with self.lock:
            self.replies[kind, reply[:3]] += 1
            user = self.unknown.pop(mark)
            if reply.startswith("250"):
                self.accepted[mark] = user

    def complain(self, what):
        with self.lock:
            self.wrong.append(what)

    def of(self, messages, user):
        with self.lock:
            return sum(who == user for who in messages.values())


class Client(threading.Thread):
    """Goes on until it is over, whatever happens to its sessions."""

    numbers = iter(range(1 << 60))
    source = "127.0.0.1"

    def __init__(self, soak, name):
        super().__init__()
        self.soak, self.tally, self.user = soak, soak.tally, name
        self.random = random.Random("%s %s" % (soak.seed, name))

    def run(self):
        while not self.soak.over.is_set():
            relay = self.random.choice(self.soak.relays)
            try:
                with Session(relay, self.source, implicit=True,
                             timeout=PATIENCE) as session:
                    self.act(session)
            except (Closed, OSError, AssertionError, IndexError):
                self.soak.over.wait(0.05)

    def log_in(self, session):
        form = self.random.choice(sorted(FORMS))
        reply = FORMS[form](session, self.user, PASSWORD)
        self.tally.note("login", reply)
        return reply.startswith("235")

    def message(self, session, sender):
        """A whole message, in whose middle much may happen."""
        while self.soak.backlog() > BACKLOG and not self.soak.over.is_set():
            self.soak.sink.more()
        mark = "%s-%d" % (self.user, next(Client.numbers))
        reply = session.mail(sender)
        if reply.startswith("250"):
            reply = session.rcpt()
        if reply.startswith("250"):
            reply = session.command("DATA")
        if not reply.startswith("354"):
            self.tally.note(self.kind, reply)
            return reply
        self.tally.sent(mark, self.user)
        reply = session.finish(simple(mark, sender))
        self.tally.answered(mark, self.kind, reply)
        return reply


class Honest(Client):
    kind = "honest"

    def act(self, session):
        if self.log_in(session):
            for _ in range(self.random.randint(1, 20)):
                self.message(session, self.user + "@example.org")


class Capped(Honest):
    """Has a quota that is used up before long."""

    kind = "capped"


class Appliance(Client):
    kind, source = "appliance", "127.0.0.9"

    def act(self, session):
        self.message(session, "printer@example.org")
        self.soak.over.wait(0.5)


class Guesser(Client):
    kind, source = "guesser", "127.0.0.66"

    def act(self, session):
        for _ in range(3):
            reply = session.plain("honest0", WRONG)
            self.tally.note(self.kind, reply)
            if reply.startswith("235"):
                self.tally.complain("a wrong password was right")


class Forger(Client):
    """Knows a password, and wants to be another."""

    kind, source = "forger", "127.0.0.67"

    def act(self, session):
        if not self.log_in(session):
            return
        for content in (simple("forged", "honest0@example.org"),
                        "From: a@evil.test, honest0@example.org\r\n\r\nx\r\n",
                        "From: a@evil.test\rFrom: b@example.org\r\n\r\nx\r\n"):
            reply = session.message("forged", "a@evil.test", content=content)
            self.tally.note(self.kind, reply)
            if reply.startswith("250"):
                self.tally.complain("a forged message was accepted")
        session.mail("honest0@example.org")


class Breaker(Client):
    """Leaves in the middle of things."""

    kind, source = "breaker", "127.0.0.68"

    def act(self, session):
        if not self.log_in(session):
            return
        session.mail("breaker@example.org")
        for number in range(self.random.randint(1, 120)):
            session.rcpt("user%d@example.com" % number)
        if session.command("DATA").startswith("354"):
            session.send("From: <breaker@example.org>\r\n" +
                         "x" * self.random.randint(1, 100000))
        self.tally.note(self.kind, "left")
        session.drop()


class Soak:
    def __init__(self, seconds):
        self.seconds = seconds
        self.seed = os.environ.get("SEED", "1")
        self.random = random.Random(self.seed)
        self.over = threading.Event()
        self.tally = Tally()
        self.sink = Marks()
        self.redis = RedisServer(workdir("redis"), extra=DURABLE).start()
        self.users = Users(self.redis)
        self.provide()
        tls = certificate(workdir("tls"))
        self.relays = [self.relay(tls) for _ in range(RELAYS)]
        self.names = ["honest%d" % number for number in range(SENDERS)] + [
            "capped", "printer"]
        self.faults = Counter()

    def provide(self):
        endless = {"quota": "1000000000", "quota_period": "3650d"}
        for number in range(SENDERS):
            self.users.add("honest%d" % number, PASSWORD, **endless)
        self.users.add("capped", PASSWORD, quota=str(CAP),
                       quota_period="3650d")
        self.users.add("printer", "unused-Word3", **endless)
        self.users.ip_auth("printer", Appliance.source)
        self.users.add("mallory", PASSWORD, domains=["evil.test"])
        self.users.add("breaker", PASSWORD)

    def relay(self, tls):
        conf = configuration(redis=self.redis.url, spf="off",
                             redis_timeout=1000)
        # A queue that is there after smtpd is.
        return Relay(workdir("relay"), *tls, self.sink.port, conf, kind="rel",
                     spool=str(workdir("spool"))).start()

    # What breaks. The first relay stays: its programs are measured.

    def kill_redis(self):
        self.redis.kill()
        self.over.wait(self.random.uniform(0, 2))
        self.redis.start()

    def pause_redis(self):
        self.redis.pause()
        self.over.wait(self.random.uniform(0, 2))
        self.redis.resume()

    def cut_connections(self):
        self.redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def restart_smtpd(self):
        relay = self.random.choice(self.relays[1:])
        relay.stop()
        relay.start()

    def reload(self):
        for relay in self.relays:
            os.kill(relay.pid_of("filter-smtpusers"), 1)
            relay.ctl("update", "table", "users")

    def break_things(self):
        """Until it is over; each fault comes as often as the others."""
        faults = [self.kill_redis, self.pause_redis, self.cut_connections,
                  self.restart_smtpd, self.reload]
        while not self.over.wait(self.random.uniform(*FAULT_PAUSE)):
            fault = self.random.choice(faults)
            fault()
            self.faults[fault.__name__] += 1

    # What is measured.

    def programs(self):
        """{program: (bytes resident, descriptors)} of the first relay."""
        found = {}
        for name in ("filter-smtpusers", "table-smtpusers"):
            place = Path("/proc/%d" % self.relays[0].pid_of(name))
            pages = int((place / "statm").read_text().split()[1])
            found[name] = (pages * os.sysconf("SC_PAGE_SIZE"),
                           len(os.listdir(place / "fd")))
        return found

    def charged(self, name):
        return Functions(self.redis, name).used().get("quota", 0)

    def traffic(self):
        clients = [Honest(self, name) for name in self.names[:SENDERS]]
        clients += [Capped(self, "capped"), Appliance(self, "printer"),
                    Guesser(self, "guesser"), Forger(self, "mallory"),
                    Breaker(self, "breaker")]
        for client in clients:
            client.start()
        self.over.wait(min(SETTLE, self.seconds / 4))
        say("%d s of traffic with faults" % self.seconds)
        before = self.programs()
        breaker = threading.Thread(target=self.break_things)
        breaker.start()
        self.over.wait(self.seconds)
        self.over.set()
        say("the last fault and the clients end")
        breaker.join()
        for client in clients:
            client.join()
        return before

    def backlog(self):
        return len(self.tally.accepted) - len(self.sink.seen)

    def settle(self):
        """Waits for what is on its way, for as long as some of it arrives."""
        left = self.tally.accepted
        while left := [mark for mark in left if not self.sink.seen[mark]]:
            if not self.sink.more():
                self.tally.complain("accepted and not delivered: %s" %
                                    left[:5])
                return

    def run(self):
        began = time.monotonic()
        before = self.traffic()
        say("the rest is delivered")
        self.settle()
        say("the last connections end")
        # What is to be given back is, and connections that were replaced end.
        time.sleep(SETTLE)
        self.judge(before, self.programs())
        self.print(before, time.monotonic() - began)
        return 1 if self.tally.wrong else 0

    def judge(self, before, after):
        tally = self.tally
        for name in self.names:
            accepted = tally.of(tally.accepted, name)
            least = accepted + tally.of({
                mark: user for mark, user in tally.unknown.items()
                if self.sink.seen[mark]}, name)
            most = accepted + tally.of(tally.unknown, name)
            charged = self.charged(name)
            if not least <= charged <= most:
                tally.complain("%s: %d charged of %d to %d accepted" % (
                    name, charged, least, most))
        if tally.of(tally.accepted, "capped") > CAP:
            tally.complain("more than the quota of capped was accepted")
        if strangers := set(self.sink.seen) - set(tally.accepted) - set(
                tally.unknown):
            tally.complain("delivered and never accepted: %s" %
                           sorted(strangers)[:5])
        for name, (memory, descriptors) in after.items():
            if memory > before[name][0] + GROWTH:
                tally.complain(name + " has grown")
            if descriptors > before[name][1]:
                tally.complain(name + " has more descriptors")
        for relay in self.relays:
            try:
                relay.check(self.users.secrets)
            except AssertionError as error:
                tally.complain(str(error))

    def print(self, before, seconds):
        tally, after = self.tally, self.programs()
        print("%d s, %d relays; faults: %s" % (seconds, RELAYS, ", ".join(
            "%s %d" % pair for pair in sorted(self.faults.items()))))
        for (kind, code), count in sorted(tally.replies.items()):
            print("  %-10s %s  %8d" % (kind, code, count))
        rows = [(name, tally.of(tally.accepted, name),
                 tally.of(tally.unknown, name), self.charged(name))
                for name in self.names]
        rows.append(("all", *map(sum, list(zip(*rows))[1:])))
        print("%-10s %9s %9s %9s" % ("user", "accepted", "no reply",
                                     "charged"))
        for row in rows:
            print("%-10s %9d %9d %9d" % row)
        delivered = sum(mark in self.sink.seen for mark in tally.accepted)
        print("delivered: %d of %d accepted, %d of %d without a reply, %d of "
              "them twice" % (
                  delivered, len(tally.accepted),
                  sum(mark in self.sink.seen for mark in tally.unknown),
                  len(tally.unknown),
                  sum(count > 1 for count in self.sink.seen.values())))
        for name, (memory, descriptors) in before.items():
            print("%s: %.1f MiB, %d descriptors before; %.1f MiB, %d after" % (
                name, memory / (1 << 20), descriptors,
                after[name][0] / (1 << 20), after[name][1]))
        for what in tally.wrong:
            print("WRONG: " + what)

    def stop(self):
        self.over.set()
        for relay in self.relays:
            relay.stop()
        self.redis.stop()
        self.sink.stop()


def say(what):
    print(time.strftime("%H:%M:%S "), what, file=sys.stderr, flush=True)


def main():
    soak = Soak(float(sys.argv[1]))
    try:
        return soak.run()
    finally:
        soak.stop()


if __name__ == "__main__":
    sys.exit(main())
