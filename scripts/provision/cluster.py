# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A Redis Cluster: which server has which keys. The transport is a connection
to each, so that many commands go in one round trip and a function's keys need
not be asked about first."""

import contextlib
import time

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from .connection import Asking, Away, Redis, ReplyError
from .failure import EX_UNAVAILABLE, Failure
from .places import Place
from .text import encode

# What a server says of a key that is elsewhere, or is nowhere now. A function
# is not followed to where a slot is about to go: it would take what has not
# come there yet for what does not exist.
ELSEWHERE = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
NOT_HERE = "attempted to access a non local key"
PAUSE = 0.05            # seconds until a server may know more


class Cluster(Asking):
    """places are some nodes, which know the others."""

    spread = True

    def __init__(self, conf, places, slots=None):
        super().__init__(conf)
        self.places = places
        self.links = {}
        self.sent = []
        self.slots = slots or self.learn()

    def another(self):
        return Cluster(self.conf, self.places, list(self.slots)).known(self)

    def close(self):
        for link in self.links.values():
            link.close()
        self.links = {}

    # Who has what

    def learn(self):
        """The place of each slot, from the first node that tells."""
        lost = None
        for place in [*self.links, *self.places]:
            try:
                found = self.link(place).one("CLUSTER", "SLOTS")
            except Away as failure:
                self.links.pop(place, None)
                lost = failure
                continue
            self.slots = [None] * REDIS_CLUSTER_HASH_SLOTS
            for first, last, (host, port, *_), *_ in found:
                there = Place(place.transport, host or place.host, port)
                self.slots[first:last + 1] = [there] * (last + 1 - first)
            return self.slots
        raise lost

    def link(self, place):
        if place not in self.links:
            self.links[place] = Redis(self.conf, place)
        return self.links[place]

    def primaries(self):
        self.learn()
        return [self.link(place) for place in
                sorted(set(filter(None, self.slots)))]

    def owner(self, words):
        """The connection that a command goes to."""
        key = key_of(words)
        if key is None:
            return self.link(next(filter(None, self.slots)))
        place = self.slots[self.slot(key)]
        if place is None:
            raise Away(EX_UNAVAILABLE, "no server of the cluster has the "
                       "slot of " + key)
        return self.link(place)

    @staticmethod
    def slot(key):
        return key_slot(encode(key))

    # Asking

    def send(self, commands):
        with self.closing():
            self.sent = [(words, self.owner(words)) for words in commands]
            for link in self.asked():
                link.send([words for words, there in self.sent
                           if there is link])

    def receive(self):
        with self.closing():
            sent, asked, self.sent = self.sent, self.asked(), []
            replies = {link: iter(link.receive()) for link in asked}
            return [self.follow(words, link, next(replies[link]))
                    for words, link in sent]

    def asked(self):
        return list(dict.fromkeys(link for _, link in self.sent))

    @contextlib.contextmanager
    def closing(self):
        """Where one is lost, what the others still say is nobody's."""
        try:
            yield
        except Failure:
            self.close()
            raise

    def follow(self, words, link, reply):
        """What the server says that has the key, however it moves."""
        until = time.monotonic() + self.timeout
        while is_elsewhere(reply) and time.monotonic() < until:
            slot, _, there = reply.words.partition(" ")
            before = []
            if reply.kind == "MOVED":
                link = self.link(place_at(link.place, there))
                self.slots[int(slot)] = link.place
            elif reply.kind == "ASK" and words[0] != "FCALL":
                link = self.link(place_at(link.place, there))
                before = [("ASKING",)]
            else:
                time.sleep(PAUSE)
                self.learn()
                link = self.owner(words)
            reply = link.many([*before, words])[-1]
        return reply

    # All keys

    @contextlib.contextmanager
    def standing_still(self):
        """A key that goes from one server to another meanwhile may be met
        twice, or never."""
        before = self.holdings()
        if any("[" in slots for slots in before.values()):
            raise Failure(EX_UNAVAILABLE, "slots of the cluster are being "
                          "moved: try again when that is done")
        yield
        if self.holdings() != before:
            raise Failure(EX_UNAVAILABLE, "slots of the cluster have moved "
                          "meanwhile, and keys may have been left out: try "
                          "again")

    def holdings(self):
        """The slots of each primary, and those that come and go, in [ ]."""
        return {link.place: own_slots(link.one("CLUSTER", "NODES"))
                for link in self.primaries()}


def is_elsewhere(reply):
    return isinstance(reply, ReplyError) and (
        reply.kind in ELSEWHERE or NOT_HERE in reply.words)


def key_of(words):
    """The key that decides where a command goes; None for anywhere."""
    name = words[0]
    if name == "FCALL":
        return words[3] if words[2] != "0" else None
    if name == "XGROUP":
        return words[2]
    if name in ("XREAD", "XREADGROUP"):
        return words[words.index("STREAMS") + 1]
    return words[1]


def place_at(asked, text):
    """host:port, in which no host is the host that was asked."""
    host, _, port = text.rpartition(":")
    return Place(asked.transport, host or asked.host, int(port))


def own_slots(nodes):
    """What a node says of itself: slots begin with the ninth word."""
    return next(" ".join(line.split(" ")[8:]) for line in nodes.splitlines()
                if "myself" in line.split(" ")[2])
