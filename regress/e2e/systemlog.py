# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The system's log: what programs say to syslog(3)."""

import os
import re
import socket

from places import PATIENCE
from redisserver import wait_until

DEVICE, SOCKET = "/dev/log", "/run/dev-log"
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info",
              "debug")
MAIL = 2
LINE = re.compile(r"<(\d+)>.{15} ([\w-]+)\[\d+\]: (.*)", re.DOTALL)


class Syslog:
    """Listens where syslog(3) sends to, in this process's own /run."""

    def __init__(self):
        self.lines = []

    def __enter__(self):
        try:
            os.symlink(SOCKET, DEVICE)
        except FileExistsError:
            assert os.readlink(DEVICE) == SOCKET
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(SOCKET)
        os.chmod(SOCKET, 0o666)
        self.socket.setblocking(False)
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(SOCKET)

    def read(self):
        """All that came: (program, priority, text), all of the facility
        mail."""
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return self.lines
            code, program, text = LINE.fullmatch(
                data.decode("utf-8", "replace").rstrip("\0")).groups()
            assert int(code) // 8 == MAIL, data
            self.lines.append((program, PRIORITIES[int(code) % 8], text))

    def wait(self, program, priority, pattern, timeout=PATIENCE):
        """The text of the line that is looked for, once it is there."""
        def look():
            return [text for name, level, text in self.read()
                    if (name, level) == (program, priority)
                    and re.search(pattern, text)]
        return wait_until(look, timeout, "%r in syslog" % pattern)[0]
