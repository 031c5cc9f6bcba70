"""Background hydration: as fast as curl, as cheap as curl, and out of the readers' way."""

import contextlib
import time

from clone import Clone
from job import Job, Metric, Target
from limits import MIB, parallel_curl
from machine import drop_caches
from meters import random_io
from server import RangeServer

CONNECTIONS = 16


class Hydration(Job):
    """Both from the begin until all is on stable storage; for the clone that includes its mount."""

    ttfb_ms = 20
    rate = 100 * MIB

    def __init__(self, bench):
        super().__init__(bench)
        self.size_mib = 512 if bench.quick else 2048
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, self.size_mib, self.ttfb_ms, self.rate)))

    def figures(self, seconds, cpu):
        return {"speed": self.size_mib / seconds, "cpu": cpu * 1024 / self.size_mib}

    def ours_once(self, _):
        drop_caches()
        start = time.perf_counter()
        with contextlib.closing(Clone(self.bench, self.server.url)) as clone:
            clone.wait_hydrated()
            return self.figures(time.perf_counter() - start, clone.cpu_seconds())

    def curl_once(self, _):
        drop_caches()
        _, synced, cpu = parallel_curl(self.bench, self.server.url, self.server.size, CONNECTIONS)
        return self.figures(synced, cpu)

    def contenders(self):
        return [("clonefs", self.ours_once), ("16 curl", self.curl_once)]


def hydration_metrics(server):
    return (
        Metric("speed", "full background hydration, with the final sync, " + server, "MiB/s",
               Target("16 curl", least=0.90)),
        Metric("cpu", "processor time of the daemon a GiB hydrated, " + server, "s/GiB",
               Target("16 curl", most=1.3), more_is_better=False),
    )


class HydrationLimited(Hydration):
    name = "hydration"
    metrics = hydration_metrics("20 ms, 100 MiB/s a connection")


class HydrationUnlimited(Hydration):
    name = "hydration-unlimited"
    ttfb_ms = 1
    rate = 0
    metrics = hydration_metrics("1 ms, no limit")


class Foreground(Job):
    """One reader of regions that are not there, with and without the background beside it."""

    ours = "hydrating"
    rate = 0
    link = 0

    def __init__(self, bench):
        super().__init__(bench)
        self.reads = 150 if bench.quick else 500
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, 16384, 20, self.rate, self.link)))

    def once(self, options):
        drop_caches()
        with contextlib.closing(Clone(self.bench, self.server.url, options)) as clone:
            before = self.server.stats()["bytes"]
            found = random_io(self.bench, clone.image, "-n%d" % self.reads)
            pulled = self.server.stats()["bytes"] - before
        return {"p99": found["p99_us"] / 1e3, "p50": found["p50_us"] / 1e3,
                "pulled": pulled / MIB / found["seconds"]}

    def contenders(self):
        return [("hydrating", lambda _: self.once("")),
                ("paused", lambda _: self.once("no_hydration"))]


def foreground_metrics(server):
    return (
        Metric("p99", "p99 of a cold 4 KiB read beside hydration, " + server, "ms",
               Target("paused", most=1.3), more_is_better=False),
        Metric("p50", "its median", "ms", more_is_better=False),
        Metric("pulled", "what the source gave meanwhile", "MiB/s"),
    )


class ForegroundSlowConnections(Foreground):
    name = "foreground-connections"
    rate = 8 * MIB
    metrics = foreground_metrics("8 MiB/s a connection")


class ForegroundSlowLink(Foreground):
    name = "foreground-link"
    link = 119 * MIB
    metrics = foreground_metrics("a link of 1 Gbit/s")


JOBS = (HydrationLimited, HydrationUnlimited, ForegroundSlowConnections, ForegroundSlowLink)
