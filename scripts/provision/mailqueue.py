# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a user still has in the queue of this relay: queue.

Of whom a message is the user's log says, which has its id. An id may be that of
another relay's message too, so smtpd's own envelope has to agree before anything
is shown or removed."""

import contextlib
import ipaddress
import os
import re
import select
import shutil
import subprocess
import tempfile
from itertools import groupby

from .failure import EX_NOPERM, EX_UNAVAILABLE, EX_USAGE, Failure, note
from .names import fold
from .progress import Progress, counted
from .records import get_hash, no_user, user_key
from .reports import last_entries, stream_time
from .text import confirm, decode, print_json, visible

PATIENCE = 60           # seconds that smtpctl may be silent
LINE_MAX = 65536        # bytes of a line of smtpctl that are read
LOGGED = 10000          # entries of a log that are read
KEPT = 1000             # that it has before Redis cuts it
PLACES = "/usr/sbin:/usr/local/sbin"

ENVELOPE = re.compile(r"([0-9a-f]{8})[0-9a-f]{8}\|")
MESSAGE = re.compile(r"[0-9a-f]{8}")
DONE = re.compile(r"(\d+) envelopes? (?:paused|resumed|removed)\s*")
WORDS = {"pause": "paused", "resume": "resumed", "remove": "removed"}


def do_queue(args):
    action = next((word for word in WORDS if getattr(args, word)), None)
    if args.yes and action != "remove":
        raise Failure(EX_USAGE, "--yes goes with --remove")
    program = find_program()
    owner = Owner(args.connect(), args.name)
    found = {}
    for message, lines in mine(program, owner, args.all):
        found[message] = found.get(message, 0) + len(lines)
        if action is None:
            for line in lines:
                show(args, line)
    if owner.is_cut and not args.all:
        note("the log of %s has the last %d messages alone; --all looks at "
             "all in the queue" % (args.name, len(owner.sources)))
    if action and found:
        act(args, program, action, found)
    elif action:
        print("0 envelopes " + WORDS[action])


def act(args, program, action, found):
    if action == "remove":
        confirm(args, "Remove %s of %s from the queue?" % (
            counted(sum(found.values()), "envelope"), args.name))
    words = [action] if action == "remove" else [action, "envelope"]
    progress, count = Progress("message"), 0
    for message in found:
        count += done(run(program, *words, message))
        progress.add(1)
    progress.clear()
    print("%s %s" % (counted(count, "envelope"), WORDS[action]))


def done(text):
    match = DONE.fullmatch(text)
    if not match:
        raise Failure(EX_UNAVAILABLE, "smtpctl said: " +
                      visible(text.strip()[:200]))
    return int(match[1])


class Owner:
    """A user, by what the log says: the source of each message."""

    def __init__(self, redis, name):
        self.name = name
        entries = last_entries(redis, user_key(redis, name, ":log"), LOGGED)
        held = get_hash(redis, user_key(redis, name))
        if not entries and not held:
            raise no_user(name)
        self.sources = {
            entry["msgid"]: entry.get("source", "") for entry in entries
            if MESSAGE.fullmatch(entry.get("msgid", ""))}
        self.address = held.get("ip_auth", "")
        self.is_cut = len(entries) >= KEPT

    def has(self, message, envelope):
        """Whether smtpd's envelope says so, too. Who was renamed since has
        another name there."""
        name, source = envelope.get("username"), envelope.get("sockaddr", "")
        if name and fold(name) == self.name:
            return True
        if message in self.sources:
            return is_same(source, self.sources[message])
        return not name and is_same(source, self.address)


def is_same(source, other):
    """Whether these are one address, which smtpd writes in its own way."""
    try:
        return ipaddress.ip_address(re.sub(r"^\[?(?:IPv6:)?|\]$", "", source)
                                    ) == ipaddress.ip_address(other)
    except ValueError:
        return False


def mine(program, owner, look_at_all):
    """Messages of the user, with the lines about them; of one that smtpd does
    not tell of in one go, several times."""
    known = {}
    progress = Progress("message")
    with output_of(program, "show", "queue") as lines:
        for message, some in groupby(envelopes(lines), lambda line: line[:8]):
            if not look_at_all and message not in owner.sources:
                continue
            some = list(some)
            if message not in known:
                known[message] = owner.has(message, envelope_of(
                    program, some[0][:16]))
            progress.add(1)
            if known[message]:
                progress.clear()
                yield message, some
    progress.clear()


def envelopes(lines):
    return (line for line in lines if ENVELOPE.match(line))


def envelope_of(program, envelope):
    """What smtpd knows of it; nothing of one that has gone meanwhile."""
    found = {}
    for line in run(program, "show", "envelope", envelope,
                    may_fail=True).splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, value)
    return found


def show(args, line):
    row = read_line(line)
    if args.json:
        print_json(row, indent=None)
    elif row["state"] is None:
        print(visible(line))
    else:
        print(visible("%s %-8s %s > %s, %s%s" % (
            row["envelope"], row["state"], row["sender"] or "<>",
            row["recipient"], counted(row["attempts"], "attempt"),
            ", " + row["error"] if row["error"] else "")))


NAMES = ("envelope", "msgid", "state", "sender", "recipient", "created",
         "attempts", "error")


def read_line(line):
    """A line of smtpctl(8). Addresses and errors may hold what separates the
    fields: then nobody can tell which is which."""
    fields = line.split("|")
    row = dict.fromkeys(NAMES)
    row.update(envelope=line[:16], msgid=line[:8])
    if len(fields) != 14 or not all(
            re.fullmatch("[0-9]{1,12}", text) for text in fields[7:11]) or (
                fields[11] not in ("pending", "inflight", "offline")):
        return row
    paused = "suspend" in fields[3].split(",")
    row.update(state="paused" if paused else fields[11], sender=fields[4],
               recipient=fields[5], created=stream_time(
                   int(fields[7]) * 1000), attempts=int(fields[10]),
               error=fields[13] or None)
    return row


# smtpctl

def find_program():
    program = shutil.which("smtpctl") or shutil.which("smtpctl", path=PLACES)
    if program is None:
        raise Failure(EX_UNAVAILABLE, "smtpctl is not here: this is for the "
                      "host of a relay")
    return program


def run(program, *words, may_fail=False):
    """What it says."""
    try:
        result = subprocess.run([program, *words], stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=PATIENCE,
                                env=environment(), check=False)
    except subprocess.TimeoutExpired:
        raise silent() from None
    except OSError as error:
        raise Failure(EX_UNAVAILABLE, "%s: %s" % (
            program, error.strerror)) from None
    if result.returncode != 0 and not may_fail:
        raise refused(result.stderr)
    return decode(result.stdout)


def environment():
    return {**os.environ, "LC_ALL": "C"}


def silent():
    return Failure(EX_UNAVAILABLE, "smtpctl said nothing for %d s" % PATIENCE)


def refused(errors):
    text = decode(errors).strip().split("\n")[-1].removeprefix("smtpctl: ")
    return Failure(EX_NOPERM if "privileges" in text or "ermission" in text
                   else EX_UNAVAILABLE, "smtpctl: " +
                   (visible(text[:200]) or "it has failed"))


@contextlib.contextmanager
def output_of(program, *words):
    """Its lines, as they come. What it has to say of errors may be long."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [program, *words], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=errors, env=environment())
        except OSError as error:
            raise Failure(EX_UNAVAILABLE, "%s: %s" % (
                program, error.strerror)) from None
        with process:
            try:
                yield lines_of(process.stdout)
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise silent() from None
            finally:
                process.kill()
        if status != 0:
            errors.seek(0)
            raise refused(errors.read(LINE_MAX))


def lines_of(stream):
    """Without their ends; of a line that is too long, the beginning."""
    rest = b""
    while data := read_some(stream):
        *lines, rest = (rest + data).split(b"\n")
        yield from (decode(line[:LINE_MAX]) for line in lines)
        rest = rest[:LINE_MAX]
    if rest:
        yield decode(rest)


def read_some(stream):
    if not select.select([stream], [], [], PATIENCE)[0]:
        raise silent()
    return stream.read1(LINE_MAX)
