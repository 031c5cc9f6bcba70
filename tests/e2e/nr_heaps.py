#!/usr/bin/env python3
"""nr_heaps.py PID: how many heaps glibc's malloc() has for the threads of a process, the main one's not
counted. Each begins at a multiple of 64 MiB and has the rest of them reserved behind it; the kernel shows
what lies before or behind and has the same rights as one with it."""

import sys

HEAP = 64 << 20

nr = 0
used = None
with open("/proc/%s/maps" % sys.argv[1]) as maps:
    for line in maps:
        fields = line.split()
        start, end = (int(value, 16) for value in fields[0].split("-"))
        if used and fields[1] == "---p" and start == used[1]:
            heap = (start - 1) // HEAP * HEAP
            nr += used[0] <= heap and end >= heap + HEAP
        used = (start, end) if fields[1] == "rw-p" and len(fields) == 5 else None
print(nr)
