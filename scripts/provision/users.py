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

"""The commands about users."""

import json
import time

from .accounts import warn_of_account
from .addresses import is_claimed, release
from .failure import EX_USAGE, Failure, note
from .passwords import (
    hash_password, password_scheme, read_password, tell_generated)
from .quotas import usage_or_none, usage_text
from .records import exists, get_fields, no_user, set_fields, user_key
from .rediscli import BATCH, ReplyError, glob_escape, wrong_type
from .text import columns, confirm, list_rows, shorten, visible
from .values import (
    DEFAULTS, FIELDS, MODES, NAME, STATUSES, address_of,
    canonical_or_none, description_of, hash_of, name_of, one_of,
    period_of, period_text, quota_of, range_of, rate_of)

# A lost reply makes redis-cli ask again, and a user that is there already is
# then our own: the same in every field, down to the salt.  What a user of the
# same name left behind must not become the new one's.
ADD_USER = """
local user, domains, ips, log = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local last = 1 + tonumber(ARGV[1])
if redis.call('EXISTS', user) == 1 then
	for i = 2, last, 2 do
		if redis.call('HGET', user, ARGV[i]) ~= ARGV[i + 1] then
			return 0
		end
	end
	return 1
end
redis.call('DEL', domains, ips, log)
for i = last + 1, #ARGV do
	redis.call('SADD', domains, ARGV[i])
end
redis.call('HSET', user, unpack(ARGV, 2, last))
return 1
"""


def add_user(redis, name, fields, domains):
    keys = [user_key(redis, name, suffix)
            for suffix in ("", ":domains", ":ips", ":log")]
    words = [word for pair in fields.items() for word in pair]
    try:
        done = redis.script(ADD_USER, keys, str(len(words)), *words, *domains)
    except ReplyError as error:
        raise wrong_type(error, keys[0], "hash")
    if not done:
        raise exists(name)


CHECKS = {"password": hash_of, "account": name_of, "mode": one_of(MODES),
          "status": one_of(STATUSES), "quota": quota_of,
          "quota_period": period_of, "rate": rate_of, "ip_auth": address_of}


def problems(fields, claimed, ips):
    for field, check in CHECKS.items():
        if fields.get(field):
            try:
                check(fields[field])
            except Failure as failure:
                yield "%s: %s" % (field, failure)
    if canonical_or_none(address_of, fields.get("ip_auth", "")) and (
            not claimed):
        yield "ip_auth: not claimed for this user"
    bad = [ip for ip in ips if canonical_or_none(range_of, ip) is None]
    for ip in bad:
        yield "ips: %s: neither address nor range" % visible(ip)
    if bad and len(bad) == len(ips):
        yield "ips: no entry is valid, so every source is refused"


def get_user(redis, name):
    """Everything about a user, as `show --json` prints it."""
    fields = get_fields(redis, name)
    sets = {}
    for suffix in ("domains", "ips"):
        key = user_key(redis, name, ":" + suffix)
        try:
            sets[suffix] = redis.members(key)
        except ReplyError as error:
            raise wrong_type(error, key, "set")
    claimed = is_claimed(redis, name, fields.get("ip_auth"))
    stored = fields.get("password")
    user = {"name": name, **{field: fields.get(field) for field in FIELDS}}
    user["password"] = stored and (password_scheme(stored) or "unknown")
    user["ip_auth_claimed"] = claimed
    user["ips"] = sets["ips"]
    user["domains"] = sets["domains"]
    user["other"] = {field: value for field, value in fields.items()
                     if field not in FIELDS}
    user["problems"] = list(problems(fields, claimed, sets["ips"]))
    return user


def do_add(args):
    fields = {"status": args.status, "mode": args.mode}
    for field in ("account", "quota", "quota_period", "rate", "description"):
        value = getattr(args, field)
        if value is not None:
            fields[field] = value
    redis = args.connect()
    if redis.one("EXISTS", user_key(redis, args.name)):
        raise exists(args.name)
    password = None if args.no_password else read_password(args)
    if password is not None:
        fields["password"] = hash_password(password, args.scheme)
    fields["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    add_user(redis, args.name, fields, args.domain)
    tell_generated(args, password)
    if args.account:
        warn_of_account(redis, args.account)


def do_passwd(args):
    redis = args.connect()
    get_fields(redis, args.name)
    password = read_password(args)
    set_fields(redis, args.name,
               "password", hash_password(password, args.scheme))
    tell_generated(args, password)


def do_show(args):
    redis = args.connect()
    user = get_user(redis, args.name)
    user["usage"] = usage_or_none(redis, args.name)
    if args.json:
        print(json.dumps(user, indent=2))
        return
    for line in columns(list(user_rows(user, redis.quota_period))):
        print(line)


def user_rows(user, quota_period):
    yield "name", user["name"]
    for field in ("status", "mode", "account", "password"):
        yield field, visible(user[field] or DEFAULTS.get(field, "-"))
    yield "quota", visible(quota_text(user, quota_period))
    yield "rate", visible(user["rate"] or "-")
    yield from list_rows("used", map(usage_text, user["usage"] or []))
    yield "ip auth", visible(ip_auth_text(user))
    yield from list_rows("sources", user["ips"] or ["any"])
    yield from list_rows("domains", shorten(user["domains"]) or ["-"])
    yield "description", visible(user["description"] or "-")
    yield "created", visible(user["created"] or "-")
    for field, value in sorted(user["other"].items()):
        yield visible(field), visible(value)
    yield from list_rows("problems", user["problems"])


def quota_text(user, quota_period):
    if user["quota"] in (None, "0"):
        return "unlimited"
    return "%s per %s" % (user["quota"],
                          user["quota_period"] or period_text(quota_period))


def ip_auth_text(user):
    if user["ip_auth"] is None:
        return "-"
    return user["ip_auth"] + ("" if user["ip_auth_claimed"] else " (void)")


def do_list(args):
    redis = args.connect()
    users = list(list_users(redis, user_names(redis)))
    if args.json:
        print(json.dumps(users, indent=2))
        return
    rows = [("NAME", "STATUS", "MODE", "ACCOUNT", "IP AUTH", "SOURCES")]
    rows += map(list_row, users)
    for line in columns(rows):
        print(line)


def list_row(user):
    if user["error"]:
        return user["name"], "(%s)" % visible(user["error"]), "", "", "", ""
    count = user["ip_count"]
    return (user["name"],
            *(visible(user[field] or DEFAULTS.get(field, "-"))
              for field in LISTED),
            "any" if count == 0 else "-" if count is None else str(count))


def user_names(redis):
    """The names of all users, in order."""
    before, after = redis.key("user:{"), "}"
    names = set()
    for key in set(redis.scan(glob_escape(before) + "*" + after)):
        name = key[len(before):-len(after)]
        if NAME.fullmatch(name):
            names.add(name)
        else:
            note("%s: no user name, so nobody's" % visible(key))
    return sorted(names)


LISTED = ("status", "mode", "account", "ip_auth")


def list_users(redis, names):
    for start in range(0, len(names), BATCH):
        batch = names[start:start + BATCH]
        commands = [("HMGET", user_key(redis, name), *LISTED)
                    for name in batch]
        commands += [("SCARD", user_key(redis, name, ":ips"))
                     for name in batch]
        replies = redis.many(commands)
        yield from map(listed_user, batch, replies, replies[len(batch):])


def listed_user(name, values, count):
    errors = [reply for reply in (values, count)
              if isinstance(reply, ReplyError)]
    for error in errors:
        if error.kind != "WRONGTYPE":
            raise error
    if isinstance(values, ReplyError):
        values = [None] * len(LISTED)
    return {"name": name, **dict(zip(LISTED, values)),
            "ip_count": None if isinstance(count, ReplyError) else count,
            "error": "wrong type of key" if errors else None}


def do_rm(args):
    redis = args.connect()
    get_fields(redis, args.name)
    confirm(args, "Remove %s, with its domains, addresses, counters and log?" %
            args.name)
    # Blocked first: a removal that is cut short lets nobody in, and can be
    # asked for again.
    set_fields(redis, args.name, "status", "blocked")
    while not remove_user(redis, args.name):
        pass


REMOVE_USER = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if (redis.call('HGET', KEYS[1], 'ip_auth') or '') ~= ARGV[1] then return 0 end
for _, key in ipairs(KEYS) do
	redis.call('DEL', key)
end
return 1
"""


def remove_user(redis, name):
    """Whether it is gone; not if it got another IP authentication since."""
    ip_auth = redis.one("HGET", user_key(redis, name), "ip_auth") or ""
    address = canonical_or_none(address_of, ip_auth)
    if address:
        release(redis, name, address)
    keys = [user_key(redis, name, suffix)
            for suffix in ("", ":domains", ":ips", ":log")]
    found = redis.scan(glob_escape(user_key(redis, name, ":")) + "*")
    keys += sorted(set(found).difference(keys))
    return redis.script(REMOVE_USER, keys, ip_auth)


def do_block(args):
    set_fields(args.connect(), args.name, "status", "blocked")


def do_allow(args):
    set_fields(args.connect(), args.name, "status", "allowed")


# What set changes, and how a value is checked; no value takes it away.
SETTABLE = {"mode": one_of(MODES), "status": one_of(STATUSES),
            "account": lambda s: name_of(s, "account name"),
            "quota": quota_of, "quota_period": period_of, "rate": rate_of,
            "description": description_of}
NEEDED = ("mode", "status")

DROP_FIELD = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""


def do_set(args):
    field = args.field.replace("-", "_")
    if field not in SETTABLE:
        raise Failure(EX_USAGE, "%s: none of %s" % (
            visible(args.field), ", ".join(SETTABLE)))
    if args.value is None and field in NEEDED:
        raise Failure(EX_USAGE, "%s needs a value" % field)
    if args.value is None:
        drop_field(args.connect(), args.name, field)
        return
    value = SETTABLE[field](args.value)
    redis = args.connect()
    set_fields(redis, args.name, field, value)
    if field == "account":
        warn_of_account(redis, value)


def drop_field(redis, name, field):
    key = user_key(redis, name)
    try:
        done = redis.script(DROP_FIELD, [key], field)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")
    if not done:
        raise no_user(name)
