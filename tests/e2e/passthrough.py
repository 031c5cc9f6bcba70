"""Opens of a complete image that the kernel passes through to the destination.

passthrough.py STEP IMAGE DAEMON_PID EXPECTED DESTINATION
EXPECTED is a copy of what the image has to be; what a step writes to the image it writes there, too.
"""
import contextlib
import errno
import glob
import mmap
import os
import random
import select
import signal
import sys
import threading
import time

STEP, IMAGE, PID, EXPECTED, DESTINATION = sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:6]
SIZE = os.stat(EXPECTED).st_size
PAGE = 4096


def expected(offset, length):
    with open(EXPECTED, "rb") as file:
        return os.pread(file.fileno(), length, offset)


@contextlib.contextmanager
def opened(flags):
    fd = os.open(IMAGE, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def is_stopped():
    """Are all of the daemon's threads?"""
    for stat in glob.glob(f"/proc/{PID}/task/*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(stat) as file:
            if file.read().rpartition(")")[2].split()[0] != "T":
                return False
    return True


@contextlib.contextmanager
def daemon_stopped():
    # Whoever waits for a daemon that is stopped by himself is ended; the shell lets it go on then.
    signal.alarm(100)
    os.kill(PID, signal.SIGSTOP)
    try:
        # One thread is told, and tells the others when it runs: until then they would answer.
        while not is_stopped():
            time.sleep(0.001)
        yield
    finally:
        os.kill(PID, signal.SIGCONT)
        signal.alarm(0)


def is_passed(fd, seconds):
    """Can bytes that the kernel has not kept be read while the daemon does nothing?"""
    offset = random.randrange(SIZE // PAGE) * PAGE
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    result, answer = os.pipe()
    with daemon_stopped():
        reader = threading.Thread(target=lambda: os.write(answer, os.pread(fd, PAGE, offset)))
        reader.start()
        passed = bool(select.select([result], [], [], seconds)[0])
    reader.join()
    assert os.read(result, PAGE) == expected(offset, PAGE)
    os.close(result)
    os.close(answer)
    return passed


def assert_passed(fd):
    assert is_passed(fd, 60), "the open is not passed through"


def assert_served(fd):
    assert not is_passed(fd, 0.5), "the open is passed through"


@contextlib.contextmanager
def opened_after_others(*flags, look_at, passed):
    """Opens that follow closes. The kernel does not wait until the daemon has heard of a close, so the
    first of them may still find those of before: then all are tried again. [look_at] is passed or not."""
    end = time.monotonic() + 60
    while True:
        with contextlib.ExitStack() as stack:
            fds = [stack.enter_context(opened(each)) for each in flags]
            if is_passed(fds[look_at], 0.5) == passed:
                yield fds
                return
        assert time.monotonic() < end, "the open is %spassed through" % ("not " if passed else "")


def assert_reads(fd):
    for offset in range(0, SIZE, 1 << 20):
        assert os.pread(fd, 1 << 20, offset) == expected(offset, 1 << 20), f"wrong bytes at {offset}"


def put(fd, offset, data):
    assert os.pwrite(fd, data, offset) == len(data)
    with open(EXPECTED, "r+b") as file:
        os.pwrite(file.fileno(), data, offset)


def put_mapped(fd, offset, data):
    with mmap.mmap(fd, SIZE, mmap.MAP_SHARED) as mapping:
        mapping[offset:offset + len(data)] = data
        mapping.flush()
    with open(EXPECTED, "r+b") as file:
        os.pwrite(file.fileno(), data, offset)


def fails(code, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == code, error
    else:
        raise AssertionError(f"{call.__name__} should have failed")


def read_only():
    """One that only reads: all is the destination's."""
    with opened_after_others(os.O_RDONLY, look_at=0, passed=True) as (fd,):
        # Mapping asks for the size.
        with mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as mapping:
            with daemon_stopped():
                assert_reads(fd)
                assert mapping[:] == expected(0, SIZE)
        assert os.pread(fd, 1 << 20, SIZE - 100) == expected(SIZE - 100, 100)
        assert os.pread(fd, 100, SIZE) == b""
        with opened(os.O_RDONLY | os.O_DIRECT) as direct, mmap.mmap(-1, 512) as sector:
            os.preadv(direct, [sector], 512 * 77)
            assert sector[:] == expected(512 * 77, 512)


def writer_beside():
    """One that writes while a passed one exists: no error, and his writes come to the daemon."""
    with opened(os.O_RDONLY) as reader:
        assert_passed(reader)
        with opened(os.O_RDWR) as writer:
            put(writer, 123456, b"written" * 1000)
            assert_reads(writer)
            put_mapped(writer, 3 * PAGE + 5, b"mapped" * 1000)
            os.fsync(writer)
            assert_reads(reader)
            assert_reads(writer)
            assert os.pwrite(writer, b"x" * 200, SIZE - 100) == 100
            with open(EXPECTED, "r+b") as file:
                os.pwrite(file.fileno(), b"x" * 100, SIZE - 100)
            fails(errno.EFBIG, os.pwrite, writer, b"x", SIZE)
            fails(errno.EPERM, os.ftruncate, writer, SIZE + 1)
            assert os.fstat(writer).st_size == os.stat(DESTINATION).st_size == SIZE
            assert_passed(reader)
        with opened(os.O_RDONLY) as another:
            assert_passed(another)
            assert_reads(another)


def writer_first():
    """One that writes comes first: everybody is served, and nobody sees what was cached before."""
    with opened_after_others(os.O_RDWR, os.O_RDONLY, look_at=1, passed=False) as (writer, reader):
        assert_reads(reader)
        put(writer, 77777, b"again" * 1000)
        put_mapped(writer, 5 * PAGE, b"mapped again" * 1000)
        assert_reads(reader)
    with opened_after_others(os.O_RDONLY, os.O_RDWR, look_at=0, passed=True) as (reader, writer):
        put_mapped(writer, 5 * PAGE, b"and past us" * 1000)
        assert_reads(reader)
    with opened(os.O_RDWR) as writer:
        assert_reads(writer)


def storm():
    """Opens of all kinds at once: never an error, never a wrong byte."""
    failures = []

    def run(seed):
        dice = random.Random(seed)
        held = []
        try:
            for _ in range(200):
                held.append(os.open(IMAGE, dice.choice((os.O_RDONLY, os.O_RDONLY, os.O_RDWR))))
                offset = dice.randrange(SIZE)
                assert os.pread(held[-1], 5000, offset) == expected(offset, 5000)
                while len(held) > 2 or (held and dice.random() < 0.6):
                    os.close(held.pop(dice.randrange(len(held))))
        except (OSError, AssertionError) as error:
            failures.append(error)
        for fd in held:
            os.close(fd)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    with opened(os.O_RDONLY) as fd:
        assert_passed(fd)


def early():
    """Reads a line after each event from standard input, with an image open since before it was complete."""
    with opened(os.O_RDONLY) as fd:
        print("open", flush=True)
        sys.stdin.readline()
        with opened(os.O_RDONLY) as later:
            assert_served(later)
            assert_reads(later)
        assert_served(fd)
        assert_reads(fd)


def survives():
    """A passed open whose daemon is killed."""
    with opened(os.O_RDONLY) as fd:
        assert_passed(fd)
        print("open", flush=True)
        sys.stdin.readline()
        assert_reads(fd)


globals()[STEP]()
