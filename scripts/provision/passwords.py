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

"""Passwords: where they come from, how good they are, and their hashes."""

import ctypes
import getpass
import re
import secrets
import sys

from .failure import EX_DATAERR, EX_UNAVAILABLE, EX_USAGE, Failure, note
from .text import decode, encode, visible

# Without the letters and digits that are taken for each other: 20 of these
# are 115 bits.
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
GENERATED_LENGTH = 20

SCHEMES = {"yescrypt": (b"$y$", 0), "bcrypt": (b"$2b$", 12)}
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
        password = "".join(secrets.choice(ALPHABET)
                           for _ in range(GENERATED_LENGTH))
        return encode(password)
    if args.stdin:
        line = sys.stdin.buffer.readline(LINE_MAX)
        return line[:-1] if line.endswith(b"\n") else line
    if not sys.stdin.isatty():
        raise Failure(EX_USAGE, "no terminal to ask for a password: use "
                      "--stdin or --generate")
    password = getpass.getpass("Password for %s: " % args.name)
    if getpass.getpass("Again: ") != password:
        raise Failure(EX_DATAERR, "the two passwords differ")
    return encode(password)


def tell_generated(args, password):
    if args.generate:
        print(decode(password))


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
