# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""An HTTP server for smtpusers-notify, and for whoever else can POST events.

A request is believed if the HMAC of its time and body is right and its time is
near; what it says is taken once. It is answered when that is on disk.
"""

import hashlib
import hmac
import http.server
import io
import json
import os
import re
import socket
import socketserver
import ssl
import stat
import threading
import time

from .config import ConfigError
from .drain import EX_OK, drain
from .events import (BadEvent, FIELDS, check_sent, describe, make_event,
                     with_prefix)
from .notify import MAGIC, Keeper, Message, events_of
from .text import visible

HEADERS_MAX = 32768
IDENTITY = re.compile(r"[!-~]{1,128}")
SIGNATURE = re.compile(r"(?:sha256=)?([0-9a-f]{64})")
RETRY_FIRST = 5
RETRY_LAST = 60
LINGER = 1 << 20
# Seconds that one of many requests at once waits for the others.
QUEUE = 30
TOLD_PAUSE = 60         # seconds between words about one cause


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Door(io.RawIOBase):
    """What comes in, for as long and as much as one request or answer may
    take: who sends a byte now and then does not stay longer."""

    def __init__(self, connection, seconds, size):
        super().__init__()
        self.connection = connection
        self.end = time.monotonic() + seconds
        self.left = size

    def readable(self):
        return True

    def readinto(self, buffer):
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("it takes too long")
        if self.left <= 0:
            raise ConnectionError("it is too long")
        self.connection.settimeout(seconds)
        count = self.connection.recv_into(buffer[:self.left])
        self.left -= count
        return count


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, conf, receiver, log):
        self.conf = conf
        self.receiver = receiver
        self.log = log
        self.slots = threading.BoundedSemaphore(conf.connections)
        self.tls = Tls(conf, log) if conf.certificate else None
        if isinstance(conf.listen, str):
            self.address_family = socket.AF_UNIX
            remove_stale_socket(conf.listen)
        elif ":" in conf.listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(conf.listen, Handler)
        if isinstance(conf.listen, str):
            os.chmod(conf.listen, 0o660)

    def place(self):
        if isinstance(self.conf.listen, str):
            return self.conf.listen
        return "%s port %d" % self.server_address[:2]

    def get_request(self):
        """The handshake is the thread's: it may take its time."""
        request, address = super().get_request()
        return (self.tls.wrap(request) if self.tls else request), address

    def process_request(self, request, client_address):
        if not self.slots.acquire(blocking=False):
            if not self.tls:
                turn_away(request)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address):
        """A client that has gone is no error of ours."""
        self.log("a connection broke")


class Tls:
    """The certificate, which is read again when its file has changed."""

    def __init__(self, conf, log):
        self.paths = conf.certificate, conf.key
        self.log = log
        try:
            self.context = self.load()
        except OSError as error:
            raise ConfigError("%s: %s" % (conf.certificate, visible(
                error.strerror or str(error)))) from None

    def load(self):
        self.stamps = self.look()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.paths)
        return context

    def look(self):
        return [os.stat(path).st_mtime_ns for path in self.paths]

    def wrap(self, request):
        """Half-written files are read again by the next."""
        try:
            if self.look() != self.stamps:
                self.context = self.load()
        except OSError as error:
            self.log("the old certificate is used: %s" % visible(
                error.strerror or str(error)))
        return self.context.wrap_socket(request, server_side=True,
                                        do_handshake_on_connect=False)


def turn_away(request):
    request.setblocking(False)
    try:
        request.send(b"HTTP/1.0 503 Service Unavailable\r\n"
                     b"Retry-After: 10\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        return


def remove_stale_socket(path):
    """The one that a server which was killed has left."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise ConfigError("%s: exists, and is no socket" %
                                  visible(path)) from None
            os.unlink(path)
        except FileNotFoundError:
            return


class Handler(http.server.BaseHTTPRequestHandler):
    server_version = "smtpusers-hook"
    sys_version = ""

    def setup(self):
        conf = self.server.conf
        if self.server.tls:
            self.request.settimeout(conf.deadline)
            self.request.do_handshake()
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(Door(
            self.connection, conf.deadline, HEADERS_MAX + conf.max_body))

    def do_POST(self):
        try:
            status, text = self.answer()
        except Refused as refusal:
            self.reply(refusal.status, str(refusal))
            self.linger()
        except TimeoutError:
            self.reply(408, "the request takes too long")
        else:
            self.reply(status, text)

    def answer(self):
        if self.path != self.server.conf.path:
            raise Refused(404, "there is nothing here")
        length = self.body_length()
        body = self.rfile.read(length)
        if len(body) != length:
            raise Refused(400, "the body is incomplete")
        return self.server.receiver.receive(
            *(self.headers.get_all("Smtpusers-" + name) or []
              for name in ("Server", "Timestamp", "Signature")), body)

    def body_length(self):
        lengths = self.headers.get_all("Content-Length") or []
        if "Transfer-Encoding" in self.headers or not lengths:
            raise Refused(411, "the length of the body is needed")
        if len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise Refused(400, "the length of the body is not plain")
        if int(lengths[0]) > self.server.conf.max_body:
            raise Refused(413, "the body is too large")
        return int(lengths[0])

    def send_error(self, code, message=None, explain=None):
        """What the library refuses: not HTTP, or no POST."""
        if code == 501:
            code, message = 405, "only POST is known"
        # Else who speaks no HTTP is taken for one who wants no header.
        self.request_version = "HTTP/1.0"
        self.reply(code, message or "refused")
        self.close_connection = True
        self.linger()

    def reply(self, status, text):
        key = "status" if status < 300 else "error"
        body = json.dumps({key: text}).encode() + b"\n"
        self.connection.settimeout(5)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "POST")
        if status == 503:
            self.send_header("Retry-After", "10")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def linger(self):
        """To close on what has not been read would take the answer from the
        client."""
        end = time.monotonic() + 2
        left = LINGER
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and time.monotonic() < end:
                self.connection.settimeout(end - time.monotonic() + 0.01)
                data = self.connection.recv(65536)
                if not data:
                    return
                left -= len(data)
        except OSError:
            return

    def log_message(self, format, *args):
        """Never a header nor a body: only what came of it."""
        method = getattr(self, "command", None) or "-"
        self.server.log(visible("%s: %s" % (method[:16], format % args)))

    def log_request(self, code="-", size="-"):
        if int(code) >= 300:
            self.log_message("%d", int(code))

    def address_string(self):
        return "-"


class Receiver:
    """Believes requests or does not, and has their events put on disk."""

    def __init__(self, conf, spool, secrets, log, wake):
        """secrets has a list for each name of a server."""
        self.conf = conf
        self.spool = spool
        self.secrets = secrets
        self.log = log
        self.wake = wake
        self.told = {}

    def receive(self, servers, timestamps, signatures, body):
        server, timestamp = self.authenticate(servers, timestamps, signatures,
                                              body)
        try:
            identity, make = self.read(server, body)
            return self.take(identity, timestamp, body, make)
        except BadEvent as reason:
            raise Refused(400, visible(str(reason))) from None
        except OSError as error:
            self.log("an event could not be stored: %s" % error.strerror)
            raise Refused(503, "the event could not be stored") from None

    def authenticate(self, servers, timestamps, signatures, body):
        """Which server it is, and when it signed; which part was wrong is for
        the log alone."""
        if len(servers) > 1 or len(timestamps) != 1 or len(signatures) != 1:
            raise self.unbelieved("its headers are not those of a signature")
        name = servers[0] if servers else ""
        match = SIGNATURE.fullmatch(signatures[0])
        if not match or not re.fullmatch("[0-9]{1,12}", timestamps[0]):
            raise self.unbelieved("its headers are not those of a signature")
        if name not in self.secrets:
            raise self.unbelieved("there is no such server here", name)
        if not self.signed(name, timestamps[0], match[1], body):
            raise self.unbelieved("no secret of it makes this signature", name)
        off = int(timestamps[0]) - time.time()
        if abs(off) > self.conf.window:
            raise self.unbelieved(
                "its clock and ours differ by %d s, and %d are allowed" % (
                    abs(off), self.conf.window), name)
        return self.conf.servers[name], int(timestamps[0])

    def unbelieved(self, why, name=""):
        """Whoever can connect can bring this about: a word a minute on each
        cause is enough."""
        cause, now = re.sub("[0-9]", "", why), time.monotonic()
        if now - self.told.get(cause, -TOLD_PAUSE) >= TOLD_PAUSE:
            self.told[cause] = now
            self.log("server %s: 401: %s" % (visible(name)[:64] or "-", why))
        return Refused(401, "not authorized")

    def signed(self, name, timestamp, signature, body):
        text = timestamp.encode() + b"." + body
        right = [hmac.compare_digest(
            hmac.new(secret, text, hashlib.sha256).hexdigest(), signature)
            for secret in self.secrets.get(name, ())]
        return any(right)

    def read(self, server, body):
        """The id of what came, and what makes events of it."""
        if not body.startswith(MAGIC):
            identity, event = parse_event(body, server.account_prefix)
            return named(server, identity), lambda: [event]
        message = Message(body)
        message.check_age(self.conf.remember)
        return named(server, message.id), lambda: self.said(server, message)

    def said(self, server, message):
        """The name of the server first: of an account that is renamed or
        removed it knows nothing."""
        events = events_of(message, self.conf, Keeper(self.spool, server.name),
                           self.log)
        events = [with_prefix(event, server.account_prefix)
                  for event in events]
        if server.user and message.host and self.spool.host_of(
                server.name) != {"user": server.user, "name": message.host}:
            events.insert(0, make_event(
                "server.named", "notify", server=server.name,
                user=server.user, domain=message.host))
        return events

    def take(self, identity, timestamp, body, make):
        """Stored before it is remembered: who is killed in between knows it
        by the last file that waits, and takes it again if that is not there
        yet; twice is once."""
        mark = {"id": identity, "timestamp": timestamp,
                "digest": hashlib.sha256(body).hexdigest()}
        with self.spool.lock("seen.lock", QUEUE):
            known = self.spool.seen(identity)
            if known is not None and known.get("digest") != mark["digest"]:
                raise Refused(409, "another event had this id")
            if known is None:
                if timestamp <= self.spool.forgotten():
                    raise self.unbelieved(
                        "it is older than the requests that are remembered")
                self.store(make(), mark)
            self.spool.remember(mark)
        if known is not None:
            # A second try, or a copy that somebody has caught.
            return 200, "accepted before"
        self.wake.set()
        return 202, "accepted"

    def store(self, events, mark):
        for number, event in enumerate(events, 1):
            self.spool.add({**event, **mark} if number == len(events)
                           else event)
            self.log("taken: %s" % visible(describe(event)))


def named(server, identity):
    """Each server has ids of its own, and so have those without a name."""
    return "%s/%s" % (server.name, identity)


def parse_event(body, prefix):
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=no_constant,
                           object_pairs_hook=no_duplicates)
    except (ValueError, RecursionError):
        raise BadEvent("the body is no JSON") from None
    if not isinstance(found, dict):
        raise BadEvent("the body is no object")
    identity = found.get("id")
    if not isinstance(identity, str) or not IDENTITY.fullmatch(identity):
        raise BadEvent("id: 1 to 128 visible characters")
    fields = {field: found[field] for field in FIELDS
              if found.get(field) is not None}
    if not all(isinstance(value, str) for value in fields.values()):
        raise BadEvent("a field is no text")
    kind = found.get("event")
    if not isinstance(kind, str):
        raise BadEvent("there is no such event")
    event = make_event(kind, "webhook", **fields)
    return identity, check_sent(with_prefix(event, prefix))


def no_constant(text):
    raise ValueError(text)


def no_duplicates(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


class Worker(threading.Thread):
    """Applies what came; and again later, where something had to wait."""

    def __init__(self, conf, spool, log):
        super().__init__(daemon=True)
        self.conf = conf
        self.spool = spool
        self.log = log
        self.wake = threading.Event()
        self.wake.set()

    def run(self):
        delay = None
        while True:
            self.wake.wait(delay)
            self.wake.clear()
            if self.drain():
                delay = None
            else:
                delay = min((delay or RETRY_FIRST / 2) * 2, RETRY_LAST)

    def drain(self):
        """Whether nothing is left. Whatever happens, there is another try:
        who would notice that this thread has ended?"""
        try:
            return (drain(self.conf, self.spool, self.log) == EX_OK and
                    not self.spool.waiting())
        except Exception as error:
            self.log("the spool: %s" % visible(str(error) or repr(error)))
            return False


def remember_waiting(spool):
    """What was stored, but not remembered, when we were killed."""
    for name in spool.waiting():
        try:
            event = spool.read(name)
        except BadEvent:
            continue
        if event:
            spool.remember(event)


def serve(conf, spool, secrets, log):
    with spool.lock("seen.lock", QUEUE):
        remember_waiting(spool)
    worker = Worker(conf, spool, log)
    receiver = Receiver(conf, spool, secrets, log, worker.wake)
    with Server(conf, receiver, log) as server:
        worker.start()
        log("listening on %s" % server.place())
        server.serve_forever()

