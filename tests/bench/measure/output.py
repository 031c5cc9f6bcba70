"""Tables from figures: for the terminal, for a page, and as JSON."""

import os
import statistics


def number(value):
    return "%.0f" % value if value >= 1000 else "%.3g" % value if value < 100 else "%.1f" % value


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values),
            "values": values}


def judgement(target, found):
    """@found: see Target.found"""
    verdict = {"target": target.text(), "found": None, "met": None}
    if found:
        middle = statistics.median(found)
        verdict.update(found=middle, least=min(found), most=max(found), met=target.is_met(middle))
    return verdict


def judged(job, figures, peers):
    """One entry for each metric of a job that ran."""
    entries = []
    for metric in job.metrics:
        found = figures[metric.key]
        ours = found.get(job.ours, [])
        others = {name: values for name, values in found.items() if name != job.ours}
        entries.append({
            "job": job.name, "metric": metric.key, "title": metric.title, "unit": metric.unit,
            "ours": job.ours, "figures": {name: summary(values) for name, values in found.items()},
            "targets": [judgement(target, target.found(metric, ours, others, peers))
                        for target in metric.targets]})
    return entries


def figure_text(name, figure):
    return "%s %s [%s-%s]" % (name, number(figure["median"]), number(figure["least"]),
                              number(figure["most"]))


MARKS = {True: "met", False: "MISSED", None: "not measured"}


def verdict_text(verdict):
    if verdict["met"] is None:
        return "%s: not measured" % verdict["target"]
    found = {"median": verdict["found"], "least": verdict["least"], "most": verdict["most"]}
    return "%s: %s, %s" % (verdict["target"], figure_text("", found).strip(), MARKS[verdict["met"]])


def entry_text(entry):
    lines = ["%s (%s)" % (entry["title"], entry["unit"])]
    for name, figure in entry["figures"].items():
        lines.append("    %-20s %10s  [%s - %s]" % (
            name, number(figure["median"]), number(figure["least"]), number(figure["most"])))
    lines.extend("    target " + verdict_text(verdict) for verdict in entry["targets"])
    return "\n".join(lines)


END = "<!-- its end -->\n"


def put_into_page(path, table, command):
    """Between the marks of @command if the file is a page that has them, else the table is the file."""
    begin_mark = "<!-- what %s wrote -->\n" % command
    page = begin_mark + END
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            page = file.read()
    before, begin, rest = page.partition(begin_mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        before, after = "", ""
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin_mark + "\n" + table + "\n" + END + after)


def markdown(result):
    head = "%s, %d processors, Linux %s, load %.1f at the begin and %.1f at the end, %d rounds%s." % (
        result["date"], result["processors"], result["versions"]["kernel"], result["load_before"],
        result["load_after"], result["rounds"], ", quick" if result["quick"] else "")
    lines = [
        head, "",
        "| work | ours | held against | target |", "|---|---|---|---|"]
    for entry in result["entries"]:
        ours = entry["figures"].get(entry["ours"])
        others = [figure_text(name, figure) for name, figure in entry["figures"].items()
                  if name != entry["ours"]]
        targets = [verdict_text(verdict) for verdict in entry["targets"]]
        lines.append("| %s, %s | %s | %s | %s |" % (
            entry["title"], entry["unit"],
            figure_text("", ours).strip() if ours else "-", "; ".join(others) or "-",
            "; ".join(targets) or "-"))
    lines.append("")
    lines.extend("Skipped: %s: %s." % pair for pair in result["skipped"].items())
    lines.extend("Failed: %s: %s." % pair for pair in result["failed"].items())
    if result["skipped"] or result["failed"]:
        lines.append("")
    lines.append("Versions: " + "; ".join(result["versions"].values()) + ".")
    return "\n".join(lines) + "\n"
