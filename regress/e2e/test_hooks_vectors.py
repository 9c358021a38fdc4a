# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The hooks take for a domain, and for a name, what the relay and the
functions do."""

import pytest

from cli import package
from vectors import vectors

events = package("smtpusers_hooks.events")
text = package("smtpusers_hooks.text")


@pytest.mark.parametrize("name", ["domains", "ulabels"])
def test_a_domain_is_taken_or_refused(name):
    """What A-labels stand for is judged by the functions."""
    for case in vectors(name):
        key = text.domain_key(case.text)
        if case.canonical is not None:
            assert text.looks_like_domain(key), case
            assert key == case.canonical, case
        elif "xn--" not in key:
            assert not text.looks_like_domain(key), case


def test_a_name_is_taken_or_refused():
    for case in vectors("names"):
        event = {"event": "account.deleted", "account": case.text}
        if case.canonical is None:
            with pytest.raises(events.BadEvent):
                events.check_event(event)
        else:
            assert events.check_event(event)["account"] == case.canonical
