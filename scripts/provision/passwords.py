# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Passwords: where they come from, how good they are, and their hashes."""

import ctypes
import errno
import getpass
import os
import re
import secrets
import select
import sys

from .failure import (
    EX_DATAERR, EX_IOERR, EX_UNAVAILABLE, EX_USAGE, Failure, note, silence)
from .text import decode, encode, visible

# Without the letters and digits that are taken for each other: 20 of these
# are 115 bits.
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
GENERATED_LENGTH = 20

# With their costs: smtpd up to 7.8 verifies one password after the other while
# everybody waits, so that a hash is to take some milliseconds.
SCHEMES = {"yescrypt": (b"$y$", 3), "bcrypt": (b"$2b$", 12)}
PASSWORD_MAX = {"yescrypt": 511, "bcrypt": 72}
# More than any password has; what comes may never end.
LINE_MAX = 1024


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise Failure(EX_UNAVAILABLE, str(error)) from None


def hash_password(password, scheme):
    """crypt(3)'s text for the password, with a salt of its own."""
    check_password(password, scheme)
    lib = library("libcrypt.so.1")
    lib.crypt_gensalt.restype = lib.crypt.restype = ctypes.c_char_p
    lib.crypt_gensalt.argtypes = (ctypes.c_char_p, ctypes.c_ulong,
                                  ctypes.c_char_p, ctypes.c_int)
    lib.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    prefix, cost = SCHEMES[scheme]
    salt = lib.crypt_gensalt(prefix, cost, None, 0)
    stored = lib.crypt(password, salt) if salt else None
    if not stored or not stored.startswith(prefix):
        raise Failure(EX_UNAVAILABLE, "crypt(3) does not know " + scheme)
    return decode(stored)


def check_password(password, scheme):
    if not password:
        raise Failure(EX_DATAERR, "the password is empty")
    if re.search(rb"[\0\r\n]", password):
        raise Failure(EX_DATAERR, "the password holds NUL, CR or LF, which "
                      "SMTP clients cannot be trusted to send")
    if len(password) > PASSWORD_MAX[scheme]:
        raise Failure(EX_DATAERR, "the password is longer than the %d bytes "
                      "that %s takes" % (PASSWORD_MAX[scheme], scheme))


def read_password(args):
    """The password as bytes, from where the options say."""
    if args.generate:
        need_output()
        password = "".join(secrets.choice(ALPHABET)
                           for _ in range(GENERATED_LENGTH))
        return encode(password)
    if args.stdin:
        return read_line(sys.stdin.buffer)
    if not sys.stdin.isatty():
        raise Failure(EX_USAGE, "no terminal to ask for a password: use "
                      "--stdin or --generate")
    password = ask("Password for %s: " % args.name)
    if ask("Again: ") != password:
        raise Failure(EX_DATAERR, "the two passwords differ")
    return encode(password)


def read_line(file):
    try:
        line = file.readline(LINE_MAX)
    except OSError as error:
        raise Failure(EX_IOERR, "standard input: " +
                      error.strerror) from None
    return line[:-1] if line.endswith(b"\n") else line


def ask(prompt):
    try:
        return getpass.getpass(prompt)
    except UnicodeError:
        raise Failure(EX_DATAERR, "the password is not text as the locale has "
                      "it: --stdin takes all bytes") from None


def need_output():
    """A password that nobody gets to see is not to be set: it is refused, as
    far as that can be known before."""
    if sys.__stdout__ is None:
        raise Failure(EX_IOERR, "standard output is closed: nobody would see "
                      "the password")
    try:
        os.write(sys.stdout.fileno(), b"")
        if has_no_reader(sys.stdout.fileno()):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    except OSError as error:
        raise Failure(EX_IOERR, "standard output: " +
                      error.strerror) from None


def has_no_reader(descriptor):
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def tell_generated(args, password):
    if not args.generate:
        return
    try:
        print(decode(password), flush=True)
    except OSError as error:
        silence(sys.stdout)
        raise Failure(EX_IOERR, "the password was changed but could not be "
                      "printed: " + error.strerror) from None


# Warnings: what is weak is stored all the same, since whoever runs this may
# have been given it by somebody else.

SHORT = 12


def warn_if_weak(args, password, domains):
    reason = None if args.generate else weakness(
        password.decode("utf-8", "replace"), args.name, domains)
    if reason:
        note("the password is weak: %s" % visible(reason))


def weakness(password, name, domains):
    """Why it is weak, or None; only its length counts without a judge."""
    try:
        import pwquality
    except ImportError:
        return too_short(password)
    judge = pwquality.PWQSettings()
    judge.set_option("badwords=" + " ".join(known_words(name, domains)))
    reason = objection(pwquality, judge, password, name)
    # Without its dictionary it would find every password weak.
    if reason and "error loading dictionary" in reason:
        judge.dictcheck = 0
        reason = objection(pwquality, judge, password, name)
    return reason or too_short(password)


def objection(pwquality, judge, password, name):
    try:
        judge.check(password, None, name)
    except pwquality.PWQError as error:
        return error.args[1].replace("The password ", "it ", 1)
    return None


def too_short(password):
    if len(password) < SHORT:
        return "it has fewer than %d characters" % SHORT
    return None


def known_words(name, domains):
    """What anybody would try first: the parts of the names."""
    return sorted({word for text in (name, *domains)
                   for word in re.split("[^a-z0-9]+", text.lower())
                   if len(word) > 3})
