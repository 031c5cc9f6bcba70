"""A complete clone, against a FUSE file that only reads the same destination."""

import contextlib
import os

from job import Job, Metric, Target
from jobs.turns import InTurns, read_parts
from limits import MinimalFuse
from machine import cpu_seconds, drop_caches, take_memory, warm
from meters import fio_in_turn, fio_random


class Hydrated:
    """The clone, and a minimal FUSE file of the same destination."""

    clone = minimal = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        # While it is there all come to the daemon, also with a libfuse that could pass them through.
        stack.callback(os.close, os.open(self.clone.image, os.O_RDWR))
        self.minimal = stack.enter_context(contextlib.closing(
            MinimalFuse(self.bench, self.clone.destination)))

    def paths(self):
        return {"clonefs": self.clone.image, "minimal FUSE": self.minimal.image,
                "destination": self.clone.destination}

    def daemons(self):
        return {"clonefs": self.clone.pid, "minimal FUSE": self.minimal.pid}


CPU = "processor time of the daemon for each "


class HydratedRandomWarm(Hydrated, InTurns):
    """Of a destination that stays in memory: nothing keeps them from taking turns."""

    depth = 1

    def begin_round(self):
        drop_caches()
        warm(self.clone.destination)

    def read_in_turn(self, paths, number):
        return fio_in_turn(paths, self.depth, 1 + number * len(paths))


class HydratedRandomCold(Hydrated, Job):
    """One after the other: each has to find the destination on disk."""

    depth = 1

    def once(self, number, path, pid):
        drop_caches()
        before = cpu_seconds(pid) if pid else 0
        speed, count = fio_random(path, self.depth, 1 if self.bench.quick else 3, number + 1)
        found = {"speed": speed}
        if pid:
            found["cpu"] = 1e6 * (cpu_seconds(pid) - before) / count
        return found

    def contenders(self):
        return [(name, lambda number, path=path, pid=self.daemons().get(name):
                 self.once(number, path, pid))
                for name, path in self.paths().items()]


def random_metrics(text):
    return (
        Metric("speed", "hydrated 4 KiB random read, " + text, "reads/s",
               Target("minimal FUSE", least=0.92)),
        Metric("cpu", CPU + "read", "us", more_is_better=False),
    )


class HydratedRandom1Warm(HydratedRandomWarm):
    name = "hydrated-random-1-warm"
    metrics = random_metrics("1 deep, destination in memory")


class HydratedRandom1Cold(HydratedRandomCold):
    name = "hydrated-random-1-cold"
    metrics = random_metrics("1 deep, destination on disk")


class HydratedRandom16Warm(HydratedRandomWarm):
    name = "hydrated-random-16-warm"
    depth = 16
    metrics = random_metrics("16 deep, destination in memory")


class HydratedRandom16Cold(HydratedRandomCold):
    name = "hydrated-random-16-cold"
    depth = 16
    metrics = random_metrics("16 deep, destination on disk")


class HydratedSequential(Hydrated, InTurns):
    turns = 12
    is_warm = True

    def size_mib(self):
        return self.clone.status()["size"] >> 20

    def begin_round(self):
        take_memory(3 * self.size_mib())
        drop_caches()
        if self.is_warm:
            warm(self.clone.destination)

    def read_in_turn(self, paths, number):
        return read_parts(paths, self.size_mib())


def sequential_metrics(text):
    return (
        Metric("speed", "hydrated sequential read, " + text, "MiB/s",
               Target("minimal FUSE", least=0.90)),
        Metric("cpu", CPU + "MiB", "us", more_is_better=False),
    )


class HydratedSequentialWarm(HydratedSequential):
    name = "hydrated-sequential-warm"
    metrics = sequential_metrics("destination in memory")


class HydratedSequentialCold(HydratedSequential):
    name = "hydrated-sequential-cold"
    is_warm = False
    metrics = sequential_metrics("destination on disk")


JOBS = (HydratedRandom1Warm, HydratedRandom1Cold, HydratedRandom16Warm, HydratedRandom16Cold,
        HydratedSequentialWarm, HydratedSequentialCold)
