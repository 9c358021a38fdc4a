# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The receiving side: takes every message and keeps it."""

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
            elif verb == b"RCPT":
                message.recipients.append(path(line))
            elif verb == b"DATA":
                self.reply("354 go on")
                message.data = self.data()
                self.server.keep(message)
                message = Message()
            self.reply("250 2.0.0 Ok")

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
