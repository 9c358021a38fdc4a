# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What goes wrong, and how the operator is told."""

import os
import sys

EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_NOUSER = 67
EX_UNAVAILABLE = 69
EX_CANTCREAT = 73
EX_IOERR = 74
EX_NOPERM = 77
EX_CONFIG = 78


class Failure(Exception):
    """What went wrong, in words for the operator, and the exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def note(text):
    tell("smtpusers: " + text)


def tell(line):
    """What cannot be told does not change what is done."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream):
    """What is left is not to be tried again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
