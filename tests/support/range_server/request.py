"""HTTP/1.1 requests: the head, byte ranges and dates (RFC 9110, RFC 9112)."""

import email.utils
import functools
import re
import urllib.parse

MAX_HEAD = 64 * 1024
RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$", re.IGNORECASE)


class BadRequest(Exception):
    pass


class Request:
    __slots__ = ("method", "target", "path", "headers", "body")

    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.path = urllib.parse.unquote(target.partition("?")[0])
        self.headers = headers
        self.body = body


def take_request(data):
    """Takes one whole request off the front of the bytearray; None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > MAX_HEAD:
            raise BadRequest("the head is too long")
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest("not an HTTP/1 request line: %r" % lines[0])
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("not a header: %r" % line)
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or "transfer-encoding" in headers:
        raise BadRequest("a request body needs a Content-Length")
    body_end = end + 4 + int(length)
    if len(data) < body_end:
        return None
    body = bytes(data[end + 4 : body_end])
    del data[:body_end]
    return Request(words[0], words[1], headers, body)


def asked_range(request):
    """(start, end) as asked, both included and either of them None; None without one range."""
    value = request.headers.get("range")
    match = RANGE.match(value) if value else None
    if not match or match.group(1) == match.group(2) == "":
        return None
    return tuple(int(text) if text else None for text in match.groups())


def resolve_range(asked, size):
    """First byte and the byte behind the last, inside size; None: not satisfiable."""
    start, end = asked
    if start is None:
        start, end = max(0, size - end), size if end else 0
    else:
        end = size if end is None else min(end + 1, size)
    return (start, end) if start < end else None


@functools.lru_cache(maxsize=64)
def parse_date(text):
    """Seconds since 1970, or None if text is no date."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def format_date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)
