# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Events on disk, in order, until they are applied.

    new/        events that wait; their names sort as they came
    bad/        events that can never be applied, with the reason
    broken/     files from new/ that are no events
    seen/       what the webhook has had, so that it takes nothing twice
    suspended/  the suspended domains of an account
    status/     the status that a suspended account had before
    main/       the main domain that cPanel is about to change
    convert/    the account whose addon domain cPanel is about to convert
    hosts/      the host name of a server with a panel, and who has it
    tmp/        what is being written
    forgotten   the latest time that a request was signed at whose id is known
                no more

A file is written and synced under tmp/ and then renamed, and the directory is
synced: it is there whole or not at all, also after a power cut.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import time

from .events import BadEvent

DIRECTORIES = ("new", "bad", "broken", "seen", "suspended", "status", "main",
               "convert", "hosts", "tmp")
NAME = re.compile(r"[0-9]{20}-")
# Of a message; in JSON it is longer.
EVENT_MAX = 2 << 20
# Of a file that is no event, what is kept to look at.
BROKEN_MAX = 4096
DAY = 86400

# Seconds: a panel, or a sender, does not wait for ever.
LOCK_PATIENCE = 10

# The spool's owner need not be the one who reads it: no FIFO holds us up.
CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Spool:
    def __init__(self, directory):
        self.directory = directory

    def prepare(self):
        """Directories that a power cut takes away would take events along."""
        made = [path for path in (self.directory,
                                  *map(self.path, DIRECTORIES))
                if make_directory(path)]
        for path in sorted(set(map(os.path.dirname, made))):
            sync_directory(path)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    # Locks. Who dies holds none.

    def open_lock(self, name):
        return os.open(self.path(name), os.O_RDWR | os.O_CREAT | CAREFUL,
                       0o600)

    @contextlib.contextmanager
    def lock(self, name, seconds=LOCK_PATIENCE):
        with self.try_lock(name, seconds) as fd:
            if fd is None:
                raise BlockingIOError(errno.EAGAIN, "another smtpusers-hook holds it",
                                      self.path(name))
            yield fd

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
        sync_directory(self.path(directory))

    def load(self, *names, limit=EVENT_MAX):
        """What a file holds; None where there is none. ValueError where it
        is not ours."""
        data = read_regular(self.path(*names), limit)
        if data is None:
            return None
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
            if event is not None:
                check_types(event)
        except ValueError as error:
            raise BadEvent("the file is broken: %s" % error) from None
        return event

    def done(self, name, event):
        self.remember(event)
        self.forget(name)

    def forget(self, name):
        self.remove("new", name)

    def set_aside(self, name, event, reason):
        """Where it stands in nobody's way, with the reason. What is no event
        is kept as well: it may have been one."""
        if event is None:
            self.write("bad", name, {"reason": reason,
                                     "text": self.beginning(name)})
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path("new", name), self.path("broken", name))
            self.sync("broken")
        else:
            self.write("bad", name, {"reason": reason, "event": event})
            self.remember(event)
        self.forget(name)

    def beginning(self, name):
        try:
            with open(self.path("new", name), "rb",
                      opener=open_carefully) as file:
                return file.read(BROKEN_MAX).decode("latin-1")
        except (OSError, ValueError):
            return ""

    def bad(self):
        """Names with what is known: reason, and event or text."""
        found = ((name, self.load_bad(name)) for name in self.names("bad"))
        return [(name, record) for name, record in found if record]

    def load_bad(self, name):
        try:
            record = self.load("bad", name, limit=2 * EVENT_MAX)
            if record is None:
                return None
            if not isinstance(record, dict):
                raise ValueError("not an object")
            check_types(record.get("event", {}))
        except ValueError as error:
            return {"reason": "the file is broken: %s" % error}
        return {**record, "reason": str(record.get("reason"))}

    def retry(self, name):
        """Whether a bad event waits again, in its old place."""
        record = self.load_bad(name)
        if not record or "event" not in record:
            return False
        self.write("new", name, record["event"])
        self.remove("bad", name)
        return True

    # What the webhook has had

    def remember(self, event):
        """That an event came; one without an id came from this host."""
        if "id" not in event:
            return
        known = self.seen(event["id"])
        if known and not signed_before(known, event.get("timestamp", 0)):
            return
        self.write("seen", hashed(event["id"]),
                   {"digest": event.get("digest"),
                    "timestamp": event.get("timestamp")})

    def seen(self, identity):
        """What is known of it, None if it did not come."""
        return self.seen_record(hashed(identity))

    def seen_record(self, name):
        try:
            found = self.load("seen", name)
        except ValueError:
            return {}
        return found if found is None or isinstance(found, dict) else {}

    def forgotten(self):
        """What was signed at this time or before and is not known may have
        been had all the same. Clocks that are turned do not turn it."""
        try:
            found = self.load("forgotten")
        except ValueError:
            return 0
        return found if type(found) is int else 0

    def forget_seen(self, name):
        """The time comes first: nothing is unknown and let in."""
        timestamp = self.seen_record(name).get("timestamp")
        if type(timestamp) is int and timestamp > self.forgotten():
            self.write("", "forgotten", timestamp)
        self.discard("seen", name)

    # What a panel said before a change

    def keep(self, directory, name, value):
        if value:
            self.write(directory, name, value)
        else:
            self.remove(directory, name)

    def kept(self, directory, name):
        """ValueError where it cannot be told."""
        found = self.load(directory, name)
        return found if isinstance(found, str) else None

    # The names of servers

    def host_of(self, server):
        """user and name, or None where none was given."""
        try:
            found = self.load("hosts", server)
        except ValueError:
            return None
        if isinstance(found, dict) and all(
                isinstance(found.get(field), str)
                for field in ("user", "name")):
            return {"user": found["user"], "name": found["name"]}
        return None

    def set_host(self, server, user, name):
        self.write("hosts", server, {"user": user, "name": name})

    # Suspended domains

    def suspended(self, account):
        """However many there are. ValueError where they cannot be told."""
        found = self.load("suspended", account, limit=None)
        if found is None:
            return set()
        if not isinstance(found, list) or not all(
                isinstance(domain, str) for domain in found):
            raise ValueError("suspended/%s: not a list of domains" % account)
        return set(found)

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

    # Suspended accounts

    def former_status(self, account):
        """None where the account was not suspended."""
        try:
            found = self.load("status", account)
        except ValueError:
            return None
        return found if isinstance(found, str) else None

    def set_former_status(self, account, status):
        if status != self.former_status(account):
            self.write("status", account, status)

    def forget_suspensions(self, account):
        for directory in ("suspended", "status"):
            self.forget_file(directory, account)

    def forget_file(self, directory, name):
        if os.path.lexists(self.path(directory, name)):
            self.remove(directory, name)

    # Housekeeping

    def tidy(self, remember_days):
        """Once a day: what hooks that were killed left in tmp/, and what the
        webhook need not know any longer."""
        marker = self.path("tidied")
        if age(marker) < DAY:
            return
        for directory in ("tmp", "main", "convert"):
            for name in self.older(directory, 1):
                self.discard(directory, name)
        for name in self.older("seen", remember_days):
            self.forget_seen(name)
        with open(marker, "wb", opener=open_carefully):
            os.utime(marker)

    def older(self, directory, days):
        return [name for name in os.listdir(self.path(directory))
                if age(self.path(directory, name)) > days * DAY]

    def discard(self, directory, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(directory, name))


def make_directory(path):
    """Whether it was not there."""
    try:
        os.makedirs(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return False
    return True


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_carefully(path, flags):
    """Never for long, and nothing but a file."""
    try:
        fd = os.open(path, flags | CAREFUL, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ValueError("not a file") from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("not a file")
    return fd


def read_regular(path, limit):
    try:
        with open(path, "rb", opener=open_carefully) as file:
            data = file.read(-1 if limit is None else limit + 1)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise ValueError("it may not be read") from None
    if limit is not None and len(data) > limit:
        raise ValueError("too long")
    return data


def check_types(event):
    """ValueError where it has not what an event has, of the right kind."""
    if not isinstance(event, dict):
        raise ValueError("not an object")
    for field, kind in (("id", str), ("digest", str), ("timestamp", int)):
        if type(event.get(field, kind())) is not kind:
            raise ValueError("%s: of the wrong kind" % field)


def signed_before(record, horizon):
    """What has no time was never signed."""
    timestamp = record.get("timestamp")
    return type(timestamp) is not int or timestamp < horizon


def locked(fd, end):
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(0.05)


def hashed(text):
    """A name of a file for what may be anything."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def age(path):
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")
