# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hook webhook, as its unit runs it, and senders."""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import ssl
import time

from hooks.panelsite import NOBODY, kill
from redisserver import wait_until

SECRET = "Never-Tell-7-and-some-more-letters-to-be-long"


@contextlib.contextmanager
def receiving(site, **options):
    """A receiver that the site tells."""
    receiver = Receiver(site, **options).start()
    site.tell(receiver)
    yield
    receiver.check()
    receiver.stop()


class Receiver:
    """Without a unix socket, on a port of its own; with tls, a certificate
    and its key, by TLS."""

    def __init__(self, site, unix=False, tls=None, plans=(), sections=None,
                 **keys):
        self.site = site
        self.path = str(site.directory / "http.sock") if unix else None
        self.address = None
        self.process = None
        self.tls = tls
        self.log = site.directory / "log"
        self.keys = {
            "listen": "unix:" + self.path if unix else "127.0.0.1:0",
            "secret_file": site.secret("secret", SECRET), **keys}
        if tls:
            self.keys.update(certificate=tls[0], key=tls[1])
        self.configure(plans=plans, sections=sections)

    def configure(self, **sections):
        self.site.configure(webhook=self.keys, **sections)

    def start(self):
        with open(self.log, "ab") as log:
            offset = log.tell()
            self.process = self.site.start(
                self.site.program, "webhook", stdout=log, stderr=log)
        self.address = wait_until(lambda: self.listening(offset), 60,
                                  "the receiver")
        return self

    def listening(self, offset):
        assert self.process.poll() is None, self.said()
        for line in self.said()[offset:].splitlines():
            if "listening on " in line:
                place = line.partition("listening on ")[2].split(" port ")
                return self.path or (place[0], int(place[1]))
        return None

    def stop(self):
        if self.process:
            kill(self.process)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def said(self):
        return self.log.read_text()

    def check(self):
        """That it is well, and has told nobody."""
        if self.process is not None:
            assert self.process.poll() is None
        said = self.said()
        assert SECRET not in said and "Traceback" not in said, said
        for path in self.site.spool.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                assert not path.is_file() or (
                    SECRET.encode() not in path.read_bytes())

    def connect(self, timeout=60):
        connection = socket.socket(
            socket.AF_UNIX if self.path else socket.AF_INET)
        connection.settimeout(timeout)
        connection.connect(self.address)
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.tls[0]))
            connection = context.wrap_socket(connection,
                                             server_hostname="localhost")
        return connection

    def raw(self, data, timeout=60):
        """The status and the body that come of these bytes."""
        with self.connect(timeout) as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer(connection)

    def post(self, body, headers=None, method="POST", path="/event"):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        headers = signed(body) if headers is None else headers
        return self.raw(request(body, headers, method, path))

    def posts(self, body, code, **options):
        status, text = self.post(body, **options)
        assert status == code, text
        return text


def answer(connection):
    data = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, body.decode()


def request(body, headers, method="POST", path="/event"):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost",
             *("%s: %s" % item for item in headers.items())]
    if not any(name.lower() in ("content-length", "transfer-encoding")
               for name in headers):
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def signed(body, when=None, secret=SECRET, server=None):
    when = str(int(time.time()) if when is None else when)
    text = when.encode() + b"." + body
    named = {"Smtpusers-Server": server} if server is not None else {}
    return {"Content-Type": "application/json", **named,
            "Smtpusers-Timestamp": when,
            "Smtpusers-Signature": "sha256=" + hmac.new(
                secret.encode(), text, hashlib.sha256).hexdigest()}


def event(kind="domain.created", identity=None, account="alice", **fields):
    if kind == "domain.created":
        fields = {"domain": "a.example", **fields}
    identity = identity or "e-%d" % time.time_ns()
    return {"id": identity, "event": kind, "account": account, **fields}


def applied(site):
    wait_until(lambda: not site.waiting(), 60, "the events to be applied")


def owned(path):
    os.chown(path, NOBODY, NOBODY)
    return path
