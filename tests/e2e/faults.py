#!/usr/bin/env python3
"""faults.py FOLDER CONTROL-URL SOURCE-URL [MARKDOWN]: one clone per row of the table below, some at a time.

Each clone is made while the server behaves, and then
1. meets the fault in `once` requests: the reader gets the right bytes, whatever it takes;
2. meets it in every request: the reader gets `reader`, status and journal say `state` and `reason`;
3. finds the server well again: all is read, hydrated and right.
At last another clone is to be made while the fault is there: `mount` is part of the refusal, or None.

SOURCE-URL may lead through another server, which words things its own way: then nothing is asked of
reasons. MARKDOWN is the file for the table with the measured times.
"""

import concurrent.futures
import dataclasses
import errno
import json
import mmap
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request

FOLDER, CONTROL, SOURCE = sys.argv[1:4]
MARKDOWN = sys.argv[4] if len(sys.argv) > 4 else None
DIRECT = CONTROL == SOURCE
SIZE = 1 << 20
PATIENCE = 120  # seconds, for what must come but has no time of its own
SHORT = 1  # timeout= while nothing can be read
AT_MOUNT = 6  # timeout= of a mount that is to be refused
LONG = 60
PAGE = 4096
REGION = 65536
PLACES = [place * REGION + REGION - PAGE for place in (2, 4, 6, 8, 10)]  # where regions end
MOUNT, CLONECTL = os.environ["MOUNT_CLONEFS"], os.environ["CLONECTL"]


@dataclasses.dataclass
class Row:
    what: str
    faults: tuple
    reader: str = "EIO"  # or ESTALE, data
    reason: str = ""
    mount: str | None = ""
    once: int = 1
    patience: int = LONG  # timeout= while the fault passes
    heals: bool = True  # without a new mount
    passes: bool = True  # through a server in between

    @property
    def state(self):
        return {"EIO": "unreachable", "ESTALE": "changed", "data": "ok"}[self.reader]


def fault(name, **parameters):
    return ({"fault": name, **parameters},)


def status(number, **parameters):
    return fault("status", status=number, **parameters)


def fine(what, faults, **more):
    return Row(what, faults, "data", mount=None, **more)


NO_RANGES = "does not support range requests"
ROWS = (
    Row("200 for 206", fault("whole_file"), reason="200", mount=NO_RANGES),
    Row("`Content-Range` with another start", fault("wrong_start"), reason="another part", mount="another part"),
    fine("a shorter 206, valid", fault("shorter_range")),
    Row("body ends before its first byte", fault("short_body", at=0), mount=None),
    fine("body ends early", fault("short_body", at=10000)),
    Row("`Content-Length` longer than the range", fault("extra_body"), reason="Content-Length", mount="Content-Length"),
    fine("bytes of no reply behind a reply", fault("garbage_after")),
    Row("another `Content-Length`", fault("wrong_length"), reason="Content-Length", mount="Content-Length"),
    Row("another ETag", fault("etag", value='"other"'), "ESTALE", "other", mount=None, once=0),
    Row("another ETag, `If-Match` not looked at",
        (*fault("ignore_conditions"), *fault("etag", value='"other"')), "ESTALE", "other",
        mount=None, once=0),
    Row("another size", fault("wrong_total"), "ESTALE", "size", mount=None, once=0),
    fine("every third node has another ETag", fault("etag", value='"other"', every=3)),
    Row("401", status(401), reason="401", mount="401"),
    Row("403", status(403), reason="403", mount="403"),
    Row("404", status(404), reason="404", mount="404"),
    Row("410", status(410), reason="410", mount="410"),
    Row("412", status(412), "ESTALE", "412", "412", once=0),
    Row("416 without a size", status(416), "ESTALE", "416", "416", once=0),
    Row("500", status(500), reason="500", mount="500"),
    Row("429, `Retry-After: 1`", status(429, retry_after=1), reason="429", mount="429"),
    Row("503, `Retry-After` as a date", status(503, retry_after_date=2), reason="503", mount="503"),
    Row("503, `Retry-After` of 30 years", status(503, retry_after=10**9), reason="503",
        mount="503", once=0, heals=False),
    Row("reset before the answer", fault("reset_before"), reason="reset", mount="broke"),
    Row("closed before the answer", fault("close_before"), reason="closed", mount="closed"),
    fine("reset inside the body", fault("reset_inside", at=10000)),
    Row("silence after the header", fault("stall", at=0), patience=9, mount=None),
    Row("no answer", fault("no_answer"), reason="", patience=9),
    fine("one byte a second", fault("drip", last=3)),
    Row("gzip", fault("gzip_encoding"), reason="compressed", mount="compressed"),
    Row("several parts", fault("multipart"), reason="several parts", mount="several parts"),
    Row("redirected for ever", fault("redirect"), reason="redirects", mount="redirects"),
    Row("redirected to `file://`", fault("redirect", location="file:///etc/hostname"),
        reason="redirects", mount="redirects"),
    fine("redirected to another origin",
         fault("redirect", location=CONTROL.replace("127.0.0.1", "localhost") + "/image"),
         passes=False),  # from https to http it would be
    fine("HEAD refused", fault("head_refused")),
    fine("no `Accept-Ranges`", fault("no_accept_ranges")),
    fine("no `Content-Length`", fault("no_length")),
    fine("a body without end", fault("endless_body")),
    fine("chunked", fault("chunked")),
    fine("closed after each answer", fault("close_after")),
    Row("garbage for a status line", fault("garbage_status_line"), reason="not HTTP", mount="HTTP"),
    Row("a header of 64 KiB", fault("huge_header"), reason="header", mount="header"),
    Row("a header without end", fault("endless_header"), reason="header", mount="header"),
    Row("a portal's page", fault("captive_portal"), reason="200", mount=NO_RANGES),
    fine("103 with other headers first", fault("early_hints"), passes=False),
)


def control(**change):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(CONTROL + "/_control", json.dumps(change).encode(), PATIENCE) as reply:
        return json.load(reply)


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr.strip()


def read_at(path, offset, length=PAGE):
    """(what came or the name of the error, seconds), past the page cache."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, length)
    began = time.monotonic()
    try:
        result = buffer[: os.preadv(fd, [buffer], offset)]
    except OSError as problem:
        result = errno.errorcode[problem.errno]
    finally:
        os.close(fd)
    return result, time.monotonic() - began


class Clone:
    """One row's clone; play() is its life."""

    def __init__(self, number, row):
        self.row = row
        self.name = "fault-%02d" % number
        self.path = "/%s.raw" % self.name
        self.mountpoint = f"{FOLDER}/{self.name}"
        self.image = self.mountpoint + self.path
        self.state_dir = f"{FOLDER}/state/{self.name}"
        os.mkdir(self.mountpoint)
        os.link(FOLDER + "/www/image", f"{FOLDER}/www{self.path}")
        with open(FOLDER + "/www/image", "rb") as file:
            self.expected = file.read()
        self.mounted = False

    def check(self, condition, what, *found):
        if not condition:
            raise AssertionError(f"{self.row.what}: {what}: {found}")

    def until(self, condition, what):
        """Seconds until then."""
        began = time.monotonic()
        while not condition():
            self.check(time.monotonic() - began < PATIENCE, "waited too long for " + what)
            time.sleep(0.05)
        return time.monotonic() - began

    def mount(self, timeout, suffix=""):
        options = (f"name={self.name},state_dir={self.state_dir}{suffix},no_hydration,"
                   f"timeout={timeout}s,{os.environ.get('FAULT_OPTIONS', '')}").rstrip(",")
        code, _, text = run(MOUNT, "-o", options, SOURCE + self.path, self.mountpoint)
        self.mounted = code == 0
        return code, text

    def umount(self, suffix=""):
        if self.mounted:
            # A child of another thread may have our descriptor between its fork and its exec.
            self.until(lambda: run("umount", self.mountpoint)[0] == 0, "umount")
            self.mounted = False
            self.check(run(CLONECTL, "wait", "--exit", "--timeout", f"{PATIENCE}s",
                           self.state_dir + suffix)[0] == 0, "the daemon has not ended")

    def ctl(self, *arguments):
        return run(CLONECTL, arguments[0], self.mountpoint, *arguments[1:])

    def status(self):
        return json.loads(self.ctl("status", "--json")[1])

    def spoil(self, count=None):
        specs = [{**spec, "path": self.path, **({"count": count} if count else {})}
                 for spec in self.row.faults]
        control(clear=self.path, faults=specs)

    def reads_right(self, offset, what):
        data, seconds = read_at(self.image, offset)
        self.check(data == self.expected[offset : offset + PAGE], what,
                   data if isinstance(data, str) else "other bytes")
        return seconds

    def once(self):
        row = self.row
        self.ctl("set", f"timeout={row.patience}s")
        self.spoil(row.once)
        self.passed = self.reads_right(PLACES[0], "the reader while the fault passed")
        self.check(self.status()["source_state"] == "ok", "source_state after it passed")

    def is_harmless(self):
        self.spoil()
        self.took = max(self.reads_right(place, "the reader") for place in PLACES[1:])
        self.said = self.status()
        self.check(self.said["source_state"] == "ok", "source_state", self.said)

    def lasts(self):
        row = self.row
        # Who is to hear ESTALE waits for two answers, however slow the machine is.
        self.ctl("set", f"timeout={LONG if row.reader == 'ESTALE' else SHORT}s")
        self.spoil()
        found, self.took = read_at(self.image, PLACES[1])
        self.check(found == row.reader, "what the reader got", str(found)[:20])
        self.check(self.took < 30 and (row.reader != "EIO" or self.took > 0.9 * SHORT),
                   "when the reader got it", self.took)
        self.reads_right(0, "what was there before")
        self.ctl("resume")
        self.until(self.says_so, "hydration=waiting and the reason")
        self.check(self.said["source_state"] == row.state, "source_state", self.said)
        code, _, text = self.ctl("wait", "--timeout", "100ms")
        self.check(code == 1 and (row.reader == "EIO" or "changed" in text), "wait", code, text)

    def says_so(self):
        self.said = self.status()
        return self.said["hydration"] == "waiting" and (
            not DIRECT or self.row.reason in self.said["reason"])

    def heals(self):
        control(clear=self.path)
        if not self.row.heals:
            self.umount()
            self.check(self.mount(LONG) == (0, ""), "the next mount")
        self.ctl("set", f"timeout={LONG}s")
        self.ctl("resume")
        place = PLACES[1]
        expected = self.expected[place : place + PAGE]
        self.healed = self.until(lambda: read_at(self.image, place)[0] == expected,
                                 "what is right after it")
        code, _, text = self.ctl("wait", "--timeout", f"{PATIENCE}s")
        self.check(code == 0, "clonectl wait after it", text)
        self.check(read_at(self.image, 0, SIZE)[0] == self.expected, "the whole image")
        self.umount()
        with open(self.state_dir + "/disk.img", "rb") as file:
            self.check(file.read() == self.expected, "the destination")

    def journal(self):
        with sqlite3.connect(f"file:{self.state_dir}/journal.db?mode=ro", uri=True) as database:
            rows = database.execute(
                "SELECT kind, end_ms IS NOT NULL FROM event WHERE kind IN "
                "('outage', 'source_changed')").fetchall()
        kind = {"EIO": ("outage", 1), "ESTALE": ("source_changed", 1)}.get(self.row.reader)
        self.check(set(rows) == ({kind} if kind else set()), "the journal", rows)

    def new_clone(self):
        row = self.row
        self.spoil()
        code, text = self.mount(row.patience if row.mount is None else AT_MOUNT, "-new")
        self.said_at_mount = text
        self.umount("-new")
        control(clear=self.path)
        if row.mount is None:
            self.check((code, text) == (0, ""), "a new clone", code, text)
        else:
            self.check(code == 1 and "\n" not in text, "the refusal", code, text)
            self.check(not DIRECT or row.mount in text, "what it says", text)

    def play(self):
        try:
            self.check(self.mount(LONG) == (0, ""), "the mount")
            self.passed = None
            if self.row.reader == "data":
                self.is_harmless()
            else:
                if self.row.once:
                    self.once()
                self.lasts()
            self.heals()
            self.journal()
            self.new_clone()
        finally:
            if self.mounted:
                subprocess.run(["umount", "-l", self.mountpoint], check=False)
        return self


def seconds(value):
    return "" if value is None else f"{value:.1f}"


def markdown(clones):
    """The table of docs/sources.md."""
    yield "| fault | reader | after s | a single one costs s | reason | at mount |"
    yield "|---|---|---|---|---|---|"
    for clone in clones:
        row = clone.row
        reason = (clone.said["reason"] or "").partition(": ")[2] if row.reader != "data" else ""
        refused = clone.said_at_mount.partition(".raw: ")[2] or "mounted"
        same = reason and refused == reason
        yield (f"| {row.what} | {row.reader} | {seconds(clone.took)} | {seconds(clone.passed)} "
               f"| {reason} | {'the same' if same else refused} |")


def main():
    rows = [row for row in ROWS if DIRECT or row.passes]
    clones = [Clone(number, row) for number, row in enumerate(rows)]
    failures = []
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        slow_first = sorted(clones, key=lambda clone: clone.row.patience)
        for future in [pool.submit(clone.play) for clone in slow_first]:
            try:
                future.result()
            except Exception as problem:  # all rows are to be heard
                failures.append(problem)
                print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
    if MARKDOWN and not failures:
        with open(MARKDOWN, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in markdown(clones))
    print(f"{len(clones)} faults, {len(failures)} not as they should be")
    return 1 if failures else 0


sys.exit(main())
