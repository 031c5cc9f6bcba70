"""Resident memory when readers are many and the destination cannot keep up."""

import contextlib
import shutil
import subprocess

from clone import Clone
from job import Bound, Job, Metric
from machine import drop_caches, need, run, stop, wait_until
from meters import random_io
from peers import is_there
from server import RangeServer

IMAGE_MIB = 2048
DESTINATION_BYTES_A_SECOND = 20 << 20


class SlowDisk:
    """A file that takes 20 MiB/s: memory behind nbdkit's rate filter, shown by nbdfuse."""

    def __init__(self, bench):
        self._folder = bench.new_folder("slow")
        self.path = self._folder + "/mnt/disk"
        run("mkdir", self._folder + "/mnt")
        rate = "rate=%d" % (8 * DESTINATION_BYTES_A_SECOND)
        self._process = subprocess.Popen(
            [need("nbdfuse", "libnbd-bin"), self.path, "[", need("nbdkit", "nbdkit"),
             "--filter=rate", "memory", "%dM" % IMAGE_MIB, rate, "]"],
            stderr=subprocess.DEVNULL)
        wait_until(lambda: is_there(self.path, IMAGE_MIB << 20))

    def close(self):
        run("umount", self._folder + "/mnt")
        stop(self._process)
        shutil.rmtree(self._folder)


class Memory(Job):
    name = "memory"
    metrics = (
        Metric("peak", "peak resident memory, 64 readers, destination of 20 MiB/s", "MiB",
               Bound(most=64), more_is_better=False),
    )

    def __init__(self, bench):
        super().__init__(bench)
        self.server = None

    def prepare(self, stack):
        need("nbdkit", "nbdkit")
        need("nbdfuse", "libnbd-bin")
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, IMAGE_MIB, ttfb_ms=1, rate=0)))

    def ours_once(self, number):
        drop_caches()
        with contextlib.closing(SlowDisk(self.bench)) as disk:
            options = "max_connections=64,dest=%s,overwrite_dest" % disk.path
            with contextlib.closing(Clone(self.bench, self.server.url, options)) as clone:
                random_io(self.bench, clone.image, "-t64", "-S%d" % (number + 1),
                          "-s%d" % (4 if self.bench.quick else 10))
                return {"peak": clone.peak_resident_mib()}

    def contenders(self):
        return [("clonefs", self.ours_once)]


JOBS = (Memory,)
