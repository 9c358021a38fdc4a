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

"""The addresses a user may send from, and those that authenticate it."""

from .domains import ADD_MEMBERS
from .failure import EX_CANTCREAT, EX_DATAERR, Failure, note
from .records import get_fields, ip_key, no_user, user_key
from .rediscli import ReplyError, wrong_type
from .text import visible
from .values import RANGES_MAX, address_of, canonical_or_none, fold, range_of


# IP authentication.  Readers demand that ip:{ADDR} names the user and that
# the user's ip_auth is that address; the order of the steps is such that a
# cut between any two of them lets nobody in.

def claim(redis, name, address):
    """Makes the address this user's, or fails without saying whose it is."""
    key = ip_key(redis, address)
    try:
        # An owner that lets go between the two questions: ask again.
        for _ in range(3):
            if redis.one("SET", key, name, "NX"):
                return
            owner = redis.one("GET", key)
            if owner is not None:
                break
    except ReplyError as error:
        raise wrong_type(error, key, "string")
    if owner != name:
        raise Failure(EX_CANTCREAT, "%s: in use by another user" % address)


RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def release(redis, name, address):
    """Frees the address if it is this user's; whether it was."""
    key = ip_key(redis, address)
    try:
        return bool(redis.script(RELEASE, [key], name))
    except ReplyError as error:
        raise wrong_type(error, key, "string")


SWAP_IP_AUTH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local old = redis.call('HGET', KEYS[1], 'ip_auth')
redis.call('HSET', KEYS[1], 'ip_auth', ARGV[1])
return old or ''
"""

GET_IP_AUTH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return redis.call('HGET', KEYS[1], 'ip_auth') or ''
"""

DROP_IP_AUTH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local old = redis.call('HGET', KEYS[1], 'ip_auth')
if old and (ARGV[1] == '' or ARGV[1] == old) then
	redis.call('HDEL', KEYS[1], 'ip_auth')
	return old
end
return ''
"""


def release_former(redis, name, address):
    """As release; the user's record no longer says what is left to do."""
    try:
        return release(redis, name, address)
    except Failure as failure:
        raise Failure(failure.code, "%s\nTo finish: smtpusers ipauth clear "
                      "%s %s" % (failure, name, address)) from None


def change_ip_auth(redis, script, name, argument):
    """The address that the user had before, or None without a user."""
    key = user_key(redis, name)
    try:
        return redis.script(script, [key], argument)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")


def is_claimed(redis, name, ip_auth):
    address = canonical_or_none(address_of, ip_auth or "")
    if address is None:
        return False
    key = ip_key(redis, address)
    try:
        return redis.one("GET", key) == name
    except ReplyError as error:
        if error.kind != "WRONGTYPE":
            raise
        return False


def do_ip_add(args):
    ranges = canonical_ranges(args.range)
    redis = args.connect()
    get_fields(redis, args.name)
    key = user_key(redis, args.name, ":ips")
    try:
        result = redis.script(ADD_MEMBERS, [user_key(redis, args.name), key],
                              str(RANGES_MAX), *ranges)
    except ReplyError as error:
        raise wrong_type(error, key, "set")
    if result == "nobody":
        raise no_user(args.name)
    if result == "full":
        raise Failure(EX_DATAERR, "%s: a list has at most %d entries" %
                      (args.name, RANGES_MAX))


def canonical_ranges(texts):
    ranges = []
    for text in texts:
        canonical = range_of(text)
        if "/" in text and canonical != fold(text):
            note("%s is stored as %s" % (visible(text), canonical))
        ranges.append(canonical)
    return ranges


def do_ip_rm(args):
    redis = args.connect()
    get_fields(redis, args.name)
    key = user_key(redis, args.name, ":ips")
    try:
        held = redis.members(key)
        gone = [entry for text in args.range
                for entry in same_range(text, held)]
        left = remove_members(redis, key, gone)
    except ReplyError as error:
        raise wrong_type(error, key, "set")
    if gone and left == 0:
        note("the list of %s is empty now: any source is allowed" % args.name)


def same_range(text, held):
    """The entries that mean this range, however they are written."""
    canonical = canonical_or_none(range_of, text)
    same = [entry for entry in held if entry == text or (
        canonical and canonical_or_none(range_of, entry) == canonical)]
    if not same:
        note("%s: not on the list" % visible(text))
    return same


def remove_members(redis, key, entries):
    """How many are left."""
    if entries:
        redis.one("SREM", key, *entries)
    return redis.one("SCARD", key)


def do_ipauth_set(args):
    redis = args.connect()
    get_fields(redis, args.name)
    claim(redis, args.name, args.address)
    old = change_ip_auth(redis, SWAP_IP_AUTH, args.name, args.address)
    if old is None:
        release(redis, args.name, args.address)
        raise no_user(args.name)
    former = canonical_or_none(address_of, old)
    if former and former != args.address:
        release_former(redis, args.name, former)
        note("%s no longer authenticates as %s" % (former, args.name))


def do_ipauth_clear(args):
    redis = args.connect()
    old = drop_ip_auth(redis, args.name, args.address)
    address = args.address or canonical_or_none(address_of, old or "")
    released = address and release_former(redis, args.name, address)
    if released or old:
        return
    if old is None:
        raise no_user(args.name)
    if args.address:
        raise Failure(EX_DATAERR, "%s: not the IP authentication of %s" %
                      (args.address, args.name))
    note("%s has no IP authentication" % args.name)


def drop_ip_auth(redis, name, address):
    """As DROP_IP_AUTH; the record may write the address in another way."""
    held = change_ip_auth(redis, GET_IP_AUTH, name, "")
    if address and canonical_or_none(address_of, held or "") == address:
        address = held
    return change_ip_auth(redis, DROP_IP_AUTH, name, address or "")
