# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A way to Redis on which the test counts, holds and kills."""

import os
import signal
import socket
import struct
import threading

PEER = struct.Struct("3i")


class Tap:
    """Listens on a unix socket and hands on to a server, command by command.

    kill_before and kill_after end the client at that command, the first being
    1, before the server has it or after the server has answered. hold keeps
    commands back until release."""

    def __init__(self, directory, server):
        self.path = str(directory / "tap.sock")
        self.server = server
        self.count = 0
        self.kill_before = self.kill_after = 0
        self.held = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self):
        return "unix:" + self.path

    def reset(self, kill_before=0, kill_after=0):
        self.count = 0
        self.kill_before, self.kill_after = kill_before, kill_after

    def hold(self):
        self.held.clear()
        self.open.clear()

    def release(self):
        self.open.set()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.hand_on, args=(connection,),
                             daemon=True).start()

    def hand_on(self, client):
        pid = PEER.unpack(client.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[0]
        with client, client.makefile("rb") as requests, \
                socket.socket(socket.AF_UNIX) as server:
            server.connect(self.server.socket)
            replies = server.makefile("rb")
            try:
                while self.one(pid, client, requests, server, replies):
                    pass
            except OSError:
                return

    def one(self, pid, client, requests, server, replies):
        request = read_value(requests)
        if not request:
            return False
        self.count += 1
        number = self.count
        self.held.set()
        self.open.wait()
        if number == self.kill_before:
            os.kill(pid, signal.SIGKILL)
            return False
        server.sendall(request)
        reply = read_value(replies)
        if number == self.kill_after:
            os.kill(pid, signal.SIGKILL)
            return False
        client.sendall(reply)
        return bool(reply)


def read_value(file):
    """The bytes of one request or reply of RESP2, none at the end."""
    line = file.readline()
    if line[:1] == b"$" and int(line[1:]) >= 0:
        return line + file.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(read_value(file)
                               for _ in range(int(line[1:])))
    return line
