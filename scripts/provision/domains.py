# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The domains, and addresses, that are assigned to users and accounts."""

from .alabels import alabels, texts_of
from .failure import note
from .functions import (
    call_each, call_in_pieces, canonical, fcall, schema_of)
from .records import account_key, user_key
from .text import visible


def do_domain_add(args):
    redis = args.connect()
    add_domains(redis, "user", user_key(redis, args.name), args.domain)


def do_account_domain_add(args):
    redis = args.connect()
    add_domains(redis, "account", account_key(redis, args.name), args.domain)


def add_domains(redis, kind, key, domains):
    """If one of them is none, none is added."""
    how = schema_of(redis).row(kind, "domains")["kind"]
    words = [word for domain in domains for word in (how, alabels(domain))]
    call_in_pieces(redis, kind + "_domain_add", key, canonical(redis, *words))


def do_domain_rm(args):
    redis = args.connect()
    remove_domains(redis, "user_domain_rm", user_key(redis, args.name),
                   args.domain)


def do_account_domain_rm(args):
    redis = args.connect()
    remove_domains(redis, "account_domain_rm", account_key(redis, args.name),
                   args.domain)


def remove_domains(redis, function, key, domains):
    """One by one, to tell which were not there; also what is no domain, by
    its exact text."""
    replies = call_each(redis, [fcall(function, [key], *texts_of(domain))
                                for domain in domains])
    for domain, removed in zip(domains, replies):
        if not removed:
            note("%s: not among the domains" % visible(domain))
