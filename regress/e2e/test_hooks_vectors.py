# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The hooks take for a domain what the relay and the functions do."""

import pytest

from cli import package
from vectors import vectors

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
