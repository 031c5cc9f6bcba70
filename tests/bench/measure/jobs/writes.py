"""Writes: a sync that has nothing to commit, and writes of regions that are not there."""

import contextlib

from clone import Clone
from job import Job, Metric, Target
from machine import drop_caches, run
from meters import random_io
from server import RangeServer


class Fsync(Job):
    """The sync alone is timed, after a write of 4 KiB through the page cache."""

    name = "fsync"
    metrics = (
        Metric("time", "fsync after a 4 KiB write of a hydrated region", "us",
               Target("destination's disk", most=1.2), more_is_better=False),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = self.plain = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        self.plain = self.bench.new_folder("plain") + "/file"
        run("cp", "--sparse=never", self.clone.destination, self.plain)
        stack.callback(run, "rm", self.plain)
        drop_caches()

    def once(self, path, sync, number):
        count = 200 if self.bench.quick else 500
        found = random_io(self.bench, path, "-wc", sync, "-n%d" % count, "-S%d" % (number + 1))
        return {"time": found["p50_us"]}

    def contenders(self):
        return [("clonefs", lambda number: self.once(self.clone.image, "-F", number)),
                ("destination's disk", lambda number: self.once(self.plain, "-f", number))]


class ColdWrite(Job):
    name = "cold-write"
    ours = "cold"
    metrics = (
        Metric("speed", "cold 4 KiB random write, 1 writer, no fsync", "writes/s",
               Target("hydrated", least=0.80)),
        Metric("pulled", "bytes pulled meanwhile per write", "regions", more_is_better=False),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.server = self.clone = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        self.server = stack.enter_context(contextlib.closing(RangeServer(self.bench, 8192)))

    def write(self, image, number):
        return random_io(self.bench, image, "-w", "-n4000", "-s3", "-S%d" % (number + 1))

    def cold_once(self, number):
        drop_caches()
        with contextlib.closing(Clone(self.bench, self.server.url, "no_hydration")) as clone:
            before = self.server.stats()["bytes"]
            found = self.write(clone.image, number)
            pulled = self.server.stats()["bytes"] - before
        return {"speed": found["rate"], "pulled": pulled / found["operations"] / 65536}

    def hydrated_once(self, number):
        drop_caches()
        return {"speed": self.write(self.clone.image, number)["rate"]}

    def contenders(self):
        return [("cold", self.cold_once), ("hydrated", self.hydrated_once)]


JOBS = (Fsync, ColdWrite)
