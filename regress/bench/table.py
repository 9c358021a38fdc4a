# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is printed of a run."""


class Table:
    """The figures, with what each should be at least or at most."""

    def __init__(self):
        self.rows = []

    def note(self, what, value):
        self.rows.append((what, value, "", ""))

    def at_least(self, what, value, bound, unit=""):
        self._judge(what, value, ">=", bound, value >= bound, unit)

    def at_most(self, what, value, bound, unit=""):
        self._judge(what, value, "<=", bound, value <= bound, unit)

    def _judge(self, what, value, sign, bound, good, unit):
        self.rows.append((what, "%.2f%s" % (value, unit),
                          "%s %g%s" % (sign, bound, unit),
                          "ok" if good else "missed"))

    def print(self):
        widths = [max(map(len, column)) for column in zip(*self.rows)]
        for what, value, bound, verdict in self.rows:
            print(("%-*s  %*s  %-*s  %s" % (
                widths[0], what, widths[1], value, widths[2], bound,
                verdict)).rstrip())
