"""The benchmark: run it through tests/bench/run, which has the options."""

import argparse
import contextlib
import datetime
import json
import os
import subprocess
import sys
import time

from bench import Bench
from jobs import JOBS
from machine import Skip, versions
from output import entry_text, judged, markdown, put_into_page
from peers import installed_peers


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", allow_abbrev=False)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--command", default="tests/bench/run", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, metavar="N",
                        help="rounds of each job (7; with --quick 2)")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: a few minutes")
    parser.add_argument("--only", metavar="JOB[,JOB...]", help="these only; a name or its begin")
    parser.add_argument("--growth", type=float, metavar="MINUTES",
                        help="the job growth as well, for so long (--only growth: 60)")
    parser.add_argument("--list", action="store_true", help="show the jobs' names and end")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", metavar="FILE",
                        help="write the table there, in a page between its marks")
    return parser.parse_args()


def is_named(job, names):
    return job.name in names or any(job.name.startswith(name) for name in names
                                    if not any(other.name == name for other in JOBS))


def chosen_jobs(only, with_growth):
    names = only.split(",") if only else []
    for name in names:
        if not any(job.name.startswith(name) for job in JOBS):
            sys.exit("no such job: %s (--list shows them)" % name)
    return [job for job in JOBS
            if (is_named(job, names) if names else job.is_usual) or
            (job.name == "growth" and with_growth)]


def run_job(job, rounds, result, peers):
    start = time.monotonic()
    print("\n== %s" % job.name, flush=True)
    try:
        with contextlib.ExitStack() as stack:
            figures = job.run(stack, rounds)
    except Skip as reason:
        print("SKIPPED: %s" % reason, flush=True)
        result["skipped"][job.name] = str(reason)
        return
    except (OSError, RuntimeError, subprocess.SubprocessError, AssertionError) as error:
        print("FAILED: %s" % error, flush=True)
        result["failed"][job.name] = str(error)
        return
    for entry in judged(job, figures, peers):
        result["entries"].append(entry)
        print(entry_text(entry), flush=True)
    print("    (%.0f s)" % (time.monotonic() - start), flush=True)


def save(arguments, result):
    """After each job: a run that is broken off has what it has."""
    result["load_after"] = os.getloadavg()[0]
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump(result, file, indent=1)
    if arguments.markdown:
        put_into_page(arguments.markdown, markdown(result), arguments.command)


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(job.name for job in JOBS))
        return
    rounds = arguments.runs or (2 if arguments.quick else 7)
    peers, missing = ([], {}) if arguments.no_peers else installed_peers()
    result = {
        "date": datetime.date.today().isoformat(), "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0], "rounds": rounds, "quick": arguments.quick,
        "versions": versions(), "skipped": {"peer " + name: why for name, why in missing.items()},
        "failed": {}, "entries": [],
    }
    for name, why in missing.items():
        print("SKIPPED: peer %s: %s" % (name, why))
    bench = Bench(arguments.build, arguments.folder, arguments.quick, peers,
                  arguments.growth or 60)
    with contextlib.closing(bench):
        for job in chosen_jobs(arguments.only, arguments.growth):
            run_job(job(bench), rounds, result,
                    [peer.name for peer in peers if not peer.is_tuned])
            save(arguments, result)
    verdicts = [verdict for entry in result["entries"] for verdict in entry["targets"]]
    print("\n%d targets met, %d missed, %d not measured" % tuple(
        sum(verdict["met"] is met for verdict in verdicts) for met in (True, False, None)))
    if result["failed"]:
        sys.exit("failed: " + ", ".join(result["failed"]))


main()
