"""random_readers.py IMAGE REFERENCE READERS READS SEED: concurrent random reads, compared.

Half of the readers read with O_DIRECT. Exit status 1 when anything differs or fails.
"""

import mmap
import os
import random
import sys


def read(number, image, expected, count, seed):
    rng = random.Random(seed * 1000 + number)
    direct = number % 2 == 1
    fd = os.open(image, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    size = len(expected)
    buffer = mmap.mmap(-1, 1 << 20)  # aligned to a page
    for _ in range(count):
        length = rng.choice((1, 512, 4096, 4096, 4096, 65536, rng.randrange(1, 200000)))
        offset = rng.randrange(size)
        if direct:
            length = (length + 4095) // 4096 * 4096
            offset = offset // 4096 * 4096
        view = memoryview(buffer)[:length]
        found = os.preadv(fd, [view], offset)
        if found != min(length, size - offset) or view[:found] != expected[offset : offset + found]:
            print(
                "reader %d, seed %d: %d bytes at %d differ (%d were read)"
                % (number, seed, length, offset, found),
                file=sys.stderr,
            )
            return 1
    return 0


def main():
    image, reference = sys.argv[1:3]
    readers, count, seed = map(int, sys.argv[3:6])
    with open(reference, "rb") as file:
        expected = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    children = []
    for number in range(readers):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = read(number, image, expected, count, seed)
            finally:
                os._exit(status)
        children.append(child)
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    return 1 if failed else 0


sys.exit(main())
