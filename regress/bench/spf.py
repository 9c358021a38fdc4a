# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What SPF costs those whom it is nothing to, and those whom it is known of."""

import heapq
import multiprocessing
import select
import socket
import statistics
import time

from linedriver import FilterDriver
from nameserver import response, txt
from places import configuration, workdir
from relay import Relay, certificate
from session import Session
from sink import Sink
from users import Users

PASSWORD = "Open-Sesame1"
DELAY = 0.2             # of the name server, in seconds
DOMAINS = 1000          # that arrive in a turn
PACE = 200              # of them in a second
TURNS = 3
PER_SESSION = 50        # messages; smtpd takes no more than 100
KNOWN = 4000            # questions about a known domain, and about an own one
HONEST = 400            # messages of new domains, beside silent ones
HOSTILE = 20            # users of an account, of silent domains


class SlowServer:
    """A name server, a process of its own, that takes its time: every name
    has a record, but of those that begin with "silent" nothing is said."""

    def __init__(self, delay):
        self.delay = delay
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.process = multiprocessing.Process(target=self.serve, daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()
        self.socket.close()

    def serve(self):
        due = []
        while True:
            wait = max(0, due[0][0] - time.monotonic()) if due else None
            if select.select([self.socket], [], [], wait)[0]:
                message, peer = self.socket.recvfrom(4096)
                if message[13:].startswith(b"silent"):
                    continue
                heapq.heappush(due, (time.monotonic() + self.delay, peer,
                                     message))
            while due and due[0][0] <= time.monotonic():
                _, peer, message = heapq.heappop(due)
                self.socket.sendto(
                    response(message, [txt("v=spf1 -all")]), peer)


def provide(redis):
    """alice may send as any domain, bob as one."""
    users = Users(redis)
    users.add("alice", PASSWORD)
    users.set("alice", mode="any", account="acme")
    redis.cli("HSET", "smtp:account:{acme}", "plan", "pro")
    redis.cli("SADD", users.key("alice", "domains"), "own.test")
    users.add("bob", PASSWORD)
    redis.cli("SADD", users.key("bob", "domains"), "example.org")


def login(relay, name):
    session = Session(relay)
    if not session.plain(name, PASSWORD).startswith("235"):
        raise AssertionError(name + " may not log in")
    return session


def arrive(relay, turn, ready, done):
    """New domains by the clock, so that no reply changes their pace."""
    sessions = [login(relay, "alice")
                for _ in range(DOMAINS // PER_SESSION)]
    ready.set()
    began = time.monotonic()
    for number in range(DOMAINS):
        session = sessions[number % len(sessions)]
        time.sleep(max(0, began + number / PACE - time.monotonic()))
        reply = session.mail("a@d%d-%d.test" % (turn, number))
        if not reply.startswith("250"):
            raise AssertionError(reply)
        session.command("RSET")
    done.set()


def reply_times(relay, turn):
    """Of MAIL FROM and of the end of data, of bob, while they arrive."""
    ready, done = multiprocessing.Event(), multiprocessing.Event()
    load = multiprocessing.Process(target=arrive, daemon=True,
                                   args=(relay, turn, ready, done))
    load.start()
    if not ready.wait(30):
        raise AssertionError("nothing arrives")
    times = []
    while load.is_alive():
        with login(relay, "bob") as session:
            for _ in range(PER_SESSION):
                times += one_message(session)
    load.join(30)
    if not done.is_set():
        raise AssertionError("not all have arrived")
    return times


def one_message(session):
    times = []
    sent = time.perf_counter()
    good = session.mail("bob@example.org").startswith("250")
    times.append(time.perf_counter() - sent)
    good = good and session.rcpt().startswith("250")
    good = good and session.command("DATA").startswith("354")
    session.send("From: <bob@example.org>\r\n\r\ntext\r\n")
    sent = time.perf_counter()
    session.send(".\r\n")
    good = session.read().startswith("250") and good
    times.append(time.perf_counter() - sent)
    if not good:
        raise AssertionError("bob may not send")
    return times


def percentile(values, part):
    return sorted(values)[int(len(values) * part)]


def bench_spf_others(table, redis):
    provide(redis)
    tls = certificate(workdir("tls"))
    with Sink() as sink, SlowServer(DELAY) as names, \
            Relay(workdir("spf"), *tls, sink.port, kind="rel",
                  conf=configuration(redis=redis.url, spf="published",
                                     spf_resolver=names.address)) as asking, \
            Relay(workdir("off"), *tls, sink.port, kind="rel",
                  conf=configuration(redis=redis.url, spf="off")) as idle:
        times = {asking: [], idle: []}
        for turn in range(TURNS):
            for relay in (asking, idle) if turn % 2 else (idle, asking):
                times[relay] += reply_times(relay, turn)
                sink.clear()
        for relay in times:
            relay.check((PASSWORD.encode(),))
    for name, of in (("median", statistics.median),
                     ("99th percentile", lambda v: percentile(v, 0.99))):
        with_spf, without = of(times[asking]), of(times[idle])
        table.note("other users' replies, %s, with SPF and without" % name,
                   "%.2f, %.2f ms" % (with_spf * 1e3, without * 1e3))
        table.at_most("other users' replies, %s, with / without" % name,
                      with_spf / without, 1.2)


def bench_spf_known(table, redis):
    provide(redis)
    session = "%016x" % 1
    times = {"a@own.test": [], "a@known.test": []}
    with SlowServer(0) as names:
        conf = configuration(redis=redis.url, spf_resolver=names.address)
        with FilterDriver(workdir("known"), conf, kind="rel") as driver:
            driver.connect(session)
            driver.authenticate(session, "alice")
            for number in range(KNOWN):
                for sender, row in times.items():
                    sent = time.perf_counter()
                    verdict = driver.ask("mail-from", session, sender)
                    took = time.perf_counter() - sent
                    if verdict != "proceed":
                        raise AssertionError(verdict)
                    # The first of them fill what the others find filled.
                    if number >= KNOWN / 10:
                        row.append(took)
    own, known = map(statistics.median, times.values())
    table.note("MAIL FROM, own domain, and one whose SPF is known",
               "%.1f, %.1f us" % (own * 1e6, known * 1e6))
    table.at_most("MAIL FROM, SPF known / own domain", known / own, 1.05)


def message_of(driver, session, domain):
    """Seconds from MAIL FROM to the end of data."""
    began = time.perf_counter()
    if driver.ask("mail-from", session, "a@" + domain) != "proceed":
        raise AssertionError(domain)
    for line in ("From: <a@%s>" % domain, "", "text", "."):
        driver.send("filter|0.7|1.0|smtp-in|data-line|%s|%016x|%s" % (
            session, 1, line))
        driver.line()
    if driver.ask("commit", session) != "proceed":
        raise AssertionError(domain)
    took = time.perf_counter() - began
    driver.report("tx-rollback", session, "00000000")
    return took


def fill(driver):
    """Each of the users asks about as many silent names as may wait."""
    for user in range(HOSTILE):
        session = "%016x" % (user + 100)
        driver.connect(session)
        driver.authenticate(session, "eve%d" % user)
        for number in range(PER_SESSION):
            driver.ask("mail-from", session,
                       "a@silent%d-%d.test" % (user, number))


def bench_spf_silent(table, redis):
    """Messages of one user, each of a new domain, alone and beside the users
    of another account whose domains have silent name servers."""
    users = Users(redis)
    names = {"bob": "acme", **{"eve%d" % n: "evil" for n in range(HOSTILE)}}
    for name, account in names.items():
        users.add(name, PASSWORD)
        users.set(name, mode="any", account=account)
        redis.cli("HSET", "smtp:account:{%s}" % account, "plan", "pro")
    session, times = "%016x" % 1, {}
    with SlowServer(0) as server:
        conf = configuration(redis=redis.url, spf_resolver=server.address)
        with FilterDriver(workdir("silent"), conf, kind="rel") as driver:
            driver.connect(session)
            driver.authenticate(session, "bob")
            for beside in ("nobody", "silent"):
                if beside == "silent":
                    fill(driver)
                times[beside] = [
                    message_of(driver, session, "%s%d.test" % (
                        "alone" if beside == "nobody" else "beside", number))
                    for number in range(HONEST)]
    alone, beside = map(statistics.median, times.values())
    table.note("message of a new domain, alone, and beside %d users of silent "
               "ones" % HOSTILE, "%.2f, %.2f ms (worst %.2f)" % (
                   alone * 1e3, beside * 1e3, max(times["silent"]) * 1e3))
    table.at_most("message of a new domain, beside silent ones / alone",
                  beside / alone, 1.5)
