"""Opens of a complete clone that the kernel passes to the destination: as a file, and below a loop."""

import contextlib
import re

from job import Metric, Target
from jobs.turns import InTurns, read_parts
from limits import MinimalFuse
from machine import Skip, drop_caches, output_of, run
from meters import fio_in_turn


def libfuse_version(pid):
    """Of the daemon that runs."""
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as file:
        found = re.search(r"libfuse3\.so\.(\d+)\.(\d+)", file.read())
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


class Passthrough(InTurns):
    """From the disk. The destination is read in the same way as the image, and as a minimal FUSE
    file that passes its reads on: what passing costs in the kernel."""

    on_loop = False

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = None
        self._paths = {}

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        version = libfuse_version(self.clone.pid)
        if version < (3, 17):
            raise Skip("needs libfuse 3.17, the daemon runs with %d.%d" % version)
        minimal = stack.enter_context(contextlib.closing(
            MinimalFuse(self.bench, self.clone.destination, "-p")))
        self._paths = {"clonefs": self.clone.image, "minimal FUSE": minimal.image,
                       "destination": self.clone.destination}
        if self.on_loop:
            self._paths = {name: self.attach(stack, path) for name, path in self._paths.items()}

    @staticmethod
    def attach(stack, path):
        device = output_of("losetup", "-f", "--show", "-r", "--direct-io=on", path).strip()
        stack.callback(run, "losetup", "-d", device)
        return device

    def paths(self):
        return self._paths

    def daemons(self):
        return {"clonefs": self.clone.pid}

    def begin_round(self):
        drop_caches()


class PassthroughRandom(Passthrough):
    depth = 16

    def read_in_turn(self, paths, number):
        return fio_in_turn(paths, self.depth, 1 + number * len(paths))


class PassthroughSequential(Passthrough):
    """Through the page cache."""

    turns = 36

    def read_in_turn(self, paths, number):
        return read_parts(paths, self.clone.status()["size"] >> 20)


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
