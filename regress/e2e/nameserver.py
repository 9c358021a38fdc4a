# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users written straight into Redis, as a panel would."""
"""Name servers: a real one with zones, and one that misbehaves to order."""

import socket
import struct
import subprocess
import threading
from contextlib import contextmanager

from places import PATIENCE, free_port
from redisserver import wait_until

A, CNAME, MX, TXT, AAAA = 1, 5, 15, 16, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
NSD = "/usr/sbin/nsd"

CONF = """
server:
	ip-address: 127.0.0.1@%(port)d
	ip-address: ::1@%(port)d
	username: ""
	zonesdir: "%(dir)s"
	pidfile: "%(dir)s/nsd.pid"
	xfrdfile: "%(dir)s/xfrd.state"
	zonelistfile: "%(dir)s/zone.list"
	server-count: 1
	rrl-ratelimit: 0
	verbosity: 1
remote-control:
	control-enable: no
zone:
	name: "test"
	zonefile: "test.zone"
zone:
	name: "unloaded"
	zonefile: "nowhere.zone"
"""

# The last number is how long it may be remembered that there is nothing.
SOA = "@ %d IN SOA ns hostmaster 1 3600 600 86400 %d\n@ IN NS ns\n" \
      "ns IN A 127.0.0.1\n"


def strings(text, at=255):
    """The rdata of a TXT record, its text cut into strings."""
    parts = [text[i:i + at] for i in range(0, len(text), at)] or [""]
    return " ".join('"%s"' % part.replace("\\", "\\\\").replace('"', '\\"')
                    for part in parts)


class NameServer:
    """nsd with what the zone `test` is to hold; `unloaded` it does not know
    but is to serve, so that it says SERVFAIL."""

    def __init__(self, directory, zone, ttl=300):
        self.dir = directory
        self.port = free_port()
        self.process = None
        path = self.dir / "test.zone"
        path.write_text("$ORIGIN test.\n$TTL %d\n" % ttl + SOA % (ttl, ttl)
                        + zone)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    @property
    def address6(self):
        return "[::1]:%d" % self.port

    def start(self):
        conf = self.dir / "nsd.conf"
        conf.write_text(CONF % {"port": self.port, "dir": self.dir})
        with open(self.dir / "nsd.log", "ab") as log:
            self.process = subprocess.Popen(
                [NSD, "-d", "-c", conf], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        try:
            wait_until(self._answers, 20, "nsd to answer")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self):
        assert self.process.poll() is None, \
            (self.dir / "nsd.log").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            client.connect(("127.0.0.1", self.port))
            try:
                client.send(question("test"))
                return client.recv(512)
            except OSError:
                return False

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._end(lambda: self.process.terminate())

    def kill(self):
        """It and the processes that it has made."""
        self._end(lambda: subprocess.run(
            ["kill", "-KILL", *map(str, family(self.process.pid))],
            check=False))

    def _end(self, how):
        if self.process is None:
            return
        how()
        self.process.wait(PATIENCE)
        self.process = None


def family(pid):
    """A process and those below it."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
        below = children.read().split()
    found = [pid]
    for child in below:
        found += family(int(child))
    return found


def question(name, kind=TXT, ident=0x1234):
    return struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + \
        wire_name(name) + struct.pack(">2H", kind, 1)


def wire_name(name):
    wire = b""
    for label in filter(None, name.split(".")):
        wire += bytes([len(label)]) + label.encode()
    return wire + b"\0"


def read_question(message):
    """The name in lower case, the type, and the question as it came."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    kind, = struct.unpack_from(">H", message, at + 1)
    return ".".join(labels).lower(), kind, message[12:at + 5]


def txt(text, ttl=300):
    """The record that most answers are."""
    data = text.encode()
    parts = [data[i:i + 255] for i in range(0, len(data), 255)]
    return TXT, ttl, b"".join(bytes([len(p)]) + p for p in parts)


def response(message, records=(), rcode=NOERROR, truncated=False):
    """The answer to a question, its records (type, TTL, data)."""
    ident, = struct.unpack_from(">H", message)
    flags = 0x8580 | rcode | (0x0200 if truncated else 0)
    _, _, asked = read_question(message)
    head = struct.pack(">6H", ident, flags, 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(data))
                    + data for kind, ttl, data in records)
    return head + asked + body


def spf(record="v=spf1 -all", ttl=300):
    """Behaves: the record."""
    return lambda message, tcp: response(message, [txt(record, ttl)])


def failing(rcode):
    return lambda message, tcp: response(message, rcode=rcode)


def silent(message, tcp):
    """Says nothing, ever."""


class OddServer:
    """Says for each name what it was told to, nothing there being NXDOMAIN.

    tell(name, behaviour): behaviour(message, tcp) returns the bytes to send,
    or None. hold(name) keeps the answers to a name back until release(name).
    """

    def __init__(self):
        self.behaviours = {}
        self.lock = threading.Condition()
        self.asked = []
        self.answered = []
        self.held = set()
        self.delay = 0
        self.stopping = threading.Event()
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.threads = [threading.Thread(target=serve, daemon=True)
                        for serve in (self._serve_udp, self._serve_tcp)]
        for thread in self.threads:
            thread.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        with self.lock:
            self.held.clear()
            self.lock.notify_all()
        self.udp.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def tell(self, name, behaviour):
        self.behaviours[name] = behaviour

    def count(self, name):
        """How often it was asked for the name's TXT."""
        with self.lock:
            return self.asked.count((name, TXT))

    def wait_asked(self, name, times=1):
        wait_until(lambda: self.count(name) >= times, 20,
                   "%s to be asked for" % name)

    def wait_answered(self, name, times=1):
        wait_until(lambda: self.answered.count(name) >= times, 20,
                   "%s to be answered" % name)

    @contextmanager
    def hold(self, *names):
        with self.lock:
            self.held.update(names)
        try:
            yield
        finally:
            self.release(*names)

    def release(self, *names):
        with self.lock:
            self.held.difference_update(names)
            self.lock.notify_all()

    def _answer(self, message, tcp, send):
        name, kind, _ = read_question(message)
        with self.lock:
            self.asked.append((name, kind))
            self.lock.wait_for(lambda: name not in self.held)
        if self.delay:
            self.stopping.wait(self.delay)
        behave = self.behaviours.get(name, failing(NXDOMAIN))
        reply = behave(message, tcp)
        if reply is not None and not self.stopping.is_set():
            send(reply)
        with self.lock:
            self.answered.append(name)

    def _serve_udp(self):
        while True:
            message, peer = self.udp.recvfrom(65535)
            if self.stopping.is_set():
                return
            threading.Thread(target=self._answer, daemon=True, args=(
                message, False,
                lambda reply, peer=peer: self.udp.sendto(reply, peer))
            ).start()

    def _serve_tcp(self):
        while True:
            client, _ = self.tcp.accept()
            if self.stopping.is_set():
                client.close()
                return
            threading.Thread(target=self._serve_client, daemon=True,
                             args=(client,)).start()

    def _serve_client(self, client):
        def send(reply):
            client.sendall(struct.pack(">H", len(reply)) + reply)
        with client:
            try:
                while head := client.recv(2, socket.MSG_WAITALL):
                    size, = struct.unpack(">H", head)
                    self._answer(client.recv(size, socket.MSG_WAITALL), True,
                                 send)
            except OSError:
                # Whoever asked is gone, as killed workers are.
                return
