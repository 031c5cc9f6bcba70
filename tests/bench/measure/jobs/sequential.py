"""Cold sequential reads through the page cache, by one reader, with the default options."""

import contextlib

from clone import Clone
from job import Bound, Job, Metric, Target
from limits import MIB, curl_first_mib, parallel_curl
from machine import drop_caches, take_memory
from meters import read_begin
from server import RangeServer

CONNECTIONS = 16
# So much takes them seconds: a GiB would be minutes in each round.
PEER_MIB = 256


class ColdSequential(Job):
    ttfb_ms = 20
    rate = 100 * MIB
    with_peers = False

    def __init__(self, bench):
        super().__init__(bench)
        self.size_mib = 256 if bench.quick else 1024
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, self.size_mib, self.ttfb_ms, self.rate)))

    def start_cold(self):
        drop_caches()
        take_memory(3 * self.size_mib)

    def ours_once(self, _):
        self.start_cold()
        with contextlib.closing(Clone(self.bench, self.server.url)) as clone:
            speed = self.size_mib / read_begin(clone.image, self.size_mib)
            return {"speed": speed, "peak": clone.peak_resident_mib()}

    def peer_once(self, peer):
        self.start_cold()
        with peer(self.bench, self.server, "sequential") as mounted:
            return {"speed": PEER_MIB / read_begin(mounted.image, PEER_MIB)}

    def curl_once(self, count):
        self.start_cold()
        fetched, _, _ = parallel_curl(self.bench, self.server.url, self.server.size, count)
        return {"speed": self.size_mib / fetched}

    def contenders(self):
        found = [("clonefs", self.ours_once),
                 ("%d curl" % CONNECTIONS, lambda _: self.curl_once(CONNECTIONS)),
                 ("1 curl", lambda _: self.curl_once(1))]
        if self.with_peers:
            for peer in self.bench.peers:
                found.append((peer.name, lambda _, peer=peer: self.peer_once(peer)))
        return found


class ColdSequentialLimited(ColdSequential):
    name = "cold-sequential"
    with_peers = True
    metrics = (
        Metric("speed", "cold sequential read, 20 ms, 100 MiB/s a connection", "MiB/s",
               Target("16 curl", least=0.85), Target("best peer", least=8)),
        Metric("peak", "its peak resident memory", "MiB", Bound(most=64), more_is_better=False),
    )


class ColdSequentialUnlimited(ColdSequential):
    name = "cold-sequential-unlimited"
    ttfb_ms = 1
    rate = 0
    metrics = (
        Metric("speed", "cold sequential read, 1 ms, no limit", "MiB/s",
               Target("16 curl", least=0.85)),
        Metric("peak", "its peak resident memory", "MiB", Bound(most=64), more_is_better=False),
    )


class FirstMib(Job):
    name = "first-mib"
    metrics = (
        Metric("time", "first MiB after mount", "ms", Target("1 curl", most=1.1),
               more_is_better=False),
    )
    repeats = 5

    def __init__(self, bench):
        super().__init__(bench)
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, 8192)))

    def ours_once(self, _):
        with contextlib.closing(Clone(self.bench, self.server.url)) as clone:
            return {"time": 1e3 * read_begin(clone.image, 1)}

    def curl_once(self, _):
        return {"time": 1e3 * curl_first_mib(self.server.url)}

    def contenders(self):
        return [("clonefs", self.ours_once), ("1 curl", self.curl_once)]

    def run(self, stack, rounds):
        # It takes no time: more of them for a median that means something.
        return super().run(stack, rounds * self.repeats)


JOBS = (ColdSequentialLimited, ColdSequentialUnlimited, FirstMib)
