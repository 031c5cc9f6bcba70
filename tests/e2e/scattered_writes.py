#!/usr/bin/env python3
"""Blocks of 4 KiB all over an image, and what is left of them.

scattered_writes.py write FILE MODEL COUNT SEED   into both
scattered_writes.py check FILE MODEL COUNT SEED   those blocks of FILE, past the page cache, are MODEL's
scattered_writes.py either FILE OLD NEW           each sector of FILE is OLD's or NEW's; prints how many
                                                  differ between both and are NEW's
"""
import mmap
import os
import random
import sys

BLOCK = 4096
SECTOR = 512


def blocks(size, count, seed):
    chosen = random.Random(seed)
    return [(at * BLOCK, chosen.randbytes(BLOCK))
            for at in chosen.sample(range(size // BLOCK), count)]


def write(path, model, count, seed):
    with open(path, 'r+b', buffering=0) as file, open(model, 'r+b') as other:
        for offset, data in blocks(os.path.getsize(model), int(count), int(seed)):
            os.pwrite(file.fileno(), data, offset)
            os.pwrite(other.fileno(), data, offset)


def check(path, model, count, seed):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    memory = mmap.mmap(-1, BLOCK)
    for offset, data in blocks(os.path.getsize(model), int(count), int(seed)):
        assert os.preadv(fd, [memory], offset) == BLOCK
        assert memory[:] == data, offset


def either(path, old, new):
    written = 0
    with open(path, 'rb') as file, open(old, 'rb') as first, open(new, 'rb') as second:
        offset = 0
        while sector := first.read(SECTOR):
            found, wanted = file.read(SECTOR), second.read(SECTOR)
            assert found in (sector, wanted), offset
            written += found != sector
            offset += SECTOR
    print(written)


{'write': write, 'check': check, 'either': either}[sys.argv[1]](*sys.argv[2:])
