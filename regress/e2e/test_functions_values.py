# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: which values they take, and how they write them."""

import ipaddress
import random
import string

import pytest

from library import Library, plain
from readers import Readers
from redisserver import ReplyError


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture(scope="module")
def readers():
    return Readers()


def each(library, kind, texts):
    """What the library makes of each text: None where it refuses it."""
    results = []
    with library.redis.connect() as connection:
        for start in range(0, len(texts), 500):
            batch = texts[start:start + 500]
            for text in batch:
                connection.send("FCALL_RO", "smtpusers_canonical", 0, kind,
                                text)
            results += [result_of(connection.read()) for _ in batch]
    return results


def result_of(reply):
    if isinstance(reply, ReplyError):
        assert str(reply).startswith("INVALID "), reply
        assert plain(str(reply))
        return None
    return reply[0]


# Words. Those that others read as well are in regress/vectors/.

TAKEN = [
    ("mode", "default"), ("mode", "all"), ("mode", "any"),
    ("status", "allowed"), ("status", "blocked"), ("status", "sandboxed"),
    ("plan", "pro"), ("plan", "a.b_c-9"), ("plan", "p" * 32),
    ("description", ""), ("description", "Bücher & Söhne 日本"),
    ("description", "x" * 1024), ("description", "\U0001f600"),
]

NOT_TAKEN = {
    "mode": ["", "All", "everything", "all "],
    "status": ["", "Blocked", "gone"],
    "plan": ["", "Pro", "p" * 33, "-a", "a b", "é"],
    "description": ["a\nb", "a\tb", "\x7f", "\x1b[0m", "\u202e", "\u200b",
                    "\x85", "\ufeff", "x" * 1025, "ü" * 513, b"\xff",
                    b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                    b"\xc0\x80", "\ue000", "\uffff", "\U000e0001"],
}


@pytest.mark.parametrize("kind, text", TAKEN)
def test_values_taken(library, kind, text):
    assert library.canonical(kind, text) == [text]


@pytest.mark.parametrize("kind", NOT_TAKEN)
def test_values_refused(library, kind):
    assert each(library, kind, NOT_TAKEN[kind]) == [None] * len(
        NOT_TAKEN[kind])


@pytest.mark.parametrize("words, told", [
    (("name", "a b"), "a b: not a user name: 1 to 64 of a-z 0-9 . _ + -, "
     "the first a letter or digit"),
    (("account", "a b"), "a b: not an account name: 1 to 64 of a-z 0-9 . _ "
     "+ -, the first a letter or digit"),
    (("address", "x"), "x: not an IPv4 or IPv6 address, such as 192.0.2.1 or "
     "2001:db8::1"),
    (("range", "x/8"), "x/8: neither an address nor a range, such as "
     "192.0.2.1, 2001:db8::1, 192.0.2.0/24 or 2001:db8::/32"),
    (("range", "::/129"), "::/129: not a range: the prefix length after the "
     "/ is a number of at most 128"),
    (("range", "10.0.0.0/33"), "10.0.0.0/33: not a range: the prefix length "
     "after the / is a number of at most 32"),
    (("domain", "example"), "example: not a domain: there is no dot in it"),
    (("domain", "a_b.example"), "a_b.example: not a domain: not a host name"),
    (("domain", "10.0.0.1"), "10.0.0.1: not a domain: an address, not a "
     "domain"),
    (("domain", "bücher.example"), r"b\xc3\xbccher.example: not a domain: it "
     "has letters other than a-z: give it as A-labels, such as "
     "xn--bcher-kva.example"),
    (("domain", "a" * 255), "a" * 200 + "...: not a domain: longer than 253 "
     "bytes"),
    (("domain", "xn--a.example"), "xn--a.example: not a domain: xn--a is no "
     "A-label"),
    (("quota", "many"), "many: not a quota: a number of messages, at most "
     "10^12, 0 = unlimited"),
    (("period", "soon"), "soon: not a period: seconds, or a number with s, m, "
     "h, d or w, at most 3650d"),
    (("rate", "1/1h fast"), "fast: not a rate: messages/period, such as "
     "100/1h"),
    (("mode", "x"), "x: not one of default, all, any"),
    (("status", "x"), "x: not one of allowed, blocked, sandboxed"),
    (("plan", "X"), "X: not a plan: pro, or another word of 1 to 32 of a-z "
     "0-9 . _ -"),
    (("hash", "Secret1"), "password: not a hash that crypt(3) makes"),
    (("description", "\n"), "description: not a single line of at most 1024 "
     "bytes of UTF-8"),
    (("colour", "red"), "colour: not a kind of text"),
    (("name",), "a kind without a text: they come in pairs"),
    (("name", "bob", "mode", "x", "quota", "y"),
     "x: not one of default, all, any"),
])
def test_errors_say_what_is_wrong(library, words, told):
    assert library.refuses("INVALID", "canonical", *words) == told


def test_several_at_once(library):
    assert library.canonical() == []
    assert library.canonical("name", "Bob", "quota", "07", "name", "eve") == [
        "bob", "7", "eve"]


HOSTILE = ["\0", "bob\0", "a\r\nb", "\x1b]0;x\x07", b"\xff\xfe", "a" * 2 ** 20,
           "." * 2 ** 20, ":" * 2 ** 20, "é" * 2 ** 19, b"\xff" * 2 ** 20,
           "1" * 2 ** 20, " " * 2 ** 20, "1/1h " * 2 ** 18, "\u202ebob",
           "%s%n", "${x}", "$(id)", "' OR 1=1", "xn--" + "9" * 2 ** 20,
           "a." * 2 ** 19 + "b", "1.2.3.4/" + "1" * 2 ** 20,
           "\\", "-", "[", "[]", "%", "*", "{}", "\ufffd", "\U0010ffff"]
KINDS = ("name", "account", "address", "range", "domain", "quota", "period",
         "rate", "mode", "status", "plan", "hash", "description")


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_values(library, kind):
    """Each is refused in a few printable words, or is what it looks like."""
    results = each(library, kind, HOSTILE)
    for text, result in zip(HOSTILE, results):
        if result is not None:
            assert result == text.strip() and plain(result)


# Addresses

def written(rng):
    """An address or a range, in one of its many forms."""
    if rng.random() < 0.4:
        address = ipaddress.ip_address(rng.getrandbits(32))
        text = str(address)
    else:
        address = ipaddress.ip_address(sparse(rng))
        text = rng.choice([str, ipv6_long, ipv6_dotted])(address)
        text = rng.choice([text, text.upper(), "[%s]" % text])
    if rng.random() < 0.5:
        text += "/%d" % rng.randint(0, address.max_prefixlen)
    return text


def sparse(rng):
    """128 bits with runs of zeros, or an IPv4-mapped address."""
    if rng.random() < 0.2:
        return 0xffff << 32 | rng.getrandbits(32)
    groups = [rng.choice([0, 0, 1, 0xffff, rng.getrandbits(16)])
              for _ in range(8)]
    return sum(group << 16 * n for n, group in enumerate(groups))


def ipv6_long(address):
    return address.exploded


def ipv6_dotted(address):
    high, low = divmod(int(address), 1 << 32)
    groups = ["%x" % (high >> shift & 0xffff) for shift in range(80, -1, -16)]
    return ":".join(groups + [str(ipaddress.IPv4Address(low))])


def damaged(text, rng):
    at = rng.randrange(len(text) + 1)
    return rng.choice([
        text[:at] + rng.choice("0123456789abcdefABCDEFg:./[]% \n\0")
        + text[at + rng.randint(0, 1):],
        text[:at] + text[at + 1:], text + text[at:]])


MAPPED = ipaddress.ip_network("::ffff:0:0/96")


def reference(text):
    """As Python's ipaddress has it, without what it takes and we do not."""
    base, slash, bits = text.partition("/")
    bare = base
    if base.startswith("[") and base.endswith("]") and ":" in base:
        bare = base[1:-1]
    if "%" in base or (slash and not canonical_number(bits)):
        return None
    try:
        network = ipaddress.ip_network(bare + slash + bits, strict=False)
    except ValueError:
        return None
    if network.version == 6 and network.subnet_of(MAPPED):
        network = ipaddress.ip_network(
            (int(network.network_address) & 0xffffffff,
             network.prefixlen - 96))
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def canonical_number(text):
    return text.isascii() and text.isdigit() and str(int(text)) == text


@pytest.mark.parametrize("seed", range(3))
def test_ranges_are_what_ipaddress_and_the_relay_make_of_them(
        library, readers, seed):
    rng = random.Random(seed)
    texts = [written(rng) for _ in range(2000)]
    texts += [damaged(rng.choice(texts), rng) for _ in range(3000)]
    results = each(library, "range", texts)
    assert sum(result is not None for result in results) > 2000
    assert results.count(None) > 500
    for text, result in zip(texts, results):
        assert result == reference(text), text
        assert result == readers.range(text), text


def test_addresses_are_ranges_without_a_prefix_length(library, readers):
    rng = random.Random(7)
    texts = [written(rng) for _ in range(1000)]
    texts += [damaged(rng.choice(texts), rng) for _ in range(1000)]
    for text, result in zip(texts, each(library, "address", texts)):
        assert result == readers.address(text), text
        assert result == (None if "/" in text else reference(text)), text


# Domains

def test_a_labels_are_taken_where_the_relay_takes_them(library, readers):
    """And mostly refused where it refuses them: what does not decode, or is
    not what its letters give."""
    rng = random.Random(2)
    texts = []
    for _ in range(20000):
        word = "".join(chr(rng.choice([rng.randrange(0x80, 0xd800),
                                       rng.randrange(0x61, 0x7b),
                                       rng.randrange(0xa0, 0x530)]))
                       for _ in range(rng.randint(1, 6)))
        label = "xn--" + word.encode("punycode").decode()
        if rng.random() < 0.3:
            at = rng.randrange(4, len(label) + 1)
            label = label[:at] + rng.choice(
                string.ascii_lowercase + "0123456789-") + label[at:]
        texts.append(label + ".example")
    results = each(library, "domain", texts)
    valid = 0
    for text, result in zip(texts, results):
        read = readers.domain(text)
        if read is not None:
            valid += 1
            assert result == read, text
        if result is not None:
            assert result == text
            label = text.partition(".")[0]
            word = label[4:].encode().decode("punycode")
            assert "xn--" + word.encode("punycode").decode() == label
    assert valid > 300


def test_a_dot_at_the_end_is_left_out(library):
    assert each(library, "domain", ["Example.ORG.", "example.org..",
                                    "example."]) == ["example.org", None, None]


# Periods

def test_periods_are_those_of_the_relay(library, readers):
    rng = random.Random(3)
    texts = ["%s%s%s" % ("0" * rng.randint(0, 2),
                         rng.choice([0, 1, 7, 3650, 3651, 521, 522, 87600,
                                     5256000, 315360000, 315360001,
                                     rng.randrange(10 ** 10)]),
                         rng.choice(["", "s", "m", "h", "d", "w", "x", "W"]))
             for _ in range(3000)]
    results = each(library, "period", texts)
    assert sum(result is not None for result in results) > 300
    for text, result in zip(texts, results):
        if result is not None:
            assert readers.period(result) == readers.period(text) is not None
        elif len(text.rstrip("smhdw")) <= 10:
            assert readers.period(text) is None, text
