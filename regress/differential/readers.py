# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Our reading of header sections, and other programs' readings of them.

A reader is given each section in the forms in which it may come: the message
with LF and with CRLF, or the values of From with their folds as they are and
without. What it finds in any of them it has found.
"""

import email.header
import email.parser
import email.policy
import email.utils
import os
import re
import subprocess
import threading
import unicodedata
from pathlib import Path

import corpus

HERE = Path(__file__).parent
PROGRAMS = Path(os.environ.get("B", "build/trixie"), "differential")
JARS = "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar"


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
    return [[word for word in words if "@" not in word]
            for words in ours_in_full(sections)]


def ours_in_full(sections):
    """The same, and the addresses; "*" stands for any local part."""
    return [line.split() for line in ask([PROGRAMS / "ours"], sections)]


def messages(section):
    text = section + b"\n\nbody\n"
    yield text
    yield text.replace(b"\n", b"\r\n")


def values(section):
    for value in corpus.from_values(section):
        yield value.replace(b"\n", b"")
        if b"\n" in value:
            yield value
            yield value.replace(b"\n", b"\r\n")


def in_forms(forms, read):
    """A reader of sections from one of forms of them."""
    def reader(sections):
        made = [list(forms(section)) for section in sections]
        found = iter(read([form for each in made for form in each]))
        return [[address for _ in each for address in next(found)]
                for each in made]
    return reader


def unhex(line):
    return [bytes.fromhex(word).decode(errors="replace")
            for word in line.split()]


def program(forms, *command):
    return in_forms(forms, lambda inputs: map(unhex, ask(command, inputs)))


def each(forms, read):
    return in_forms(forms, lambda inputs: map(read, inputs))


def parse_both(data, policy):
    """As bytes, and as the text that it is, which some bytes are too much
    for."""
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


def decoded(value):
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, email.errors.MessageError):
        return ""


def from_values(data, policy=email.policy.compat32):
    return [whole(value) for parsed in parse_both(data, policy)
            for name, value in parsed.raw_items() if name.lower() == "from"]


def as_list(texts, strict):
    found = email.utils.getaddresses(texts, strict=strict)
    found += [email.utils.parseaddr(text, strict=strict) for text in texts]
    return [address for name, address in found]


def getaddresses(strict):
    return lambda data: as_list(from_values(data), strict)


def decoded_first(data):
    texts = list(map(decoded, from_values(data)))
    texts += [unicodedata.normalize("NFKC", text) for text in texts]
    return as_list(texts, False) + as_list(texts, True)


def addresses(parsed):
    """Where the parser gives up its caller sees no address at all."""
    try:
        return [address.addr_spec for field in parsed.get_all("From", [])
                for address in field.addresses]
    except (ValueError, IndexError, AttributeError, TypeError):
        return []


def headerregistry(data):
    return [whole(address)
            for parsed in parse_both(data, email.policy.default)
            for address in addresses(parsed)]


def split_lines(data):
    """Lines where Python's text has them, in two charsets."""
    found = []
    for charset in "utf-8", "latin-1":
        lines = data.decode(charset, errors="replace").splitlines()
        parsed = email.parser.HeaderParser().parsestr("\n".join(lines))
        found += as_list(list(map(whole, parsed.get_all("From", []))), False)
    return found


def odd_names(data):
    """Fields whose names others may take for From."""
    texts = []
    for line in data.replace(b"\r", b"").split(b"\n"):
        name, _, value = line.partition(b":")
        if not name.strip() or name[:1] in b" \t" or \
                name.lower() == b"from":
            continue
        name = decoded(name.decode(errors="replace"))
        if re.sub(r"\(.*?\)|[^a-z]", "", name.lower()) == "from":
            texts.append(value.decode(errors="replace"))
    return as_list(texts, False)


def first_brackets(data):
    found = []
    for value in from_values(data):
        for text in value, decoded(value), value.replace('"', ""):
            found += re.findall(r"<([^<>]*@[^<>]*)>", text)[:1]
    return found


def java(*args):
    return program(messages, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                   "-cp", "%s:%s" % (PROGRAMS, JARS), "JavaReader", *args)


PHP, PERL = HERE / "php-reader", HERE / "perl-reader"
NODE, RUBY = HERE / "node-reader", HERE / "ruby-reader"

READERS = {
    "GMime": program(messages, PROGRAMS / "gmime"),
    "Go net/mail": program(messages, PROGRAMS / "go-reader"),
    "Jakarta Mail": java(),
    "Python getaddresses": each(messages, getaddresses(False)),
    "Python getaddresses, strict": each(messages, getaddresses(True)),
    "Python policy.default": each(messages, headerregistry),
    "Python, decoded first": each(messages, decoded_first),
    "Python splitlines": each(messages, split_lines),
    "odd field names": each(messages, odd_names),
    "first angle brackets": each(messages, first_brackets),
    "Email::Address::XS": program(values, PERL, "Email::Address::XS"),
    "Email::Address": program(values, PERL, "Email::Address"),
    "Mail::Address": program(values, PERL, "Mail::Address"),
    "Perl, decoded first": program(values, PERL, "decoded"),
    "Email::MIME": program(messages, PERL, "Email::MIME"),
    "nodemailer": program(values, NODE, "nodemailer"),
    "addressparser": program(values, NODE, "addressparser"),
    "libmime, decoded first": program(values, NODE, "decoded"),
    "mailparser": program(messages, NODE, "mailparser"),
    "postal-mime": program(messages, NODE, "postal-mime"),
    "PHP mailparse": program(values, PHP, "mailparse"),
    "PHP mailparse, message": program(messages, PHP, "mailparse-message"),
    "PHPMailer": program(values, PHP, "phpmailer"),
    "PHP, decoded first": program(values, PHP, "decoded"),
    "PHP, header decoded first": program(messages, PHP, "decoded-message"),
    "Ruby mail": program(messages, RUBY, "mail"),
    "Ruby mail, list": program(values, RUBY, "list"),
    "Ruby mail, decoded first": program(values, RUBY, "decoded"),
}


# They see nothing in what is plain.
ONLY_ATTACKS = {"odd field names"}


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
