# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Mails events by sendmail(8). What an event holds may be anything: it
becomes text, and neither a header nor an address."""

import contextlib
import email.message
import email.policy
import email.utils
import hashlib
import os
import re
import signal
import subprocess

from provision.names import NAME, fold

from .config import ConfigError
from .post import Undelivered
from .text import decode, visible

TEMPLATE_MAX = 65536
VALUE_MAX = 1000
FIGURES_MAX = 20
HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(\S.*)")
# Those that are not the template's.
OURS = ("to", "cc", "bcc", "from", "sender", "date", "message-id",
        "auto-submitted", "mime-version")
IDENTITY = re.compile(r"[0-9a-f]{16}|[0-9]{1,20}-[0-9]{1,20}")
# Of an event, what is no figure.
WORDS = ("id", "entry", "time", "kind", "user", "account", "relay")
POLICY = email.policy.default.clone(cte_type="7bit")


class Mailer:
    """One kind of mail."""

    def __init__(self, section):
        self.section = section
        try:
            read_template(section.template)
        except (OSError, ValueError) as error:
            raise ConfigError("%s: %s" % (section.template, words_of(
                error))) from None

    def addressee(self, event):
        """Whom to mail, None where the event is not about anybody."""
        address = self.section.mail
        for word in ("user", "account"):
            if "{%s}" % word in address:
                name = fold(event.get(word, ""))
                if not NAME.fullmatch(name):
                    return None
                address = address.replace("{%s}" % word, name)
        return address

    def deliver(self, event):
        address = self.addressee(event)
        try:
            message = self.message(address, event)
            self.send(address, message)
        except (OSError, ValueError) as error:
            raise Undelivered(words_of(error)) from None

    def message(self, address, event):
        headers, text = read_template(self.section.template)
        values = values_of(event)
        message = email.message.EmailMessage(policy=POLICY)
        message["From"] = self.section.sender
        message["To"] = address
        message["Date"] = email.utils.formatdate(usegmt=True)
        message["Message-ID"] = "<%s.%s@%s>" % (
            identity_of(event), self.section.name,
            self.section.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        for name, value in headers:
            message[name] = filled(value, values).replace("\n", " ")
        message.set_content(filled(text, values))
        return message.as_bytes()

    def send(self, address, message):
        """What sendmail reads is whole before it begins, however we end."""
        section = self.section
        with open(os.memfd_create("mail"), "w+b") as file, \
                open(os.memfd_create("said"), "w+b") as said:
            file.write(message)
            file.seek(0)
            process = subprocess.Popen(
                [section.sendmail, "-i", "-f", section.sender, "--", address],
                stdin=file, stdout=said, stderr=said, cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                start_new_session=True)
            status = wait_for(process, section.timeout)
            said.seek(0)
            words = decode(said.read(200)).strip()
        if status:
            raise Undelivered("%s: %s" % (section.sendmail, visible(
                words or "status %d" % status)))


def wait_for(process, seconds):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError("sendmail takes too long") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_template(path):
    """Headers, and the text behind the empty line."""
    with open(path, encoding="utf-8") as file:
        head, empty, text = file.read(TEMPLATE_MAX).partition("\n\n")
    if not empty:
        raise ValueError("no empty line behind the header")
    headers = []
    for line in head.split("\n"):
        match = HEADER.fullmatch(line)
        name = match[1].lower() if match else ""
        if not match or name in OURS or name.startswith("content-"):
            raise ValueError("%s: not a header of a template" % visible(line))
        headers.append((match[1], match[2]))
    names = [name.lower() for name, _ in headers]
    if len(names) != len(set(names)) or "subject" not in names:
        raise ValueError("no Subject, or a header twice")
    return headers, text


def values_of(event):
    """By placeholder. figures is all that the kind has, a line each."""
    values = {name: shown(event.get(name)) for name in WORDS}
    values.update((name, shown(value)) for name, value in event.items()
                  if name not in WORDS)
    values["figures"] = "\n".join(
        "%s: %s" % (shown(name), shown(value)) for name, value in
        list(event.items())[:FIGURES_MAX + len(WORDS)] if name not in WORDS)
    return values


def shown(text):
    """One line, whatever was in it."""
    return visible(text or "-")[:VALUE_MAX]


def filled(text, values):
    return re.sub(r"\{([a-z_]+)\}",
                  lambda match: values.get(match[1], "-"), text)


def identity_of(event):
    """The same for the same event."""
    identity = event["id"]
    if IDENTITY.fullmatch(identity):
        return identity
    return hashlib.sha256(identity.encode(
        "utf-8", "surrogateescape")).hexdigest()[:32]


def words_of(error):
    return visible(getattr(error, "strerror", None) or str(error))[:200]
