# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users and accounts, as Redis holds them."""

from .failure import EX_NOUSER, Failure
from .connection import ReplyError, wrong_type

# From the best to the worst.
STATUSES = ("allowed", "sandboxed", "blocked")
# What no value means.
ABSENT = {"status": "allowed", "mode": "default"}


def user_key(redis, name, suffix=""):
    return redis.key("user:{", name, "}", suffix)


def account_key(redis, name, suffix=""):
    return redis.key("account:{", name, "}", suffix)


def ip_key(redis, address):
    return redis.key("ip:{", address, "}")


def no_user(name):
    return Failure(EX_NOUSER, "%s: no such user" % name)


def no_account(name):
    return Failure(EX_NOUSER, "%s: no such account" % name)


def get_fields(redis, name):
    """The hash of a user as it stands, or no such user."""
    fields = get_hash(redis, user_key(redis, name))
    if not fields:
        raise no_user(name)
    return fields


def get_hash(redis, key):
    try:
        flat = redis.one("HGETALL", key)
    except ReplyError as error:
        raise wrong_type(error, key, "hash") from None
    return dict(zip(flat[::2], flat[1::2]))
