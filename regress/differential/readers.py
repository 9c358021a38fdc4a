# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Our reading of header sections, and other programs' readings of them."""

import email.parser
import email.policy
import email.utils
import os
import subprocess
import threading
from pathlib import Path

import corpus

HERE = Path(__file__).parent
PROGRAMS = Path(os.environ.get("B", "build/trixie"), "differential")


def ask(command, inputs):
    """A line of hexadecimal to a program for each input; its lines."""
    with subprocess.Popen(command, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        lines = b"".join(data.hex().encode() + b"\n" for data in inputs)
        out, complaints = child.communicate(lines)
    answers = out.decode().splitlines()
    assert child.returncode == 0, complaints.decode(errors="replace")
    assert len(answers) == len(inputs), command
    return answers


def ours(sections):
    """For each, the reason or "pass", and the domains found."""
    return [line.split() for line in ask([PROGRAMS / "ours"], sections)]


def unhex(answers):
    return [[bytes.fromhex(word).decode(errors="replace")
             for word in line.split()] for line in answers]


def message(section):
    return section + b"\n\nbody\n"


def gmime(sections):
    return unhex(ask([PROGRAMS / "gmime"], map_list(message, sections)))


def perl(module):
    def read(sections):
        return unhex(ask([HERE / "perl-reader", module],
                         map_list(corpus.from_value, sections)))
    return read


def node(sections):
    return unhex(ask([HERE / "node-reader"],
                     map_list(corpus.from_value, sections)))


def map_list(function, values):
    return [function(value) for value in values]


def parse_both(section, policy):
    """As bytes, and as the text that it is, which some bytes are too much
    for."""
    data = message(section)
    yield email.parser.BytesHeaderParser(policy=policy).parsebytes(data)
    try:
        yield email.parser.HeaderParser(policy=policy).parsestr(
            data.decode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return


def whole(value):
    """A value whose bytes of UTF-8 may still be surrogates."""
    return str(value).encode(errors="surrogateescape") \
        .decode(errors="replace")


def getaddresses(strict):
    def read_one(section):
        values = [whole(value)
                  for parsed in parse_both(section, email.policy.compat32)
                  for name, value in parsed.raw_items()
                  if name.lower() == "from"]
        found = email.utils.getaddresses(values, strict=strict)
        found += [email.utils.parseaddr(value, strict=strict)
                  for value in values]
        return [address for name, address in found]
    return lambda sections: map_list(read_one, sections)


def addresses(parsed):
    """Where the parser gives up its caller sees no address at all."""
    try:
        return [address.addr_spec for field in parsed.get_all("From", [])
                for address in field.addresses]
    except (ValueError, IndexError, AttributeError, TypeError):
        return []


def headerregistry(sections):
    def read_one(section):
        return [whole(address)
                for parsed in parse_both(section, email.policy.default)
                for address in addresses(parsed)]
    return map_list(read_one, sections)


READERS = {
    "GMime": gmime,
    "Python getaddresses": getaddresses(False),
    "Python getaddresses, strict": getaddresses(True),
    "Python policy.default": headerregistry,
    "Email::Address::XS": perl("Email::Address::XS"),
    "Email::Address": perl("Email::Address"),
    "Mail::Address": perl("Mail::Address"),
    "nodemailer": node,
}


def read_all(sections):
    """What each reader finds in each section, all readers at once."""
    found = {}

    def run(name):
        found[name] = READERS[name](sections)

    threads = [threading.Thread(target=run, args=(name,)) for name in READERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.keys() == READERS.keys()
    return found
