# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Servers that take a connection meant for Redis and misbehave on it."""

import select
import socket
import threading


class FakeRedis:
    """Listens on a unix socket; behaviour(connection) is run for each."""

    def __init__(self, directory, behaviour, backlog=64):
        self.path = str(directory / "fake.sock")
        self.behaviour = behaviour
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        (directory / "fake.sock").chmod(0o777)
        self.listener.listen(backlog)
        self.over = threading.Event()
        self.connections = 0
        self.open = []
        self.thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self):
        return "unix:" + self.path

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()
        self.thread.join()

    def _serve(self):
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._behave, args=(connection,),
                             daemon=True).start()

    def _behave(self, connection):
        try:
            self.behaviour(self, connection)
        except OSError:
            pass


def silent(fake, connection):
    while connection.recv(65536):
        pass


def closing(fake, connection):
    connection.close()


def closing_on_request(fake, connection):
    connection.recv(1)
    connection.close()


def answering(reply):
    """Whatever is asked, this is the answer."""
    def behaviour(fake, connection):
        while connection.recv(65536):
            connection.sendall(reply)
    return behaviour


def dripping(fake, connection):
    """An answer that comes, but one byte in a tenth of a second."""
    connection.recv(65536)
    for byte in b"*6\r\n$8\r\npassword\r\n" + b"$4\r\nabcd\r\n" * 40:
        if fake.over.wait(0.1):
            return
        connection.sendall(bytes([byte]))


def flooding(fake, connection):
    """Answers nobody asked for, for as long as somebody reads them."""
    while not fake.over.is_set():
        connection.sendall(b"$5\r\nhello\r\n" * 1000)


def cutting(fake, connection):
    """Half an answer, then the end."""
    connection.recv(65536)
    connection.sendall(b"*8\r\n$8\r\npassword\r\n$106\r\n$6$")
    connection.close()


def losing(redis, lost):
    """Passes on what a Redis and its client say, until lost(REQUEST, REPLY)
    of a piece of either, None for the other: that does not arrive, and the
    connection is gone."""
    def behaviour(fake, connection):
        with connection, redis.connect() as upstream:
            other = {connection: upstream.socket, upstream.socket: connection}
            while True:
                for end in select.select(other, [], [])[0]:
                    data = end.recv(1 << 18)
                    if not data or lost(*((data, None) if end is connection
                                          else (None, data))):
                        return
                    other[end].sendall(data)
    return behaviour


BEHAVIOURS = {
    "silent": silent,
    "closing": closing,
    "closing-on-request": closing_on_request,
    "cutting": cutting,
    "dripping": dripping,
    "flooding": flooding,
    "garbage": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "binary": answering(bytes(range(256)) * 16),
    "integer": answering(b":1\r\n"),
    "nil": answering(b"*-1\r\n"),
    "status": answering(b"+OK\r\n"),
    "error": answering(b"-ERR no\r\n"),
    "moved": answering(b"-MOVED 3999 127.0.0.1:6381\r\n"),
    "loading": answering(b"-LOADING Redis is loading the dataset\r\n"),
    "empty-array": answering(b"*0\r\n"),
    "odd-array": answering(b"*1\r\n$1\r\nx\r\n"),
    "nested": answering(b"*1\r\n" * 50 + b":1\r\n"),
    "huge-bulk": answering(b"$999999999999\r\nabc"),
    "huge-array": answering(b"*999999999\r\n:1\r\n"),
    "map": answering(b"%1\r\n$8\r\npassword\r\n:1\r\n"),
}
