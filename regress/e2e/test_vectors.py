# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The functions judge what stands in regress/vectors/ as the relay does."""

import pytest

from cli import package
from library import Library
from redisserver import ReplyError
from vectors import taken, vectors

# By file, what the functions call that.
KINDS = {"names": ["name", "account"], "addresses": ["address"],
         "ranges": ["range"], "domains": ["domain"], "senders": ["sender"], "counts": ["quota", "limit"],
         "sizes": ["size"], "alarms": ["alarms"], "times": ["time"],
         "periods": ["period"], "rates": ["rate"], "hashes": ["hash"]}
FIELDS = {"counts": "quota", "periods": "quota_period", "rates": "rate"}


@pytest.fixture
def library(redis):
    return Library(redis)


def canonical(library, kind, text):
    try:
        return library.canonical(kind, text)[0]
    except ReplyError as error:
        assert str(error).startswith("INVALID "), error
        return None


@pytest.mark.parametrize("name, kind", [
    (name, kind) for name, kinds in KINDS.items() for kind in kinds])
def test_a_text_is_taken_or_refused(library, name, kind):
    for case in vectors(name):
        assert canonical(library, kind, case.text) == case.canonical, case


@pytest.mark.parametrize("name, kind", [
    (name, kind) for name, kinds in KINDS.items() for kind in kinds])
def test_what_is_canonical_stays_so(library, name, kind):
    for case in taken(name):
        assert canonical(library, kind, case.canonical) == case.canonical


def test_the_command_reads_times():
    for case in vectors("times"):
        assert package("provision.listing").is_time(case.text) == (
            case.canonical is not None), case


def test_letters_are_not_converted(library):
    """Who calls a function does that."""
    for case in vectors("ulabels"):
        assert canonical(library, "domain", case.text) is None, case


def test_what_is_an_address_is_a_range(library):
    for case in taken("addresses"):
        assert canonical(library, "range", case.text) == case.canonical, case


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_read_when_mail_is_charged(library, name):
    """Whoever wrote it: what is no limit defers, every other one is in
    force. An empty field is none."""
    alice = library.user()
    for case in vectors(name):
        library.redis.cli("DEL", alice)
        library.redis.cli("HSET", alice, "quota", "7", FIELDS[name], case.text)
        if case.text.strip(" ") == "":
            continue
        try:
            said = library.redis.cli("FCALL_RO", "smtpusers_usage", 3, alice,
                                     alice + ":used:quota",
                                     alice + ":used:rate", "86400")
        except ReplyError as error:
            pytest.fail("%r: %s" % (case, error))
        assert (said[0] == "ok") == (case.canonical is not None), (case, said)
