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

"""Redis, by way of redis-cli."""

"""How one record gets into Redis, or is only looked at.

Each of these is a conversation whose result is added, changed or same, or the
Bad that says why the record was not taken.
"""

from .conversations import ALONE
from .interchange import FIELDS, KEYS, LISTS, SETS, Bad
from .records import account_key, ip_key, user_key
from .rediscli import ReplyError
from .values import fold

# What is the record's fault; every other error is Redis's.
REFUSALS = ("INVALID", "EXISTS", "NOUSER", "NOACCOUNT", "INUSE", "HELD",
            "WRONGTYPE")
KINDS = {"password": "hash", "quota_period": "period", "ip_auth": "address",
         "domains": "domain", "ips": "range"}
# The domains of a user are judged so many at a time.
JUDGED = 1000


def take(redis, record, replace):
    steps = TAKERS[record["type"], replace](redis, record)
    return guarded(steps)


def look_at(record):
    return guarded(judge(record))


def guarded(steps):
    try:
        return (yield from steps)
    except Bad as bad:
        return bad
    except ReplyError as error:
        if error.kind not in REFUSALS:
            raise
        return Bad(reason(error))


def reason(error):
    """What the functions say, without the words for programs."""
    return str(error).removeprefix("Redis: ").removeprefix(error.kind + " ")


def call(function, key, *words):
    return [("FCALL", "smtpusers_" + function, "1", key, *words)]


def only(replies):
    """The value of a conversation's only reply."""
    reply = replies[0]
    if isinstance(reply, ReplyError):
        raise reply
    return reply[0]


def words_for(record):
    """The fields as the functions take them: nothing is empty text."""
    words = []
    for key in FIELDS[record["type"]] + SETS[record["type"]]:
        if key in record:
            value = record[key] or ""
            words += key, " ".join(value) if key in LISTS else value
    return words


def add_account(redis, record):
    key = account_key(redis, fold(record["name"]))
    return only((yield call("account_add", key, *words_for(record))))


def put_account(redis, record):
    key = account_key(redis, fold(record["name"]))
    return only((yield call("account_put", key, *words_for(record))))


def add_user(redis, record):
    name = fold(record["name"])
    key = user_key(redis, name)
    add = call("user_add", key, *words_for(record))
    if not record.get("ip_auth"):
        return (yield from added_without_address(key, add))
    address = yield from canonical("ip_auth", record["ip_auth"])
    new = yield from claim(redis, name, address)
    try:
        result = only((yield add))
        if result == "same":
            return (yield from finish_adding(key, address, new))
        yield from set_address(key, address)
        return result
    except (Bad, ReplyError):
        yield from let_go(redis, name, key, address)
        raise


def added_without_address(key, add):
    result = only((yield add))
    if result == "same" and only((yield [("HGET", key, "ip_auth")])):
        raise Bad("exists already, with an IP authentication")
    return result


def finish_adding(key, address, new):
    """An address that is claimed for a record that does not say so is what an
    import that was cut short has left: it goes on from there."""
    held = yield from held_address(key)
    if held == address and not new:
        return "same"
    if held or new:
        raise Bad("exists already, with another IP authentication")
    yield from set_address(key, address)
    return "added"


def put_user(redis, record):
    name = fold(record["name"])
    key = user_key(redis, name)
    put = call("user_put", key, *words_for(record))
    if "ip_auth" not in record:
        return only((yield put))
    if not record["ip_auth"]:
        result = only((yield put))
        return (yield from clear_address(redis, name, key)) or result
    address = yield from canonical("ip_auth", record["ip_auth"])
    new = yield from claim(redis, name, address)
    try:
        result = only((yield put))
    except ReplyError:
        yield from let_go(redis, name, key, address)
        raise
    changed = yield from change_address(redis, name, key, address)
    if result == "same" and (changed or new):
        return "changed"
    return result


def change_address(redis, name, key, address):
    """Whether the record had another."""
    text = only((yield [("HGET", key, "ip_auth")]))
    if text == address:
        return False
    former = yield from canonical_or_none(text)
    if former and former != address:
        yield call("ip_release", ip_key(redis, former), name)
    yield from set_address(key, address)
    return True


def clear_address(redis, name, key):
    text = only((yield [("HGET", key, "ip_auth")]))
    if not text:
        return None
    former = yield from canonical_or_none(text)
    if former:
        only((yield call("ip_release", ip_key(redis, former), name)))
    only((yield call("user_ipauth", key, "")))
    return "changed"


def set_address(key, address):
    return only((yield call("user_ipauth", key, address)))


def claim(redis, name, address):
    """Whether the address is this user's only now. One that another has may
    be let go by a record before this one."""
    attempt = call("ip_claim", ip_key(redis, address), name)
    try:
        return bool(only((yield attempt)))
    except ReplyError as error:
        if error.kind != "INUSE":
            raise
    yield ALONE
    return bool(only((yield attempt)))


def let_go(redis, name, key, address):
    """Of an address that was claimed for what then was not written."""
    if (yield from held_address(key)) != address:
        yield call("ip_release", ip_key(redis, address), name)


def held_address(key):
    """The address in a record, if it is one."""
    reply = (yield [("HGET", key, "ip_auth")])[0]
    if isinstance(reply, ReplyError):
        return None
    return (yield from canonical_or_none(reply[0]))


def canonical_or_none(text):
    if not text:
        return None
    reply = (yield [judgement(["address", text])])[0]
    return None if isinstance(reply, ReplyError) else reply[0]


def canonical(key, text):
    reply = (yield [judgement([KINDS[key], text])])[0]
    if isinstance(reply, ReplyError):
        raise field_error(key, reply)
    return reply[0]


def judgement(words):
    return ("FCALL", "smtpusers_canonical", "0", *words)


def field_error(key, error):
    if error.kind != "INVALID":
        return error
    return Bad("%s: %s" % (key, reason(error)))


# Looking at a record without writing anything

def judge(record):
    """Each field by itself, so that the error can name it."""
    kind = "name" if record["type"] == "user" else "account"
    only((yield [judgement([kind, record["name"]])]))
    keys = [key for key in KEYS[record["type"]]
            if record.get(key) and key not in (*LISTS, "created")]
    replies = yield [judgement([KINDS.get(key, key), record[key]])
                     for key in keys]
    for key, reply in zip(keys, replies):
        if isinstance(reply, ReplyError):
            raise field_error(key, reply)
    for key in SETS[record["type"]]:
        yield from judge_list(key, record.get(key) or [])
    return "same"


def judge_list(key, members):
    for start in range(0, len(members), JUDGED):
        words = []
        for member in members[start:start + JUDGED]:
            words += KINDS[key], member
        reply = (yield [judgement(words)])[0]
        if isinstance(reply, ReplyError):
            raise field_error(key, reply)


TAKERS = {("user", False): add_user, ("user", True): put_user,
          ("account", False): add_account, ("account", True): put_account}
