#!/usr/bin/env python3
"""Prints the rows of a journal, kind|value|lasting or ended|text, in their order."""

import sqlite3
import sys

with sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=60) as database:
    for kind, value, end, text in database.execute(
        "SELECT kind, value, end_ms, text FROM event ORDER BY id"
    ):
        print("%s|%d|%s|%s" % (kind, value, "lasting" if end is None else "ended", text))
