"""What a job is, what it measures, and when its target is met.

A job has contenders: ours, its limits, the peers. Each round runs each of them once, one after the
other, and gets from each a figure for some of the job's metrics. Ratios are taken within a round, so
that a machine whose speed drifts does not decide; what is shown is their median.
"""

import statistics
import subprocess
import sys

from machine import Skip


class Target:
    """A bound on the ratio of ours to another contender's figure ("best peer": the best of them)."""

    def __init__(self, against, least=None, most=None):
        self.against = against
        self.least, self.most = least, most

    def bound_text(self):
        return ">= %g" % self.least if self.least is not None else "<= %g" % self.most

    def is_met(self, value):
        return value >= self.least if self.least is not None else value <= self.most

    def text(self):
        return "%s x %s" % (self.bound_text(), self.against)

    def found(self, metric, ours, others, peers):
        """What is held against the bound, of each round; their median decides. Empty if something is
        missing."""
        against = self.against
        if against == "best peer":
            best = max if metric.more_is_better else min
            measured = [peer for peer in peers if others.get(peer)]
            if not measured:
                return []
            against = best(measured, key=lambda peer: statistics.median(others[peer]))
        return [mine / other for mine, other in zip(ours, others.get(against, ()))]


class Excess(Target):
    """A bound on how much ours is above another contender's figure, in the metric's unit."""

    def text(self):
        return "%s above %s" % (self.bound_text(), self.against)

    def found(self, metric, ours, others, peers):
        return [mine - other for mine, other in zip(ours, others.get(self.against, ()))]


class Bound(Target):
    """A bound on our figure itself."""

    def __init__(self, least=None, most=None):
        super().__init__(None, least, most)

    def text(self):
        return self.bound_text()

    def found(self, metric, ours, others, peers):
        return ours


class Metric:
    def __init__(self, key, title, unit, *targets, more_is_better=True):
        self.key, self.title, self.unit = key, title, unit
        self.targets = targets
        self.more_is_better = more_is_better


def in_turn(contenders, number):
    """In the order of this round. Over the rounds each is at each place about as often, and behind
    each of its neighbours: disks and processors remember who was there before."""
    shift = number % len(contenders)
    order = contenders[shift:] + contenders[:shift]
    return order[::-1] if number // len(contenders) % 2 else order


class Job:
    """A subclass has name, metrics, contenders(); and prepare() if something is to be set up."""

    name = None
    metrics = ()
    ours = "clonefs"
    # Of the jobs that run when none is named?
    is_usual = True

    def __init__(self, bench):
        self.bench = bench

    def prepare(self, stack):
        """Once before the first round; what is entered into the stack ends after the last one."""

    def contenders(self):
        """[(name, function of the round's number)]; it returns {metric's key: figure}."""
        raise NotImplementedError

    def run(self, stack, rounds):
        """{metric's key: {contender: [figure of each round]}}"""
        self.prepare(stack)
        contenders = self.contenders()
        figures = {metric.key: {} for metric in self.metrics}
        broken = {}
        for number in range(rounds):
            for name, measure in in_turn(contenders, number):
                if name in broken:
                    continue
                try:
                    found = measure(number)
                except (Skip, OSError, RuntimeError, subprocess.SubprocessError) as reason:
                    if name == self.ours:
                        raise
                    broken[name] = str(reason)
                    print("  %s is left out: %s" % (name, reason), file=sys.stderr)
                    continue
                for key, value in found.items():
                    figures[key].setdefault(name, []).append(value)
        return figures
