# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Names of users and accounts, as smtpusers-schema(7) has them."""

import re

from .failure import EX_DATAERR, Failure
from .text import visible

NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")


def fold(text):
    """Lower case for ASCII alone: no other letter folds into a name."""
    return text.lower() if text.isascii() else text


def name_of(text):
    """The name as it stands in a key."""
    name = fold(text)
    if NAME.fullmatch(name):
        return name
    raise Failure(EX_DATAERR, "%s: not a user name: 1 to 64 of a-z 0-9 . _ + "
                  "-, the first a letter or digit" % visible(text))
