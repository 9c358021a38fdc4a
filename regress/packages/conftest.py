# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The Debian packages as make deb has left them, installed for the tests behind
the first that asks for it: all that is written vanishes with the run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import pytest

from debs import FILES, Debs, put, purge, tree
from places import isolated


@pytest.fixture(scope="session", autouse=True)
def alone():
    if not isolated():
        pytest.exit("run these by `make check`: they want a system of their "
                    "own", 2)


@pytest.fixture(scope="session")
def debs():
    return Debs(FILES)


@pytest.fixture(scope="session")
def bare():
    """What there was before."""
    return tree()


@pytest.fixture(scope="session")
def installed(bare, debs):
    put(*debs.paths())
    return debs


@pytest.fixture
def purged(bare, installed):
    """What is left behind the packages."""
    purge(*installed)
    return tree() - bare
