# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The relay's own reading of addresses, periods and domains, to compare with."""

import ctypes
import subprocess

from places import SOURCE, workdir

DOMAIN_TEXT = 254
NETADDR_TEXT = 50


class Netaddr(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("addr", ctypes.c_uint8 * 16)]


class Readers:
    """lib/netaddr.c, lib/period.c, lib/count.c and lib/domain.c."""

    def __init__(self):
        path = workdir("readers") / "readers.so"
        sources = [SOURCE / "lib" / name
                   for name in ("netaddr.c", "period.c", "count.c",
                                "domain.c")]
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE",
                        "-o", path, *sources, "-lidn2", "-lunistring",
                        "-lbsd"], check=True)
        self.library = ctypes.CDLL(str(path))
        for name in ("netaddr_parse", "netaddr_parse_range", "period_parse",
                     "domain_alabel"):
            getattr(self.library, name).restype = ctypes.c_bool

    def address(self, text):
        return self._netaddr(self.library.netaddr_parse, text)

    def range(self, text):
        return self._netaddr(self.library.netaddr_parse_range, text)

    def _netaddr(self, parse, text):
        """The canonical text, or None; C has no text with a NUL in it."""
        data = octets(text)
        found, out = Netaddr(), ctypes.create_string_buffer(NETADDR_TEXT)
        if b"\0" in data or not parse(data, ctypes.byref(found)):
            return None
        self.library.netaddr_text(ctypes.byref(found), out)
        return out.value.decode()

    def period(self, text):
        seconds = ctypes.c_int64()
        data = octets(text)
        if b"\0" in data or not self.library.period_parse(
                data, ctypes.byref(seconds)):
            return None
        return seconds.value

    def domain(self, text):
        data = octets(text)
        out = ctypes.create_string_buffer(DOMAIN_TEXT)
        if not self.library.domain_alabel(data, ctypes.c_size_t(len(data)),
                                          out):
            return None
        return out.value.decode()


def octets(text):
    if isinstance(text, bytes):
        return text
    return text.encode("utf-8", "surrogateescape")
