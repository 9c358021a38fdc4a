#!/usr/bin/env python3
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""photograph.py PAGE PICTURE: what a file of HTML looks like on a phone."""

import sys
import tempfile
from pathlib import Path

from browser import Browser


def main(page, picture):
    with tempfile.TemporaryDirectory() as directory:
        browser = Browser(directory)
        browser.open(Path(page).resolve().as_uri())
        browser.shape(width=390)
        browser.picture(Path(picture))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
