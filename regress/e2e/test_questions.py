# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Each question of regress/e2e/questions has its answer where it says, each
line of the log has its own, and the page for programmers names files that are
there."""

import re

import pytest

from manual import unescaped
from places import SOURCE

LIST = SOURCE / "regress" / "e2e" / "questions"
QUESTIONS = [[word.strip() for word in line.split("|")]
             for line in LIST.read_text().splitlines()
             if line and not line.startswith("#")]
LOGS = [("filter/filter-smtpusers.8", "filter/**/*.c"),
        ("filter/filter-smtpusers.8", "lib/*.c"),
        ("table/table-smtpusers.8", "table/*.c")]
HEADINGS = {".8": r"^\.S([sh]) +(.*)$", ".7": r"^\.S([sh]) +(.*)$",
            ".5": r"^\.S([sh]) +(.*)$", ".md": r"^(#+) +(.*)$"}


def section(page, wanted):
    """What stands below a heading, with the parts of it."""
    text, depth, found = page.read_text(), None, []
    for line in text.splitlines():
        match = re.match(HEADINGS[page.suffix], line)
        level = match and {"s": 2, "h": 1}.get(match[1], len(match[1]))
        if match and match[2] == wanted:
            depth = level
        elif match and depth is not None and level <= depth:
            break
        elif depth is not None:
            found.append(line)
    return re.sub(r"^\.[A-Z][a-z] ", "", "\n".join(found), flags=re.MULTILINE)


def test_there_are_thirty():
    assert len(QUESTIONS) >= 30
    assert len({question for *_, question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("page, heading, words, question", QUESTIONS,
                         ids=[row[3] for row in QUESTIONS])
def test_the_answer_is_there(page, heading, words, question):
    assert question.endswith(("?", "."))
    text = " ".join(section(SOURCE / page, heading).split())
    assert words in text, "%s, %s" % (page, heading)


def test_the_files_that_programmers_are_sent_to():
    text = (SOURCE / "HACKING.md").read_text()
    named = set(re.findall(
        r"`((?:lib|filter|table|web|scripts|regress)/[\w./-]*)`", text))
    assert len(named) > 20
    for name in named:
        assert list(SOURCE.glob(name.rstrip("/") + "*")), name


def logged(text):
    """The formats of what a source file logs about the program itself."""
    for literals in re.findall(
            r'\blog_(?:err|warnx|info|once)\(\s*'
            r'((?:"(?:[^"\\]|\\.)*"|PRI\w+|\s)+)', text):
        yield re.sub(r'"\s*(?:PRI(\w+)\s*)?"', r"\1", literals.strip())[1:-1]


def own_words(line):
    """The first words of some length that are the same each time."""
    clauses = [clause.strip(" ,") for clause in
               re.split(r"%[-.\d]*(?:PRI)?\w+|[:;]", line)]
    return next((clause for clause in clauses if len(clause) > 10),
                max(clauses, key=len))


@pytest.mark.parametrize("page, sources", LOGS,
                         ids=[sources for _, sources in LOGS])
def test_each_line_of_the_log_is_in_diagnostics(page, sources):
    items = [unescaped(item) for item in re.findall(
        r"^Li (.*)$", section(SOURCE / page, "DIAGNOSTICS"),
        re.MULTILINE)]
    lines = [line for name in SOURCE.glob(sources)
             for line in logged(name.read_text())]
    assert len(lines) > 5
    for line in lines:
        assert any(own_words(line) in item for item in items), line
