"""The machine: programs, processes, caches, versions."""

import mmap
import os
import platform
import re
import shutil
import subprocess
import time


class Skip(Exception):
    """What cannot run here, with the reason."""


def need(program, package):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Skip("needs %s (Debian package %s)" % (program, package))
    return path


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, **options)


def output_of(*words, **options):
    return run(*words, capture_output=True, text=True, **options).stdout


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def take_memory(mib):
    """Touches so much free memory, half of it at the most, and gives it back: it is the next to be used.

    Under a hypervisor that is told of free memory (free page reporting), a page that was free for some
    seconds costs a fault in there when it is used again: runs would be held against each other by how
    long ago somebody else used as much memory."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    with mmap.mmap(-1, max(min(mib, free // 2), 1) << 20, flags=flags):
        pass


def warm(path):
    """Brings a whole file into the page cache."""
    run("dd", "if=%s" % path, "of=/dev/null", "bs=1M", "status=none")


def wait_until(condition, seconds=60, step=0.01):
    """The limit is only there for hangs."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited too long for %s" % condition)
        time.sleep(step)


def cpu_seconds(pid):
    """User and system time a process has used."""
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_resident_mib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024


def stop(process):
    """Asks a process of ours to end, and insists."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def memory_mib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def first_line_of(*words):
    try:
        lines = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return ((lines.stdout + lines.stderr).splitlines() or [None])[0]


VERSIONS = {
    "fio": ("fio", "--version"),
    "curl": ("curl", "--version"),
    "h2load": ("h2load", "--version"),
    "nginx": ("nginx", "-v"),
    "qemu-storage-daemon": ("qemu-storage-daemon", "--version"),
    "nbdkit": ("nbdkit", "--version"),
    "nbdfuse": ("nbdfuse", "--version"),
    "rclone": ("rclone", "version"),
    "libfuse": ("fusermount3", "--version"),
}


def versions():
    found = {name: first_line_of(*words) for name, words in VERSIONS.items()}
    found["kernel"] = platform.release()
    return {name: version for name, version in sorted(found.items()) if version}
