"""A source that is a file beside the destination, on a file system that can share blocks."""

import contextlib
import os
import subprocess
import time

from clone import Clone
from job import Job, Metric, Target
from machine import drop_caches, need, output_of, run


class Reflink(Job):
    make = ()
    package = None

    def __init__(self, bench):
        super().__init__(bench)
        # A small machine's disk. Ours does not depend on it: with caches that are cold, the programs'
        # too, nearly all of it is the mount, which is shown by itself.
        self.size_mib = 4096
        self.folder = self.source = None

    def prepare(self, stack):
        need(self.make[0], self.package)
        self.folder = self.bench.new_folder("local")
        backing = self.folder + ".img"
        run("truncate", "-s", "%dM" % (3 * self.size_mib + 1024), backing)
        stack.callback(os.unlink, backing)
        run(*self.make, backing, stdout=subprocess.DEVNULL)
        device = output_of("losetup", "-f", "--show", backing).strip()
        stack.callback(run, "losetup", "-d", device)
        run("mount", device, self.folder)
        stack.callback(run, "umount", self.folder)
        self.source = self.folder + "/source.raw"
        run("dd", "if=/dev/urandom", "of=" + self.source, "bs=1M", "count=%d" % self.size_mib,
            "status=none", "conv=fsync")

    def ours_once(self, number):
        drop_caches()
        start = time.perf_counter()
        with contextlib.closing(Clone(self.bench, self.source,
                                      state="%s/state-%d" % (self.folder, number))) as clone:
            mounted = time.perf_counter() - start
            clone.wait_hydrated()
            return {"time": time.perf_counter() - start, "mount": mounted}

    def copy_once(self, _):
        target = self.folder + "/copy.raw"
        drop_caches()
        start = time.perf_counter()
        run("cp", "--reflink=never", self.source, target)
        run("sync", target)
        seconds = time.perf_counter() - start
        os.unlink(target)
        return {"time": seconds}

    def contenders(self):
        return [("clonefs", self.ours_once), ("cp and sync", self.copy_once)]


def reflink_metrics(name):
    return (Metric("time", "full hydration from a file beside it, " + name, "s",
                   Target("cp and sync", most=0.05), more_is_better=False),
            Metric("mount", "of this, until it is mounted", "s", more_is_better=False))


class ReflinkXfs(Reflink):
    name = "reflink-xfs"
    make = ("mkfs.xfs", "-q", "-m", "reflink=1")
    package = "xfsprogs"
    metrics = reflink_metrics("xfs")


class ReflinkBtrfs(Reflink):
    name = "reflink-btrfs"
    make = ("mkfs.btrfs", "-q")
    package = "btrfs-progs"
    metrics = reflink_metrics("btrfs")


JOBS = (ReflinkXfs, ReflinkBtrfs)
