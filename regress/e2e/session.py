# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""An SMTP client that shows every reply and can be told to misbehave."""

import base64
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from places import PATIENCE


def b64(*parts):
    """base64 of the parts with a NUL before each but the first."""
    return base64.b64encode(b"\0".join(map(octets, parts))).decode()


def octets(text):
    return text if isinstance(text, bytes) else text.encode()


def untrusting():
    """A TLS context that takes the test's own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXT = untrusting()


class Closed(Exception):
    """smtpd ended the connection."""


class Session:
    """One SMTP session, TLS on and EHLO said, of nobody yet."""

    def __init__(self, relay, source="127.0.0.1", implicit=False,
                 starttls=True, timeout=PATIENCE):
        host = "::1" if ":" in source else "127.0.0.1"
        port = relay.smtps if implicit else relay.submission
        self.socket = socket.create_connection(
            (host, port), timeout, (source, 0))
        self.buffer = b""
        if implicit:
            self.secure()
        self.greeting = self.read()
        if starttls and not implicit:
            self.command("EHLO client.test")
            assert self.command("STARTTLS").startswith("220")
            self.secure()
        self.ehlo = self.command("EHLO client.test")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.command("QUIT")
        except (Closed, OSError):
            pass
        finally:
            self.drop()

    def secure(self):
        self.socket = CONTEXT.wrap_socket(self.socket)

    def drop(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(octets(data))

    def line(self):
        while b"\n" not in self.buffer:
            # smtpd writes a reply in parts and waits for the first to be
            # acknowledged, which the system is in no hurry to do.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError):
                data = b""
            if not data:
                raise Closed(self.buffer)
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def read(self):
        """One reply; several lines are joined by newlines."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def command(self, line):
        self.send(octets(line) + b"\r\n")
        return self.read()

    def closed(self):
        """Whether smtpd has ended the connection, once it did or spoke."""
        try:
            self.line()
        except Closed:
            return True
        return False

    def mail(self, sender="alice@example.org"):
        return self.command("MAIL FROM:<%s>" % sender)

    def rcpt(self, recipient="bob@example.com"):
        return self.command("RCPT TO:<%s>" % recipient)

    def data(self, content):
        """DATA, a message with lines ended as it likes, and the reply."""
        reply = self.command("DATA")
        if not reply.startswith("354"):
            return reply
        return self.finish(content)

    def finish(self, content):
        self.send(stuffed(octets(content)) + b".\r\n")
        return self.read()

    def message(self, mark="x", sender="alice@example.org",
                recipients=("bob@example.com",), content=None):
        """A whole message; the first reply that refuses it, or the last."""
        if not (reply := self.mail(sender)).startswith("250"):
            return reply
        for recipient in recipients:
            if not (reply := self.rcpt(recipient)).startswith("250"):
                return reply
        return self.data(content or simple(mark, sender))

    def plain(self, name, password, identity=""):
        """AUTH PLAIN with an initial response: all is seen at once."""
        return self.command("AUTH PLAIN " + b64(identity, name, password))

    def plain_later(self, name, password):
        """AUTH PLAIN, its argument after the server's 334."""
        reply = self.command("AUTH PLAIN")
        if not reply.startswith("334"):
            return reply
        return self.command(b64("", name, password))

    def login(self, name, password):
        """AUTH LOGIN, both asked for."""
        reply = self.command("AUTH LOGIN")
        if not reply.startswith("334"):
            return reply
        reply = self.command(b64(name))
        if not reply.startswith("334"):
            return reply
        return self.command(b64(password))

    def login_named(self, name, password):
        """AUTH LOGIN with the name, the password asked for."""
        reply = self.command("AUTH LOGIN " + b64(name))
        if not reply.startswith("334"):
            return reply
        return self.command(b64(password))


FORMS = {"plain": Session.plain, "plain-later": Session.plain_later,
         "login": Session.login, "login-named": Session.login_named}
TWO_STEP = {name: form for name, form in FORMS.items() if name != "plain"}


def together(call, cases, at_once=8):
    """call(*case) of each case, at once: smtpd pauses after a failed AUTH."""
    with ThreadPoolExecutor(at_once) as pool:
        tries = [pool.submit(call, *case) for case in cases]
    return [one.result() for one in tries]


def stuffed(content):
    """content as it goes over the wire, without the final dot."""
    lines = content.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n"
                    for line in lines)


def simple(mark="x", sender="alice@example.org"):
    return ("From: <%s>\r\nTo: <bob@example.com>\r\nSubject: %s\r\n"
            "Message-ID: <%s@client.test>\r\n"
            "Date: Sat, 21 Nov 2026 05:10:21 +0000\r\n\r\n%s\r\n" % (
                sender or "alice@example.org", mark, mark, mark))
