"""Reads a file (argv 1) twice; the second time the daemon (pid, argv 2) is stopped, so that every
request to it would hang. Between the two the file is written to and its attributes run out."""
import os
import signal
import sys
import threading
import time

path, daemon = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDWR)
size = os.fstat(fd).st_size

# Another job may push pages out; that alone is no failure.
for attempt in range(5):
    first = os.pread(fd, size, 0)
    os.pwrite(fd, first[-1:], size - 1)
    time.sleep(1.2)  # attributes are valid for a second
    let_go = threading.Timer(20, os.kill, (daemon, signal.SIGCONT))
    let_go.start()
    os.kill(daemon, signal.SIGSTOP)
    start = time.monotonic()
    try:
        second = os.pread(fd, size - 4096, 0)
    finally:
        os.kill(daemon, signal.SIGCONT)
        let_go.cancel()
    assert second == first[:size - 4096]
    if time.monotonic() - start < 15:
        break
else:
    sys.exit('the second read always needed the daemon')
