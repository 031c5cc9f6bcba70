#!/usr/bin/env python3
"""Lives of clones that end by kill -9, for soak.sh.

A life begins without a state dir. Its first mounts are killed while they make it; then model_io
works on the image and calls this program as its --kill and --mount; what it kept in memory is held
against the image after each kill, everything in the end. A round is one kill.

What the three share is in FOLDER/soak.json: the configuration, and how many rounds there were.
Each kill has random numbers of its own, from the seed and the number of its round.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Longest time until a kill, in seconds: a mount takes about 30 ms on a quiet machine.
BIRTH_DELAY = 0.08
WORK_DELAY = 0.15
# How long a kill waits for the step that it is meant to hit; then it comes anyway.
STEP_LIMIT = 0.3
# Rounds between two of the independent, slow checker's.
CHECKER_EVERY = 4
PARTS = ["lock", "disk.img", "metadata", "clone.json", "journal.db"]
LIVES = [
    ("small.raw", 4096, "region_size=4K,hydration_batch_size=2,background_rate=2M"),
    ("odd.raw", 65536, "region_size=64K,background_rate=2M"),
    ("small.raw", 65536, "region_size=64K,no_hydration"),
    ("odd.raw", 4096, "region_size=4K,no_hydration"),
]


class Wrong(Exception):
    """What the test finds."""


class Soak:
    """The configuration and what one kill, mount or check needs of it."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "soak.json"), encoding="utf-8") as file:
            self.set = json.load(file)
        self.mountpoint = os.path.join(folder, "mnt")
        self.state = os.path.join(folder, "state", "mnt")
        self.metadata = os.path.join(self.state, "metadata")

    def save(self):
        new = os.path.join(self.folder, "soak.json.new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump(self.set, file)
        os.rename(new, os.path.join(self.folder, "soak.json"))

    def next_round(self):
        self.set["round"] += 1
        self.save()
        return random.Random("%d %d" % (self.set["seed"], self.set["round"]))

    def command(self, *options):
        image, _, settings = self.set["life"]
        return [self.set["mount_program"], *options, "-o",
                "state_dir=%s,name=soak,%s" % (self.state, settings),
                self.set["url"] + "/" + image, self.mountpoint]

    def mount(self):
        done = run_program(self.command())
        if done.returncode != 0:
            raise Wrong("the mount ended with status %d: %s" % (done.returncode, done.stdout))

    def served_by(self):
        done = run_program([self.set["clonectl"], "status", "--json", self.mountpoint])
        if done.returncode != 0:
            raise Wrong("status: %s" % done.stdout)
        return json.loads(done.stdout)["pid"]

    def check(self):
        """The metadata of a clone that nobody serves; before clone.json there need not be any."""
        if not os.path.exists(os.path.join(self.state, "clone.json")):
            return
        commands = [[self.set["clonectl"], "check", self.metadata]]
        if self.set["round"] % CHECKER_EVERY == 0:
            commands.append([sys.executable, self.set["checker"], self.metadata])
        for command in commands:
            done = run_program(command)
            if done.returncode != 0:
                raise Wrong("%s: %s" % (" ".join(command), done.stdout))

    def kill_start(self):
        """A mount that is killed at a random moment, or when a part of the state dir appears."""
        numbers = self.next_round()
        exists = os.path.exists
        target = os.path.join(self.state, numbers.choice(PARTS))
        watches = numbers.random() < 0.5 and not exists(target)
        delay = numbers.uniform(0, 0.003 if watches else BIRTH_DELAY)
        with open(os.path.join(self.folder, "logs", "killed"), "ab") as log:
            daemon = subprocess.Popen(self.command("-F"), stdout=log, stderr=log)
        if watches:
            wait_until(lambda: exists(target) or daemon.poll() is not None)
        time.sleep(delay)
        daemon.kill()
        status = daemon.wait()
        if status != -signal.SIGKILL:
            raise Wrong("the mount ended with status %d" % status)
        self.check()

    def kill_work(self):
        """The daemon that serves is killed at a random moment, or in a commit."""
        numbers = self.next_round()
        daemon = self.served_by()
        if numbers.random() < 0.5:
            before = os.stat(self.metadata).st_mtime_ns
            wait_until(lambda: os.stat(self.metadata).st_mtime_ns != before)
            time.sleep(numbers.uniform(0, 0.004))
        else:
            time.sleep(numbers.uniform(0, WORK_DELAY))
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: is_gone(daemon), 60)
        self.check()

    def mount_again(self):
        """Over the dead mountpoint; each third time a start or two are killed before."""
        numbers = random.Random("%d again %d" % (self.set["seed"], self.set["round"]))
        while numbers.random() < 0.33:
            self.kill_start()
        self.mount()


def run_program(command):
    # Not a pipe: a daemon that the program leaves behind would keep it open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT, check=False)
        output.seek(0)
        done.stdout = output.read().strip()
    return done


def wait_until(condition, limit=STEP_LIMIT):
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.0005)


def is_gone(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def live(soak, numbers):
    """One life; some two to ten rounds."""
    image, region_size, _ = soak.set["life"] = list(numbers.choice(LIVES))
    soak.save()
    shutil.rmtree(soak.state, ignore_errors=True)
    for _ in range(numbers.randrange(1, 4)):
        soak.kill_start()
    soak.mount()
    me = "'%s' '%s' %%s --folder '%s'" % (sys.executable, os.path.abspath(__file__), soak.folder)
    source = os.path.join(soak.folder, "www", image)
    expected = os.path.join(soak.folder, "expected")
    command = [
        soak.set["model_io"], "--image", os.path.join(soak.mountpoint, image), "--begin", source,
        "--operations", "1500", "--crash-every", "250", "--region-size", str(region_size),
        "--seed", str(numbers.randrange(1 << 30)), "--save", expected,
        "--kill", me % "kill", "--mount", me % "mount",
        "--weight", "sync=8", "--weight", "punch=4",
    ]
    if numbers.random() < 0.5:
        command.append("--compare-all")
    if subprocess.run(command, check=False).returncode != 0:
        raise Wrong("the image is not what the model says")
    subprocess.run(["umount", soak.mountpoint], check=True)
    subprocess.run([soak.set["clonectl"], "wait", "--exit", "--timeout", "120s", soak.state],
                   check=True)
    soak.check()


def run(arguments):
    with open(os.path.join(arguments.folder, "soak.json"), "w", encoding="utf-8") as file:
        json.dump(dict(vars(arguments), round=0, life=None), file)
    while True:
        soak = Soak(arguments.folder)
        begun = soak.set["round"]
        if begun >= arguments.rounds:
            print("%d rounds" % begun)
            return
        live(soak, random.Random("%d life %d" % (arguments.seed, begun)))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("run")
    whole.add_argument("--rounds", type=int, required=True)
    whole.add_argument("--seed", type=int, required=True)
    for name in ("url", "mount-program", "clonectl", "model-io", "checker"):
        whole.add_argument("--" + name, required=True)
    for name in ("run", "kill", "mount"):
        command = whole if name == "run" else commands.add_parser(name)
        command.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            run(arguments)
        elif arguments.command == "kill":
            Soak(arguments.folder).kill_work()
        else:
            Soak(arguments.folder).mount_again()
    except Wrong as wrong:
        now = Soak(arguments.folder).set
        sys.exit("soak: seed %d, round %d, %s: %s"
                 % (now["seed"], now["round"], now["life"], wrong))


if __name__ == "__main__":
    main()
