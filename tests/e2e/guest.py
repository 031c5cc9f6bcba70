#!/usr/bin/env python3
"""Boots a guest with a serial console, logs in as root without a password, runs one script, waits for the end.

guest.py SCRIPT LOG SECONDS QEMU [ARGUMENTS...]

The script is typed line by line; a line is through when the shell's prompt is back. Exit status: 0 when the
guest powered itself off after the last line, 1 otherwise. What the guest said is in LOG.
"""
import os
import select
import subprocess
import sys
import time

PROMPT = b"GUEST-PROMPT-7 "
FAILED = b"GUEST-FAILED"


class Console:
    def __init__(self, command, log, seconds):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.log = log
        self.end = time.monotonic() + seconds
        self.text = b""

    def read(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise RuntimeError("time is up")
        out = self.process.stdout.fileno()
        if not select.select([out], [], [], min(left, 1))[0]:
            return True
        piece = os.read(out, 65536)
        self.log.write(piece)
        self.log.flush()
        self.text += piece
        return bool(piece)

    def wait_for(self, words):
        while words not in self.text:
            if FAILED in self.text:
                raise RuntimeError("a command failed in the guest")
            if not self.read():
                raise RuntimeError("the guest ended before it said %r" % words)
        self.text = self.text.split(words, 1)[1]

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def run(console, script):
    started = time.monotonic()
    console.wait_for(b"login: ")
    print("login prompt after %.0f s" % (time.monotonic() - started))
    console.type("root")
    console.wait_for(b"# ")
    # The quotes keep the echo of this line from looking like the prompt.
    console.type("PS1='GUEST-''PROMPT-7 '; set -e; trap 'echo GUEST-''FAILED' ERR")
    console.wait_for(PROMPT)
    for line in script:
        console.type(line)
        console.wait_for(PROMPT)
    console.type("exec systemctl poweroff")
    while console.read():
        pass
    return console.process.wait()


def main():
    script, log, seconds, *command = sys.argv[1:]
    lines = open(script).read().splitlines()
    with open(log, "wb") as out:
        console = Console(command, out, float(seconds))
        try:
            status = run(console, lines)
        except RuntimeError as error:
            print("guest: %s; its last words:" % error, file=sys.stderr)
            sys.stderr.write(open(log, "rb").read()[-3000:].decode(errors="replace"))
            status = 1
        finally:
            console.process.kill()
            console.process.wait()
    sys.exit(1 if status else 0)


main()
