"""One connection: takes requests off the socket and runs their generators, one at a time."""

import os
import select
import socket
import ssl
import struct

from request import BadRequest, take_request

READABLE = "readable"
WRITABLE = "writable"
HOLD = "hold"

RECV_SIZE = 64 * 1024
TLS_READ = 256 * 1024
IDLE_EVENTS = select.EPOLLIN | select.EPOLLRDHUP


class CloseConnection(Exception):
    """Raised by a generator: the connection ends here, with a RST if reset."""

    def __init__(self, outcome, reset=False):
        super().__init__(outcome)
        self.outcome = outcome
        self.reset = reset


class Connection:
    """serve(connection, request) makes the generator that answers a request."""

    def __init__(self, loop, sock, serial, serve, on_close):
        self.serial = serial
        self.held = False
        self.has_data = False  # a data request came over it
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._serve = serve
        self._on_close = on_close
        self._input = bytearray()
        self._timer = None
        self._want = READABLE
        self._events = IDLE_EVENTS
        self._playing = self._handshake() if self._is_tls else None
        loop.watch(self._fd, self._events, self._on_events)
        if self._playing:
            self._run()

    def wake(self):
        """Goes on after HOLD."""
        if self.held:
            self.held = False
            self._run()

    def peer_name(self):
        """The common name of the client's certificate; None without one."""
        certificate = self._sock.getpeercert() if self._is_tls else None
        subject = dict(pair for part in (certificate or {}).get("subject", ()) for pair in part)
        return subject.get("commonName")

    def close(self, reset=False):
        if not self._sock:
            return
        sock, self._sock = self._sock, None
        if self._timer:
            self._timer.cancel()
        playing, self._playing = self._playing, None
        if playing:
            playing.close()
        self._loop.forget(self._fd)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self._on_close(self)

    # What generators use.

    def send(self, data, more=False):
        """Sends all of data; more: a body follows at once."""
        view = memoryview(data)
        while view:
            try:
                if self._is_tls:
                    sent = self._sock.send(view)
                else:
                    sent = self._sock.send(view, socket.MSG_MORE if more else 0)
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield WRITABLE
                continue
            view = view[sent:]

    def send_file(self, fd, offset, length, counter):
        """Sends a piece of a file; counter.sent grows as it goes."""
        while length:
            if self._is_tls:
                data = os.pread(fd, min(length, TLS_READ), offset)
                yield from self.send(data)
                sent = len(data)
            else:
                try:
                    sent = os.sendfile(self._fd, fd, offset, length)
                except BlockingIOError:
                    yield WRITABLE
                    continue
            if sent == 0:
                raise CloseConnection("file_ended")
            counter.sent += sent
            offset += sent
            length -= sent

    def _handshake(self):
        while True:
            try:
                self._sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                yield READABLE
            except ssl.SSLWantWriteError:
                yield WRITABLE

    # What the loop calls.

    def _on_events(self, events):
        if events & select.EPOLLOUT and self._want == WRITABLE:
            self._run()
        if not self._sock or not events & ~select.EPOLLOUT:
            return
        if self._want == READABLE and self._playing:
            self._run()
        else:
            self._receive()

    def _on_timer(self):
        self._timer = None
        self._run()

    def _receive(self):
        while True:
            try:
                data = self._sock.recv(RECV_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._input += data
            if not self._is_tls:
                break
        if len(self._input) > 16 * RECV_SIZE:
            self.close(reset=True)
        elif not self._playing:
            self._run()

    def _run(self):
        """Runs the generator, and those of further requests, until something is waited for."""
        while self._sock:
            try:
                if not self._playing:
                    request = take_request(self._input)
                    if not request:
                        self._wait_for(READABLE)
                        return
                    self._playing = self._serve(self, request)
                want = next(self._playing)
            except StopIteration:
                self._playing = None
                if self._is_tls:
                    # Decrypted bytes may wait inside the TLS layer, where epoll sees nothing.
                    self._want = READABLE
                    self._receive_pending()
                continue
            except CloseConnection as stop:
                self._playing = None
                self.close(reset=stop.reset)
                return
            except (OSError, BadRequest):
                self._playing = None
                self.close()
                return
            self._wait_for(want)
            return

    def _receive_pending(self):
        try:
            while self._sock.pending():
                self._input += self._sock.recv(RECV_SIZE)
        except OSError:
            self.close()

    def _wait_for(self, want):
        self._want = want
        events = IDLE_EVENTS | (select.EPOLLOUT if want == WRITABLE else 0)
        if events != self._events:
            self._events = events
            self._loop.change(self._fd, events)
        if want == HOLD:
            self.held = True
        elif isinstance(want, (int, float)):
            self._timer = self._loop.call_later(want, self._on_timer)
