"""Rows whose contenders take short turns."""

from collections import Counter

from job import Job, in_turn
from machine import cpu_seconds
from meters import read_part


def read_parts(paths, size_mib):
    """Of each path in this order another part of the same image, from the last to the first, so that
    nothing is in memory already, not even by read-ahead: [(MiB, seconds)]"""
    part = size_mib // len(paths)
    return [(part, read_part(path, part * i, part))
            for i, path in zip(reversed(range(len(paths))), paths)]


class Together(Job):
    """A round is many short turns of all contenders, one after the other: for rows in which the machine
    changes its speed from one second to the next by more than what is to be seen."""

    def __init__(self, bench):
        super().__init__(bench)
        self.rounds = {}

    def names(self):
        """The contenders."""
        raise NotImplementedError

    def whole_round(self, number):
        """What each contender has found in a round."""
        raise NotImplementedError

    def found(self, name, number):
        if number not in self.rounds:
            self.rounds[number] = self.whole_round(number)
        return self.rounds[number][name]

    def contenders(self):
        return [(name, lambda number, name=name: self.found(name, number)) for name in self.names()]


class InTurns(Together):
    """Of reads. A round's figure is what each has read in all its time."""

    # Each of two or three is at each place, and behind each of its neighbours, as often as the others.
    turns = 18

    def paths(self):
        """{contender: what is read}"""
        raise NotImplementedError

    def names(self):
        return list(self.paths())

    def daemons(self):
        """{contender: the process whose processor time is counted}"""
        raise NotImplementedError

    def begin_round(self):
        """Before the first turn of each round."""

    def read_in_turn(self, paths, number):
        """Of each path in this order [(how much, in how many seconds)]"""
        raise NotImplementedError

    def whole_round(self, number):
        self.begin_round()
        paths, daemons = self.paths(), self.daemons()
        first = number * self.turns
        names = [name for turn in range(first, first + self.turns)
                 for name in in_turn(list(paths), turn)]
        before = {name: cpu_seconds(pid) for name, pid in daemons.items()}
        parts = self.read_in_turn([paths[name] for name in names], number)
        cpu = {name: cpu_seconds(pid) - before[name] for name, pid in daemons.items()}
        amount, seconds = Counter(), Counter()
        for name, (part, time) in zip(names, parts):
            amount[name] += part
            seconds[name] += time
        for name in paths:
            if not amount[name] or not seconds[name]:
                raise RuntimeError("nothing was read of " + name)
        found = {name: {"speed": amount[name] / seconds[name]} for name in paths}
        for name, used in cpu.items():
            found[name]["cpu"] = 1e6 * used / amount[name]
        return found
