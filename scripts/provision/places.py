# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Where Redis is, as the configuration's key `redis` says, which the relay's
own parser has read before."""

import re
from collections import namedtuple

MANY = re.compile(r"(sentinel|cluster)(\+tls)?:(?:([^@,]*)@)?(.*)")
PORTS = {"sentinel": 26379, "cluster": 6379}


class Place(namedtuple("Place", "transport host port")):
    """host is the path of a unix socket, whose port is None."""

    def __str__(self):
        if self.transport == "unix":
            return "unix:" + self.host
        return "%s:%s:%d" % (self.transport, "[%s]" % self.host if
                             ":" in self.host else self.host, self.port)


# topology is sentinel, cluster or one; name is that of the Sentinels' primary.
Places = namedtuple("Places", "topology name at")


def read_places(text):
    match = MANY.fullmatch(text)
    if match:
        transport = "tls" if match[2] else "tcp"
        return Places(match[1], match[3], [
            read_host(transport, host, PORTS[match[1]])
            for host in match[4].split(",")])
    transport, _, rest = text.partition(":")
    if transport == "unix":
        return Places("one", None, [Place(transport, rest, None)])
    return Places("one", None, [read_host(transport, rest, None)])


def read_host(transport, text, port):
    """Host and port, where an address of IPv6 is in brackets."""
    match = re.fullmatch(r"(?:\[(.*)\]|([^:]*))(?::([0-9]+))?", text)
    return Place(transport, match[1] or match[2], int(match[3] or port))
