#!/usr/bin/env python3
"""nr_heaps.py PID: how many heaps glibc's malloc() has for the threads of a process, the main one's not
counted: each begins at a multiple of 64 MiB and has the rest of them reserved behind it."""
import sys

HEAP = 64 << 20

nr = 0
before = None
with open("/proc/%s/maps" % sys.argv[1]) as maps:
    for line in maps:
        fields = line.split()
        start, end = (int(value, 16) for value in fields[0].split("-"))
        if before and fields[1] == "---p" and start == before[1] and end >= before[0] + HEAP:
            nr += before[0] % HEAP == 0
        before = (start, end) if fields[1] == "rw-p" and len(fields) == 5 else None
print(nr)
