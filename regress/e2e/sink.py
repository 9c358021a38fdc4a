# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The receiving side: takes every message, unless told otherwise, and keeps
it."""

import collections
import socketserver
import threading
from dataclasses import dataclass, field

from places import PATIENCE
from redisserver import wait_until


@dataclass
class Message:
    sender: str = ""
    recipients: list = field(default_factory=list)
    data: bytes = b""

    @property
    def head(self):
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            self.reply("220 sink.test ESMTP")
            self.talk()
        except (ConnectionError, TimeoutError):
            pass

    def reply(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def talk(self):
        message = Message()
        while line := self.rfile.readline(10000):
            verb = line[:4].upper()
            if verb == b"QUIT":
                self.reply("221 2.0.0 Bye")
                return
            if verb == b"MAIL":
                message = Message(sender=path(line))
            elif verb == b"RSET":
                self.server.end(message)
            refusal = None
            if verb == b"RCPT":
                recipient = path(line)
                refusal = self.server.refusal("RCPT", [recipient])
                if not refusal:
                    message.recipients.append(recipient)
            elif verb == b"DATA":
                refusal = self.server.refusal("DATA", message.recipients)
                if not refusal:
                    self.reply("354 go on")
                    refusal = self.text(message)
            self.reply(refusal or "250 2.0.0 Ok")

    def text(self, message):
        """Takes the text of a message; what it is refused with, if it is."""
        message.data = self.data()
        refusal = self.server.refusal("END", message.recipients)
        if not refusal:
            self.server.keep(message)
        self.server.end(message)
        return refusal

    def data(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("dropped in the middle of a message")
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)


class Sink(socketserver.ThreadingTCPServer):
    """Listens on loopback; messages holds what came, oldest first."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages = []
        self.refusals = []
        self.refused = collections.Counter()
        self.ended = collections.Counter()
        self.arrived = threading.Condition()
        self.port = self.server_address[1]
        self.thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def keep(self, message):
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()

    def clear(self):
        with self.arrived:
            self.messages.clear()
            self.refusals.clear()
            self.refused.clear()
            self.ended.clear()

    def refuse(self, where, mark, reply):
        """At RCPT, at DATA or at the END of it, with a reply, what is for a
        recipient with the mark."""
        with self.arrived:
            self.refusals.append((where, mark, reply))

    def end(self, message):
        """By sender: how many messages all is said about."""
        with self.arrived:
            self.ended[message.sender] += 1

    def refusal(self, where, recipients):
        with self.arrived:
            for place, mark, reply in self.refusals:
                if place == where and any(mark in one for one in recipients):
                    self.refused[mark] += 1
                    return reply
        return None

    def wait(self, count=1, timeout=PATIENCE):
        """The messages, once there are count of them."""
        with self.arrived:
            if not self.arrived.wait_for(
                    lambda: len(self.messages) >= count, timeout):
                raise AssertionError("%d of %d messages arrived" % (
                    len(self.messages), count))
            return list(self.messages)

    def wait_for(self, mark, timeout=PATIENCE):
        """The message that holds mark, once it is there."""
        def find():
            with self.arrived:
                return [m for m in self.messages if mark in m.data]
        return wait_until(find, timeout, "the message with %r" % mark)[0]


def path(line):
    return line.partition(b"<")[2].partition(b">")[0].decode("latin-1")
