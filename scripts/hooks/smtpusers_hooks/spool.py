# Copyright (c) 2026 The smtpusers authors
#
# Permission to use, copy, modify, and/or distribute this software for any
# purpose with or without fee is hereby granted, provided that the above
# copyright notice and this permission notice appear in all copies.
#
# THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
# WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
# MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
# ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
# WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
# ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
# OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.

"""Events on disk, in order, until they are applied.

    new/        events that wait; their names sort as they came
    bad/        events that can never be applied, with the reason
    seen/       what the webhook has had, so that it takes nothing twice
    suspended/  the suspended domains of an account
    main/       the main domain that cPanel is about to change
    tmp/        what is being written

A file is written and synced under tmp/ and then renamed, and the directory is
synced: it is there whole or not at all, also after a power cut.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import time

from .events import BadEvent

DIRECTORIES = ("new", "bad", "seen", "suspended", "main", "tmp")
NAME = re.compile(r"[0-9]{20}-")
EVENT_MAX = 65536
# Of a file that is no event, what is kept to look at.
BROKEN_MAX = 4096
DAY = 86400


class Spool:
    def __init__(self, directory):
        self.directory = directory

    def prepare(self):
        os.makedirs(self.directory, 0o700, exist_ok=True)
        for name in DIRECTORIES:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.path(name), 0o700)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    # Locks. Who dies holds none; a child that was given one holds it on.

    def open_lock(self, name):
        return os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o600)

    @contextlib.contextmanager
    def lock(self, name):
        fd = self.open_lock(name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def try_lock(self, name, seconds=0):
        """The lock's descriptor, or None where somebody has the lock, and
        keeps it for so long."""
        fd = self.open_lock(name)
        try:
            yield fd if locked(fd, time.monotonic() + seconds) else None
        finally:
            os.close(fd)

    # Files

    def write(self, directory, name, value):
        """A file, new or in place of the old one."""
        temporary = self.write_temporary(value)
        os.rename(temporary, self.path(directory, name))
        self.sync(directory)

    def write_temporary(self, value):
        path = self.path("tmp", secrets.token_hex(16))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps(value).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            os.unlink(path)
            raise
        return path

    def remove(self, directory, name):
        """Synced as well: after a power cut no event may be back that is
        older than one which is gone."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(directory, name))
        self.sync(directory)

    def sync(self, directory):
        fd = os.open(self.path(directory), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def load(self, directory, name):
        """What a file holds; None where there is none. ValueError where it
        is not ours."""
        try:
            fd = os.open(self.path(directory, name),
                         os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            data = file.read(EVENT_MAX + 1)
        if len(data) > EVENT_MAX:
            raise ValueError("too long")
        try:
            value = json.loads(data)
        except RecursionError:
            raise ValueError("too deep") from None
        if value is None:
            raise ValueError("empty")
        return value

    # Events

    def add(self, event):
        """Its name, once the event is safely on disk."""
        temporary = self.write_temporary(event)
        with self.lock("order.lock"):
            name = "%020d-%s" % (self.next_number(), secrets.token_hex(4))
            os.rename(temporary, self.path("new", name))
        self.sync("new")
        return name

    def next_number(self):
        """Later than every event that waits, whatever the clock does."""
        names = self.waiting()
        last = int(names[-1].partition("-")[0]) if names else 0
        return max(last + 1, time.time_ns())

    def waiting(self):
        return self.names("new")

    def names(self, directory):
        return sorted(filter(NAME.match,
                             os.listdir(self.path(directory))))

    def read(self, name):
        """An event that waits, None if it waits no more, or BadEvent."""
        try:
            event = self.load("new", name)
        except (OSError, ValueError) as error:
            raise BadEvent("the file is broken: %s" % error) from None
        if event is not None and not isinstance(event, dict):
            raise BadEvent("the file is broken: not an object")
        return event

    def done(self, name, event):
        self.remember(event)
        self.remove("new", name)

    def set_aside(self, name, event, reason):
        """Where it stands in nobody's way, with the reason."""
        if event is None:
            self.write("bad", name, {"reason": reason,
                                     "text": self.beginning(name)})
        else:
            self.write("bad", name, {"reason": reason, "event": event})
            self.remember(event)
        self.remove("new", name)

    def beginning(self, name):
        try:
            with open(self.path("new", name), "rb") as file:
                return file.read(BROKEN_MAX).decode("latin-1")
        except OSError:
            return ""

    def bad(self):
        """Names with what is known: reason, and event or text."""
        found = ((name, self.load("bad", name))
                 for name in self.names("bad"))
        return [(name, record) for name, record in found if record]

    def retry(self, name):
        """Whether a bad event waits again, in its old place."""
        record = self.load("bad", name)
        if not record or "event" not in record:
            return False
        self.write("new", name, record["event"])
        self.remove("bad", name)
        return True

    # What the webhook has had

    def remember(self, event):
        """That an event came; one without an id came from this host."""
        if "id" not in event or self.seen(event["id"]) is not None:
            return
        self.write("seen", seen_name(event["id"]),
                   {"digest": event.get("digest"),
                    "signature": event.get("signature")})

    def seen(self, identity):
        """What is known of it, None if it did not come."""
        try:
            return self.load("seen", seen_name(identity))
        except ValueError:
            return {}

    # Suspended domains

    def suspended(self, account):
        return set(self.load("suspended", account) or ())

    def suspend(self, account, domain):
        self.set_suspended(account, self.suspended(account) | {domain})

    def unsuspend(self, account, domain):
        self.set_suspended(account, self.suspended(account) - {domain})

    def set_suspended(self, account, domains):
        if domains == self.suspended(account):
            return
        if domains:
            self.write("suspended", account, sorted(domains))
        else:
            self.remove("suspended", account)

    # Housekeeping

    def tidy(self, remember_days):
        """Once a day: what hooks that were killed left in tmp/, and what the
        webhook need not know any longer."""
        marker = self.path("tidied")
        if age(marker) < DAY:
            return
        for directory, days in (("tmp", 1), ("main", 1),
                                ("seen", remember_days)):
            for name in os.listdir(self.path(directory)):
                path = self.path(directory, name)
                if age(path) > days * DAY:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
        with open(marker, "wb"):
            os.utime(marker)


def locked(fd, end):
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(0.05)


def seen_name(identity):
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()


def age(path):
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")
