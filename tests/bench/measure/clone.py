"""A clone of ours: mounted on a fresh state folder, asked over its socket."""

import http.client
import json
import os
import shutil
import socket

from machine import cpu_seconds, output_of, peak_resident_mib, run, wait_until


class ControlConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("clonefs")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class Clone:
    """With close() it is unmounted and its state removed."""

    def __init__(self, bench, source, options="", state=None):
        self._bench = bench
        self.state = state or bench.new_folder("state")
        self.mountpoint = bench.new_folder("mnt")
        name = "bench-%d-%s" % (os.getpid(), os.path.basename(self.mountpoint))
        run(bench.build + "/daemon/mount.clonefs", "-o",
            "name=%s,state_dir=%s%s" % (name, self.state, options and "," + options), source,
            self.mountpoint)
        self.image = os.path.join(self.mountpoint, source.rpartition("/")[2])
        self.destination = self.state + "/disk.img"
        self._control = "/run/clonefs/%s.sock" % name
        self.pid = self.status()["pid"]

    def status(self):
        connection = ControlConnection(self._control)
        connection.request("GET", "/v1/status", headers={"Connection": "close"})
        return json.load(connection.getresponse())

    def control(self, command, *words):
        return output_of(self._bench.build + "/cli/clonectl", command, self.state, *words)

    def wait_hydrated(self):
        """Until all is on stable storage. clonectl would look four times a second only."""
        wait_until(lambda: self.status()["hydration"] == "done", seconds=1200, step=0.02)

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def peak_resident_mib(self):
        return peak_resident_mib(self.pid)

    def close(self):
        run("umount", self.mountpoint)
        self.control("wait", "--exit")
        shutil.rmtree(self.state)
        os.rmdir(self.mountpoint)
