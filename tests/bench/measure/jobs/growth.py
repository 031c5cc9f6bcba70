"""Resident memory over a long time of what clones are used for."""

import contextlib
import ctypes
import mmap
import os
import random
import statistics
import threading
import time

from clone import Clone
from job import Bound, Job, Metric
from limits import MIB, REGION
from machine import drop_caches
from meters import random_io
from server import RangeServer

# Nothing of the load comes to its end: an hour brings a tenth of this. Sparse on the disk.
IMAGE_MIB = 256 << 10
BLOCK = 4096
RUN = 32 * MIB
BURSTS = 16
# Nobody reads or writes for so long: what is kept for the next one has gone back by then. Then the
# least of so many seconds counts, as the background goes on with a piece now and then.
REST_SECONDS = 30
REST_SAMPLES = 15

# fallocate(2): punch a hole, keep the size.
PUNCH = 3
libc = ctypes.CDLL(None, use_errno=True)


def punch(fd, offset, length):
    if libc.fallocate(fd, PUNCH, ctypes.c_longlong(offset), ctypes.c_longlong(length)) < 0:
        raise OSError(ctypes.get_errno(), "punch")


class Load:
    """Threads that work on one clone until stop(); the first error any of them met is raised there.

    Each has random numbers of its own. Offsets of what was read or written are kept, to be read again.
    """

    def __init__(self, bench, clone):
        self._bench = bench
        self._clone = clone
        self._regions = os.stat(clone.image).st_size // REGION
        self._known = [0]
        self._over = threading.Event()
        self._errors = []
        self.operations = 0
        works = [(self.read_cold, 0.2)] * 4 + [(self.read_known, 0.02)] * 2 + [
            (self.write, 0.05), (self.read_run, 10), (self.open_and_close, 0.1),
            (self.control, 5)]
        self._threads = [threading.Thread(target=self._repeat, args=(seed, *work))
                         for seed, work in enumerate(works)]
        for thread in self._threads:
            thread.start()

    def _repeat(self, seed, work, seconds):
        numbers = random.Random(seed)
        buffer = mmap.mmap(-1, REGION)
        fd = os.open(self._clone.image, os.O_RDWR | os.O_DIRECT)
        try:
            while not self._over.wait(seconds * numbers.uniform(0.5, 1.5)):
                work(numbers, fd, buffer)
                self.operations += 1
        except Exception as error:
            self._errors.append(error)
            self._over.set()
        finally:
            os.close(fd)

    def _somewhere(self, numbers):
        return numbers.randrange(self._regions) * REGION

    def _remember(self, numbers, offset):
        if len(self._known) < 10000:
            self._known.append(offset)
        else:
            self._known[numbers.randrange(10000)] = offset

    @staticmethod
    def _read(fd, buffer, size, offset):
        with memoryview(buffer) as whole, whole[:size] as part:
            os.preadv(fd, [part], offset)

    def read_cold(self, numbers, fd, buffer):
        offset = self._somewhere(numbers)
        self._read(fd, buffer, BLOCK, offset)
        self._remember(numbers, offset)

    def read_known(self, numbers, fd, buffer):
        size = numbers.choice((BLOCK, BLOCK, REGION))
        self._read(fd, buffer, size, numbers.choice(self._known))

    def write(self, numbers, fd, buffer):
        """Part of a missing region, part of one that is here, or all of one; sometimes a sync."""
        kind = numbers.randrange(4)
        if kind == 0:
            os.fsync(fd)
            return
        offset = numbers.choice(self._known) if kind == 1 else self._somewhere(numbers)
        os.pwritev(fd, [memoryview(buffer)[:BLOCK if kind < 3 else REGION]], offset)
        self._remember(numbers, offset)

    def read_run(self, numbers, fd, _):
        """Through the page cache, from one end to the other; then most of it is given back."""
        begin = numbers.randrange(self._regions * REGION // RUN) * RUN
        cached = os.open(self._clone.image, os.O_RDONLY)
        try:
            for offset in range(begin, begin + RUN, MIB):
                os.pread(cached, MIB, offset)
        finally:
            os.close(cached)
        if numbers.randrange(4):
            punch(fd, begin, RUN)

    def open_and_close(self, numbers, *_):
        fd = os.open(self._clone.image, os.O_RDONLY)
        try:
            os.lseek(fd, numbers.choice(self._known), os.SEEK_DATA)
            os.pread(fd, 512, numbers.choice(self._known))
        finally:
            os.close(fd)

    def control(self, numbers, *_):
        self._clone.status()
        self._clone.control("status", "--json")
        if numbers.randrange(4) == 0:
            self._clone.control("pause")
            self._over.wait(1)
            self._clone.control("resume")
            self._clone.control("set", "background_rate=%dM" % numbers.randrange(1, 4))
            self._clone.control("flush")

    def burst(self, seed):
        """More at once than there are connections and workers: small and large reads, reads of what is
        here that wait for the disk, and at last large writes, which fill the buffers of all workers."""
        large = ("-n128", "-b%d" % MIB, "-g%d" % RUN, "-S%d" % seed)
        random_io(self._bench, self._clone.image, "-t64", "-n2000", "-S%d" % seed)
        random_io(self._bench, self._clone.image, "-t16", "-c", *large)
        self._read_from_disk(seed)
        random_io(self._bench, self._clone.image, "-t32", "-w", *large)

    def _read_from_disk(self, seed):
        os.sync()
        fd = os.open(self._clone.destination, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        readers = [threading.Thread(target=self._read_some, args=(1000 * seed + i,))
                   for i in range(64)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()

    def _read_some(self, seed):
        numbers = random.Random(seed)
        fd = os.open(self._clone.image, os.O_RDONLY | os.O_DIRECT)
        with contextlib.closing(mmap.mmap(-1, REGION)) as buffer:
            for _ in range(20):
                self.read_known(numbers, fd, buffer)
        os.close(fd)

    def is_over(self, seconds):
        """Waits so long, or until a thread fails."""
        return self._over.wait(seconds)

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise RuntimeError("the load failed: %r" % self._errors[0])


def size_of(pid):
    """MiB and counts of a process. smaps_rollup is exact, VmRSS of status is not."""
    found = {}
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii", errors="replace") as file:
        for line in file.readlines()[1:]:
            name, value = line.split()[:2]
            found[name] = int(value) / 1024
    return {"resident": found["Rss:"], "anonymous": found["Anonymous:"],
            "descriptors": len(os.listdir("/proc/%d/fd" % pid)),
            "threads": len(os.listdir("/proc/%d/task" % pid))}


def by_burst(samples):
    """Of each time from one burst to the next: the least that is resident, and the most."""
    bursts = {}
    for sample in samples:
        bursts.setdefault(sample["burst"], []).append(sample)
    return [{"floor": min(each["resident"] for each in members),
             "peak": members[-1]["peak"]}
            for _, members in sorted(bursts.items())]


def quarters_of(values):
    """The median of each quarter."""
    quarter = max(len(values) // 4, 1)
    return [statistics.median(values[i * quarter:(i + 1) * quarter] or values) for i in range(4)]


def growth_of(values):
    """The median of the last quarter less that of the first one."""
    quarters = quarters_of(values)
    return quarters[3] - quarters[0]


def growth_of_most(values):
    """The most of the second half less that of the first one."""
    half = max(len(values) // 2, 1)
    return max(values[half:] or values) - max(values[:half])


def forget_peak(pid):
    with open("/proc/%d/clear_refs" % pid, "w", encoding="ascii") as file:
        file.write("5")


class Growth(Job):
    """The first tenth of the time is to warm up, with bursts: pools and bitmaps are as large as they
    get after it (all bitmaps of the image are 3 MiB, and random accesses touch all their pages).

    What is resident under load goes up by 15 to 20 MiB with a burst and down after it, so like is held
    against like: what is there while the clone rests, after the warming up and at the end, and the most
    in many bursts. How much of the pools one burst happens to need at one time is between 50 and 72 MiB
    from the first on. What is left between two is between 17 and 46, by how many of libfuse's workers
    have had a large request yet (1 MiB each, 16 of them) and how busy the machine is (12 MiB of pieces are
    kept while they are used), so that it has no bound here."""

    name = "growth"
    is_usual = False

    def __init__(self, bench):
        super().__init__(bench)
        self.seconds = 60 * bench.growth_minutes
        self.metrics = (
            Metric("resting", "growth of resident memory over %g minutes of mixed load, from rest to rest"
                   % bench.growth_minutes, "MiB", Bound(most=1), more_is_better=False),
            Metric("peak", "growth of the most that is resident in half of the bursts", "MiB",
                   Bound(most=1), more_is_better=False),
            Metric("floor", "growth of the most that is left between bursts, by halves", "MiB",
                   more_is_better=False),
            Metric("rest", "resident memory at rest, at the end", "MiB", more_is_better=False),
            Metric("size", "resident memory at the end", "MiB", more_is_better=False),
            Metric("descriptors", "growth of open descriptors", "number", more_is_better=False),
            Metric("threads", "growth of threads", "number", more_is_better=False),
            Metric("operations", "what was done meanwhile", "operations"),
        )
        self.server = None
        self.operations = 0

    def prepare(self, stack):
        self.server = stack.enter_context(contextlib.closing(
            RangeServer(self.bench, IMAGE_MIB, ttfb_ms=1, rate=0)))

    def sampled(self, clone, seconds, bursts):
        """Samples of so long a load with so many bursts: every ten seconds (of short runs more)."""
        load = Load(self.bench, clone)
        step = min(10, self.seconds / 100)
        due_bursts = [seconds * (i + 0.5) / bursts for i in range(bursts)]
        begin = time.monotonic()
        samples = []
        burst = 0
        forget_peak(clone.pid)
        try:
            for due in range(1, int(seconds / step) + 1):
                if load.is_over(max(begin + due * step - time.monotonic(), 0)):
                    break
                samples.append(size_of(clone.pid) | {
                    "burst": burst, "peak": clone.peak_resident_mib()})
                if due % 30 == 0:
                    print("  %4.1f minutes: %s" % (due * step / 60, samples[-1]), flush=True)
                if due_bursts and due_bursts[0] <= due * step:
                    del due_bursts[0]
                    burst += 1
                    forget_peak(clone.pid)
                    load.burst(due)
        finally:
            load.stop()
        self.operations += load.operations
        return samples

    def rested(self, clone):
        time.sleep(REST_SECONDS)
        samples = []
        for _ in range(REST_SAMPLES):
            samples.append(size_of(clone.pid))
            time.sleep(1)
        print("  at rest: %s" % ["%.1f" % each["resident"] for each in samples], flush=True)
        return min(samples, key=lambda each: each["resident"])

    def ours_once(self, _):
        drop_caches()
        with contextlib.closing(Clone(self.bench, self.server.url, "background_rate=2M")) as clone:
            self.operations = 0
            self.sampled(clone, self.seconds / 10, 4)
            before = self.rested(clone)
            samples = self.sampled(clone, self.seconds * 9 / 10, BURSTS)
            after = self.rested(clone)
            of_bursts = by_burst(samples)
            for key in ("floor", "peak"):
                print("  %ss: %s" % (key, ["%.1f" % each[key] for each in of_bursts]), flush=True)
            return {"operations": self.operations, "size": samples[-1]["resident"],
                    "resting": after["resident"] - before["resident"],
                    "rest": after["resident"]} | {
                key: growth_of_most([each[key] for each in of_bursts])
                for key in ("floor", "peak")} | {
                key: growth_of([each[key] for each in samples])
                for key in ("descriptors", "threads")}

    def contenders(self):
        return [("clonefs", self.ours_once)]

    def run(self, stack, rounds):
        return super().run(stack, 1)


JOBS = (Growth,)
