"""Fault switches: what the server can be told to do wrong, and to which requests.

A fault is a JSON object {"fault": NAME, parameters...}. All take
    count     how many matching requests it spoils; without it, all until cleared
    after     how many matching requests pass unspoiled before
    every     only each so manieth matching request, as with one bad node behind a balancer
    path      only requests for this path
    method    only this method; "GET" if not given
    overlaps  [first, last]: only range requests that touch these bytes
Entity faults change the file as it seems to be, before preconditions are looked at; response
faults change the answer.
"""

import gzip
import html
import time

from request import asked_range, format_date
from response import FilePart, Response

ENTITY = {}
RESPONSE = {}
MATCHING = {"fault", "count", "after", "every", "path", "method", "overlaps"}
BOUNDARY = "8ad3f1c0clonefs"


def entity_fault(**parameters):
    return lambda function: register(ENTITY, function, parameters)


def response_fault(**parameters):
    return lambda function: register(RESPONSE, function, parameters)


def register(table, function, parameters):
    table[function.__name__] = (function, parameters)
    return function


class FaultError(ValueError):
    pass


class Fault:
    """One switch that is on."""

    def __init__(self, spec):
        self.name = spec.get("fault")
        self.is_entity_fault = self.name in ENTITY
        known = ENTITY.get(self.name) or RESPONSE.get(self.name)
        if not known:
            raise FaultError("unknown fault: %r" % self.name)
        self._apply, defaults = known
        unknown = set(spec) - MATCHING - set(defaults)
        if unknown:
            raise FaultError("%s does not take %s" % (self.name, ", ".join(sorted(unknown))))
        self._parameters = {key: spec.get(key, value) for key, value in defaults.items()}
        self.path = spec.get("path")
        self._method = spec.get("method", "HEAD" if self.name == "head_refused" else "GET")
        self._overlaps = spec.get("overlaps")
        self._to_skip = spec.get("after", 0)
        self._every = spec.get("every", 1)
        self._matched = 0
        self.remaining = spec.get("count")
        self.applied = 0

    def takes(self, request):
        """True if this request is to be spoiled; counts it."""
        if self.remaining == 0 or request.method != self._method:
            return False
        if self.path is not None and request.path != self.path:
            return False
        if self._overlaps and not overlaps(asked_range(request), self._overlaps):
            return False
        if self._to_skip:
            self._to_skip -= 1
            return False
        self._matched += 1
        if self._matched % self._every:
            return False
        if self.remaining is not None:
            self.remaining -= 1
        self.applied += 1
        return True

    def apply(self, target):
        """target: the entity, or the exchange of a response fault."""
        self._apply(target, **self._parameters)

    def state(self):
        return {"fault": self.name, "remaining": self.remaining, "applied": self.applied}


class Exchange:
    """What a response fault may look at and replace."""

    __slots__ = ("request", "entity", "span", "response")

    def __init__(self, request, entity, span, response):
        self.request = request
        self.entity = entity
        self.span = span  # (first byte, byte behind the last) of a 206, else None
        self.response = response

    def set_span(self, start, end):
        """Another Content-Range; the body stays."""
        self.span = (start, end)
        self.set_content_range("bytes %d-%d/%d" % (start, end - 1, self.entity.size))

    def set_content_range(self, value):
        if self.span:
            self.response.headers["Content-Range"] = value


def overlaps(asked, wanted):
    if not asked or asked[0] is None:
        return False
    end = asked[1] if asked[1] is not None else wanted[1]
    return asked[0] <= wanted[1] and end >= wanted[0]


def cut_at(exchange, at, what):
    """After `at` body bytes (half of them if None) do what."""
    length = exchange.response.length
    exchange.response.cut = (length // 2 if at is None else min(at, length), what)


# Another file than before.


@entity_fault(value=None)
def etag(entity, value):
    """value: the whole field, quotes included; null: none."""
    entity.etag = value


@entity_fault(value=None)
def last_modified(entity, value):
    """value: seconds since 1970; null: none."""
    entity.last_modified = None if value is None else format_date(value)


@entity_fault(value=None)
def size(entity, value):
    """value: another size; what the file does not have is zeros."""
    entity.size = value


@entity_fault()
def ignore_conditions(entity):
    """If-Match and the like are not looked at."""
    entity.ignore_conditions = True


# Another answer.


@response_fault(status=500, retry_after=None, retry_after_date=None, body="refused\n")
def status(exchange, status, retry_after, retry_after_date, body):
    """Any status; retry_after in seconds, retry_after_date as seconds from now sent as a date."""
    headers = {"Content-Type": "text/plain"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if retry_after_date is not None:
        headers["Retry-After"] = format_date(time.time() + retry_after_date)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="test"'
    exchange.response = Response(status, headers, [body.encode()])
    exchange.span = None


@response_fault()
def whole_file(exchange):
    """200 for 206."""
    entity = exchange.entity
    headers = dict(exchange.response.headers)
    headers.pop("Content-Range", None)
    exchange.response = Response(200, headers, [FilePart(entity.fd, 0, entity.file_size)])
    exchange.span = None


@response_fault(by=4096)
def wrong_start(exchange, by):
    if exchange.span:
        exchange.set_span(exchange.span[0] + by, exchange.span[1] + by)


@response_fault(by=4096)
def wrong_total(exchange, by):
    if exchange.span:
        first, end = exchange.span
        total = exchange.entity.size + by
        exchange.set_content_range("bytes %d-%d/%d" % (first, end - 1, total))


@response_fault()
def unknown_total(exchange):
    if exchange.span:
        exchange.set_content_range("bytes %d-%d/*" % (exchange.span[0], exchange.span[1] - 1))


@response_fault(bytes=None)
def shorter_range(exchange, bytes):
    """A valid 206 with fewer bytes than asked (half of them, at least one)."""
    if exchange.span:
        start, end = exchange.span
        length = min(end - start, bytes or max(1, (end - start) // 2))
        exchange.set_span(start, start + length)
        exchange.response.clip(length)
        exchange.response.declared_length = length


@response_fault(at=None)
def short_body(exchange, at):
    """Ends the connection in the middle of the body."""
    cut_at(exchange, at, "close")


@response_fault(bytes=4096)
def extra_body(exchange, bytes):
    """More bytes than Content-Range says, Content-Length agreeing with the body."""
    exchange.response.parts.append(b"\xee" * bytes)
    exchange.response.declared_length += bytes


@response_fault(bytes=4096)
def garbage_after(exchange, bytes):
    """Bytes that belong to no response, behind a correct one."""
    exchange.response.after_body = b"\xee" * bytes


@response_fault(by=4096)
def wrong_length(exchange, by):
    """A Content-Length that differs from the body; the connection ends after it."""
    exchange.response.declared_length = max(0, exchange.response.declared_length + by)
    exchange.response.close = True


@response_fault()
def reset_before(exchange):
    exchange.response.cut = (-1, "reset")


@response_fault()
def close_before(exchange):
    exchange.response.cut = (-1, "close")


@response_fault(at=None)
def reset_inside(exchange, at):
    cut_at(exchange, at, "reset")


@response_fault(at=None)
def stall(exchange, at):
    """Sends no more until released."""
    cut_at(exchange, at, "stall")


@response_fault(last=None)
def drip(exchange, last):
    """One body byte a second; last: only so many at the end of the body."""
    response = exchange.response
    response.drip_from = max(0, response.length - last) if last else 0


@response_fault()
def no_answer(exchange):
    exchange.response.silence = True


@response_fault()
def gzip_encoding(exchange):
    exchange.response.headers["Content-Encoding"] = "gzip"
    exchange.response.replace_body(gzip.compress(b"\0" * min(exchange.response.length, 65536)))


@response_fault()
def multipart(exchange):
    """A 206 of type multipart/byteranges, with one part."""
    response = exchange.response
    content_range = response.headers.pop("Content-Range", None)
    response.headers["Content-Type"] = "multipart/byteranges; boundary=" + BOUNDARY
    part = "--%s\r\nContent-Range: %s\r\n\r\n" % (BOUNDARY, content_range)
    response.parts.insert(0, part.encode())
    response.parts.append(("\r\n--%s--\r\n" % BOUNDARY).encode())
    response.declared_length = response.length


@response_fault(location=None, status=302)
def redirect(exchange, location, status):
    """To location; without one, to itself for ever."""
    headers = {"Location": location or exchange.request.target}
    exchange.response = Response(status, headers, [b"moved\n"])
    exchange.span = None


@response_fault()
def head_refused(exchange):
    exchange.response = Response(405, {"Allow": "GET"}, [])


@response_fault(set={})
def headers(exchange, set):
    """Sets any response headers; null takes one away."""
    exchange.response.headers.update(set)


@response_fault()
def no_accept_ranges(exchange):
    exchange.response.headers.pop("Accept-Ranges", None)


@response_fault()
def no_length(exchange):
    """No Content-Length: the end of the connection ends the body."""
    exchange.response.framing = "close"


@response_fault()
def chunked(exchange):
    exchange.response.framing = "chunked"


@response_fault()
def close_after(exchange):
    exchange.response.close = True


@response_fault(line="SPAM AND EGGS")
def garbage_status_line(exchange, line):
    exchange.response.status_line = line


@response_fault(bytes=65536)
def huge_header(exchange, bytes):
    exchange.response.headers["X-Padding"] = "x" * bytes


@response_fault()
def endless_header(exchange):
    """Header lines for as long as they are read."""
    exchange.response.endless = "header"


@response_fault()
def endless_body(exchange):
    """Body bytes for as long as they are read, without a Content-Length."""
    exchange.response.framing = "chunked"
    exchange.response.endless = "body"


@response_fault()
def early_hints(exchange):
    """A 103 with misleading headers before the real answer."""
    exchange.response.before_head = (
        b'HTTP/1.1 103 Early Hints\r\nETag: "hint"\r\nContent-Range: bytes 0-0/1\r\n\r\n'
    )


@response_fault(title="Please log in")
def captive_portal(exchange, title):
    page = "<html><title>%s</title></html>\n" % html.escape(title)
    exchange.response = Response(200, {"Content-Type": "text/html"}, [page.encode()])
    exchange.span = None
