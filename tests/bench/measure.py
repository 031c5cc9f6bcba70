"""Measures clonefs against its references, interleaved, and prints medians: run it through `run`.

cold random    4 KiB O_DIRECT reads, each of a region that is not there, from a server that takes
               20 ms to answer; against that server's first byte and a whole region over a
               connection kept alive
cold sequential  one dd over a new mount; against one curl and eight, each with its part, all writing
               to the same disk as the clone; from a server with 20 ms and 100 MiB/s a connection,
               and from one without limits
hydrated random  4 KiB O_DIRECT reads of a complete clone; against the same reads of its destination,
               both from the disk; and with the destination in the page cache, against cached reads
"""

import argparse
import http.client
import json
import mmap
import os
import random
import shutil
import statistics
import subprocess
import time
import urllib.parse

REGION = 65536
PAGE = 4096


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.mountpoint = os.path.join(arguments.folder, "mnt")
        self.state = os.path.join(arguments.folder, "state", "mnt")
        self.image = os.path.join(self.mountpoint, "disk.raw")
        self.destination = os.path.join(self.state, "disk.img")
        self.size = os.path.getsize(os.path.join(arguments.folder, "www", "disk.raw"))
        self.rows = {}  # (group, name, unit) -> values

    def note(self, group, name, unit, value):
        self.rows.setdefault((group, name, unit), []).append(value)

    def mount(self, url, options=""):
        subprocess.run(
            [self.arguments.mount, "-o", "state_dir=%s%s" % (self.state, options), url,
             self.mountpoint],
            check=True,
        )

    def unmount(self, forget=True):
        subprocess.run(["umount", self.mountpoint], check=True)
        subprocess.run([self.arguments.clonectl, "wait", "--exit", self.state], check=True)
        if forget:
            shutil.rmtree(self.state)

    def cold_random(self, count=100):
        group = "cold random 4 KiB, server 20 ms"
        url = urllib.parse.urlsplit(self.arguments.latent)
        regions = random.sample(range(self.size // REGION), 2 * count)
        connection = http.client.HTTPConnection(url.hostname, url.port)
        firsts, wholes = [], []
        for region in regions[:count]:
            start = time.perf_counter()
            span = "bytes=%d-%d" % (region * REGION, region * REGION + REGION - 1)
            connection.request("GET", url.path, headers={"Range": span})
            response = connection.getresponse()
            response.read(1)
            firsts.append(time.perf_counter() - start)
            response.read()
            wholes.append(time.perf_counter() - start)
        self.mount(self.arguments.latent, ",no_hydration")
        fd = os.open(self.image, os.O_RDONLY | os.O_DIRECT)
        buffer = mmap.mmap(-1, PAGE)
        reads = []
        for region in regions[count:]:
            start = time.perf_counter()
            os.preadv(fd, [buffer], region * REGION)
            reads.append(time.perf_counter() - start)
        os.close(fd)
        self.unmount()
        for name, values in (("server's first byte", firsts), ("server's 64 KiB", wholes),
                             ("clonefs", reads)):
            self.note(group, name, "ms", 1000 * statistics.median(values))

    def curls(self, url, count):
        part = self.size // count
        target = os.path.join(self.arguments.folder, "curl")
        start = time.perf_counter()
        running = [
            subprocess.Popen(
                ["curl", "-fsS", "--noproxy", "*", "-r",
                 "%d-%d" % (i * part, (i + 1) * part - 1), "-o", "%s-%d" % (target, i), url]
            )
            for i in range(count)
        ]
        assert all(process.wait() == 0 for process in running)
        seconds = time.perf_counter() - start
        for i in range(count):
            os.unlink("%s-%d" % (target, i))
        return self.size / seconds / (1 << 20)

    def cold_sequential(self, name, url):
        group = "cold sequential, " + name
        self.note(group, "one curl", "MiB/s", self.curls(url, 1))
        self.note(group, "eight curls", "MiB/s", self.curls(url, 8))
        self.mount(url)
        start = time.perf_counter()
        subprocess.run(["dd", "if=" + self.image, "of=/dev/null", "bs=1M", "status=none"],
                       check=True)
        seconds = time.perf_counter() - start
        self.note(group, "clonefs", "MiB/s", self.size / seconds / (1 << 20))
        self.unmount()

    def fio(self, path, direct, depth):
        if direct:
            subprocess.run(["dd", "if=" + self.destination, "iflag=nocache", "count=0",
                            "status=none"], check=True)
        else:
            subprocess.run(["cat", self.destination], check=True, stdout=subprocess.DEVNULL)
        engine = "psync" if depth == 1 else "libaio"
        out = subprocess.run(
            ["fio", "--name=bench", "--filename=" + path, "--rw=randread", "--bs=4k",
             "--ioengine=" + engine, "--iodepth=%d" % depth,
             "--direct=%d" % (direct or path == self.image), "--size=%d" % self.size,
             "--runtime=3", "--time_based", "--invalidate=0", "--readonly", "--output-format=json",
             "--randseed=%d" % random.randrange(1 << 30)],
            check=True, capture_output=True, cwd=self.arguments.folder,
        ).stdout
        return json.loads(out)["jobs"][0]["read"]["iops"]

    def hydrated_random(self):
        self.mount(self.arguments.fast)
        subprocess.run([self.arguments.clonectl, "wait", self.mountpoint], check=True)
        for _ in range(self.arguments.rounds):
            for name, direct, depth in (("from the disk, 1 at a time", True, 1),
                                        ("from the disk, 16 at a time", True, 16),
                                        ("cached, 1 at a time", False, 1)):
                group = "hydrated random 4 KiB " + name
                self.note(group, "destination", "IOPS", self.fio(self.destination, direct, depth))
                self.note(group, "clonefs", "IOPS", self.fio(self.image, direct, depth))
        self.unmount()

    def figures(self):
        figures = []
        for (group, name, unit), values in self.rows.items():
            ours = self.rows[(group, "clonefs", unit)]
            figures.append({
                "group": group, "name": name, "unit": unit, "median": statistics.median(values),
                "least": min(values), "most": max(values),
                "clonefs_ratio": statistics.median(ours) / statistics.median(values),
            })
        return figures


def main():
    parser = argparse.ArgumentParser()
    for name in ("mount", "clonectl", "folder", "latent", "limited", "fast", "json"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    bench = Bench(parser.parse_args())
    for _ in range(bench.arguments.rounds):
        bench.cold_random()
        bench.cold_sequential("server 20 ms, 100 MiB/s each", bench.arguments.limited)
        bench.cold_sequential("server without limits", bench.arguments.fast)
    bench.hydrated_random()
    group = None
    for row in bench.figures():
        if row["group"] != group:
            group = row["group"]
            print("\n%s" % group)
        print("  %-22s %10.2f %-6s [%.2f - %.2f]  clonefs/this %.2f" % (
            row["name"], row["median"], row["unit"], row["least"], row["most"],
            row["clonefs_ratio"]))
    with open(bench.arguments.json, "w", encoding="ascii") as file:
        json.dump({"load": os.getloadavg()[0], "processors": os.cpu_count(),
                   "rounds": bench.arguments.rounds, "figures": bench.figures()}, file, indent=1)


main()
