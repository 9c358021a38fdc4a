# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The server, or the servers, that the configuration tells of."""

from .connection import Away, Redis, ReplyError
from .failure import EX_UNAVAILABLE, Failure
from .places import Place, read_places
from .text import visible


def connect(conf):
    """Who can be asked, and is connected."""
    places = read_places(conf["redis"])
    if places.topology == "cluster":
        from .cluster import Cluster
        return Cluster(conf, places.at)
    if places.topology == "sentinel":
        return connect_to_primary(conf, places)
    return Redis(conf, places.at[0])


# Sentinels

def connect_to_primary(conf, places):
    """One that was stopped may still take itself for the primary: what more
    than half of the Sentinels name counts, and what it says itself."""
    place = agreed(conf, places)
    redis = Redis(conf, place)
    role = redis.one("ROLE")[0]
    if role != "master":
        redis.close()
        raise Away(EX_UNAVAILABLE, "Redis at %s: the Sentinels name it as "
                   "the primary, and it is a replica: a fail-over is under "
                   "way" % place)
    return redis


def agreed(conf, places):
    votes, errors = [], []
    for sentinel in places.at:
        try:
            votes.append(primary_named(conf, places, sentinel))
        except Failure as failure:
            errors.append(str(failure))
        for place in votes:
            if votes.count(place) > len(places.at) // 2:
                return place
    raise Away(EX_UNAVAILABLE, "no server is named as the primary of %s by "
               "more than half of the Sentinels%s" % (
                   visible(places.name), "".join("; " + error
                                                 for error in errors)))


def primary_named(conf, places, sentinel):
    """Where this Sentinel says that the primary is. It has no databases, and
    a password only where it asks for one."""
    hasty = {**conf, "redis_db": 0, "redis_timeout":
             conf["redis_timeout"] / PATIENT_WITH_ONE}
    open_to_all = {**hasty, "redis_user": None, "redis_password_file": None}
    try:
        found = ask_sentinel(open_to_all, places.name, sentinel)
    except ReplyError as error:
        if error.kind != "NOAUTH":
            raise
        found = ask_sentinel(hasty, places.name, sentinel)
    if not found:
        raise Failure(EX_UNAVAILABLE, "the Sentinel at %s knows no %s" % (
            sentinel, visible(places.name)))
    return Place(sentinel.transport, found[0], int(found[1]))


# Of the time that one server is given, a Sentinel is given this part.
PATIENT_WITH_ONE = 5


def ask_sentinel(conf, name, sentinel):
    link = Redis(conf, sentinel)
    try:
        return link.one("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    finally:
        link.close()
