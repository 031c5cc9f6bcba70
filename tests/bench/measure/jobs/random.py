"""Cold random reads: 4 KiB O_DIRECT, every one of another region."""

import contextlib

from clone import Clone
from job import Bound, Excess, Job, Metric, Target
from limits import MIB, REGION, h2load
from meters import first_byte_ms, random_io
from machine import drop_caches, take_memory
from server import RangeServer, TlsFront

# So large that no read comes near another.
IMAGE_MIB = 8192
# Slow peers need not do all of it.
SECONDS_MAX = 6


class ColdRandom(Job):
    readers = 1
    connections = 16
    ttfb_ms = 20
    with_peers = False
    is_mean = True

    def __init__(self, bench):
        super().__init__(bench)
        per_reader = (2000 if bench.quick else 4000) // max(self.ttfb_ms, 10)
        self.reads = self.readers * per_reader
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, IMAGE_MIB, self.ttfb_ms)))

    def url(self):
        return self.server.url

    def options(self):
        return "no_hydration,max_connections=%d" % self.connections

    def read(self, image):
        before = self.server.stats()["bytes"]
        found = random_io(self.bench, image, "-t%d" % self.readers, "-n%d" % self.reads,
                          "-s%d" % SECONDS_MAX)
        pulled = self.server.stats()["bytes"] - before
        return {"speed": found["mean_us"] / 1e3 if self.is_mean else found["rate"],
                "pulled": pulled / found["operations"] / REGION}, found["operations"]

    def no_caches(self):
        drop_caches()
        take_memory(3 * self.reads * REGION // MIB)

    def ours_once(self, _):
        self.no_caches()
        with contextlib.closing(Clone(self.bench, self.url(), self.options())) as clone:
            before = clone.cpu_seconds()
            found, count = self.read(clone.image)
            return found | {"cpu": 1e6 * (clone.cpu_seconds() - before) / count}

    def peer_once(self, peer):
        self.no_caches()
        with peer(self.bench, self.server, "random") as mounted:
            return self.read(mounted.image)[0]

    def h2load_once(self, _):
        self.no_caches()
        rate = h2load(self.url(), self.reads, self.readers)
        return {"speed": 1e3 * self.readers / rate if self.is_mean else rate}

    def first_byte_once(self, _):
        return {"speed": first_byte_ms(self.bench, self.server, self.reads)}

    def contenders(self):
        found = [("clonefs", self.ours_once), ("h2load", self.h2load_once)]
        if self.is_mean:
            found.append(("first byte", self.first_byte_once))
        if self.with_peers:
            for peer in self.bench.peers:
                found.append((peer.name, lambda _, peer=peer: self.peer_once(peer)))
        return found


CPU = Metric("cpu", "processor time of the daemon for each read", "us", more_is_better=False)
PULLED = Metric("pulled", "bytes pulled per read", "regions", Bound(most=1), more_is_better=False)


def mean_metric(ttfb_ms):
    return Metric("speed", "cold 4 KiB random read, 1 reader, %g ms to the first byte" % ttfb_ms,
                  "ms", Excess("first byte", most=1), more_is_better=False)


class ColdRandom1(ColdRandom):
    name = "cold-random-1"
    with_peers = True
    metrics = (mean_metric(20), PULLED, CPU)


class ColdRandom1Near(ColdRandom):
    name = "cold-random-1-near"
    ttfb_ms = 1
    metrics = (mean_metric(1), PULLED, CPU)


class ColdRandom1Far(ColdRandom):
    name = "cold-random-1-far"
    ttfb_ms = 100
    metrics = (mean_metric(100), PULLED, CPU)


class ColdRandom16(ColdRandom):
    name = "cold-random-16"
    readers = 16
    with_peers = True
    is_mean = False
    metrics = (
        Metric("speed", "cold 4 KiB random read, 16 readers, 16 connections", "reads/s",
               Target("h2load", least=0.95), Target("best peer", least=3)),
        PULLED,
        CPU,
    )


class ColdRandom64(ColdRandom):
    name = "cold-random-64"
    readers = connections = 64
    is_mean = False
    metrics = (
        Metric("speed", "cold 4 KiB random read, 64 readers, 64 connections", "reads/s",
               Bound(least=0.93 * 64 / 0.020)),
        PULLED,
        CPU,
    )


class ColdRandomTls(ColdRandom):
    """h2load speaks HTTP/2, all its streams over one connection; clonefs whatever it does."""

    name = "cold-random-64-tls"
    readers = connections = 64
    is_mean = False
    metrics = (
        Metric("speed", "cold 4 KiB random read, 64 readers, TLS (nginx before the server)",
               "reads/s", Target("h2load", least=0.75)),
        PULLED,
        CPU,
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.front = None

    def prepare(self, stack):
        super().prepare(stack)
        self.front = stack.enter_context(contextlib.closing(TlsFront(self.bench, self.server)))

    def url(self):
        return self.front.url

    def options(self):
        return super().options() + ",cacert=" + self.front.cacert

    def h2load_once(self, _):
        self.no_caches()
        return {"speed": h2load(self.url(), self.reads, 1, streams=self.readers)}


JOBS = (ColdRandom1, ColdRandom1Near, ColdRandom1Far, ColdRandom16, ColdRandom64, ColdRandomTls)
