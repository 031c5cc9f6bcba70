#!/usr/bin/env python3
"""What a file says about its holes, and fallocate() in any mode.

file_map.py map FILE                        lines "data|hole FIRST END" (END not included)
file_map.py fallocate FILE MODE OFFSET LEN  prints "ok" or the errno's name
file_map.py seek FILE data|hole OFFSET      prints the offset, or the errno's name
"""
import ctypes
import errno
import os
import sys


def file_map(path):
    fd = os.open(path, os.O_RDONLY)
    size = os.lseek(fd, 0, os.SEEK_END)
    at = 0
    while at < size:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = size
        if data > at:
            print("hole", at, data)
        if data < size:
            at = os.lseek(fd, data, os.SEEK_HOLE)
            print("data", data, at)
        else:
            at = size


def fallocate(path, mode, offset, length):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    fd = os.open(path, os.O_RDWR)
    failed = libc.fallocate(fd, mode, offset, length) != 0
    print(errno.errorcode[ctypes.get_errno()] if failed else "ok")


def seek(path, whence, offset):
    fd = os.open(path, os.O_RDONLY)
    try:
        print(os.lseek(fd, offset, os.SEEK_DATA if whence == "data" else os.SEEK_HOLE))
    except OSError as error:
        print(errno.errorcode[error.errno])


def main():
    what, path, *rest = sys.argv[1:]
    if what == "map":
        file_map(path)
    elif what == "fallocate":
        fallocate(path, *(int(word, 0) for word in rest))
    else:
        seek(path, rest[0], int(rest[1]))


main()
