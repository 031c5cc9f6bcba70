"""One response: what is to be sent, and the generator that sends it.

A generator of this server yields what it waits for: connection.WRITABLE, connection.HOLD, or a
number of seconds.
"""

import http
import time

from connection import HOLD, WRITABLE, CloseConnection

CHUNK = 1024 * 1024
ZEROS = bytes(64 * 1024)
ENDLESS_HEADER = b"X-More: %b\r\n" % (b"x" * 1000) * 16


class FilePart:
    __slots__ = ("fd", "offset", "length")

    def __init__(self, fd, offset, length):
        self.fd = fd
        self.offset = offset
        self.length = length

    def __len__(self):
        return self.length


class Response:
    """Faults change the fields between the making of a response and its sending.

    headers       without framing; Content-Length is made from declared_length
    parts         the body: bytes and FilePart
    framing       "length", "chunked" or "close" (the end of the connection ends the body)
    cut           (body bytes after which something happens, what): "close", "reset", "stall"
    drip_from     the body byte from which on there is one a second
    silence       never answer
    endless       "header" or "body": more and more of it, until the client has enough
    """

    __slots__ = (
        "status", "reason", "headers", "parts", "framing", "declared_length", "close", "cut",
        "drip_from", "silence", "before_head", "status_line", "after_body", "endless", "is_head", "sent",
    )  # fmt: skip

    def __init__(self, status, headers, parts=()):
        self.status = status
        self.reason = http.HTTPStatus(status).phrase if status in STATUSES else "Unknown"
        self.headers = headers
        self.parts = list(parts)
        self.framing = "length"
        self.declared_length = sum(map(len, self.parts))
        self.close = False
        self.cut = None
        self.drip_from = None
        self.silence = False
        self.before_head = b""
        self.status_line = None
        self.endless = None
        self.after_body = b""
        self.is_head = False
        self.sent = 0

    @property
    def length(self):
        return sum(map(len, self.parts))

    def replace_body(self, data):
        self.parts = [data]
        self.declared_length = len(data)

    def clip(self, length):
        """Shortens the body to its first length bytes; the declared length stays."""
        kept = []
        for part in self.parts:
            if length <= 0:
                break
            if len(part) > length:
                if isinstance(part, FilePart):
                    part = FilePart(part.fd, part.offset, length)
                else:
                    part = part[:length]
            kept.append(part)
            length -= len(part)
        self.parts = kept

    def head(self):
        line = self.status_line or "HTTP/1.1 %d %s" % (self.status, self.reason)
        lines = [line]
        lines += ["%s: %s" % item for item in self.headers.items() if item[1] is not None]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length":
            lines.append("Content-Length: %d" % self.declared_length)
        if self.close or self.framing == "close":
            lines.append("Connection: close")
        return self.before_head + ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def play(self, conn, settings):
        """Sends the response; raises CloseConnection where the connection must not go on."""
        if self.silence:
            yield from hold_until_released(settings)
            raise CloseConnection("silence")
        after = self.cut[1] if self.cut else None
        if self.cut:
            self.clip(self.cut[0])
        if self.cut and self.cut[0] < 0:
            raise CloseConnection(after, reset=after == "reset")
        if self.endless == "header":
            yield from conn.send(self.head()[:-2])
            yield from self._repeat(conn, ENDLESS_HEADER)
        yield from conn.send(self.head(), more=bool(self.parts) and not self.is_head)
        if not self.is_head:
            for part in self.parts:
                yield from self._send_part(conn, part, settings)
        if self.endless == "body":
            yield from self._repeat(conn, b"%x\r\n%b\r\n" % (len(ZEROS), ZEROS))
        if after == "stall":
            yield from hold_until_released(settings)
        if after:
            raise CloseConnection(after, reset=after == "reset")
        if self.framing == "chunked" and not self.is_head:
            yield from conn.send(b"0\r\n\r\n")
        if self.after_body:
            yield from conn.send(self.after_body)
        if self.close or self.framing == "close":
            raise CloseConnection("done")

    def _repeat(self, conn, data):
        while True:
            yield from conn.send(data)
            self.sent += len(data)
            yield WRITABLE

    def _send_part(self, conn, part, settings):
        pace = Pace()
        done = 0
        while done < len(part):
            n = min(len(part) - done, CHUNK)
            drips = self.drip_from is not None and self.sent >= self.drip_from
            if drips:
                n = 1
            elif self.drip_from is not None:
                n = min(n, self.drip_from - self.sent)
            elif settings.rate:
                n = min(n, max(4096, settings.rate // 50))
            if self.framing == "chunked":
                yield from conn.send(b"%x\r\n" % n)
            if isinstance(part, FilePart):
                yield from conn.send_file(part.fd, part.offset + done, n, self)
            else:
                yield from conn.send(part[done : done + n])
                self.sent += n
            if self.framing == "chunked":
                yield from conn.send(b"\r\n")
            done += n
            if drips:
                yield 1.0
            elif settings.rate:
                delay = pace.delay(n, settings.rate)
                if delay > 0:
                    yield delay
            elif done < len(part):
                # Others may have something to say between two chunks.
                yield WRITABLE


class Pace:
    """Spreads bytes over time: how long to wait after each piece so that the rate holds."""

    __slots__ = ("_due",)

    def __init__(self):
        self._due = time.monotonic()

    def delay(self, length, rate):
        self._due += length / rate
        return self._due - time.monotonic()


def hold_until_released(settings):
    epoch = settings.release_epoch
    while settings.release_epoch == epoch:
        yield HOLD


STATUSES = {status.value for status in http.HTTPStatus}
