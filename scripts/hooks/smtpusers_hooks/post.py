# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Posts events to a panel, signed as smtpusers-notify signs its messages."""

import contextlib
import hashlib
import hmac
import http.client
import io
import json
import socket
import ssl
import time

from provision.text import clean

from .config import ConfigError, read_secret_file
from .text import visible
from .webhook import Door

ANSWER_MAX = 65536

# The panel will never take it, as smtpusers-notify has it.
NEVER = (400, 409, 413)


class Undelivered(Exception):
    """Why an event was not taken; never: and will not be."""

    def __init__(self, reason, never=False):
        super().__init__(reason)
        self.never = never


class Stale(Exception):
    """The other side has closed a connection that was kept."""


class Poster:
    """One panel. The connection is kept for the next event."""

    def __init__(self, section):
        self.section = section
        self.by_tls, self.host, self.port, self.path = section.url
        self.secret = read_secret_file(section.secret_file)[0]
        self.context = self.make_context() if self.by_tls else None
        self.link = None

    def make_context(self):
        try:
            return ssl.create_default_context(cafile=self.section.ca or None)
        except OSError as error:
            raise ConfigError("%s: %s" % (self.section.ca, visible(
                error.strerror or str(error)))) from None

    def deliver(self, event):
        body = json.dumps(clean(event)).encode()
        end = time.monotonic() + self.section.timeout
        try:
            status = self.post(body, end)
        except (OSError, http.client.HTTPException,
                UnicodeError) as error:
            self.close()
            raise Undelivered("%s: %s" % (self.host, words_of(
                error))) from None
        if not 200 <= status < 300:
            raise Undelivered("%s answers %d" % (self.host, status),
                              status in NEVER)

    def post(self, body, end):
        """The status of the answer. What was sent on a connection that was
        closed meanwhile goes by a new one."""
        if self.link:
            try:
                return self.ask(body, end)
            except Stale:
                self.close()
        self.link = self.connect(end)
        try:
            return self.ask(body, end)
        except Stale as error:
            raise error.__cause__ from None

    def ask(self, body, end):
        response = http.client.HTTPResponse(Answering(self.link, end),
                                            method="POST")
        try:
            self.link.settimeout(left(end))
            self.link.sendall(self.head(body) + body)
            response.begin()
        except (http.client.RemoteDisconnected, BrokenPipeError,
                ConnectionResetError, ssl.SSLEOFError) as error:
            raise Stale from error
        kept = False
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read()
            kept = not response.will_close
        if not kept:
            self.close()
        return response.status

    def head(self, body):
        now = str(int(time.time()))
        signature = hmac.new(self.secret, now.encode() + b"." + body,
                             hashlib.sha256).hexdigest()
        host = "[%s]" % self.host if ":" in self.host else self.host
        lines = ["POST %s HTTP/1.1" % self.path,
                 "Host: %s:%d" % (host, self.port),
                 "User-Agent: smtpusers-hook",
                 "Content-Type: application/json",
                 "Content-Length: %d" % len(body),
                 "Smtpusers-Timestamp: " + now,
                 "Smtpusers-Signature: sha256=" + signature]
        if self.section.server:
            lines.append("Smtpusers-Server: " + self.section.server)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def connect(self, end):
        lost = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM):
            link = socket.socket(family, kind, protocol)
            try:
                link.settimeout(left(end))
                link.connect(address)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self.secured(link, end)
            except OSError as error:
                lost = error
                link.close()
        raise lost

    def secured(self, link, end):
        if not self.context:
            return link
        link.settimeout(left(end))
        return self.context.wrap_socket(link, server_hostname=self.host)

    def close(self):
        if self.link:
            self.link.close()
        self.link = None


class Answering:
    """A connection, to what reads answers from one."""

    def __init__(self, link, end):
        self.link = link
        self.end = end

    def makefile(self, _):
        return io.BufferedReader(Door(self.link, left(self.end), ANSWER_MAX))


def left(end):
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("it takes too long")
    return seconds


def words_of(error):
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return visible(getattr(error, "verify_message", None) or getattr(
        error, "strerror", None) or str(error) or type(error).__name__)[:200]
