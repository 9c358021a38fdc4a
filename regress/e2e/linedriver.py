# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpd's end of the line protocols, without an smtpd: exact lines and times."""

import os
import re
import select
import socket
import subprocess
import time

from places import PATIENCE, program

SANITIZER = re.compile(rb"AddressSanitizer|LeakSanitizer|runtime error:")


class LineDriver:
    """Starts a program with a socket as its standard input and output."""

    def __init__(self, command, directory, name=None):
        self.errors = directory / "stderr"
        mine, theirs = socket.socketpair()
        self.socket = mine
        self.buffer = b""
        with theirs, open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [name or command[0], *map(str, command[1:])],
                executable=command[0], stdin=theirs, stdout=theirs,
                stderr=errors)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.finish()
        finally:
            self.socket.close()
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def finish(self, timeout=PATIENCE):
        """smtpd goes away: the program ends in order and in peace."""
        assert self.process.poll() is None, self.stderr()
        self.socket.shutdown(socket.SHUT_WR)
        code = self.process.wait(timeout)
        assert not SANITIZER.search(self.errors.read_bytes()), self.stderr()
        assert code == 0, (code, self.stderr())

    def stderr(self):
        return self.errors.read_text(errors="replace")

    def send(self, *lines):
        data = b"".join((line if isinstance(line, bytes) else line.encode())
                        + b"\n" for line in lines)
        self.send_raw(data)

    def send_raw(self, data):
        """All of data; what the program says meanwhile is kept."""
        view = memoryview(data)
        heard = [self.buffer]
        while view:
            reading, writing, _ = select.select(
                [self.socket], [self.socket], [], PATIENCE)
            assert reading or writing, "the program reads no more"
            if reading:
                heard.append(self._receive())
            if writing:
                view = view[self.socket.send(view, socket.MSG_DONTWAIT):]
        self.buffer = b"".join(heard)

    def _fill(self):
        self.buffer += self._receive()

    def _receive(self):
        data = self.socket.recv(1 << 18)
        if not data:
            self.process.wait(PATIENCE)
            raise AssertionError("the program ended with %s: %s" % (
                self.process.returncode, self.stderr()))
        return data

    def line_bytes(self, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while (end := self.buffer.find(b"\n")) < 0:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("no line within %g s; %r" % (
                    timeout, self.buffer))
            self._fill()
        line, self.buffer = self.buffer[:end], self.buffer[end + 1:]
        return line

    def take(self, count, timeout=PATIENCE):
        """So many bytes of what the program says."""
        parts, self.buffer = [self.buffer], b""
        size = len(parts[0])
        while size < count:
            assert select.select([self.socket], [], [], timeout)[0], size
            parts.append(self._receive())
            size += len(parts[-1])
        data = b"".join(parts)
        self.buffer = data[count:]
        return data[:count]

    def line(self, timeout=PATIENCE):
        return self.line_bytes(timeout).decode("utf-8", "surrogateescape")

    def until(self, last, timeout=PATIENCE):
        """The lines up to and with the one that is last."""
        lines = [self.line(timeout)]
        while lines[-1] != last:
            lines.append(self.line(timeout))
        return lines


class TableDriver(LineDriver):
    """table-smtpusers as smtpd runs it."""

    def __init__(self, directory, conf, version="7.6.0-portable",
                 kind="san", name="users"):
        path = directory / "smtpusers.conf"
        path.write_text(conf)
        self.conf_path = path
        self.count = 0
        super().__init__([program("table-smtpusers", kind), path],
                         directory, name)
        self.send("config|smtpd-version|" + version, "config|protocol|0.1",
                  "config|tablename|" + name, "config|ready")
        self.services = [line.partition("|")[2]
                         for line in self.until("register|ready")[:-1]]

    def ask(self, operation, service, key, timeout=PATIENCE):
        """The result, without its id, and the seconds it took."""
        self.count += 1
        ident = "%08x" % self.count
        began = time.monotonic()
        self.send(b"|".join([
            b"table|0.1|%.6f|users" % time.time(), operation.encode(),
            service.encode(), ident.encode(),
            key if isinstance(key, bytes) else key.encode()]))
        reply = self.line(timeout)
        took = time.monotonic() - began
        head = "%s-result|%s|" % (operation, ident)
        assert reply.startswith(head), reply
        return reply[len(head):], took

    def lookup(self, service, key, timeout=PATIENCE):
        return self.ask("lookup", service, key, timeout)[0]

    def check(self, service, key, timeout=PATIENCE):
        return self.ask("check", service, key, timeout)[0]

    def update(self):
        self.count += 1
        ident = "%08x" % self.count
        self.send("table|0.1|%.6f|users|update|%s" % (time.time(), ident))
        reply = self.line()
        assert reply.startswith("update-result|%s|" % ident), reply
        return reply.split("|", 2)[2]


class FilterDriver(LineDriver):
    """filter-smtpusers as smtpd runs it."""

    def __init__(self, directory, conf, version="7.6.0-portable", kind="san",
                 before=(), executable=None, relays=False):
        """before is what runs the program elsewhere; relays: an action of
        smtpd.conf has the filter, too."""
        path = directory / "smtpusers.conf"
        path.write_text(conf)
        self.conf_path = path
        self.count = 0
        super().__init__([*before, executable or program(
            "filter-smtpusers", kind), "-f", path], directory)
        self.send("config|smtpd-version|" + version, "config|protocol|0.7",
                  "config|smtp-session-timeout|300", "config|subsystem|smtp-in",
                  *["config|subsystem|smtp-out"] * relays,
                  "config|admd|mx.test", "config|ready")
        self.registered = self.until("register|ready")[:-1]

    def registers(self, kind, event):
        """Whether it asked for the event; smtpd sends it no other."""
        return "register|%s|smtp-in|%s" % (kind, event) in self.registered

    def report(self, event, session, *rest):
        if self.registers("report", event):
            self.send("|".join(["report", "0.7", "%.6f" % time.time(),
                                "smtp-in", event, session, *rest]))

    def ask(self, phase, session, parameter="", timeout=PATIENCE):
        """The verdict of one phase."""
        if not self.registers("filter", phase):
            return "proceed"
        self.count += 1
        token = "%016x" % self.count
        self.send("filter|0.7|%.6f|smtp-in|%s|%s|%s|%s" % (
            time.time(), phase, session, token, parameter))
        reply = self.line(timeout)
        head = "filter-result|%s|%s|" % (session, token)
        assert reply.startswith(head), reply
        return reply[len(head):]

    def connect(self, session, source="127.0.0.1:40000",
                listener="127.0.0.1:587"):
        self.report("link-connect", session, "localhost", "pass", source,
                    listener)

    def authenticate(self, session, name, result="pass"):
        self.ask("auth", session, "LOGIN")
        self.report("link-auth", session, result, name)

    def disconnect(self, session):
        self.report("link-disconnect", session)

    def resident(self):
        """Resident memory, in bytes."""
        with open("/proc/%d/statm" % self.process.pid) as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
