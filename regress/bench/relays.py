# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a relay is compared with."""

from places import build
from relay import Relay


class BareFilterRelay(Relay):
    """smtpd with a static table and a filter that does nothing at all."""

    arguments = ""

    def smtpd_conf(self):
        text = super().smtpd_conf().replace(" <users>\n",
                                            " <users> filter bare\n")
        return 'filter bare proc-exec "%s%s"\n%s' % (
            build() / "bench/echo-loop", self.arguments, text)


class LeastFilterRelay(BareFilterRelay):
    """The same with a filter that no command and no line is passed to: what
    any filter costs."""

    arguments = " least"
