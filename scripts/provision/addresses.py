# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The addresses a user may send from, and those that authenticate it."""

from .failure import EX_DATAERR, EX_NOUSER, Failure, note
from .functions import (
    call, call_each, canonical, canonical_or_none, fcall)
from .records import fold, get_fields, ip_key, user_key
from .connection import ReplyError
from .text import visible


def do_ip_add(args):
    redis = args.connect()
    key = user_key(redis, args.name)
    tell_how_stored(redis, [text for text in args.range if "/" in text])
    call(redis, "user_ip_add", key, *args.range)


def tell_how_stored(redis, texts):
    words = [word for text in texts for word in ("range", text)]
    for text, stored in zip(texts, canonical(redis, *words)):
        if stored != fold(text):
            note("%s is stored as %s" % (visible(text), stored))


def do_ip_rm(args):
    """One by one, to tell which were not there."""
    redis = args.connect()
    key = user_key(redis, args.name)
    replies = call_each(redis, [fcall("user_ip_rm", [key], text)
                                for text in args.range])
    for text, removed in zip(args.range, replies):
        if not removed:
            note("%s: not on the list" % visible(text))
    if any(replies) and (
            not redis.one("SCARD", key + ":ips")):
        note("the list of %s is empty now: any source is allowed" % args.name)


# IP authentication.  Readers demand that ip:{ADDR} names the user and that
# the user's ip_auth is that address; the order of the steps is such that a
# cut between any two of them lets nobody in.

def do_ipauth_set(args):
    redis = args.connect()
    address = canonical(redis, "address", args.address)[0]
    held = held_address(redis, args.name)
    call(redis, "ip_claim", ip_key(redis, address), args.name)
    if held and held != address:
        release(redis, args.name, held)
    former = store_address(redis, args.name, address)
    # Another command has put it there meanwhile.
    if former not in (None, held, address):
        release(redis, args.name, former)
    for gone in sorted({held, former} - {None, address}):
        note("%s no longer authenticates as %s" % (gone, args.name))
    keep_claim(redis, args.name, address)


def keep_claim(redis, name, address):
    """Another command for this user may have freed the address before the
    record said that it is the user's.  One that has put another address there
    since then counts, and the claim is not left behind."""
    try:
        if not call(redis, "ip_claim", ip_key(redis, address), name):
            return
    except ReplyError as error:
        if error.kind == "INUSE":
            call(redis, "user_ipauth", user_key(redis, name), "", address)
        raise
    if record_address(redis, name) != address:
        release(redis, name, address)


def record_address(redis, name):
    """None also where the user has gone."""
    try:
        return held_address(redis, name)
    except Failure as failure:
        if failure.code != EX_NOUSER:
            raise
        return None


def held_address(redis, name):
    """The address of the user's record, if it is one."""
    text = get_fields(redis, name).get("ip_auth")
    return canonical_or_none(redis, "address", text) if text else None


def store_address(redis, name, address):
    """The valid address that was there before."""
    try:
        former = call(redis, "user_ipauth", user_key(redis, name), address)
    except ReplyError as error:
        if error.kind == "NOUSER":
            release(redis, name, address)
        raise
    return canonical_or_none(redis, "address", former) if former else None


def release(redis, name, address):
    """Frees the address if it is this user's; whether it was."""
    return call(redis, "ip_release", ip_key(redis, address), name)


def do_ipauth_clear(args):
    redis = args.connect()
    if args.address is None:
        if not clear_ip_auth(redis, args.name):
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
        call(redis, "user_ipauth", user_key(redis, args.name), "", address)
    elif not released:
        raise Failure(EX_DATAERR, "%s: not the IP authentication of %s" %
                      (address, args.name))


def clear_ip_auth(redis, name):
    """Whether there was any, valid or not."""
    text = get_fields(redis, name).get("ip_auth")
    if not text:
        return False
    address = canonical_or_none(redis, "address", text)
    if address:
        release(redis, name, address)
    call(redis, "user_ipauth", user_key(redis, name), "", text)
    return True


def is_claimed(redis, name, ip_auth):
    """Whether it is an address and this user's; None where it is none.  The
    relay folds what the address names."""
    address = ip_auth and canonical_or_none(redis, "address", ip_auth)
    if not address:
        return None
    try:
        owner = redis.one("GET", ip_key(redis, address))
    except ReplyError as error:
        if error.kind != "WRONGTYPE":
            raise
        return False
    return fold(owner or "") == name
