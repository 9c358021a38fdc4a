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

"""Values: each check returns the canonical text or fails with the reason."""

import ctypes
import ipaddress
import re

from .failure import EX_DATAERR, EX_USAGE, Failure
from .passwords import library, password_scheme
from .text import decode, encode, visible

MODES = ("default", "all", "any")
STATUSES = ("allowed", "blocked", "sandboxed")
FIELDS = ("password", "account", "mode", "status", "quota", "quota_period",
          "rate", "ip_auth", "description", "created")

NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
COUNT = re.compile(r"[0-9]{1,15}")
COUNT_MAX = 10 ** 12
RATES_MAX = 8
RANGES_MAX = 65536
PERIOD = re.compile(r"([0-9]{1,10})([smhdw]?)")
REPORT_ID = re.compile(r"(?:.*[?&]id=)?([0-9]{18})(?:[&\s].*)?", re.DOTALL)

DEFAULTS = {"status": "allowed", "mode": "default"}
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
PERIOD_MAX = 3650 * 86400
DESCRIPTION_MAX = 1024

LINES_MAX = 10000
PLAN = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def fold(text):
    """Lower case for ASCII alone: no other letter folds into a name."""
    return text.lower() if text.isascii() else text


def name_of(text, what="user name"):
    name = fold(text)
    if NAME.fullmatch(name):
        return name
    raise Failure(EX_DATAERR, "%s: not a %s: 1 to 64 of a-z 0-9 . _ + -, the "
                  "first a letter or digit" % (visible(text), what))


def address_of(text):
    """Canonical text of one address."""
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    try:
        if "%" in bare or (bare != text and ":" not in bare):
            raise ValueError
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise Failure(EX_DATAERR, "%s: not an IPv4 or IPv6 address" %
                      visible(text)) from None
    return str(getattr(address, "ipv4_mapped", None) or address)


MAPPED = ipaddress.ip_network("::ffff:0:0/96")


def range_of(text):
    """Canonical text of an address or a CIDR range."""
    base, slash, bits = text.partition("/")
    if not slash:
        return address_of(text)
    bare = base[1:-1] if base[:1] == "[" and base[-1:] == "]" else base
    address_of(base)
    try:
        if not re.fullmatch(r"0|[1-9][0-9]{0,2}", bits):
            raise ValueError
        network = ipaddress.ip_network(bare + "/" + bits, strict=False)
    except ValueError:
        raise Failure(EX_DATAERR, "%s: not a range: the prefix length after "
                      "the / is a number of at most %d" %
                      (visible(text), 128 if ":" in base else 32)) from None
    if network.version == 6 and network.subnet_of(MAPPED):
        network = ipaddress.ip_network(
            (int(network.network_address) & 0xffffffff,
             network.prefixlen - 96))
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def domain_of(text):
    """The domain as lower-case A-labels."""
    domain = fold(text[:-1] if text.endswith(".") else text)
    if not domain.isascii() or "xn--" in domain:
        domain = to_a_labels(domain, text)
    labels = domain.split(".")
    if len(labels) == 1:
        raise bad_domain(text, "there is no dot in it")
    if len(domain) > 253 or not all(map(LABEL.fullmatch, labels)):
        raise bad_domain(text, "not a host name")
    if labels[-1].isdigit():
        raise bad_domain(text, "an address, not a domain")
    return domain


def bad_domain(text, reason):
    return Failure(EX_DATAERR, "%s: not a domain: %s" %
                   (visible(text), reason))


IDN2_NFC_INPUT = 1
IDN2_NONTRANSITIONAL = 8


def to_a_labels(domain, text):
    idn2 = library("libidn2.so.0")
    idn2.idn2_strerror.restype = ctypes.c_char_p
    result = ctypes.c_char_p()
    code = idn2.idn2_to_ascii_8z(
        ctypes.c_char_p(encode(domain)), ctypes.byref(result),
        IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)
    if code != 0:
        raise bad_domain(text, decode(idn2.idn2_strerror(code)))
    try:
        return decode(result.value).lower()
    finally:
        idn2.idn2_free(result)


def count_of(text):
    count = int(text) if COUNT.fullmatch(text) else None
    return count if count is not None and count <= COUNT_MAX else None


def quota_of(text):
    if count_of(text) is not None:
        return str(int(text))
    raise Failure(EX_DATAERR, "%s: not a quota: a number of messages, "
                  "0 = unlimited" % visible(text))


def period_seconds(text):
    match = PERIOD.fullmatch(text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    return seconds if 0 < seconds <= PERIOD_MAX else None


def period_of(text):
    if period_seconds(text):
        return text
    raise Failure(EX_DATAERR, "%s: not a period: seconds, or a number with "
                  "s, m, h, d or w, at most 3650d" % visible(text))


def rate_of(text):
    """Rates, several separated by spaces."""
    rates = text.split()
    for rate in rates:
        count, _, period = rate.partition("/")
        if not (count_of(count) and period_seconds(period)):
            raise Failure(EX_DATAERR, "%s: not a rate: messages/period, such "
                          "as 100/1h" % visible(rate))
    if not 1 <= len(rates) <= RATES_MAX:
        raise Failure(EX_DATAERR, "%d rates: a user has at most %d, or the "
                      "option is left out" % (len(rates), RATES_MAX))
    return " ".join(rates)


def description_of(text):
    if text.isprintable() and len(encode(text)) <= DESCRIPTION_MAX:
        return text
    raise Failure(EX_DATAERR, "the description is no single line of at most "
                  "%d bytes of UTF-8" % DESCRIPTION_MAX)


def one_of(words):
    def check(text):
        if text in words:
            return text
        raise Failure(EX_DATAERR, "%s: none of %s" %
                      (visible(text), ", ".join(words)))
    return check


def plan_of(text):
    if PLAN.fullmatch(text):
        return text
    raise Failure(EX_DATAERR, "%s: not a plan: pro or another word" %
                  visible(text))


def report_of(text):
    """The id of a report, also out of the address that leads to it."""
    match = REPORT_ID.fullmatch(text)
    if match:
        return match[1]
    raise Failure(EX_DATAERR, "%s: not a report: 18 digits" % visible(text))


def lines_of(text):
    if text.isascii() and text.isdigit() and int(text) <= LINES_MAX:
        return int(text)
    raise Failure(EX_USAGE, "%s: not a number of entries, at most %d" %
                  (visible(text), LINES_MAX))


def hash_of(text):
    if password_scheme(text):
        return text
    raise Failure(EX_DATAERR, "not a hash that crypt(3) makes")


def canonical_or_none(check, text):
    try:
        return check(text)
    except Failure:
        return None


def period_text(seconds):
    """As short as it can be written: 86400 is 1d."""
    for unit in "dhm":
        if seconds % UNITS[unit] == 0:
            return "%d%s" % (seconds // UNITS[unit], unit)
    return "%ds" % seconds
