# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The relay's configuration, and the files that come with the command."""

import os
import re
import subprocess

from .failure import EX_CONFIG, Failure
from .text import decode, encode, printable, visible

# Where make install puts the programs that smtpd runs; the command sets it.
LIBEXECDIR = ""

# The reports' words and the functions are beside this package.
DATADIR = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def read_configuration(path):
    """What is in effect, as the relay's own parser reads the file."""
    code, out, err = run_filter("-p", "-f", path)
    if code != 0:
        raise Failure(EX_CONFIG, lines_of(err) or "%s: filter-smtpusers ended "
                      "with status %d" % (visible(path), code))
    return parse_configuration(out)


def lines_of(text):
    """Many lines for people, in which a path may be anything."""
    return "\n".join(map(printable, text.split("\n")))


def run_filter(*args):
    """Exit status, output and errors of the program that judges mail."""
    program = os.environ.get("SMTPUSERS_FILTER") or os.path.join(
        LIBEXECDIR, "filter-smtpusers")
    try:
        result = subprocess.run([program, *map(encode, args)],
                                stdin=subprocess.DEVNULL,
                                capture_output=True, check=False)
    except OSError as error:
        raise Failure(EX_CONFIG, "%s: %s; SMTPUSERS_FILTER may name it" %
                      (program, error.strerror)) from None
    return (result.returncode, decode(result.stdout),
            decode(result.stderr).strip())


def parse_configuration(text):
    conf = {}
    for line in filter(None, text.split("\n")):
        if line.startswith("alarm "):   # the relay's alone
            continue
        key, separator, value = line.partition(" = ")
        if not separator:
            raise Failure(EX_CONFIG, "filter-smtpusers said: " +
                          visible(line))
        conf[key] = parse_value(value)
    return conf


def parse_value(text):
    if text.startswith("{"):
        return [unquote(item) for item in
                re.findall(r'"(?:[^"\\]|\\.)*"', text)]
    if text.startswith('"'):
        return unquote(text)
    return int(text)


def unquote(text):
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def release():
    """The number of all programs."""
    for path in (data_file("VERSION"), os.path.join(
            os.path.dirname(DATADIR), "VERSION")):
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            continue
    return "(unknown version)"


def data_file(name):
    return os.path.join(DATADIR, name)
