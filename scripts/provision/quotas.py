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

"""Quotas and rates, as the functions in Redis count them."""

import json
import os

from .configuration import data_file
from .failure import EX_CONFIG, EX_DATAERR, EX_UNAVAILABLE, Failure
from .records import get_fields, user_key
from .rediscli import BATCH, ReplyError, glob_escape


def quota_keys(redis, name):
    return [user_key(redis, name, suffix)
            for suffix in ("", ":used:quota", ":used:rate", ":used:hold:none")]


def library_text():
    """One file where it is installed, its parts where it is not."""
    path = data_file("functions")
    try:
        if not os.path.isdir(path):
            return read_text(data_file("smtpusers.lua"))
        parts = [name for name in os.listdir(path) if name.endswith(".lua")]
        return "".join(read_text(os.path.join(path, name))
                       for name in sorted(parts))
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s" % (
            error.filename, error.strerror)) from None


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def load_functions(redis):
    """The filter does so too, when it connects."""
    redis.one("FUNCTION", "LOAD", "REPLACE", library_text())


def call_function(redis, function, *args):
    try:
        return redis.one("FCALL", function, *args)
    except ReplyError as error:
        if "nknown command" in str(error):
            raise Failure(EX_UNAVAILABLE, "Redis has no functions before "
                          "7.0, and what is used is counted by them") from None
        if "unction not found" not in str(error):
            raise
    load_functions(redis)
    return redis.one("FCALL", function, *args)


def get_usage(redis, name):
    """What is used of each limit, in the order that they are judged."""
    word, *rest = call_function(redis, "smtpusers_usage", "4",
                                *quota_keys(redis, name),
                                str(redis.quota_period))
    if word != "ok":
        raise Failure(EX_DATAERR, "%s: %s: not understood, so every message "
                      "is refused" % (name, rest[0]))
    return [{"limit": which, "count": int(count), "period": period,
             "used": int(used), "reset": int(seconds)}
            for which, count, period, used, seconds
            in zip(*[iter(rest)] * 5)]


def usage_text(row):
    text = "%d of %d per %s" % (row["used"], row["count"], row["period"])
    if row["used"]:
        text += ", unused again in %d s" % row["reset"]
    return text


# The reservations go too: what they would give back is gone already.
RESET_QUOTA = """
for _, key in ipairs(KEYS) do
	redis.call('DEL', key)
end
return #KEYS
"""


def reset_usage(redis, name):
    keys = sorted(set(redis.scan(
        glob_escape(user_key(redis, name, ":used:")) + "*")))
    for start in range(0, len(keys), BATCH):
        redis.script(RESET_QUOTA, keys[start:start + BATCH])


def do_quota(args):
    redis = args.connect()
    get_fields(redis, args.name)
    if args.reset:
        reset_usage(redis, args.name)
    usage = get_usage(redis, args.name)
    if args.json:
        print(json.dumps(usage, indent=2))
        return
    for row in usage:
        print("%-5s  %s" % (row["limit"], usage_text(row)))
    if not usage:
        print("unlimited")


def usage_or_none(redis, name):
    """A user is shown also where nothing can be said about the use."""
    try:
        return get_usage(redis, name)
    except Failure:
        return None
