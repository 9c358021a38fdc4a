# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Words on the command line that are not for the functions to judge."""

import calendar
import re
import time

from .failure import EX_DATAERR, EX_USAGE, Failure
from .text import visible

REPORT_ID = re.compile(r"(?:.*[?&]id=)?([0-9]{18})(?:[&\s].*)?", re.DOTALL)
LINES_MAX = 10000
DAYS_MAX = 100000
TOP_MAX = 1000
NUMBERS_MAX = 10 ** 9 - 1


def one_of(words):
    def check(text):
        if text in words:
            return text
        raise Failure(EX_DATAERR, "%s: not one of %s" %
                      (visible(text), ", ".join(words)))
    return check


def report_of(text):
    """The id of a report, also out of the address that leads to it."""
    match = REPORT_ID.fullmatch(text)
    if match:
        return match[1]
    raise Failure(EX_DATAERR, "%s: not a report: 18 digits" % visible(text))


def lines_of(text):
    return number_of(text, LINES_MAX, "number of entries")


def days_of(text):
    return number_of(text, DAYS_MAX, "number of days")


def hours_of(most):
    """A number of hours, as hours or days."""
    def check(text):
        match = re.fullmatch("([1-9][0-9]{0,3})([hd])", text)
        hours = int(match[1]) * {"h": 1, "d": 24}[match[2]] if match else 0
        if 0 < hours <= most:
            return hours
        raise Failure(EX_USAGE, "%s: not a number of hours or days, such as "
                      "24h or 2d, at most %dh" % (visible(text), most))
    return check


def most_of(text):
    return number_of(text, TOP_MAX, "number of names")


def line_of(text):
    return number_of(text, NUMBERS_MAX, "number of a line")


def seconds_of(text):
    return number_of(text, NUMBERS_MAX, "number of seconds")


def number_of(text, most, what):
    if re.fullmatch("[0-9]{1,9}", text) and int(text) <= most:
        return int(text)
    raise Failure(EX_USAGE, "%s: not a %s, at most %d" %
                  (visible(text), what, most))


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")


def since_of(text):
    """A time in UTC, or how long ago, as milliseconds since the epoch."""
    ago = re.fullmatch("([0-9]{1,9})([smhdw])", text)
    if ago:
        seconds = int(time.time()) - int(ago[1]) * UNITS[ago[2]]
        return max(0, seconds) * 1000
    return max(0, moment(text, "2h, 1d, ")) * 1000


def until_of(text):
    """A time in UTC that is still to come, as the functions take it."""
    seconds = moment(text)
    if seconds <= time.time():
        raise Failure(EX_USAGE, "%s: is over already" % visible(text))
    return time.strftime(TIMES[0], time.gmtime(seconds))


def moment(text, others=""):
    """Seconds since the epoch."""
    for form in TIMES:
        try:
            return calendar.timegm(time.strptime(text, form))
        except ValueError:
            continue
    raise Failure(EX_USAGE, "%s: not a time: %s2026-11-26 or "
                  "2026-11-26T05:00:00Z" % (visible(text), others))
