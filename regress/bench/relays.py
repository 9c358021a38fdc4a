# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a relay is compared with."""

from places import build, program
from relay import Relay


class OwnTableRelay(Relay):
    """Ours, but with smtpd's own table, of the hashes in static."""

    programs = ("filter-smtpusers",)

    def smtpd_conf(self):
        pairs = ", ".join('"%s" = "%s"' % pair for pair in self.static.items())
        return replaced(super().smtpd_conf(), {
            'table users "smtpusers:%s"' % self.conf_path:
                "table users { %s }" % pairs,
            "from src <users>": "from src { 127.0.0.2, ::1 }"})


class EmptyFilterRelay(Relay):
    """Ours, but with a filter that asks for the same events and lets everything
    pass."""

    programs = ("table-smtpusers",)

    def smtpd_conf(self):
        ours = "%s -f %s" % (program("filter-smtpusers", self.kind),
                             self.conf_path)
        return replaced(super().smtpd_conf(),
                        {ours: str(build() / "bench/echo-loop")})


def replaced(text, words):
    for old, new in words.items():
        if old not in text:
            raise AssertionError("no %s in smtpd.conf" % old)
        text = text.replace(old, new)
    return text
