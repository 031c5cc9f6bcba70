"""Does to the image (argv 1) what programs do, and to a plain file (argv 2) what should come of it.
argv 3 is the image's destination."""
import errno
import fcntl
import mmap
import os
import sys

path, model_path, destination = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
other = os.open(path, os.O_RDWR)
model = os.open(model_path, os.O_RDWR)
size = os.fstat(fd).st_size
assert size == os.fstat(model).st_size


def fails(code, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == code, (call, args, error)
    else:
        raise AssertionError((call, args, 'did not fail'))


def write(data, offset, where=None):
    assert os.pwrite(fd if where is None else where, data, offset) == len(data)
    os.pwrite(model, data, offset)
    assert os.pread(other, len(data), offset) == data


# Inside, over the edge of regions, a whole region, the last byte.
write(b'a', 0)
write(b'edge' * 10, 65536 - 20)
write(b'r' * 65536, 131072)
write(b's' * 300000, 200001)
write(b'z', size - 1)
write(b'second open', 77, other)

# At the end and behind it.
assert os.pwrite(fd, b'x' * 10, size - 4) == 4
os.pwrite(model, b'xxxx', size - 4)
assert os.pread(fd, 100, size - 4) == b'xxxx'
fails(errno.EFBIG, os.pwrite, fd, b'x', size)
fails(errno.EFBIG, os.pwrite, fd, b'x', size + 4096)
assert os.pread(fd, 10, size) == b''
assert os.pread(fd, 10, size + 100000) == b''
assert os.fstat(fd).st_size == size

# Sizes.
os.ftruncate(fd, size)
fails(errno.EPERM, os.ftruncate, fd, size - 1)
fails(errno.EPERM, os.open, path, os.O_RDWR | os.O_TRUNC)
fails(errno.EPERM, os.utime, path)

# mmap: what is stored is read, what is written is mapped.
shared = mmap.mmap(fd, size)
assert shared[:size] == os.pread(model, size, 0)
shared[400000:400006] = b'mapped'
os.pwrite(model, b'mapped', 400000)
assert os.pread(other, 6, 400000) == b'mapped'
write(b'written', 500000)
assert shared[500000:500007] == b'written'
shared[size - 1] = ord('!')
os.pwrite(model, b'!', size - 1)
shared.flush()
shared.close()

# What a mapping has changed is with the daemon when it is unmapped and closed, though nobody has asked for it.
closed_before = os.open(path, os.O_RDWR)
shared = mmap.mmap(closed_before, size)
os.close(closed_before)
shared[700000:700008] = b'unmapped'
os.pwrite(model, b'unmapped', 700000)
shared.close()
with open(destination, 'rb') as file:
    file.seek(700000)
    assert file.read(8) == b'unmapped'

# O_DIRECT needs no alignment.
direct = os.open(path, os.O_RDWR | os.O_DIRECT)
buffer = mmap.mmap(-1, 8192)
for offset, length in (0, 4096), (3, 5), (4095, 4098), (1000001, 777), (size - 3, 3):
    view = memoryview(buffer)[1:1 + length]
    assert os.preadv(direct, [view], offset) == length
    assert bytes(view) == os.pread(model, length, offset), (offset, length)
    view[:] = b'D' * length
    assert os.pwritev(direct, [view], offset) == length
    os.pwrite(model, b'D' * length, offset)
    view.release()
assert os.preadv(direct, [memoryview(buffer)], size - 10) == 10

# Opens are not exclusive; locks are the kernel's and hold between two opens.
fcntl.flock(fd, fcntl.LOCK_EX)
fails(errno.EAGAIN, fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.flock(fd, fcntl.LOCK_UN)
fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
fcntl.lockf(fd, fcntl.LOCK_UN, 10, 0)

# fsync and friends.
os.fsync(fd)
os.fdatasync(other)
sync = os.open(path, os.O_WRONLY | os.O_SYNC)
write(b'synchronous', 600000, sync)

# Modes of fallocate that a disk does not have.
fails(errno.EFBIG, os.posix_fallocate, fd, size - 1, 2)
os.posix_fallocate(fd, 0, size)
assert os.fstat(fd).st_size == size
fails(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)
assert os.lseek(fd, -5, os.SEEK_END) == size - 5
