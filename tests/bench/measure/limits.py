"""What bounds clonefs: curl, h2load, and a FUSE file that only reads its backing file."""

import os
import re
import subprocess
import time

from machine import need, output_of, run

MIB = 1 << 20
REGION = 65536


def parallel_curl(bench, url, size, count):
    """So many curl, each with its part, to files on the disk of the clones, with the final sync.

    Returns seconds until the last was done, seconds with the sync, and processor seconds."""
    folder = bench.new_folder("curl")
    part = size // count
    paths = ["%s/%d" % (folder, i) for i in range(count)]
    start = time.perf_counter()
    running = [
        subprocess.Popen(["curl", "-fsS", "--noproxy", "*", "-r",
                          "%d-%d" % (i * part, (i + 1) * part - 1), "-o", path, url])
        for i, path in enumerate(paths)]
    cpu = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        cpu += usage.ru_utime + usage.ru_stime
    fetched = time.perf_counter() - start
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    synced = time.perf_counter() - start
    for path in paths:
        os.unlink(path)
    os.rmdir(folder)
    return fetched, synced, cpu


def curl_first_mib(url):
    start = time.perf_counter()
    run("curl", "-fsS", "--noproxy", "*", "-r", "0-%d" % (MIB - 1), "-o", "/dev/null", url)
    return time.perf_counter() - start


def h2load(url, count, connections, streams=None):
    """Requests a second for regions, over HTTP/1.1 or with so many streams a connection."""
    protocol = ["--h1"] if streams is None else ["-m", streams]
    text = output_of(need("h2load", "nghttp2-client"), *protocol, "-t", 1, "-c", connections, "-n",
                     count, "-H", "Range: bytes=0-%d" % (REGION - 1), url)
    done = int(re.search(r"(\d+) succeeded", text).group(1))
    assert done == count, text
    seconds, unit = re.search(r"finished in ([\d.]+)(us|ms|s),", text).groups()
    return count / (float(seconds) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit])


class MinimalFuse:
    """minimal_fuse over a backing file, with the settings of the daemon."""

    def __init__(self, bench, backing, *options):
        folder = bench.new_folder("minimal")
        self.image = folder + "/file"
        open(self.image, "w", encoding="ascii").close()
        self._process = subprocess.Popen(
            [bench.program("minimal_fuse"), *options, backing, self.image], stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        self.pid = self._process.pid
        assert self._process.stdout.readline() == "ready\n"

    def close(self):
        run("umount", self.image)
        self._process.wait()
        self._process.stdout.close()
