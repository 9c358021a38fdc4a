# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Whatever any reader sees in a message, we must have seen.

Where one of them finds an address in a domain that is not the sender's, the
message must not pass; and where we have found addresses alone, no reader finds
another one. DIFFERENTIAL_FIELDS and DIFFERENTIAL_SEED in the
environment make longer and other runs.
"""

import os

import pytest

import corpus
import generate
import readers

FIELDS = int(os.environ.get("DIFFERENTIAL_FIELDS", "6000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", "1"))
BATCH = 4000


def passes(verdict):
    reason, *domains = verdict
    return reason == "pass" and all(map(corpus.is_allowed, domains))


def foreign(found):
    return [address for address in found if corpus.is_foreign(address)]


def reduce(section, holds):
    """The shortest of what is left while it holds, and a part is cut out."""
    text = section.decode()
    size = len(text) // 2
    while size > 0:
        at = 0
        while at < len(text):
            shorter = text[:at] + text[at + size:]
            if holds(shorter.encode()):
                text = shorter
            else:
                at += size
        size //= 2
    return text.encode()


def is_missed(reader, section):
    return passes(readers.ours([section])[0]) and \
        bool(foreign(readers.READERS[reader]([section])[0]))


def complaint(reader, section):
    short = reduce(section, lambda part: is_missed(reader, part))
    return "%s sees %s in\n    %s" % (
        reader, foreign(readers.READERS[reader]([short])[0]),
        corpus.escape(short))


def missed(sections):
    """The first few that pass although a reader sees a foreign address."""
    found = readers.read_all(sections)
    for reader, answers in found.items():
        bad = [section for section, addresses in zip(sections, answers)
               if foreign(addresses)]
        for section in sorted(bad, key=len)[:3]:
            yield complaint(reader, section)


def strangers(verdict, found):
    """The addresses of a reader that are not ours, where we know all."""
    if verdict[0] != "pass" or any(word[:2] == "*@" for word in verdict):
        return []
    return [address for address in found if "@" in address and
            not set(corpus.authors(address)) <= set(verdict)]


def mistaken(sections):
    """The first few of which a reader finds another author than we do."""
    verdicts = readers.ours_in_full(sections)
    for reader, answers in readers.read_all(sections).items():
        bad = [(section, verdict, strangers(verdict, addresses))
               for section, verdict, addresses
               in zip(sections, verdicts, answers)
               if strangers(verdict, addresses)]
        for section, verdict, seen in sorted(bad, key=lambda b: len(b[0]))[:3]:
            yield "%s sees %r, not %s, in\n    %s" % (
                reader, seen, verdict[1:], corpus.escape(section))


@pytest.fixture(scope="module")
def ordinary():
    return list(corpus.load("ordinary.txt"))


@pytest.fixture(scope="module")
def hostile():
    return list(corpus.load("hostile.txt"))


def sections(entries):
    return [section for _, section in entries]


def test_ordinary_passes(ordinary):
    assert len(ordinary) >= 250
    wrong = [(corpus.escape(section), verdict)
             for (domains, section), verdict
             in zip(ordinary, readers.ours(sections(ordinary)))
             if verdict != ["pass", *domains.split(",")]]
    assert not wrong


def test_hostile_is_blocked(hostile):
    assert len(hostile) >= 400
    wrong = [(corpus.escape(section), reason, verdict)
             for (reason, section), verdict
             in zip(hostile, readers.ours(sections(hostile)))
             if passes(verdict) or reason != (
                 "domain-not-assigned" if verdict[0] == "pass"
                 else verdict[0])]
    assert not wrong


def test_authors(ordinary, hostile):
    """Of ordinary mail the author is known; it is the same to everybody."""
    made = sections(ordinary)
    known = [verdict for verdict in readers.ours_in_full(made)
             if not any(word[:2] == "*@" for word in verdict)]
    assert len(known) >= .85 * len(made)
    complaints = list(mistaken(made + sections(hostile)))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("reader", readers.READERS)
def test_reader_reads(reader, ordinary, hostile):
    """A reader that saw nothing would find us right whatever we said."""
    plain = readers.READERS[reader](sections(ordinary))
    least = 0 if reader in readers.ONLY_ATTACKS else .6
    assert sum(map(bool, plain)) >= least * len(ordinary)
    assert not any(map(foreign, plain))
    attacks = readers.READERS[reader](sections(hostile))
    assert sum(bool(foreign(found)) for found in attacks) > 20


def test_generated():
    generator = generate.Generator(SEED)
    compared, complaints = 0, []
    foreign_seen = dict.fromkeys(readers.READERS, 0)
    for start in range(0, FIELDS, BATCH):
        made = [generator.section() for _ in range(BATCH)]
        passed, blocked = [], []
        for section, verdict in zip(made, readers.ours(made)):
            if verdict[0] == "pass":
                generator.tell_passed(section)
            (passed if passes(verdict) else blocked).append(section)
        complaints += missed(passed)
        complaints += mistaken(passed)
        compared += len(passed)
        if start == 0:
            for reader, answers in readers.read_all(blocked).items():
                foreign_seen[reader] = sum(map(bool, map(foreign, answers)))
    print("%d fields made, %d passed and were compared" % (FIELDS, compared))
    assert not complaints, "\n".join(complaints)
    assert compared >= FIELDS / 10
    # The fields are ones in which there is something to be seen.
    assert min(foreign_seen.values()) > 20, foreign_seen
