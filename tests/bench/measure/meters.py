"""The readers and writers everything is measured with."""

import json
import os
import time

from machine import need, output_of, run

MIB = 1 << 20


def random_io(bench, path, *options):
    """See random_io.c: its JSON object."""
    return json.loads(output_of(bench.program("random_io"), *options, path))


def first_byte_ms(bench, server, count):
    """See first_byte.c: mean of so many regions asked for."""
    found = json.loads(output_of(bench.program("first_byte"), "-n%d" % count, server.port))
    return found["mean_us"] / 1e3


def read_begin(path, mib):
    """Seconds one dd takes for so much of it."""
    start = time.perf_counter()
    run("dd", "if=%s" % path, "of=/dev/null", "bs=1M", "count=%d" % mib, "status=none")
    return time.perf_counter() - start


def read_part(path, begin_mib, count_mib):
    """Seconds the reads take, without the open."""
    buffer = bytearray(MIB)
    fd = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    for i in range(begin_mib, begin_mib + count_mib):
        if os.preadv(fd, [buffer], i * MIB) != MIB:
            raise RuntimeError("%s is too short" % path)
    end = time.perf_counter()
    os.close(fd)
    return end - start


def fio_reads(depth):
    """fio with 4 KiB random O_DIRECT reads; paths and times are still to be said."""
    return [need("fio", "fio"), "--rw=randread", "--bs=4k",
            "--ioengine=" + ("psync" if depth == 1 else "libaio"), "--iodepth=%d" % depth,
            "--direct=1", "--time_based", "--invalidate=0", "--readonly", "--output-format=json"]


def fio_random(path, depth, seconds, seed):
    """How many reads a second, and how many."""
    out = output_of(*fio_reads(depth), "--runtime=%d" % seconds, "--randseed=%d" % seed,
                    "--name=bench", "--filename=" + path, cwd="/")
    read = json.loads(out)["jobs"][0]["read"]
    return read["iops"], read["total_ios"]


def fio_in_turn(paths, depth, seed):
    """Of one path after the other, each for a tenth of a second: of each how many, and in how many
    seconds."""
    words = [*fio_reads(depth), "--runtime=100ms"]
    for i, path in enumerate(paths):
        words += ["--name=%d" % i, "--filename=" + path, "--randseed=%d" % (seed + i), "--stonewall"]
    jobs = json.loads(output_of(*words, cwd="/"))["jobs"]
    return [(job["read"]["total_ios"], job["read"]["runtime"] / 1000) for job in jobs]
