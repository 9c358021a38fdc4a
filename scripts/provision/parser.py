# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How python3-redis is told to read replies: many of them at once, and by
python3-hiredis where that is installed. By itself python3-redis uses no
hiredis older than 3.0, which Debian 13 does not have; what is asked of it
here, the older ones do as well."""

import redis
from redis.connection import DefaultParser

try:
    import hiredis
except ImportError:
    hiredis = None

READ = 1 << 16
NOTHING = object()


class Parser(DefaultParser):
    """Errors keep their first word, which python3-redis leaves out."""

    def __init__(self, socket_read_size):
        super().__init__(socket_read_size)
        self.link = self.count = self.patience = None

    @classmethod
    def parse_error(cls, response):
        return redis.ResponseError(response)

    def expect(self, count, patience):
        """The next response is a list of so many replies, of which each may
        take so many seconds; errors in it are not raised."""
        self.count, self.patience = count, patience

    def on_connect(self, connection):
        super().on_connect(connection)
        self.link = connection._sock

    def read_response(self, disable_decoding=False):
        if self.count is None:
            return self.read_one()
        count, self.count = self.count, None
        self.link.settimeout(self.patience)
        return [self.read_one() for _ in range(count)]

    def read_one(self):
        return super().read_response()


class FastParser(Parser):
    """The same by hiredis."""

    def __init__(self, socket_read_size):
        self.link = self.count = self.patience = self.reader = None

    def on_connect(self, connection):
        self.link = connection._sock
        self.reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=self.parse_error,
            encoding=connection.encoder.encoding,
            errors=connection.encoder.encoding_errors, notEnoughData=NOTHING)

    def on_disconnect(self):
        self.link = self.reader = None

    def read_one(self):
        while True:
            reply = self.reader.gets()
            if reply is not NOTHING:
                return reply
            data = self.link.recv(READ)
            if not data:
                raise redis.ConnectionError("the server closed it")
            self.reader.feed(data)


PARSER = FastParser if hiredis else Parser
