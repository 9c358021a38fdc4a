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

"""The commands about accounts."""

import json

from .domains import add_domains, remove_domains
from .failure import EX_USAGE, Failure, note
from .records import account_key, exists, get_members, no_account
from .rediscli import ReplyError, wrong_type
from .text import columns, confirm, list_rows, shorten, visible
from .values import STATUSES, one_of, plan_of


def get_account(redis, name):
    """Everything about an account, as `account show --json` prints it."""
    key = account_key(redis, name)
    try:
        flat = redis.one("HGETALL", key)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")
    if not flat:
        raise no_account(name)
    fields = dict(zip(flat[::2], flat[1::2]))
    return {"name": name, "plan": fields.pop("plan", None),
            "status": fields.pop("status", None),
            "domains": get_members(redis, key + ":domains"),
            "other": fields}


def warn_of_account(redis, account):
    if not redis.one("EXISTS", account_key(redis, account)):
        note("account %s does not exist yet" % account)


ADD_ACCOUNT = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'status', 'allowed', 'plan', ARGV[1])
for i = 2, #ARGV do
	redis.call('SADD', KEYS[2], ARGV[i])
end
return 1
"""


def account_script(redis, text, name, *arguments):
    keys = [account_key(redis, name, suffix) for suffix in ("", ":domains")]
    try:
        return redis.script(text, keys, *arguments)
    except ReplyError as error:
        raise wrong_type(error, keys[0], "hash")


def do_account_add(args):
    if not account_script(args.connect(), ADD_ACCOUNT, args.name, args.plan,
                          *args.domain):
        raise exists(args.name)


def do_account_rm(args):
    redis = args.connect()
    get_account(redis, args.name)
    confirm(args, "Remove the account %s with its domains?" % args.name)
    redis.one("DEL", account_key(redis, args.name),
              account_key(redis, args.name, ":domains"))


SET_ACCOUNT = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

SETTABLE_ACCOUNT = {"plan": plan_of, "status": one_of(STATUSES)}


def do_account_set(args):
    if args.field not in SETTABLE_ACCOUNT:
        raise Failure(EX_USAGE, "%s: none of %s" % (
            visible(args.field), ", ".join(SETTABLE_ACCOUNT)))
    value = SETTABLE_ACCOUNT[args.field](args.value)
    if not account_script(args.connect(), SET_ACCOUNT, args.name, args.field,
                          value):
        raise no_account(args.name)


def do_account_show(args):
    account = get_account(args.connect(), args.name)
    if args.json:
        print(json.dumps(account, indent=2))
        return
    rows = [("name", account["name"]),
            ("plan", visible(account["plan"] or "-")),
            ("status", visible(account["status"] or "allowed")),
            *list_rows("domains", shorten(account["domains"]) or ["-"])]
    rows += [(visible(field), visible(value))
             for field, value in sorted(account["other"].items())]
    for line in columns(rows):
        print(line)


def do_account_domain_add(args):
    redis = args.connect()
    get_account_fields(redis, args.name)
    add_domains(redis, account_key(redis, args.name), args.domain,
                no_account(args.name))


def do_account_domain_rm(args):
    redis = args.connect()
    get_account_fields(redis, args.name)
    remove_domains(redis, account_key(redis, args.name), args.domain)


def get_account_fields(redis, name):
    key = account_key(redis, name)
    try:
        if not redis.one("HGETALL", key):
            raise no_account(name)
    except ReplyError as error:
        raise wrong_type(error, key, "hash")
