"""Opens of a complete clone that the kernel passes to the destination: as a file, and below a loop."""

import re

from job import Job, Metric, Target
from machine import Skip, drop_caches, output_of, run
from meters import fio_random, read_whole


def libfuse_version(pid):
    """Of the daemon that runs."""
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as file:
        found = re.search(r"libfuse3\.so\.(\d+)\.(\d+)", file.read())
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


class Passthrough(Job):
    """From the disk. The destination is read in the same way as the image."""

    on_loop = False

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = self.image = self.destination = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        version = libfuse_version(self.clone.pid)
        if version < (3, 17):
            raise Skip("needs libfuse 3.17, the daemon runs with %d.%d" % version)
        self.image, self.destination = self.clone.image, self.clone.destination
        if self.on_loop:
            self.image = self.attach(stack, self.image)
            self.destination = self.attach(stack, self.destination)

    @staticmethod
    def attach(stack, path):
        device = output_of("losetup", "-f", "--show", "-r", "--direct-io=on", path).strip()
        stack.callback(run, "losetup", "-d", device)
        return device

    def measure(self, path, number):
        """(speed, how many of what the processor time is counted for)"""
        raise NotImplementedError

    def passed(self, number):
        drop_caches()
        before = self.clone.cpu_seconds()
        speed, count = self.measure(self.image, number)
        return {"speed": speed, "cpu": 1e6 * (self.clone.cpu_seconds() - before) / count}

    def direct(self, number):
        drop_caches()
        return {"speed": self.measure(self.destination, number)[0]}

    def contenders(self):
        return [("clonefs", self.passed), ("destination", self.direct)]


class PassthroughRandom(Passthrough):
    depth = 16

    def measure(self, path, number):
        return fio_random(path, self.depth, 1 if self.bench.quick else 3, number + 1)


class PassthroughSequential(Passthrough):
    def measure(self, path, number):
        size_mib = self.clone.status()["size"] / (1 << 20)
        return size_mib / read_whole(path), size_mib


def metrics(text, unit, each):
    return (
        Metric("speed", "passed " + text, unit, Target("destination", least=0.95)),
        Metric("cpu", "processor time of the daemon for each " + each, "us", more_is_better=False),
    )


def random_metrics(text):
    return metrics("4 KiB random read, " + text, "reads/s", "read")


def sequential_metrics(text):
    return metrics("sequential read, " + text, "MiB/s", "MiB")


class PassthroughFile1(PassthroughRandom):
    name = "passthrough-file-1"
    depth = 1
    metrics = random_metrics("1 deep, the file")


class PassthroughFile16(PassthroughRandom):
    name = "passthrough-file-16"
    metrics = random_metrics("16 deep, the file")


class PassthroughFileSequential(PassthroughSequential):
    name = "passthrough-file-sequential"
    metrics = sequential_metrics("the file")


class PassthroughLoop16(PassthroughRandom):
    name = "passthrough-loop-16"
    on_loop = True
    metrics = random_metrics("16 deep, a loop device on it")


class PassthroughLoopSequential(PassthroughSequential):
    name = "passthrough-loop-sequential"
    on_loop = True
    metrics = sequential_metrics("a loop device on it")


JOBS = (PassthroughFile1, PassthroughFile16, PassthroughFileSequential, PassthroughLoop16,
        PassthroughLoopSequential)
