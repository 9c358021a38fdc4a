# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How one record gets into Redis, or is only looked at.

Each of these is a conversation whose result is added, changed or same, or the
Bad that says why the record was not taken.
"""

from .conversations import ALONE
from .functions import fcall
from .interchange import FIELDS, KEYS, LISTS, SETS, Bad
from .records import account_key, fold, ip_key, user_key
from .rediscli import REFUSALS, ReplyError

KINDS = {"password": "hash", "quota_period": "period", "created": "time",
         "ip_auth": "address", "domains": "domain", "ips": "range"}
# Words of one call.
JUDGED = 2000


def take(redis, record, replace):
    steps = TAKERS[record["type"], replace](redis, record)
    return guarded(steps, fold(record["name"]))


def look_at(record):
    return guarded(judge(record), fold(record["name"]))


def guarded(steps, name):
    """Whose record it is, the caller says."""
    try:
        # Behind the first word there may be a warning.
        return (yield from steps).partition(" ")[0]
    except Bad as bad:
        return bad
    except ReplyError as error:
        # What is the record's fault; every other error is Redis's.
        if error.kind not in (*REFUSALS, "WRONGTYPE"):
            raise
        return Bad(str(error).removeprefix(name + ": "))


def call(function, key, *words):
    return [fcall(function, [key], *words)]


def whole(reply):
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def only(replies):
    """The value of a conversation's only reply."""
    return whole(replies[0])[0]


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
        return only((yield add))
    judged, held = yield [judgement(["address", record["ip_auth"]]),
                          ("HGET", key, "ip_auth")]
    address = whole(judged)[0]
    if isinstance(held, ReplyError) or not held[0]:
        return (yield from add_with_address(redis, name, key, address, add))
    former = yield from canonical_or_none(held[0])
    if former != address or not (
            yield from is_claimed(redis, name, address)) or not (
            yield from is_there(key, record)):
        raise Bad("exists already")
    return "same"


def is_claimed(redis, name, address):
    """The relay folds the name too."""
    owner = (yield [("GET", ip_key(redis, address))])[0]
    return not isinstance(owner, ReplyError) and fold(owner[0] or "") == name


def add_with_address(redis, name, key, address, add):
    new = yield from claim(redis, name, address)
    try:
        result = only((yield add))
        # An address that is claimed for a record that does not say so is what
        # an import that was cut short has left.
        if result == "same" and new:
            raise Bad("exists already, without IP authentication")
        yield from set_address(key, address)
        return "added"
    except (Bad, ReplyError) as error:
        if (yield from held_address(key)) != address:
            yield from release(redis, name, address)
        raise error


def is_there(key, record):
    """Whether a user who has an address is what the record says in all else,
    for which the functions have no word."""
    kept = (yield [("HGETALL", key), ("SMEMBERS", key + ":domains"),
                   ("SMEMBERS", key + ":ips")])
    if any(isinstance(reply, ReplyError) for reply in kept):
        return False
    flat, domains, ips = kept
    fields = dict(zip(flat[::2], flat[1::2]))
    fields.pop("ip_auth", None)
    if not record.get("created"):
        fields.pop("created", None)
    return (fields == (yield from canonical_fields(record)) and
            set(domains) == (yield from canonical_set("domains", record)) and
            set(ips) == (yield from canonical_set("ips", record)))


def canonical_fields(record):
    names = [field for field in FIELDS["user"] if record.get(field)]
    words = [word for field in names
             for word in (KINDS.get(field, field), record[field])]
    texts = whole((yield [judgement(words)])[0])
    return dict(zip(names, texts))


def canonical_set(key, record):
    replies = yield judgements(members_of(key, record))
    return {member for reply in map(whole, replies) for member in reply}


def members_of(key, record):
    """The members of a list, each behind its kind."""
    return [word for member in record.get(key) or ()
            for word in (KINDS[key], member)]


def judgements(words):
    """Not too many words at a time."""
    return [judgement(words[start:start + JUDGED])
            for start in range(0, len(words), JUDGED)]


def put_user(redis, record):
    name = fold(record["name"])
    key = user_key(redis, name)
    put = call("user_put", key, *words_for(record))
    if "ip_auth" not in record:
        return only((yield put))
    if not record["ip_auth"]:
        result = only((yield put))
        return (yield from clear_address(redis, name, key)) or result
    address = yield from canonical(record["ip_auth"])
    new = yield from claim(redis, name, address)
    try:
        result = only((yield put))
    except ReplyError as error:
        if new or (yield from held_address(key)) != address:
            yield from release(redis, name, address)
        raise error
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
        yield from release(redis, name, former)
    yield from set_address(key, address)
    return True


def clear_address(redis, name, key):
    text = only((yield [("HGET", key, "ip_auth")]))
    if not text:
        return None
    former = yield from canonical_or_none(text)
    if former:
        yield from release(redis, name, former)
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


def release(redis, name, address):
    """Where there is no claim but something else, nothing is to be done."""
    reply = (yield call("ip_release", ip_key(redis, address), name))[0]
    if isinstance(reply, ReplyError) and reply.kind != "WRONGTYPE":
        raise reply


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


def canonical(text):
    return only((yield [judgement(["address", text])]))


def judgement(words):
    return fcall("canonical", [], *words)


# Looking at a record without writing anything

def judge(record):
    kind = record["type"]
    words = ["name" if kind == "user" else "account", record["name"]]
    for key in KEYS[kind]:
        if record.get(key) and key not in LISTS:
            words += KINDS.get(key, key), record[key]
    for key in SETS[kind]:
        words += members_of(key, record)
    for reply in (yield judgements(words)):
        whole(reply)
    return "same"


TAKERS = {("user", False): add_user, ("user", True): put_user,
          ("account", False): add_account, ("account", True): put_account}
