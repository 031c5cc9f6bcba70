"""Opens of a complete clone that the kernel passes to the destination: as a file, and below a loop."""

import re

from job import Job, Metric, Target
from machine import Skip, cpu_seconds, drop_caches, output_of, run
from meters import fio_random


def libfuse_version(pid):
    """Of the daemon that runs."""
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as file:
        found = re.search(r"libfuse3\.so\.(\d+)\.(\d+)", file.read())
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


class Passthrough(Job):
    """16 deep, from the disk."""

    def __init__(self, bench):
        super().__init__(bench)
        self.clone = self.image = self.destination = None

    def prepare(self, stack):
        self.clone = self.bench.hydrated_clone()
        version = libfuse_version(self.clone.pid)
        if version < (3, 17):
            raise Skip("needs libfuse 3.17, the daemon runs with %d.%d" % version)
        self.image, self.destination = self.clone.image, self.clone.destination

    def once(self, path, number):
        drop_caches()
        before = cpu_seconds(self.clone.pid)
        speed, count = fio_random(path, 16, 1 if self.bench.quick else 3, number + 1)
        return {"speed": speed, "cpu": 1e6 * (cpu_seconds(self.clone.pid) - before) / count}

    def contenders(self):
        return [("clonefs", lambda number: self.once(self.image, number)),
                ("destination", lambda number: self.once(self.destination, number))]


def metrics(text):
    return (
        Metric("speed", "passed 4 KiB random read, 16 deep, " + text, "reads/s",
               Target("destination", least=0.95)),
        Metric("cpu", "processor time of the daemon for each read", "us", more_is_better=False),
    )


class PassthroughFile(Passthrough):
    name = "passthrough"
    metrics = metrics("the file")


class PassthroughLoop(Passthrough):
    name = "passthrough-loop"
    metrics = metrics("a loop device on it")

    def prepare(self, stack):
        super().prepare(stack)
        self.image = self.attach(stack, self.image)
        self.destination = self.attach(stack, self.destination)

    @staticmethod
    def attach(stack, path):
        device = output_of("losetup", "-f", "--show", "-r", "--direct-io=on", path).strip()
        stack.callback(run, "losetup", "-d", device)
        return device


JOBS = (PassthroughFile, PassthroughLoop)
