# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Each part of `make bench` runs to its end. It has so little to do here that
its figures mean nothing."""

import sys

import pytest

from places import SOURCE, workdir
from redisserver import RedisServer
from users import MADE

sys.path.append(str(SOURCE / "regress" / "bench"))

import bench                                              # noqa: E402
import events                                             # noqa: E402
import guesses                                            # noqa: E402
import provisioning                                       # noqa: E402
import sizes                                              # noqa: E402
import sources                                            # noqa: E402
import spf                                                # noqa: E402
import suppressed                                         # noqa: E402
from table import Table                                   # noqa: E402

ONCE = {"TURNS": 1, "WARM_UP": 1}
LITTLE = {
    bench: {"ECHO_TURNS": 1, "ECHO_SECONDS": 0.001, "BLOCK_LINES": 100,
            "SCAN_TURNS": 1, "SCAN_MESSAGES": 2,
            "LOOKUPS": 100, "LOOKUP_USERS": 10, "LOOKUP_ROUNDS": 1,
            "DOMAINS": (2, 20), "WARM_UP": 1, "DECISIONS": 5,
            "CHARGES": 160, "CHARGES_TURNS": 1, "MANY_USERS": 10,
            "OPEN_SESSIONS": 10, "CLIENTS": 2, "SHAPES": {"some": (1, 2)},
            "LOAD_TURNS": {"on disk": 1, "in memory": 1}},
    events: {"EVENTS": 20, "TURNS": 1},
    # Who guessed wrong waits for up to a second.
    guesses: {"CLIENTS": 8, "HASHES": {"yescrypt": MADE}, "TURNS": 1,
              "WARM_UP": 0.1, "SECONDS": 3},
    provisioning: {"USERS": 20, "ACCOUNTS": 10, "TURNS": 1, "LOOKUPS": 10},
    sizes: {"SIZES": (16, 32), "ROUNDS": 1, **ONCE},
    sources: {"CROWD": 2, "ROUNDS": 1, "SECONDS": 0.5, **ONCE},
    spf: {"DELAY": 0.01, "DOMAINS": 50, "TURNS": 1, "KNOWN": 10, "HONEST": 4,
          "HOSTILE": 2},
    suppressed: {"LENGTHS": (0, 10, 20), **ONCE}}


@pytest.fixture(autouse=True)
def little(monkeypatch):
    for module, numbers in LITTLE.items():
        for name, value in numbers.items():
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(sizes, "FIGURES", workdir("figures") / "sizes.svg")


def run(part):
    table = Table()
    with RedisServer(workdir("redis")) as redis:
        part(table, redis)
    assert table.rows
    table.print()


@pytest.mark.parametrize("part", bench.BENCHES_ELSE,
                         ids=lambda part: part.__name__)
def test_part(part):
    run(part)


@pytest.mark.smtpd79
@pytest.mark.parametrize("part", bench.BENCHES["forky"],
                         ids=lambda part: part.__name__)
def test_part_of_smtpd79(part):
    run(part)
