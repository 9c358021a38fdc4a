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

"""The domains that are assigned to a user."""

from .failure import EX_DATAERR, Failure, note
from .records import get_fields, no_user, user_key
from .rediscli import ReplyError, wrong_type
from .text import visible
from .values import canonical_or_none, domain_of


def do_domain_add(args):
    redis = args.connect()
    get_fields(redis, args.name)
    add_domains(redis, user_key(redis, args.name), args.domain,
                no_user(args.name))


def do_domain_rm(args):
    redis = args.connect()
    get_fields(redis, args.name)
    remove_domains(redis, user_key(redis, args.name), args.domain)


def add_domains(redis, key, domains, nobody):
    try:
        result = redis.script(ADD_MEMBERS, [key, key + ":domains"],
                              str(DOMAINS_MAX), *domains)
    except ReplyError as error:
        raise wrong_type(error, key + ":domains", "set")
    if result == "nobody":
        raise nobody
    if result == "full":
        raise Failure(EX_DATAERR, "there may be %d domains at most" %
                      DOMAINS_MAX)


def remove_domains(redis, key, texts):
    """Also what is no domain, by its exact text."""
    key += ":domains"
    try:
        for text in texts:
            same = {text, canonical_or_none(domain_of, text) or text}
            if not redis.one("SREM", key, *same):
                note("%s: not among the domains" % visible(text))
    except ReplyError as error:
        raise wrong_type(error, key, "set")


DOMAINS_MAX = 10 ** 9

ADD_MEMBERS = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 'nobody' end
if redis.call('SCARD', KEYS[2]) + #ARGV - 1 > tonumber(ARGV[1]) then
	return 'full'
end
for i = 2, #ARGV do
	redis.call('SADD', KEYS[2], ARGV[i])
end
return 'added'
"""
