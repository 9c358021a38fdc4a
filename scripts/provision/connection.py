# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""One Redis server, by way of python3-redis."""

import contextlib
import re
import ssl
from collections import deque
from types import SimpleNamespace

import redis
from redis.connection import (
    Connection, Encoder, PythonRespSerializer, UnixDomainSocketConnection)

from .failure import (
    EX_CANTCREAT, EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_NOUSER,
    EX_UNAVAILABLE, Failure)
from .parser import PARSER, READ
from .places import read_places
from .text import decode, encode, printable, visible

# Commands that are sent before their replies are read.
BATCH = 2000

# Operators have more patience than smtpd.
PATIENCE = 10

# What Redis takes a long value apart at, at the least.
BYTES_A_SECOND = 1 << 20

# And what it reads at once.
READ_BYTES = 1 << 14

REPLY_CODES = {"WRONGTYPE": EX_DATAERR, "NOPERM": EX_NOPERM,
               "NOAUTH": EX_NOPERM, "WRONGPASS": EX_NOPERM}
# As Redis 7.0 has it, and newer ones.
NOPERM_IN_SCRIPT = ("ERR The user executing the script can't run this command",
                    "ERR ACL failure in script")
IN_SCRIPT = re.compile(r" script: [0-9A-Za-z_]+, on @.*", re.DOTALL)
# What the functions reply where they do not do what they are asked for: the
# words behind it are for people.
REFUSALS = {"INVALID": EX_DATAERR, "EXISTS": EX_CANTCREAT,
            "INUSE": EX_CANTCREAT, "NOUSER": EX_NOUSER,
            "NOACCOUNT": EX_NOUSER, "CROSSSLOT": EX_UNAVAILABLE}
# Redis cannot do it now, and may be able to in a while.
PASSING = ("LOADING", "MASTERDOWN", "READONLY", "BUSY", "CLUSTERDOWN",
           "TRYAGAIN", "MISCONF", "OOM", "NOREPLICAS", "UNBLOCKED")


class ReplyError(Failure):
    """An error that Redis replied."""

    def __init__(self, text):
        text = IN_SCRIPT.sub("", text)
        if text.startswith(NOPERM_IN_SCRIPT):
            text = text.replace("ERR", "NOPERM", 1)
        self.kind, _, self.words = text.partition(" ")
        if self.kind in REFUSALS or ": not a " in self.words:
            super().__init__(REFUSALS.get(self.kind, EX_DATAERR),
                             printable(self.words))
            return
        super().__init__(REPLY_CODES.get(self.kind, EX_UNAVAILABLE),
                         "Redis: " + visible(text))

    def is_passing(self):
        """A server that was started again may have lost its functions."""
        return self.kind in PASSING or "unction not found" in str(self)


class Away(Failure):
    """Redis cannot be asked now; what was asked may have been done."""


class Asking:
    """What is asked of one server or of many. Words are texts in which
    surrogateescape has what is no UTF-8; replies are lists, texts, numbers and
    None.

    prepared is whether the functions are known to be there, schema what they
    have said of users and accounts, spread whether two records may be on two
    servers."""

    spread = False

    def __init__(self, conf):
        self.conf = conf
        self.prefix = conf["prefix"]
        self.quota_period = conf["quota_period"]
        self.timeout = conf["redis_timeout"] / 1000 * PATIENCE
        self.prepared = False
        self.schema = None

    def known(self, other):
        """Takes over what the other one has learnt."""
        self.prepared, self.schema = other.prepared, other.schema
        return self

    def key(self, *parts):
        return self.prefix + "".join(parts)

    def one(self, *words):
        """The reply to one command."""
        return self.each([words])[0]

    def each(self, commands):
        """The replies to the commands, or the first error among them."""
        replies = self.many(commands)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        return replies

    def many(self, commands):
        """The replies to the commands, in order; errors among them."""
        replies = []
        for start in range(0, len(commands), BATCH):
            self.send(commands[start:start + BATCH])
            replies += self.receive()
        return replies


class Redis(Asking):
    """One connection to one server."""

    def __init__(self, conf, place):
        super().__init__(conf)
        self.place = place
        # How many commands and bytes were sent each time.
        self.asked = deque()
        # How often, with that of other connections of this program.
        self.traffic = SimpleNamespace(sent=0)
        self.parser = PARSER(READ)
        self.connection = make_connection(conf, place, self.timeout,
                                          lambda **_: self.parser)
        self.connect()

    def another(self):
        """A connection besides, for what is asked while this one waits."""
        other = Redis(self.conf, self.place).known(self)
        other.traffic = self.traffic
        return other

    def primaries(self):
        """A connection to each of the servers that hold the keys."""
        return [self]

    def standing_still(self):
        """While every key is looked at."""
        return contextlib.nullcontext()

    def connect(self):
        try:
            self.connection.connect()
        except redis.ResponseError as error:
            raise refused(self.conf, str(error)) from None
        except redis.TimeoutError:
            raise Away(EX_UNAVAILABLE, "Redis did not answer within %g s" %
                       self.timeout) from None
        except redis.RedisError as error:
            raise Away(EX_UNAVAILABLE, "cannot connect to Redis at %s: %s" % (
                visible(str(self.place)), reason_of(error))) from None

    def close(self):
        self.asked.clear()
        self.connection.disconnect()

    def send(self, commands):
        """Asks; for each time, receive() has the replies."""
        self.send_packed(b"".join(map(packed, commands)), len(commands))

    def send_packed(self, data, count):
        """The same, of so many commands in Redis's own protocol."""
        self.asked.append((count, len(data)))
        # As often as Redis reads it, at the least.
        self.traffic.sent += 1 + len(data) // READ_BYTES
        try:
            self.connection.send_packed_command([data])
        except redis.RedisError as error:
            raise self.lost(error) from None

    def receive(self):
        """The replies to what was sent, in order; errors among them."""
        count, size = self.asked.popleft()
        self.parser.expect(count, self.timeout + size / BYTES_A_SECOND)
        try:
            replies = self.connection.read_response()
        except redis.RedisError as error:
            raise self.lost(error) from None
        return [ReplyError(str(reply)) if isinstance(
            reply, redis.ResponseError) else reply for reply in replies]

    def lost(self, error):
        self.close()
        if isinstance(error, redis.TimeoutError):
            return Away(EX_UNAVAILABLE, "Redis did not answer within %g s; "
                        "what was asked may have been done all the same" %
                        self.timeout)
        return Away(EX_UNAVAILABLE, "the connection to Redis is lost: %s; "
                    "what was asked may have been done all the same" %
                    reason_of(error))


def packed(words):
    """A command in Redis's own protocol, which counts bytes."""
    text = "".join(["$%d\r\n%s\r\n" % (len(word), word) for word in words])
    data = text.encode("ascii") if text.isascii() else b"".join(
        map(bulk, words))
    return b"*%d\r\n%s" % (len(words), data)


def bulk(word):
    data = encode(word)
    return b"$%d\r\n%s\r\n" % (len(data), data)


def make_connection(conf, place, timeout, parser):
    words = Encoder("utf-8", "surrogateescape", True)
    options = {
        "db": conf["redis_db"], "username": conf.get("redis_user"),
        "password": password_of(conf), "socket_timeout": timeout,
        "encoding": words.encoding, "encoding_errors": words.encoding_errors,
        "decode_responses": True, "parser_class": parser,
        # The other one takes UTF-8 alone.
        "command_packer": PythonRespSerializer(1 << 16, words.encode),
        # Which are commands that an ACL user would have to be given.
        "lib_name": None, "lib_version": None}
    if place.transport == "unix":
        return UnixDomainSocketConnection(path=encode(place.host), **options)
    options.update(host=place.host, port=place.port)
    if place.transport == "tls":
        return Secured(conf, **options)
    return Connection(**options)


# What OpenSSL says of a certificate that is for another name, or address.
MISMATCHES = (62, 64)


class Secured(Connection):
    """By TLS. Servers are told of by their addresses, which certificates
    seldom hold: one for a host that the configuration lists is as good, as it
    is for the relay (lib/tls.c)."""

    def __init__(self, conf, **options):
        super().__init__(**options)
        self.authority = conf.get("redis_ca") or None
        self.names = dict.fromkeys([self.host, *(
            place.host for place in read_places(conf["redis"]).at)])

    def _connect(self):
        context = ssl.create_default_context(cafile=self.authority)
        mismatch = None
        for name in self.names:
            try:
                return context.wrap_socket(super()._connect(),
                                           server_hostname=name)
            except ssl.SSLCertVerificationError as error:
                if error.verify_code not in MISMATCHES:
                    raise
                mismatch = mismatch or error
        raise mismatch


def password_of(conf):
    path = conf.get("redis_password_file")
    if not path:
        return None
    try:
        with open(encode(path), "rb") as file:
            line = file.readline()
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s" %
                      (visible(path), error.strerror)) from None
    return decode(re.split(rb"[\r\n]", line)[0])


def refused(conf, text):
    """What the server says to AUTH or SELECT."""
    kind = text.partition(" ")[0]
    if kind in PASSING:
        return Away(EX_UNAVAILABLE, "Redis: " + visible(text))
    if "DB index" in text or "'select'" in text:
        error = ReplyError(text)
        return Failure(error.code, "redis_db %d: %s" %
                       (conf["redis_db"], error))
    return Failure(EX_NOPERM, "AUTH failed: " + visible(text))


def reason_of(error):
    """The words of the system, where they are its."""
    while error is not None:
        for name in ("verify_message", "strerror"):
            words = getattr(error, name, None)
            if words:
                return visible(str(words) if name == "strerror" else
                               "the server's certificate: " + words)
        error, last = error.__cause__ or error.__context__, error
    return visible(str(last))


def wrong_type(error, key, wanted):
    if error.kind != "WRONGTYPE":
        return error
    return Failure(EX_DATAERR, "%s: not a %s" % (key, wanted))


def glob_escape(text):
    return re.sub(r"([][*?\\^])", r"\\\1", text)
