"""The peers: what else shows a remote image as a local file and keeps what was read.

Each is a class whose object exposes the image of a server at self.image until close(). They run with
their defaults; those that can be made to suit "random" or "sequential" reads have a class that does.
"""

import glob
import os
import shutil
import subprocess
import threading
import urllib.parse

from machine import Skip, need, run, stop, wait_until


# A peer that has hung is ended: its readers cannot be, before it is.
SECONDS_MAX = 120


def is_there(path, size):
    try:
        return os.stat(path).st_size == size
    except OSError:
        return False


class Peer:
    is_tuned = False

    def __init__(self, bench, server, hint):
        self.folder = bench.new_folder("peer")
        self.mountpoint = self.folder + "/mnt"
        self.image = self.mountpoint + "/disk.raw"
        os.mkdir(self.mountpoint)
        self._processes = []
        self._log = open(self.folder + "/log", "wb")
        self._has_hung = False
        self._watchdog = threading.Timer(SECONDS_MAX, self._give_up)
        self._watchdog.start()
        try:
            self.begin(server, hint)
            wait_until(lambda: self._is_up(server.size))
        except BaseException:
            self.close()
            raise

    def spawn(self, *words):
        self._processes.append(subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=self._log, start_new_session=True))

    def _is_up(self, size):
        for process in self._processes:
            if process.poll() is not None:
                with open(self.folder + "/log", encoding="utf-8", errors="replace") as file:
                    raise Skip("%s ended: %s" % (process.args[0], file.read()[-300:].strip()))
        return is_there(self.image, size)

    def _give_up(self):
        self._has_hung = True
        for process in self._processes:
            process.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.close()
        if error and self._has_hung:
            raise Skip("hung: ended after %d s" % SECONDS_MAX) from error

    def unmount(self):
        subprocess.run(["umount", self.mountpoint], check=False, stderr=self._log)

    def close(self):
        self._watchdog.cancel()
        self.unmount()
        for process in reversed(self._processes):
            stop(process)
        # Where one that was killed has left it.
        subprocess.run(["umount", self.image], check=False, stderr=self._log)
        self._log.close()
        shutil.rmtree(self.folder)


class Qemu(Peer):
    """http driver, qcow2 overlay, copy-on-read, FUSE export."""

    name = "qemu-storage-daemon"
    read_ahead = {}

    @staticmethod
    def check():
        need("qemu-storage-daemon", "qemu-system-common")
        need("qemu-img", "qemu-utils")
        if not glob.glob("/usr/lib/*/qemu/block-curl.so"):
            raise Skip("needs qemu's curl module (Debian package qemu-block-extra)")

    def begin(self, server, hint):
        overlay = self.folder + "/overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", overlay, server.size)
        # The export appears in place of a file that exists.
        open(self.image, "w", encoding="ascii").close()
        self.spawn(
            "qemu-storage-daemon",
            "--blockdev", "driver=http,node-name=source,read-only=on,url=%s%s" % (
                server.url, self.read_ahead.get(hint, "")),
            "--blockdev", "driver=file,node-name=file,filename=%s" % overlay,
            "--blockdev", "driver=qcow2,node-name=overlay,file=file,backing=source",
            "--blockdev", "driver=copy-on-read,node-name=top,file=overlay",
            "--export", "type=fuse,id=export,node-name=top,mountpoint=%s,writable=on" % self.image)

    def unmount(self):
        """It does so itself when it ends."""


class TunedQemu(Qemu):
    """It fetches as much as is asked for, or 8 MiB at once."""

    name = "qemu-storage-daemon, tuned"
    is_tuned = True
    read_ahead = {"random": ",readahead=65536", "sequential": ",readahead=8388608"}


class Nbdkit(Peer):
    """nbdkit curl with cow-on-read, nbdfuse."""

    name = "nbdkit + nbdfuse"
    nbdfuse_options = ()

    @staticmethod
    def check():
        need("nbdkit", "nbdkit")
        need("nbdfuse", "libnbd-bin")

    def begin(self, server, hint):
        path = self.folder + "/socket"
        self.spawn("env", "TMPDIR=" + self.folder, "nbdkit", "-f", "-U", path, "--filter=cow",
                   "curl", "url=" + server.url, "cow-on-read=true")
        wait_until(lambda: os.path.exists(path) or self._is_up(-1))
        self.spawn("nbdfuse", *self.nbdfuse_options, self.image,
                   "nbd+unix:///?socket=" + urllib.parse.quote(path))


class TunedNbdkit(Nbdkit):
    """As many connections as we use; its default is 4."""

    name = "nbdkit + nbdfuse, tuned"
    is_tuned = True
    nbdfuse_options = ("-C", "16")


class Rclone(Peer):
    """rclone mount --vfs-cache-mode full."""

    name = "rclone mount"
    options = {}

    @staticmethod
    def check():
        need("rclone", "rclone")

    def begin(self, server, hint):
        self.spawn("env", "RCLONE_CONFIG=/dev/null", "NO_PROXY=*", "rclone", "mount", ":http:",
                   self.mountpoint, "--http-url", server.base, "--vfs-cache-mode", "full",
                   "--cache-dir", self.folder + "/cache", *self.options.get(hint, ()))


class TunedRclone(Rclone):
    """It fetches what is asked for, or far ahead."""

    name = "rclone mount, tuned"
    is_tuned = True
    options = {"random": ("--buffer-size", "0", "--vfs-read-chunk-size", "64k"),
               "sequential": ("--vfs-read-ahead", "256M")}


PEERS = (Qemu, TunedQemu, Nbdkit, TunedNbdkit, Rclone, TunedRclone)


def installed_peers():
    """Those that are here, and the reasons of the others."""
    here, missing = [], {}
    for peer in PEERS:
        try:
            peer.check()
            here.append(peer)
        except Skip as reason:
            if not peer.is_tuned:
                missing[peer.name] = str(reason)
    return here, missing
