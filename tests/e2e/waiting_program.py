"""Reads or writes at an offset and waits: waiting_program.py HOW FILE OFFSET MARK, HOW being one of

read    buffered
mmap    a page fault
direct  O_DIRECT
aio     io_submit() and io_getevents() with O_DIRECT
write   a part of a sector, which is not written before the source has brought the rest
wdirect the same with O_DIRECT
waio    the same with io_submit() and io_getevents()
wmmap   a byte, through a shared mapping
timer   the same, with a SIGALRM every 200 ms; MARK holds how many came
term    the same, with a handler for SIGTERM: status 4 if the write ends in EINTR

MARK appears just before the wait begins. Status 0 only if it was answered without an error.
"""
import ctypes
import errno
import mmap
import os
import signal
import sys
import time

how, path, offset, mark = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)


def note(text):
    with open(mark + '.new', 'w') as file:
        file.write(text)
    os.rename(mark + '.new', mark)


def read_mmap():
    fd = os.open(path, os.O_RDONLY)
    return mmap.mmap(fd, 0, prot=mmap.PROT_READ)[offset:offset + 4096]


def read_direct():
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    data = mmap.mmap(-1, 4096)
    return data[:os.preadv(fd, [data], offset)]


class Iocb(ctypes.Structure):
    _fields_ = [('data', ctypes.c_uint64), ('key', ctypes.c_uint32), ('flags', ctypes.c_int32),
                ('opcode', ctypes.c_uint16), ('priority', ctypes.c_int16), ('fd', ctypes.c_uint32),
                ('buf', ctypes.c_uint64), ('nbytes', ctypes.c_uint64), ('offset', ctypes.c_int64),
                ('reserved', ctypes.c_uint64), ('flags2', ctypes.c_uint32),
                ('resfd', ctypes.c_uint32)]


def aio(opcode, flags, length):
    """The system calls that libaio makes; the memory."""
    numbers = {'x86_64': (206, 208, 209), 'aarch64': (0, 4, 2)}
    setup, getevents, submit = numbers[os.uname().machine]
    fd = os.open(path, flags | os.O_DIRECT)
    context = ctypes.c_ulong(0)
    assert libc.syscall(setup, 8, ctypes.byref(context)) == 0
    memory = mmap.mmap(-1, 4096)
    block = Iocb(fd=fd, opcode=opcode, nbytes=length, offset=offset,
                 buf=ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    assert libc.syscall(submit, context, 1, blocks) == 1
    events = (ctypes.c_uint64 * 4)()
    assert libc.syscall(getevents, context, 1, 1, events, None) == 1
    return memory[:]


def read_aio():
    return aio(0, os.O_RDONLY, 4096)


def write_aio():
    aio(1, os.O_WRONLY, 500)


def write_direct():
    data = mmap.mmap(-1, 4096)
    os.pwritev(os.open(path, os.O_WRONLY | os.O_DIRECT), [memoryview(data)[:500]], offset)


def write_mmap():
    with mmap.mmap(os.open(path, os.O_RDWR), 0) as memory:
        memory[offset] = 1


def write():
    """One call of pwrite(), which Python does not repeat after EINTR."""
    fd = os.open(path, os.O_WRONLY)
    if libc.pwrite(fd, b'x' * 500, ctypes.c_size_t(500), ctypes.c_int64(offset)) == 500:
        return
    error = ctypes.get_errno()
    print(f'{how}: {os.strerror(error)}', file=sys.stderr)
    sys.exit(4 if error == errno.EINTR else 5)


def start_timer():
    """Another process sends the signals, so that they come whatever this one does."""
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.siginterrupt(signal.SIGALRM, False)
    pid = os.getpid()
    if os.fork():
        return
    try:
        count = 0
        while os.getppid() == pid:
            time.sleep(0.2)
            os.kill(pid, signal.SIGALRM)
            count += 1
            note(str(count))
    finally:
        os._exit(0)


note('0')
if how == 'read':
    data = os.pread(os.open(path, os.O_RDONLY), 4096, offset)
elif how in ('mmap', 'direct', 'aio'):
    data = {'mmap': read_mmap, 'direct': read_direct, 'aio': read_aio}[how]()
else:
    if how == 'timer':
        start_timer()
    if how == 'term':
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    {'wdirect': write_direct, 'waio': write_aio, 'wmmap': write_mmap}.get(how, write)()
    sys.exit(0)
assert len(data) == 4096
