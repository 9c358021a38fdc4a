# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The addresses a user may send from, and those that authenticate it."""

from .connection import ReplyError, wrong_type
from .failure import EX_DATAERR, Failure, note
from .functions import (
    call, call_each, call_in_pieces, canonical, canonical_or_none, fcall)
from .names import NAME, fold
from .records import get_fields, ip_key, user_key
from .text import visible


def do_source_add(args):
    redis = args.connect()
    key = user_key(redis, args.name)
    words = [word for text in args.range for word in ("range", text)]
    stored = canonical(redis, *words)
    for text, right in zip(args.range, stored):
        if "/" in text and right != fold(text):
            note("%s is stored as %s" % (visible(text), right))
    call_in_pieces(redis, "user_ip_add", key, stored)


def do_source_rm(args):
    """One by one, to tell which were not there."""
    redis = args.connect()
    key = user_key(redis, args.name)
    replies = call_each(redis, [fcall("user_ip_rm", [key], text)
                                for text in args.range])
    for text, removed in zip(args.range, replies):
        if not removed:
            note("%s: not on the list" % visible(text))
    if any(replies) and not redis.one("SCARD", key + ":ips"):
        note(empty_list(args.name, redis.one("HGET", key, "restricted")))


def empty_list(name, restricted):
    if restricted == "1":
        return ("the list of %s is empty now: nobody is let in as this user; "
                "to let in any source, smtpusers set %s restricted 0" % (
                    name, name))
    return "the list of %s is empty now: any source is allowed" % name


# IP authentication.  Readers demand that ip:{ADDR} names the user and that
# the user's ip_auth is that address.  Where both keys are on one server, one
# call changes both.  In a cluster the steps come in such an order that a cut
# between any two of them lets nobody in.

def do_ipauth_set(args):
    redis = args.connect()
    former = set_address(redis, args.name, args.address)
    address = canonical(redis, "address", args.address)[0]
    held = former and canonical_or_none(redis, "address", former)
    if held not in (None, "", address):
        note("%s no longer authenticates as %s" % (held, args.name))


def set_address(redis, name, address):
    """What was there before."""
    key = user_key(redis, name)
    try:
        return call(redis, "user_ipauth", key, address)
    except ReplyError as error:
        # Of the record the functions say it themselves.
        if error.kind == "WRONGTYPE" and "Operation" in str(error):
            right = canonical(redis, "address", address)[0]
            raise wrong_type(error, ip_key(redis, right), "string") from None
        if error.kind != "CROSSSLOT":
            raise
    return set_in_cluster(redis, name, key, address)


def set_in_cluster(redis, name, key, text):
    """Another command for this user may have put another address there
    meanwhile: what the record says in the end is what stays claimed."""
    address = canonical(redis, "address", text)[0]
    call(redis, "ip_claim", ip_key(redis, address), name)
    try:
        former = call(redis, "user_ipauth_only", key, address)
    except ReplyError as error:
        if error.kind == "NOUSER":
            release(redis, name, address)
        raise
    held = former and canonical_or_none(redis, "address", former)
    if held and held != address:
        release(redis, name, held)
    call(redis, "ip_claim", ip_key(redis, address), name)
    if held_address(redis, name) != address:
        release(redis, name, address)
    return former


def write_record(redis, function, name, key, words):
    """A call that writes a user, perhaps with an address; what became of
    it."""
    try:
        return call(redis, function, key, *words)
    except ReplyError as error:
        if error.kind != "CROSSSLOT":
            raise
    return write_in_cluster(redis, function, name, key, words)


def write_in_cluster(redis, function, name, key, words):
    """The address is claimed first, so that nothing is written where it is
    somebody else's."""
    fields = dict(zip(words[::2], words[1::2]))
    text = fields.pop("ip_auth")
    address = text and canonical(redis, "address", text)[0]
    fresh = address and call(redis, "ip_claim", ip_key(redis, address), name)
    result = "same"
    # Of a user who is there, all else has been found to be the same.
    if function != "user_add" or not redis.one("EXISTS", key):
        try:
            result = call(redis, function, key,
                          *(word for pair in fields.items() for word in pair))
        except ReplyError:
            if fresh:
                release(redis, name, address)
            raise
    return moved(result, address, set_in_cluster(redis, name, key, address)
                 if address else leave_address(redis, name))


def moved(result, address, former):
    return "changed" if result == "same" and former != address else result


def leave_address(redis, name):
    """What was there before."""
    former = get_fields(redis, name).get("ip_auth") or ""
    if former:
        clear_address(redis, name, former)
    return former


def clear_address(redis, name, former):
    """Whether the record had it, until now."""
    key = user_key(redis, name)
    try:
        return call(redis, "user_ipauth", key, "", former) == former
    except ReplyError as error:
        if error.kind != "CROSSSLOT":
            raise
    address = canonical_or_none(redis, "address", former)
    if address:
        release(redis, name, address)
    return call(redis, "user_ipauth_only", key, "", former) == former


def held_address(redis, name):
    """The address of the user's record, if it is one."""
    text = get_fields(redis, name).get("ip_auth")
    return canonical_or_none(redis, "address", text) if text else None


def release(redis, name, address):
    """Frees the address if it is this user's; whether it was."""
    return call(redis, "ip_release", ip_key(redis, address), name)


def do_ipauth_clear(args):
    redis = args.connect()
    if args.address is None:
        text = get_fields(redis, args.name).get("ip_auth")
        if text:
            clear_address(redis, args.name, text)
        else:
            note("%s has no IP authentication" % args.name)
        return
    address = canonical(redis, "address", args.address)[0]
    released = release(redis, args.name, address)
    try:
        held = held_address(redis, args.name)
    except Failure:
        if released:
            return
        raise
    if held == address:
        clear_address(redis, args.name, address)
    elif not released:
        raise Failure(EX_DATAERR, "%s: not the IP authentication of %s" %
                      (address, args.name))


def claim_of(redis, ip_auth):
    """Whose the address is, "" for nobody, None where it is none.  The relay
    folds what the address names."""
    address = ip_auth and canonical_or_none(redis, "address", ip_auth)
    if not address:
        return None
    try:
        owner = fold(redis.one("GET", ip_key(redis, address)) or "")
    except ReplyError as error:
        if error.kind != "WRONGTYPE":
            raise
        return ""
    return owner if NAME.fullmatch(owner) else ""
