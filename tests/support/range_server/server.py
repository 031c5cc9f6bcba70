"""The server: accepts, answers data requests through the faults that are on, obeys /_control."""

import base64
import json
import os
import socket
import ssl
import time

from connection import HOLD, CloseConnection, Connection
from entity import Folder
from faults import Exchange, Fault, FaultError
from request import asked_range, format_date, resolve_range
from response import ZEROS, FilePart, Response

CONTROL_PATH = "/_control"
LOGGED_HEADERS = (
    "host", "range", "if-match", "if-unmodified-since", "if-range", "authorization",
    "accept-encoding", "user-agent", "cookie", "referer", "proxy-authorization", "x-api-key",
)  # fmt: skip


class Settings:
    """What /_control can change; generators look at it while they run."""

    def __init__(self, ttfb_ms, rate, user):
        self.ttfb_ms = ttfb_ms
        self.rate = rate
        self.user = user
        self.paused = False
        self.release_epoch = 0


class RequestLog:
    """JSON lines: one when a data request arrives, one when its answer ends."""

    def __init__(self, path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644) if path else -1
        self._encode = json.JSONEncoder(separators=(",", ":")).encode

    def write(self, event, serial, fields):
        if self._fd >= 0:
            line = {"event": event, "time": round(time.time(), 6), "id": serial, **fields}
            os.write(self._fd, self._encode(line).encode() + b"\n")


class Server:
    def __init__(self, loop, listener, root, settings, log_path=None, tls_context=None):
        self._loop = loop
        self._listener = listener
        self._settings = settings
        self._folder = Folder(root)
        self._log = RequestLog(log_path)
        self._tls = tls_context
        self._faults = []
        self._connections = set()
        self._nr_connections = 0
        self._most_connections = 0
        self._nr_requests = 0
        self._nr_finished = 0
        self._bytes_sent = 0
        self._date = (0, "")
        loop.watch(listener.fileno(), 1, self._on_connect)

    # Connections.

    def _on_connect(self, _events):
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Bounds what counts as sent though a client that went away never saw it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)
            if self._tls:
                try:
                    sock = self._tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:
                    continue
            self._nr_connections += 1
            serial = self._nr_connections
            self._connections.add(
                Connection(self._loop, sock, serial, self._serve, self._connections.discard)
            )

    def _wake_held(self):
        """On the next turn of the loop: not from inside the generator that asked for it."""
        self._loop.call_later(0, lambda: [conn.wake() for conn in list(self._connections)])

    # Exchanges.

    def _serve(self, conn, request):
        if request.path == CONTROL_PATH:
            return self._control(conn, request)
        return self._exchange(conn, request)

    def _exchange(self, conn, request):
        """Answers one data request, and logs it."""
        began = time.monotonic()
        self._nr_requests += 1
        serial = self._nr_requests
        asked = asked_range(request)
        fields = {
            "conn": conn.serial,
            "method": request.method,
            "path": request.path,
            "start": asked[0] if asked else None,
            "end": asked[1] if asked else None,
        }
        headers = {n: request.headers[n] for n in LOGGED_HEADERS if n in request.headers}
        if certificate := conn.peer_name():
            headers["certificate"] = certificate
        self._log.write("start", serial, {**fields, "headers": headers})
        conn.has_data = True
        with_data = sum(other.has_data for other in self._connections)
        self._most_connections = max(self._most_connections, with_data)
        response, applied = None, []
        outcome = "client_closed"
        first_byte = None
        try:
            while self._settings.paused:
                yield HOLD
            response, applied = self._respond(request, asked)
            if self._settings.ttfb_ms:
                yield max(0.0, self._settings.ttfb_ms / 1000 - (time.monotonic() - began))
            first_byte = time.monotonic()
            yield from response.play(conn, self._settings)
            outcome = "done"
        except CloseConnection as stop:
            outcome = stop.outcome
            raise
        finally:
            sent = response.sent if response else 0
            self._nr_finished += 1
            self._bytes_sent += sent
            now = time.monotonic()
            fields.update(
                status=response.status if response else None,
                sent=sent,
                outcome=outcome,
                faults=applied,
                ttfb_ms=round((first_byte - began) * 1000, 3) if first_byte else None,
                total_ms=round((now - began) * 1000, 3),
            )
            self._log.write("end", serial, fields)

    def _respond(self, request, asked):
        """The response after all faults, and the names of those."""
        applied = [fault for fault in self._faults if fault.takes(request)]
        entity = self._folder.entity(request.path)
        if entity:
            for fault in applied:
                if fault.is_entity_fault:
                    fault.apply(entity)
        exchange = self._honest_answer(request, asked, entity)
        for fault in applied:
            if not fault.is_entity_fault and (entity or fault.name == "status"):
                fault.apply(exchange)
        response = exchange.response
        response.is_head = request.method == "HEAD"
        response.headers.setdefault("Date", self._now())
        if request.headers.get("connection", "").lower() == "close":
            response.close = True
        return response, [fault.name for fault in applied]

    def _honest_answer(self, request, asked, entity):
        """What a correct server says."""
        headers = {"Server": "clonefs-test"}

        def plain(status, text, **more):
            response = Response(status, {**headers, **more}, [text.encode()])
            return Exchange(request, entity, None, response)

        if request.method not in ("GET", "HEAD"):
            return plain(405, "only GET and HEAD\n", Allow="GET, HEAD")
        if not self._is_authorized(request):
            return plain(401, "who are you?\n", **{"WWW-Authenticate": 'Basic realm="test"'})
        if not entity:
            return plain(404, "no such file\n")
        headers.update(
            {
                "Content-Type": "application/octet-stream",
                "Accept-Ranges": "bytes",
                "ETag": entity.etag,
                "Last-Modified": entity.last_modified,
            }
        )
        if not entity.holds(request.headers):
            return plain(412, "it is another file now\n")
        if not asked or request.method == "HEAD" or not entity.range_applies(request.headers):
            return Exchange(
                request, entity, None, Response(200, headers, file_parts(entity, 0, entity.size))
            )
        span = resolve_range(asked, entity.size)
        if not span:
            return plain(416, "no such bytes\n", **{"Content-Range": "bytes */%d" % entity.size})
        response = Response(206, headers, file_parts(entity, *span))
        exchange = Exchange(request, entity, span, response)
        exchange.set_span(*span)
        return exchange

    def _is_authorized(self, request):
        if self._settings.user is None:
            return True
        expected = "Basic " + base64.b64encode(self._settings.user.encode()).decode()
        return request.headers.get("authorization") == expected

    def _now(self):
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, format_date(now))
        return self._date[1]

    # Control.

    def _control(self, conn, request):
        """GET tells the state; POST changes it first."""
        status = 200
        answer = None
        if request.method == "POST":
            try:
                self._change(json.loads(request.body or b"{}"), conn)
            except (ValueError, TypeError, AttributeError) as problem:
                status, answer = 400, {"error": str(problem)}
        body = json.dumps(answer or self._state()).encode() + b"\n"
        response = Response(status, {"Content-Type": "application/json"}, [body])
        yield from response.play(conn, Settings(0, 0, None))

    def _change(self, change, conn):
        settings = self._settings
        actions = {
            "clear": self._clear,
            "faults": lambda specs: self._faults.extend([Fault(spec) for spec in specs]),
            "ttfb_ms": lambda value: setattr(settings, "ttfb_ms", number(value)),
            "rate": lambda value: setattr(settings, "rate", int(number(value))),
            "user": lambda value: setattr(settings, "user", value),
            "paused": lambda on: setattr(settings, "paused", bool(on)),
            "release": lambda on: setattr(
                settings, "release_epoch", settings.release_epoch + bool(on)
            ),
            "drop_connections": lambda on: on and self._drop_all_but(conn),
        }
        unknown = set(change) - set(actions)
        if unknown:
            raise FaultError("unknown settings: " + ", ".join(sorted(unknown)))
        for name, action in actions.items():
            if name in change:
                action(change[name])
        self._wake_held()

    def _clear(self, what):
        """True: all faults; a path: those that are only for it."""
        if what:
            self._faults = [] if what is True else [f for f in self._faults if f.path != what]

    def _drop_all_but(self, conn):
        for other in list(self._connections):
            if other is not conn:
                other.close(reset=True)

    def _state(self):
        return {
            "requests": self._nr_requests,
            "in_flight": self._nr_requests - self._nr_finished,
            "held": sum(conn.held for conn in self._connections),
            "bytes_sent": self._bytes_sent,
            "connections": len(self._connections),
            "connections_ever": self._nr_connections,
            "connections_most": self._most_connections,
            "paused": self._settings.paused,
            "ttfb_ms": self._settings.ttfb_ms,
            "rate": self._settings.rate,
            "faults": [fault.state() for fault in self._faults],
        }


def number(value):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise FaultError("not a number: %r" % (value,))
    return value


def file_parts(entity, start, end):
    """The bytes of [start, end); zeros behind the real end of a file that pretends to be longer."""
    parts = []
    file_end = min(end, entity.file_size)
    if start < file_end:
        parts.append(FilePart(entity.fd, start, file_end - start))
    missing = end - max(start, file_end)
    parts += [ZEROS] * (missing // len(ZEROS))
    if missing % len(ZEROS):
        parts.append(ZEROS[: missing % len(ZEROS)])
    return parts


def listen(address, port, ipv6=False):
    listener = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(512)
    listener.setblocking(False)
    return listener


def tls_context(certificate, key, client_ca=None, is_optional=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED
    return context
