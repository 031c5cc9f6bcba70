"""A complete clone, against a FUSE file that only reads the same destination."""

import contextlib

from job import Job, Metric, Target
from limits import MinimalFuse
from machine import Skip, drop_caches, warm
from meters import fio_random, read_whole


class Hydrated(Job):
    is_warm = True

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = self.minimal = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        self.minimal = stack.enter_context(contextlib.closing(
            MinimalFuse(self.bench, self.clone.destination)))

    def measure(self, path, number):
        raise NotImplementedError

    def once(self, path, number):
        drop_caches()
        if self.is_warm:
            warm(self.clone.destination)
        return {"speed": self.measure(path, number)}

    def contenders(self):
        return [(name, lambda number, path=path: self.once(path, number)) for name, path in (
            ("clonefs", self.clone.image), ("minimal FUSE", self.minimal.image),
            ("destination", self.clone.destination))]


class HydratedRandom(Hydrated):
    depth = 1

    def measure(self, path, number):
        return fio_random(path, self.depth, 1 if self.bench.quick else 3, number + 1)


def random_metric(text):
    return (Metric("speed", "hydrated 4 KiB random read, " + text, "reads/s",
                   Target("minimal FUSE", least=0.92)),)


class HydratedRandom1Warm(HydratedRandom):
    name = "hydrated-random-1-warm"
    metrics = random_metric("1 deep, destination in memory")


class HydratedRandom1Cold(HydratedRandom):
    name = "hydrated-random-1-cold"
    is_warm = False
    metrics = random_metric("1 deep, destination on disk")


class HydratedRandom16Warm(HydratedRandom):
    name = "hydrated-random-16-warm"
    depth = 16
    metrics = random_metric("16 deep, destination in memory")


class HydratedRandom16Cold(HydratedRandom):
    name = "hydrated-random-16-cold"
    depth = 16
    is_warm = False
    metrics = random_metric("16 deep, destination on disk")


class HydratedSequential(Hydrated):
    def measure(self, path, number):
        return self.clone.status()["size"] / (1 << 20) / read_whole(path)


class HydratedSequentialWarm(HydratedSequential):
    name = "hydrated-sequential-warm"
    metrics = (Metric("speed", "hydrated sequential read, destination in memory", "MiB/s",
                      Target("minimal FUSE", least=0.90)),)


class HydratedSequentialCold(HydratedSequential):
    name = "hydrated-sequential-cold"
    is_warm = False
    metrics = (Metric("speed", "hydrated sequential read, destination on disk", "MiB/s",
                      Target("minimal FUSE", least=0.90)),)


JOBS = (HydratedRandom1Warm, HydratedRandom1Cold, HydratedRandom16Warm, HydratedRandom16Cold,
        HydratedSequentialWarm, HydratedSequentialCold)
