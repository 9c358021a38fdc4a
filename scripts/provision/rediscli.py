# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Redis, by way of redis-cli."""

import os
import re
import shutil
import subprocess

from .failure import (
    EX_CANTCREAT, EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_NOUSER,
    EX_UNAVAILABLE, Failure)
from .text import decode, encode, printable, visible

# How many records are asked about at once.
BATCH = 500

VERSION = ("FCALL", "smtpusers_version", "0")

# redis-cli has a deadline for nothing but the connection; operators have
# more patience than smtpd.
PATIENCE = 10

# Within double quotes everything else is escaped, and so are newlines.
UNSAFE = re.compile(rb"[^\nA-Za-z0-9 !#$%&'()*+,./:;<=>?@\[\]^_{|}~-]")
TOKEN = re.compile(rb'(?P<error>ERROR,)?"(?P<text>(?:[^"\\]++|\\.)*+)"'
                   rb'|(?P<number>-?[0-9]+)|(?P<nil>NULL)|(?P<none>)',
                   re.DOTALL)
LISTS = ("HGETALL", "HMGET", "SCAN", "SSCAN", "XREVRANGE", "XREAD",
         "FCALL")
ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

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
            "NOACCOUNT": EX_NOUSER, "HELD": EX_UNAVAILABLE}


class ReplyError(Failure):
    """An error that Redis replied."""

    def __init__(self, text):
        text = IN_SCRIPT.sub("", text)
        if text.startswith(NOPERM_IN_SCRIPT):
            text = text.replace("ERR", "NOPERM", 1)
        self.kind, _, words = text.partition(" ")
        if self.kind in REFUSALS or ": not a " in words:
            super().__init__(REFUSALS.get(self.kind, EX_DATAERR),
                             printable(words))
            return
        super().__init__(REPLY_CODES.get(self.kind, EX_UNAVAILABLE),
                         "Redis: " + visible(text))


class Redis:
    """Commands go to redis-cli's standard input, so that ps shows none of
    them, and replies come back in its CSV, where every byte is exact.

    version is what the functions replied when they were asked for theirs:
    a list with a number, or the error."""

    def __init__(self, conf):
        self.prefix = conf["prefix"]
        self.quota_period = conf["quota_period"]
        self.timeout = conf["redis_timeout"] / 1000 * PATIENCE
        program = shutil.which("redis-cli") or shutil.which("valkey-cli")
        if program is None:
            raise Failure(EX_UNAVAILABLE, "redis-cli: not found")
        self.argv = [program, "--csv", *server_options(conf)]
        self.environment = {"LC_ALL": "C",
                            "PATH": os.environ.get("PATH", os.defpath),
                            **password_environment(conf)}
        # Before anything is written: redis-cli goes on with another user or
        # another database when it was refused the one that it asked for.
        # What the functions have to say of themselves comes along with it.
        ping, self.version = self.many([("PING",), VERSION])
        if isinstance(ping, ReplyError):
            raise ping

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
        lines = b"".join(map(command_line, commands))
        output = self.run(lines).split(b"\n")
        if len(output) != len(commands) + 1:
            raise Failure(EX_UNAVAILABLE, "redis-cli gave %d replies to %d "
                          "commands" % (len(output) - 1, len(commands)))
        return [parse_reply(words[0], line)
                for words, line in zip(commands, output)]

    def run(self, lines):
        try:
            result = subprocess.run(
                self.argv, input=lines, env=self.environment,
                timeout=self.timeout, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(EX_UNAVAILABLE, "Redis did not answer within %g s; "
                          "what was asked may have been done all the same" %
                          self.timeout) from None
        except OSError as error:
            raise Failure(EX_UNAVAILABLE, "%s: %s" %
                          (self.argv[0], error.strerror)) from None
        # Whatever goes wrong with the connection is told there alone.
        if result.stderr or result.returncode != 0:
            raise connection_failure(result)
        return result.stdout

    def scan(self, pattern):
        """Every key that matches, without standing in anybody's way."""
        yield from self.pages(("SCAN",), "MATCH", pattern, "COUNT", "1000")

    def pages(self, command, *options):
        cursor = "0"
        while True:
            cursor, *found = self.one(*command, cursor, *options)
            yield from found
            if cursor == "0":
                return


def server_options(conf):
    transport, _, place = conf["redis"].partition(":")
    options = ["-n", str(conf["redis_db"])] if conf["redis_db"] else []
    if conf.get("redis_user"):
        options += ["--user", conf["redis_user"]]
    if transport == "unix":
        return options + ["-s", place]
    host, _, port = place.rpartition(":")
    host = host[1:-1] if host.startswith("[") else host
    options += ["-h", host, "-p", port]
    if transport == "tls":
        options += ["--tls", "--sni", host]
        if conf.get("redis_ca"):
            options += ["--cacert", conf["redis_ca"]]
    return options


def password_environment(conf):
    path = conf.get("redis_password_file")
    if not path:
        return {}
    try:
        with open(encode(path), "rb") as file:
            line = file.readline()
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s" %
                      (visible(path), error.strerror)) from None
    return {"REDISCLI_AUTH": decode(re.split(rb"[\r\n]", line)[0])}


def connection_failure(result):
    lines = decode(result.stderr).strip().splitlines()
    text = lines[0] if lines else "redis-cli ended with status %d" % (
        result.returncode)
    code = EX_NOPERM if text.startswith("AUTH failed") else EX_UNAVAILABLE
    return Failure(code, visible(text))


def command_line(words):
    """Nearly all words are plain, which is seen soonest in one piece."""
    data = encode("\n".join(words))
    if UNSAFE.search(data) or data.count(b"\n") != len(words) - 1:
        return b" ".join(map(quote, words)) + b"\n"
    return b'"%s"\n' % data.replace(b"\n", b'" "')


def quote(word):
    return b'"%s"' % UNSAFE.sub(escape, encode(word)).replace(b"\n", b"\\n")


def escape(match):
    return b"\\x%02x" % ord(match[0])


def parse_reply(command, line):
    """One line of redis-cli's CSV: arrays come flat, whatever their depth."""
    values = []
    position = 0
    while True:
        match = TOKEN.match(line, position)
        if match["error"]:
            return ReplyError(unescape(match["text"]))
        if match["none"] is None:
            values.append(token_value(match))
        position = match.end()
        if position == len(line):
            break
        if line[position:position + 1] != b",":
            raise Failure(EX_UNAVAILABLE, "redis-cli said: " +
                          visible(decode(line)))
        position += 1
    return values if command in LISTS else values[0]


def token_value(match):
    if match["text"] is not None:
        return unescape(match["text"])
    if match["number"]:
        return int(match["number"])
    return None


def unescape(data):
    def byte(match):
        if match[1]:
            return bytes([int(match[1], 16)])
        return ESCAPED.get(match[2], match[2])
    return decode(ESCAPE.sub(byte, data) if b"\\" in data else data)


def wrong_type(error, key, wanted):
    if error.kind != "WRONGTYPE":
        return error
    return Failure(EX_DATAERR, "%s: not a %s" % (key, wanted))


def glob_escape(text):
    return re.sub(r"([][*?\\^])", r"\\\1", text)
