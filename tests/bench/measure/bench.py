"""What all jobs share: where things are, how thorough to be, and the clone that is complete."""

import contextlib
import os
import socket
import tempfile

from clone import Clone
from server import RangeServer


class Bench:
    """Folders and what is mounted go with close()."""

    def __init__(self, build, folder, quick, peers, growth_minutes):
        self.build = build
        self.folder = folder
        self.quick = quick
        self.peers = peers
        self.growth_minutes = growth_minutes
        self._stack = contextlib.ExitStack()
        self._hydrated = None

    def program(self, name):
        return os.path.join(self.build, "tests/bench", name)

    def new_folder(self, prefix):
        return tempfile.mkdtemp(prefix=prefix + "-", dir=self.folder)

    @staticmethod
    def free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def hydrated_clone(self):
        """A complete clone, made when first asked for; it must not be changed in size."""
        if not self._hydrated:
            server = self._stack.enter_context(contextlib.closing(
                RangeServer(self, 512 if self.quick else 2048, ttfb_ms=0, rate=0)))
            self._hydrated = self._stack.enter_context(
                contextlib.closing(Clone(self, server.url)))
            self._hydrated.wait_hydrated()
        return self._hydrated

    def close(self):
        self._stack.close()
