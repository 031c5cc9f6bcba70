#!/usr/bin/env python3
"""Hold core/metadata against the kernel's dm-clone and against files it made.

    kernel_test.py TEST --driver METADATA_DRIVER --stamp FILE

TEST is one of the functions test_* below, without the prefix; setup makes FILE
when the kernel runs here. Exit status: 0 passed, 1 failed, 77 skipped because
zstd or the kernel cannot be run.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "fixtures")
BLOCK = 4096
NODE_XOR = 121107
SKIPPED = 77


class Failed(Exception):
    pass


def skip(reason):
    print("SKIPPED: " + reason)
    sys.exit(1 if os.environ.get("CLONEFS_REQUIRE_KERNEL") == "1" else SKIPPED)


def need(*commands):
    for command in commands:
        if not shutil.which(command):
            skip("there is no %s here" % command)


def need_kernel():
    if not os.path.exists(stamp):
        skip("kernel.setup found that the kernel cannot run here")


def expect(condition, *text):
    if not condition:
        raise Failed(" ".join(str(t) for t in text))


# ---- sets of regions ----

def ranges_of(regions):
    out = []
    for region in sorted(regions):
        if out and out[-1][1] == region - 1:
            out[-1][1] = region
        else:
            out.append([region, region])
    return out


def set_of(ranges):
    return {r for a, z in ranges for r in range(a, z + 1)}


def words_of(ranges):
    return " ".join("%d-%d" % (a, z) for a, z in ranges) or "none"


# ---- our library and the kernel ----

STATUS_FIELDS = ("first sector", "sectors", "target", "sectors of a metadata block",
                 "used and all metadata blocks", "sectors of a region",
                 "hydrated and all regions", "regions in hydration", "number of features")


def same_status(kernels, ours, when):
    """The lines of `dmsetup status` and of `clonectl dmsetup` agree in every field."""
    left, right = kernels.split(), ours.split()
    for i, (a, b) in enumerate(zip(left, right)):
        expect(a == b, "status,", when, "field", i,
               "(%s):" % (STATUS_FIELDS[i] if i < len(STATUS_FIELDS) else "words at the end"),
               "the kernel has", a, "and we", b, "\n", kernels, "\n", ours)
    expect(len(left) == len(right), "status,", when, "number of fields:\n", kernels, "\n", ours)


class Device:
    def __init__(self, target, region, path=None):
        self.target, self.region, self.path = target, region, path
        self.nr_regions = -(-target // region)

    def create(self, path, nr_blocks):
        self.path = path
        with open(path, "wb") as f:
            f.truncate(nr_blocks * BLOCK)
        return self

    def output(self, words):
        """What our driver prints."""
        r = subprocess.run([driver, self.path, str(self.target), str(self.region)] +
                           words.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        expect(r.returncode == 0, "driver", words[:200], r.stderr)
        return r.stdout

    def drive(self, words):
        """Run our driver; its dump, if it was asked for one."""
        text = self.output(words)
        return json.loads(text) if text else None

    def status(self, words="1,1,no_hydration,no_discard_passdown"):
        """Our line of dmsetup; the kernel is opened with these features, its settings begin so."""
        return self.output("status:" + words).strip()

    def holds(self, ranges, who):
        dump = self.drive("check dump")
        expect(dump["hydrated_ranges"] == ranges, who, "expected", ranges, "found",
               dump["hydrated_ranges"])
        expect(dump["hydrated"] == sum(z - a + 1 for a, z in ranges), who, dump["hydrated"])


def run_check(verb, meta, device, *more):
    argv = [os.path.join(HERE, "check"), verb] + ([meta] if meta else [])
    argv += ["--target-size", str(device.target), "--region-size", str(device.region), *more]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, TMPDIR=work))


def kernel(device, ranges, *more):
    """The kernel accepts the device and finds RANGES in it; its report."""
    r = run_check("verify", device.path, device, "--expect", words_of(ranges), *more)
    expect(r.returncode == 0, "the kernel, exit", r.returncode, r.stdout[-2000:],
           r.stderr[-3000:])
    report = json.loads(r.stdout)
    same_status(report["status"], device.status(), "opened")
    return report


def kernel_continues(device, ranges, ops, after, *more):
    """The kernel goes on with OPS; the device becomes what it made; we read AFTER in it."""
    out = os.path.join(work, "continued")
    report = kernel(device, ranges, "--continue", ops, "--out", out, *more)
    expect(report["continue"]["hydrated_ranges"] == after, "after", ops[:200], "expected",
           after, "the kernel has", report["continue"]["hydrated_ranges"])
    os.replace(out, device.path)
    device.holds(after, "after the kernel's " + ops[:200])
    same_status(report["continue"]["status"], device.status(), "after " + ops[:200])


# ---- fixtures ----

def fixtures():
    need("zstd")
    names = sorted(n[:-5] for n in os.listdir(FIXTURES) if n.endswith(".json"))
    expect(len(names) >= 15, "fixtures are missing:", names)
    for name in names:
        with open(os.path.join(FIXTURES, name + ".json")) as f:
            doc = json.load(f)
        path = os.path.join(work, name)
        subprocess.run(["zstd", "-dqf", os.path.join(FIXTURES, name + ".meta.zst"), "-o", path],
                       check=True)
        yield name, doc, Device(doc["target_size"], doc["region_size"], path)


def test_fixtures():
    """We read each of the kernel's files to the recorded set, and find nothing wrong."""
    for name, doc, device in fixtures():
        device.holds(doc["hydrated_ranges"], name)
        # and go on with it
        free = [r for r in range(min(device.nr_regions, 5000))
                if not any(a <= r <= z for a, z in doc["hydrated_ranges"])][:3]
        for region in free:
            device.drive("mark:%d commit check" % region)
        want = doc["hydrated"] + len(free)
        expect(device.drive("check dump")["hydrated"] == want, name, "after going on")
        print("ok", name)


def without_unused_slots(data):
    """The kernel leaves old entries in the unused slots of nodes; they mean nothing."""
    data = bytearray(data)
    for at in range(0, len(data), BLOCK):
        block = data[at:at + BLOCK]
        flags, number = int.from_bytes(block[4:8], "little"), int.from_bytes(block[8:16], "little")
        nr = int.from_bytes(block[16:20], "little")
        if flags in (1, 2) and number == at // BLOCK and block[20:24] == b"\xfc\0\0\0" and nr < 252:
            data[at:at + 4] = bytes(4)
            for base in (32, 32 + 8 * 252):
                data[at + base + 8 * nr:at + base + 8 * 252] = bytes(8 * (252 - nr))
    return bytes(data)


def our_word(word, device):
    op, _, arg = word.partition(":")
    if op == "reload":
        return "commit reopen"
    if not arg:
        return op
    first, _, last = arg.partition("-")
    last = int(last or first)
    # no discard covers a short last region
    if op == "discard" and last == device.nr_regions - 1 and device.target % device.region:
        last -= 1
    return "mark:%s-%d" % (first, last)


def test_same_bytes():
    """With the kernel's operations, one transaction for one, we write the kernel's bytes."""
    for name, doc, device in fixtures():
        ops = doc["ops"]
        if name in ("full", "alternating", "three-bitmaps", "million"):
            continue        # made by background hydration, or with commits of the timer
        ours = Device(doc["target_size"], doc["region_size"])
        ours.create(os.path.join(work, "ours"), 0)
        os.truncate(ours.path, doc["meta_size"] * 512)
        ours.drive("format " + " ".join(our_word(w, ours) for w in ops.split()) + " commit")
        with open(ours.path, "rb") as a, open(device.path, "rb") as b:
            left, right = a.read(), b.read()
        if name == "two-levels":
            left, right = without_unused_slots(left), without_unused_slots(right)
        expect(left == right, name, "differs in block",
               next((i // BLOCK for i in range(len(left)) if left[i] != right[i]), None))
        print("ok", name)


# ---- the kernel ----

def test_setup():
    """Get the kernel and boot it once; the other tests are skipped unless that works."""
    if os.path.exists(stamp):
        os.remove(stamp)
    need("zstd", "gcc", "dpkg-deb", "flock")
    r = subprocess.run([os.path.join(HERE, "check"), "setup"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode != 0:
        skip("the kernel cannot be set up: " + r.stdout.strip()[-300:])
    r = run_check("make", None, Device(8, 8), "--out", os.path.join(work, "m"))
    if r.returncode != 0:
        skip("the kernel does not boot here: " + r.stderr.strip()[-300:])
    with open(stamp, "w") as f:
        f.write(r.stdout)


def test_accept():
    """The kernel accepts what we write, and commits on it."""
    fresh = Device(128000, 128).create(os.path.join(work, "m"), 256)
    fresh.drive("format check")
    kernel(fresh, [])
    half = Device(800000, 8).create(os.path.join(work, "m"), 64)
    half.drive("format mark:0-9999 commit mark:32570-32580 commit reopen mark:50000-89999 "
               "mark:99999 commit check")
    kernel(half, [[0, 9999], [32570, 32580], [50000, 89999], [99999, 99999]])
    short = Device(128005, 128).create(os.path.join(work, "m"), 10)
    short.drive("format mark:7 commit mark:1000 commit check")
    kernel(short, [[7, 7], [1000, 1000]])
    done = Device(128005, 128).create(os.path.join(work, "m"), 10)
    done.drive("format mark:0-1000 commit check")
    kernel(done, [[0, 1000]])


def test_two_levels():
    """253 array blocks: the btree has an internal root. Not read region by region (minutes)."""
    nr = 8209153
    device = Device(nr * 8, 8).create(os.path.join(work, "m"), 518)
    ranges = [[0, 100], [4000000, 4100000], [nr - 1, nr - 1]]
    device.drive("format mark:0-100 commit mark:4000000-4100000 mark:%d commit check" % (nr - 1))
    after = [[0, 101], [3999999, 4100000], [8000000, 8000063], [nr - 1, nr - 1]]
    kernel_continues(device, ranges, "write:101 commit write:3999999 discard:8000000-8000063",
                     after, "--no-scan")
    device.drive("mark:102 commit reopen mark:0-%d commit check" % (nr - 1))
    kernel(device, [[0, nr - 1]], "--no-scan")


def test_continue():
    """The kernel goes on with our file and we read exactly what it made of it."""
    device = Device(800005, 8).create(os.path.join(work, "m"), 64)
    device.drive("format mark:5-9 commit mark:40000 commit check")
    kernel_continues(device, [[5, 9], [40000, 40000]],
                     "write:0 commit discard:32570-32580 poke:70000 reload poke:100000 commit write:1",
                     [[0, 1], [5, 9], [32570, 32580], [40000, 40000], [70000, 70000],
                      [100000, 100000]])
    small = Device(8000, 8).create(os.path.join(work, "m"), 10)
    small.drive("format mark:100-500 commit check")
    kernel_continues(small, [[100, 500]], "write:3 commit hydrate", [[0, 999]])


def kernel_lines(device, ops):
    """The kernel's status lines of OPS and of the end, on disks that can discard."""
    disks = [os.path.join(work, name) for name in ("source", "destination")]
    for disk in disks:
        with open(disk, "wb") as f:
            f.truncate(device.target * 512)
    r = run_check("run", device.path, device, "--source", disks[0], "--destination", disks[1],
                  "--ops", ops)
    expect(r.returncode == 0, "the kernel, exit", r.returncode, r.stdout, r.stderr[-3000:])
    return r.stdout.splitlines()


def test_status():
    """Features and settings, by the table and by messages, are the same words in both lines."""
    nr = 100
    device = Device(nr * 8, 8).create(os.path.join(work, "m"), 10)
    device.drive("format mark:0-%d commit" % (nr - 1))
    # With all regions hydrated, features change nothing but the line.
    steps = (("status", "1,1,no_hydration,no_discard_passdown"),
             ("reload:none status", "1,1"),
             ("message:hydration_threshold,7 status", "7,1"),
             ("message:hydration_batch_size,300 status", "7,300"),
             ("message:disable_hydration status", "7,300,no_hydration"),
             ("message:enable_hydration status", "7,300"),
             ("reload:no_discard_passdown status", "1,1,no_discard_passdown"),
             ("reload:no_hydration status", "1,1,no_hydration"),
             ("reload", "1,1,no_hydration,no_discard_passdown"))
    lines = kernel_lines(device, " ".join(ops for ops, _ in steps))
    expect(len(lines) == len(steps), "lines of status:", lines)
    for (ops, words), line in zip(steps, lines):
        same_status(line, device.status(words), "after " + ops)


class Shared(Device):
    """A device that we and the kernel go on with in turn; `have` is what is hydrated."""

    def __init__(self, nr_regions, nr_blocks, scan):
        super().__init__(nr_regions * 8, 8)
        self.create(os.path.join(work, "shared-%d" % nr_regions), nr_blocks)
        self.have, self.more = set(), () if scan else ("--no-scan",)
        self.drive("format check")

    def some(self, dice, lengths):
        first = dice.randrange(self.nr_regions)
        last = min(first + dice.choice(lengths), self.nr_regions - 1)
        return first, last

    def our_turn(self, dice):
        words = ""
        for _ in range(dice.randrange(1, 12)):
            first, last = self.some(dice, (0, 0, 1, 70, 40000))
            self.have.update(range(first, last + 1))
            words += "mark:%d-%d " % (first, last) + dice.choice(("commit ", "commit reopen ", ""))
        self.drive(words + "commit check")

    def we_die(self, dice):
        """In the middle of a commit: it counts whole or not at all."""
        first, last = self.some(dice, (0, 1, 70, 40000))
        argv = [driver, self.path, str(self.target), str(self.region),
                "mark:%d-%d" % (first, last), "die:%d" % dice.randrange(8)]
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        expect(r.returncode in (0, 9), "a dying driver", argv[4:], r.returncode, r.stderr)
        found = self.drive("check dump")["hydrated_ranges"]
        after = self.have | set(range(first, last + 1))
        expect(found in (ranges_of(self.have), ranges_of(after)) and
               (r.returncode == 9 or found == ranges_of(after)),
               "after dying in", argv[4:], "found", found)
        self.have = set_of(found)

    def kernels_turn(self, dice):
        before, words = ranges_of(self.have), ""
        for _ in range(dice.randrange(1, 12)):
            first, last = self.some(dice, (0, 1, 20))
            self.have.update(range(first, last + 1))
            words += dice.choice(("write", "discard")) + ":%d-%d " % (first, last)
            words += dice.choice(("commit ", "commit reload ", ""))
        kernel_continues(self, before, words, ranges_of(self.have), *self.more)


# Regions, blocks of metadata (few, so that the search for free ones wraps), whether the kernel reads
# every region: one word and its neighbours, one array block and its neighbours, many, an inner node.
SHARED = ((1, 10, True), (63, 10, True), (64, 10, True), (65, 10, True), (32575, 12, True),
          (32576, 12, True), (32577, 14, True), (70000, 16, True), (1000000, 80, False),
          (8209153, 518, False))


def alternate(shapes, rounds):
    seed = int(os.environ.get("CLONEFS_SEED", "20251127"))
    dice = random.Random(seed)
    print("CLONEFS_SEED=%d" % seed)
    devices = [Shared(*shape) for shape in shapes]
    for turn in range(rounds * len(devices)):
        device = devices[turn % len(devices)]
        device.our_turn(dice)
        if dice.randrange(3) == 0:
            device.we_die(dice)
        device.kernels_turn(dice)
        print("turn", turn, len(device.have), "of", device.nr_regions, "regions", flush=True)


def test_alternate():
    """We and the kernel in turn on one device, one of each kind, twice: it goes on with ours, we
    with its, and it with that."""
    alternate(SHARED[1::2], 2)


def test_alternate_long():
    """All kinds, for as long as it takes to be sure."""
    alternate(SHARED, 20)


def main():
    global driver, stamp, work
    parser = argparse.ArgumentParser()
    parser.add_argument("test")
    parser.add_argument("--driver", required=True)
    parser.add_argument("--stamp", required=True)
    args = parser.parse_args()
    driver, stamp = os.path.abspath(args.driver), os.path.abspath(args.stamp)
    test = globals()["test_" + args.test]
    work = tempfile.mkdtemp(prefix="clonefs-kernel.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    try:
        if args.test not in ("setup", "fixtures", "same_bytes"):
            need_kernel()
        test()
    except Failed as e:
        print("FAILED:", e)
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
