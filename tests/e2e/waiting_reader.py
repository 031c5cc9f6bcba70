"""Reads at an offset and waits: waiting_reader.py HOW FILE OFFSET MARK, HOW being one of

read    buffered
mmap    a page fault
direct  O_DIRECT
aio     io_submit() and io_getevents() with O_DIRECT
timer   buffered, with a SIGALRM every 200 ms; MARK holds how many came

MARK appears just before the read begins. Ends with status 0 only if the read was answered.
"""
import ctypes
import mmap
import os
import signal
import sys

how, path, offset, mark = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def note(text):
    with open(mark + '.new', 'w') as file:
        file.write(text)
    os.rename(mark + '.new', mark)


def read_aio(fd):
    """The two system calls, as libaio makes them (x86_64 numbers)."""
    class Iocb(ctypes.Structure):
        _fields_ = [('data', ctypes.c_uint64), ('key', ctypes.c_uint32), ('flags', ctypes.c_int32),
                    ('opcode', ctypes.c_uint16), ('priority', ctypes.c_int16),
                    ('fd', ctypes.c_uint32), ('buf', ctypes.c_uint64), ('nbytes', ctypes.c_uint64),
                    ('offset', ctypes.c_int64), ('reserved', ctypes.c_uint64),
                    ('flags2', ctypes.c_uint32), ('resfd', ctypes.c_uint32)]

    libc = ctypes.CDLL(None, use_errno=True)
    setup, getevents, submit = 206, 208, 209
    context = ctypes.c_ulong(0)
    assert libc.syscall(setup, 8, ctypes.byref(context)) == 0
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    block = Iocb(fd=fd, buf=address, nbytes=4096, offset=offset)
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    assert libc.syscall(submit, context, 1, blocks) == 1
    events = (ctypes.c_uint64 * 4)()
    assert libc.syscall(getevents, context, 1, 1, events, None) == 1
    return memory[:]


note('0')
if how == 'mmap':
    fd = os.open(path, os.O_RDONLY)
    data = mmap.mmap(fd, 0, prot=mmap.PROT_READ)[offset:offset + 4096]
elif how == 'direct':
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    data = mmap.mmap(-1, 4096)
    os.preadv(fd, [data], offset)
elif how == 'aio':
    data = read_aio(os.open(path, os.O_RDONLY | os.O_DIRECT))
else:
    fd = os.open(path, os.O_RDONLY)
    if how == 'timer':
        # O_DIRECT would send no interrupt at all; a plain read of one page does.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        # A handler in C runs while the read waits; Python's would run after it.
        count = 0
        pid = os.getpid()
        if os.fork() == 0:
            import time
            try:
                while os.getppid() == pid:
                    time.sleep(0.2)
                    os.kill(pid, signal.SIGALRM)
                    count += 1
                    note(str(count))
            finally:
                os._exit(0)
        signal.signal(signal.SIGALRM, lambda number, frame: None)
        signal.siginterrupt(signal.SIGALRM, False)
    data = os.pread(fd, 4096, offset)
assert len(data) == 4096
