# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Another name for a user of a cluster, which puts all keys into another slot.

The user is not there under either name while the keys move, so that nothing is
counted twice or not at all. The record waits beside the place that it is for;
whoever asks for the same again goes on where it was cut off.
"""

from .addresses import release
from .connection import ReplyError
from .failure import EX_CANTCREAT, EX_UNAVAILABLE, Failure, note
from .functions import call, canonical_or_none
from .records import ip_key, no_user, user_key

WAITING = ":renamed"
TRIES = 5
ALL = str(1 << 30)      # keys of a slot


def rename_in_cluster(redis, old, new):
    with redis.standing_still():
        rename(redis, old, new)


def rename(redis, old, new):
    source, target = user_key(redis, old), user_key(redis, new)
    if redis.one("EXISTS", target):
        raise Failure(EX_CANTCREAT, "%s: exists already" % new)
    if redis.one("EXISTS", source):
        for key in keys_behind(redis, target):
            redis.one("UNLINK", key)
        take_record(redis, source, target + WAITING)
    elif not redis.one("EXISTS", target + WAITING):
        raise no_user(old)
    for key in keys_behind(redis, source):
        copy(redis, key, target + key[len(source):])
        redis.one("UNLINK", key)
    hand_over(redis, target + WAITING, old, new)
    redis.one("RENAME", target + WAITING, target)


def keys_behind(redis, key):
    """The keys of a user, but for the record itself."""
    found = redis.owner(("GET", key)).one(
        "CLUSTER", "GETKEYSINSLOT", str(redis.slot(key)), ALL)
    return [other for other in found if other.startswith(key + ":")]


def take_record(redis, source, target):
    """Nobody's change in between is lost."""
    link = redis.owner(("GET", source))
    for _ in range(TRIES):
        link.one("WATCH", source)
        copy(redis, source, target)
        if link.each([("MULTI",), ("UNLINK", source), ("EXEC",)])[2]:
            return
    raise Failure(EX_UNAVAILABLE, "%s: another program keeps changing it; "
                  "try again" %
                  source)


def copy(redis, source, target):
    data, ttl = redis.each([("DUMP", source), ("PTTL", source)])
    if data is not None:
        redis.one("RESTORE", target, str(max(int(ttl), 0)), data, "REPLACE")


def hand_over(redis, record, old, new):
    """The address that authenticates as the user."""
    text = redis.one("HGET", record, "ip_auth")
    address = text and canonical_or_none(redis, "address", text)
    if not address:
        return
    release(redis, old, address)
    try:
        call(redis, "ip_claim", ip_key(redis, address), new)
    except ReplyError as error:
        if error.kind not in ("INUSE", "WRONGTYPE"):
            raise
        note("%s: %s" % (new, error))
