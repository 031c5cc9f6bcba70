"""The readers and writers everything is measured with."""

import json
import time

from machine import need, output_of, run


def random_io(bench, path, *options):
    """See random_io.c: its JSON object."""
    return json.loads(output_of(bench.program("random_io"), *options, path))


def first_byte_ms(bench, server, count):
    """See first_byte.c: mean of so many regions asked for."""
    found = json.loads(output_of(bench.program("first_byte"), "-n%d" % count, server.port))
    return found["mean_us"] / 1e3


def read_whole(path):
    """Seconds one dd takes."""
    start = time.perf_counter()
    run("dd", "if=%s" % path, "of=/dev/null", "bs=1M", "status=none")
    return time.perf_counter() - start


def read_first_mib(path):
    start = time.perf_counter()
    run("dd", "if=%s" % path, "of=/dev/null", "bs=1M", "count=1", "status=none")
    return time.perf_counter() - start


def fio_random(path, depth, seconds, seed):
    """4 KiB random O_DIRECT reads: how many a second, and how many."""
    out = output_of(
        need("fio", "fio"), "--name=bench", "--filename=" + path, "--rw=randread", "--bs=4k",
        "--ioengine=" + ("psync" if depth == 1 else "libaio"), "--iodepth=%d" % depth, "--direct=1",
        "--runtime=%d" % seconds, "--time_based", "--invalidate=0", "--readonly",
        "--randseed=%d" % seed, "--output-format=json", cwd="/")
    read = json.loads(out)["jobs"][0]["read"]
    return read["iops"], read["total_ios"]
