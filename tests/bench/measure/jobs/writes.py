"""Writes: a sync that has nothing to commit, and writes of regions that are not there."""

import contextlib
import statistics

from clone import Clone
from job import Job, Metric, Target, in_turn
from jobs.turns import Together
from limits import REGION, MinimalFuse, h2load
from machine import drop_caches, run
from meters import random_io
from server import RangeServer


class Fsync(Job):
    """The sync alone is timed, after a write of 4 KiB through the page cache; and, because the write
    may take over some of its time, both together, as a mean. The minimal FUSE file does nothing but
    the destination's write and sync."""

    name = "fsync"
    metrics = (
        Metric("time", "fsync after a 4 KiB write of a hydrated region", "us",
               Target("destination's disk", most=1.2), more_is_better=False),
        Metric("pair", "the write and its fsync together", "us", more_is_better=False),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = self.plain = self.minimal = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        self.plain = self.bench.new_folder("plain") + "/file"
        run("cp", "--sparse=never", self.clone.destination, self.plain)
        stack.callback(run, "rm", self.plain)
        self.minimal = stack.enter_context(contextlib.closing(
            MinimalFuse(self.bench, self.plain, "-w")))
        drop_caches()

    def once(self, path, sync, number):
        found = random_io(self.bench, path, "-wc", sync, "-n500", "-S%d" % (number + 1))
        return {"time": found["p50_us"], "pair": 1e6 / found["rate"]}

    def contenders(self):
        return [("clonefs", lambda number: self.once(self.clone.image, "-F", number)),
                ("minimal FUSE", lambda number: self.once(self.minimal.image, "-F", number)),
                ("destination's disk", lambda number: self.once(self.plain, "-f", number))]


class ColdWriteBurst(Together):
    """As many writes as land at once in regions that are not there, each in another one.

    A burst takes some hundredths of a second: its file has been written to before, what the bursts
    before it left to be done is over, and a round's figure is the median of several, which cold and
    hydrated ones take in turn."""

    name = "cold-write"
    ours = "cold"
    bursts = 8
    # Each makes 64 KiB partial. Up to 32 MiB they are left alone for a while, up to 64 MiB they land
    # at once beside what is fetched.
    lengths = {"short": 500, "long": 900}
    metrics = (
        Metric("short", "500 cold 4 KiB random writes, 1 writer, no fsync", "writes/s",
               Target("hydrated", least=0.80)),
        Metric("long", "900 of them, beside the fetch of their regions", "writes/s"),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.server = self.clone = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        # So large that bursts do not meet.
        self.server = stack.enter_context(contextlib.closing(RangeServer(self.bench, 32768)))

    def names(self):
        return ["cold", "hydrated"]

    def burst(self, clone, length, seed):
        found = random_io(self.bench, clone.image, "-w", "-n%d" % length, "-S%d" % seed)
        clone.control("flush")
        return found["rate"]

    def write_in_turn(self, clones, number):
        rates = {name: {key: [] for key in self.lengths} for name in clones}
        for turn in range(self.bursts + 1):
            for place, (key, length) in enumerate(self.lengths.items()):
                for name in in_turn(list(clones), turn):
                    seed = 1 + 100 * number + 2 * turn + place
                    rates[name][key].append(self.burst(clones[name], length, seed))
        # The first one creates the file that says that users have written.
        return {name: {key: statistics.median(values[1:]) for key, values in found.items()}
                for name, found in rates.items()}

    def whole_round(self, number):
        drop_caches()
        with contextlib.closing(Clone(self.bench, self.server.url, "no_hydration")) as cold:
            return self.write_in_turn({"cold": cold, "hydrated": self.clone}, number)


class ColdWriteSustained(Job):
    """After as many as may be partial: for each new one the source has to bring the rest of another."""

    name = "cold-write-sustained"
    connections = 16
    metrics = (
        Metric("speed", "the same after the first 1024, %d connections" % connections, "writes/s"),
        Metric("pulled", "bytes pulled meanwhile per write", "regions", more_is_better=False),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.server = None

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(RangeServer(self.bench, 32768)))

    def ours_once(self, number):
        drop_caches()
        options = "no_hydration,max_connections=%d" % self.connections
        with contextlib.closing(Clone(self.bench, self.server.url, options)) as clone:
            random_io(self.bench, clone.image, "-w", "-n1024", "-S%d" % (2 * number + 1))
            before = self.server.stats()["bytes"]
            found = random_io(self.bench, clone.image, "-w", "-s3", "-S%d" % (2 * number + 2))
            pulled = self.server.stats()["bytes"] - before
        return {"speed": found["rate"], "pulled": pulled / found["operations"] / REGION}

    def h2load_once(self, _):
        return {"speed": h2load(self.server.url, 2400, self.connections)}

    def contenders(self):
        return [("clonefs", self.ours_once), ("h2load", self.h2load_once)]


JOBS = (Fsync, ColdWriteBurst, ColdWriteSustained)
