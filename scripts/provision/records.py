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

"""Users and accounts, as Redis holds them."""

from .failure import EX_CANTCREAT, EX_NOUSER, Failure
from .rediscli import ReplyError, wrong_type


def user_key(redis, name, suffix=""):
    return redis.key("user:{", name, "}", suffix)


def ip_key(redis, address):
    return redis.key("ip:{", address, "}")


def no_user(name):
    return Failure(EX_NOUSER, "%s: no such user" % name)


def get_fields(redis, name):
    """The hash of a user as it stands, or no such user."""
    key = user_key(redis, name)
    try:
        flat = redis.one("HGETALL", key)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")
    if not flat:
        raise no_user(name)
    return dict(zip(flat[::2], flat[1::2]))


SET_FIELDS = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""


def set_fields(redis, name, *words):
    """Changes a user, and never makes one."""
    key = user_key(redis, name)
    try:
        done = redis.script(SET_FIELDS, [key], *words)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")
    if not done:
        raise no_user(name)


def exists(name):
    return Failure(EX_CANTCREAT, "%s: exists already" % name)


def account_key(redis, name, suffix=""):
    return redis.key("account:{", name, "}", suffix)


def no_account(name):
    return Failure(EX_NOUSER, "%s: no such account" % name)


def get_members(redis, key):
    try:
        return redis.members(key)
    except ReplyError as error:
        raise wrong_type(error, key, "set")
