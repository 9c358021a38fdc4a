# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Domains as A-labels, also those of addresses.

Redis takes A-labels alone. Whatever is ASCII goes there as it is and is judged
there; the rest is converted by libidn2, the library that the relay converts
with, so that the two cannot differ. Debian has no binding of it for Python.
"""

import ctypes
import functools
import unicodedata

from .failure import EX_DATAERR, EX_UNAVAILABLE, Failure
from .text import encode, visible

INPUT_MAX = 1024
DOMAIN_MAX = 253

# IDNA2003 read them as others, and so do some who read mail: sharp s, final
# sigma, and the joiners (RFC 5894, 7.2).
READ_TWO_WAYS = "\u00df\u03c2\u200c\u200d"

IDN2_ALABEL_ROUNDTRIP = 2
IDN2_NO_TR46 = 64


@functools.cache
def library():
    try:
        lib = ctypes.CDLL("libidn2.so.0")
    except OSError as error:
        raise Failure(EX_UNAVAILABLE, str(error)) from None
    lib.idn2_lookup_u8.argtypes = (
        ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int)
    lib.idn2_free.argtypes = (ctypes.c_void_p,)
    lib.idn2_strerror.restype = ctypes.c_char_p
    return lib


def alabels(text):
    """The domain in A-labels, or, of ASCII alone, as it is; a Failure where
    it has none."""
    if text.isascii():
        return text
    start, at, domain = text.rpartition("@")
    if at:
        return start + at + alabels(domain)
    if len(encode(text)) >= INPUT_MAX or "\0" in text:
        raise no_domain(text, "too long, or with a NUL")
    lower = unicodedata.normalize("NFC", text.lower())
    if any(letter in lower for letter in READ_TWO_WAYS):
        raise no_domain(text, "a letter that some read as another: give it "
                        "as A-labels")
    found = convert(text, lower.removesuffix("."))
    if len(found) > DOMAIN_MAX:
        raise no_domain(text, "longer than %d characters" % DOMAIN_MAX)
    return found


def texts_of(text):
    """What is to be removed may be stored as it is, or in A-labels."""
    try:
        return {text, alabels(text)}
    except Failure:
        return {text}


def convert(text, lower):
    lib, result = library(), ctypes.c_void_p()
    code = lib.idn2_lookup_u8(encode(lower), ctypes.byref(result),
                              IDN2_NO_TR46 | IDN2_ALABEL_ROUNDTRIP)
    if code != 0:
        raise no_domain(text, lib.idn2_strerror(code).decode("ascii",
                                                             "replace"))
    try:
        return ctypes.string_at(result).decode("ascii")
    finally:
        lib.idn2_free(result)


def no_domain(text, why):
    return Failure(EX_DATAERR, "%s: not a domain: %s" % (visible(text), why))
