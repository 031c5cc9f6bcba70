"""A small epoll loop with timers: what the server needs and nothing else."""

import heapq
import itertools
import select
import time


class Timer:
    __slots__ = ("callback",)

    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class Loop:
    """Calls handler(events) for watched descriptors and timers' callbacks, on one thread."""

    def __init__(self):
        self._epoll = select.epoll()
        self._handlers = {}
        self._timers = []
        self._serial = itertools.count()
        self._stopped = False

    def watch(self, fd, events, handler):
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd, events):
        self._epoll.modify(fd, events)

    def forget(self, fd):
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def call_later(self, seconds, callback):
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), timer))
        return timer

    def stop(self):
        self._stopped = True

    def run(self):
        while not self._stopped:
            timeout = -1
            if self._timers:
                timeout = max(0.0, self._timers[0][0] - time.monotonic())
            for fd, events in self._epoll.poll(timeout):
                # A handler of this batch may have closed fd: a stale event finds nobody.
                handler = self._handlers.get(fd)
                if handler:
                    handler(events)
            self._run_timers()

    def _run_timers(self):
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback:
                callback()
