"""Tables for the terminal and Markdown."""

from __future__ import annotations

from typing import Any

HEADINGS = {
    "training": "Training: Adam, float32, one step of a batch",
    "inference": "Inference: one call, weights and rows in the caches",
    "import": "Import: a fresh process",
    "process": "Whole process: import, build, 5 epochs of `tabular`, predict, save",
    "own-steps": "Steps that users write: 4-64-64-2, batch 64; train_on_batch of 20-32-16-1",
    "own-layers": "Models with parts that users write: a step of fit",
    "small-calls": "Calls that do little work: 20-32-16-1, 32 rows",
    "many": "Many small networks, 10 epochs of 10,000 rows: a step of one",
    "callers": "Several Python threads predicting at once: calls a second of all of them",
    "widths": "By width: width-width-width-10; calls of one row and of 64, steps of 64 rows",
    "sweep": "One Dense layer, square, one thread: rows and widths",
    "costs": "Cost of a component: a step of 64-64-64-10, batch 32, over plain Adam and relu",
}
OURS = "densekit"


def heading(group: str) -> str:
    return f"\n{HEADINGS[group]}\n{'=' * len(HEADINGS[group])}"


def duration(seconds: float) -> str:
    """Three digits and a unit: ``8.31 us``."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms"), (1.0, "s")):
        value = seconds * factor
        if value < 999.5 or unit == "s":
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError


def bytes_text(n: float) -> str:
    return f"{n / 1e6:.0f} MB" if n < 1e9 else f"{n / 1e9:.2f} GB"


def machine_text(results: dict[str, Any]) -> str:
    m, limits = results["machine"], results["limits"]
    caches = ", ".join(f"{name} {size >> 10} KiB" for name, size in m["caches"].items())
    lines = [
        f"{m['cpu']} ({m['family']}), {m['cores']} cores, {caches}; {m['system']}; "
        f"Python {m['python']}; {results['threads']} threads; load {m['load']:.2f}"
        if m["load"] is not None
        else f"{m['cpu']}, {m['cores']} cores; {results['threads']} threads"
    ]
    if limits is None:
        lines.append("limits: not measured, no C++ compiler found")
    else:
        reads = ", ".join(f"{k} {v / 1e9:.0f}" for k, v in limits["bytes"].items())
        lines.append(
            f"limits of {limits['threads']} threads, measured now: {limits['flops'] / 1e9:.0f} "
            f"GFLOP/s of FP32 multiply-adds; reads in GB/s: {reads}"
        )
        lines += _units(limits)
    return "\n".join(lines)


def _units(limits: dict[str, Any]) -> list[str]:
    """GFLOP/s by type: of each unit of the processor, the fastest first."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for unit in limits.get("units", []):  # not in results of before
        by_type.setdefault(unit["type"], []).append(unit)
    texts = []
    for name, units in by_type.items():
        units = sorted(units, key=lambda u: -u["flops"])
        texts.append(f"{name} " + ", ".join(f"{u['unit']} {u['flops'] / 1e9:.0f}" for u in units))
    return [f"multiply-adds in GFLOP/s: {'; '.join(texts)}"] if texts else []


def best(entry: dict[str, Any], ours: bool) -> tuple[str, dict[str, Any]] | None:
    """The fastest path of densekit in float32, or of all its peers."""
    mine = {
        k: v
        for k, v in entry["peers"].items()
        if (v["peer"] == OURS if ours else not v["peer"].startswith(OURS))
    }
    if not mine:
        return None
    name = min(mine, key=lambda k: mine[k]["median"])
    return name, mine[name]


def ratio(entry: dict[str, Any]) -> float | None:
    """Fastest peer's median over densekit's: above 1, densekit is faster."""
    ours, theirs = best(entry, True), best(entry, False)
    return theirs[1]["median"] / ours[1]["median"] if ours and theirs else None


def table(rows: list[list[str]], indent: str = "  ") -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join(
        indent
        + "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(r, widths, strict=True))
        ).rstrip()
        for r in rows
    )


def work(group: str, entry: dict[str, Any]) -> str:
    if group == "training":
        return f"batch {entry['batch']}, {entry['rows']:,} rows"
    return "1 row" if entry["rows"] == 1 else f"{entry['rows']:,} rows"


def entry_text(group: str, entry: dict[str, Any]) -> str:
    """A workload's peers, the fastest first."""
    training, limit = group == "training", entry["limit"]
    lines = [f"\n{entry['name']}: {entry['title']}, {work(group, entry)}"]
    if limit:
        lines[0] += f"; limit {duration(limit['seconds'])} ({limit['term']})"
    ours = best(entry, True)
    rows = [["", "median", "min", "iqr", "n", "epoch", "first", "of limit", "vs densekit", "error"]]
    own = entry.get("limit_bfloat16")
    for name, r in sorted(entry["peers"].items(), key=lambda item: item[1]["median"]):
        epoch = duration(r["median"] * entry["rows"] / entry["batch"]) if training else ""
        rows.append(
            [
                f"{name}{' (' + r['note'] + ')' if r['note'] else ''}",
                duration(r["median"]),
                duration(r["min"]),
                f"{100 * r['iqr'] / r['median']:.0f}%",
                str(r["rounds"]),
                epoch,
                duration(r["first"]) if training else "",
                _share(own if own and r["peer"] == "densekit-bf16" else limit, r),
                f"{r['median'] / ours[1]['median']:.2f}x" if ours else "",
                f"{r['error']:.0e}",
            ]
        )
    if not training:
        rows = [[c for i, c in enumerate(r) if i not in (5, 6)] for r in rows]
    lines.append(table(rows))
    for name, r in entry["peers"].items():
        if r.get("memory"):
            lines.append(f"  memory, {name}: {_memory(r['memory'])}")
    lines += [f"  {p}: {why}" for p, why in entry["missing"].items()]
    return "\n".join(lines)


def _share(limit: dict[str, Any] | None, r: dict[str, Any]) -> str:
    return f"{100 * limit['seconds'] / r['median']:.1f}%" if limit else ""


def _memory(m: dict[str, Any]) -> str:
    return (
        f"training adds {bytes_text(m['added'])} = {m['added'] / m['data']:.2f} of the data's "
        f"{bytes_text(m['data'])}; {bytes_text(m['peak'])} in all"
    )


def other_text(name: str, found: Any) -> str:
    return _OTHERS[name](found)


def _spread_row(name: str, r: dict[str, Any]) -> list[str]:
    share = f"{100 * r['iqr'] / r['median']:.0f}%"
    return [name, duration(r["median"]), duration(r["min"]), share, str(r["rounds"])]


def _imports(found: dict[str, Any]) -> str:
    base = found["import numpy"]["median"]
    rows = [["", "median", "min", "iqr", "n", "over numpy"]]
    for name, r in found.items():
        rows.append([*_spread_row(name, r), f"{1e3 * (r['median'] - base):+.1f} ms"])
    return table(rows)


def _processes(found: dict[str, Any]) -> str:
    rows = [["", "median", "min", "iqr", "n", "vs densekit"]]
    base = found.get(OURS, {}).get("median")
    for name, r in found.items():
        rows.append([*_spread_row(name, r), f"{r['median'] / base:.2f}x" if base else ""])
    return table(rows)


def _callers(found: list[dict[str, Any]]) -> str:
    blocks = []
    for w in found:
        rows = [[f"{w['title']}, {work('inference', w)}", *(f"{n} threads" for n in w["callers"])]]
        for name, rates in sorted(w["rates"].items(), key=lambda item: -max(item[1])):
            rows.append([name, *(f"{rate:,.0f}" for rate in rates)])
        notes = [f"  fails with several callers: {why}" for why in w["missing"].values()]
        blocks.append("\n".join([table(rows), *notes]))
    return "\n\n".join(blocks)


def _widths(found: dict[str, list[dict[str, Any]]]) -> str:
    rows = [["", "densekit", "fastest peer", "", "ratio", "limit", "share"]]
    for kind, entries in found.items():
        for e in entries:
            ours, theirs, limit = best(e, True), best(e, False), e["limit"]
            if ours is None:
                continue
            seconds = ours[1]["median"]
            row = [f"{kind}, {e['width']} wide", duration(seconds)]
            row += [theirs[0], duration(theirs[1]["median"])] if theirs else ["", ""]
            row += [f"{theirs[1]['median'] / seconds:.2f}x" if theirs else ""]
            row += [duration(limit["seconds"]), _share(limit, ours[1])] if limit else ["", ""]
            rows.append(row)
    return table(rows)


def sweep_points(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every (rows, width) with the fastest peer's seconds over densekit's, the worst first."""
    points = []
    others = [p for p in found["times"] if p != OURS]
    for i, width in enumerate(found["widths"][: _measured(found)]):
        for j, rows in enumerate(found["rows"]):
            seconds = {p: found["times"][p][i][j] for p in found["times"]}
            peer = min(others, key=lambda p: seconds[p])
            mine = seconds[OURS]
            points.append({"rows": rows, "width": width, "seconds": mine, "peer": peer,
                           "ratio": seconds[peer] / mine})  # fmt: skip
    return sorted(points, key=lambda p: p["ratio"])


def _measured(found: dict[str, Any]) -> int:
    """How many of the widths: a sweep may be made in pieces."""
    return min(map(len, found["times"].values()), default=0)


def sweep_steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Where more work costs least evenly: seconds over those of the nearest larger shape."""
    times, steps = found["times"][OURS], []
    measured = _measured(found)
    for i, width in enumerate(found["widths"][:measured]):
        for j, rows in enumerate(found["rows"]):
            for di, dj in ((1, 0), (0, 1)):
                if i + di < measured and j + dj < len(found["rows"]):
                    larger = found["rows"][j + dj], found["widths"][i + di]
                    steps.append({"rows": rows, "width": width, "larger": larger,
                                  "ratio": times[i][j] / times[i + di][j + dj]})  # fmt: skip
    return sorted(steps, key=lambda s: -s["ratio"])


def _sweep(found: dict[str, Any]) -> str:
    points = sweep_points(found)
    if not points:
        return "  nothing measured"
    ratios = [p["ratio"] for p in points]
    slower = sum(r < 1 for r in ratios)
    lines = [
        f"  {len(points)} shapes; fastest peer over densekit: least {ratios[0]:.2f}x, "
        f"median {ratios[len(ratios) // 2]:.2f}x; densekit slower at {slower}"
    ]
    rows = [["rows x width, worst first", "densekit", "fastest peer", "ratio"]]
    for p in points[:12]:
        theirs = duration(p["seconds"] * p["ratio"])
        rows.append([f"{p['rows']} x {p['width']}", duration(p["seconds"]),
                     f"{p['peer']} {theirs}", f"{p['ratio']:.2f}x"])  # fmt: skip
    lines += [table(rows), "  a smaller shape over its larger neighbour (above 1: a cliff)"]
    for s in sweep_steps(found)[:5]:
        larger = " x ".join(map(str, s["larger"]))
        lines.append(f"    {s['rows']} x {s['width']} over {larger}: {s['ratio']:.2f}x")
    return "\n".join(lines)


def _costs(found: list[dict[str, Any]]) -> str:
    rows = [["", "plain", "with it", "ratio", "computed by"]]
    for r in found:
        if "error" not in r:
            where = "kernel" if r["native"] else "Python"
            name = f"{r['room']}: {r['name']}"
            rows.append([name, duration(r["plain"]), duration(r["changed"]),
                         f"{r['ratio']:.2f}x", where])  # fmt: skip
    failed = [f"  {r['room']} {r['name']}: {r['error']}" for r in found if "error" in r]
    return "\n".join([table(rows), *failed])


def _own_steps(found: dict[str, dict[str, float]]) -> str:
    rows = [["", "step", "vs densekit"]]
    for step, peers in found.items():
        base = peers.get(OURS)
        for path, seconds in sorted(peers.items(), key=lambda item: item[1]):
            ratio = f"{seconds / base:.1f}x" if base else ""
            rows.append([f"{step}: {path}", duration(seconds), ratio])
    return table(rows)


_OTHERS = {"import": _imports, "process": _processes, "own-steps": _own_steps,
           "own-layers": _own_steps, "small-calls": _own_steps, "many": _own_steps,
           "callers": _callers, "widths": _widths,
           "sweep": _sweep, "costs": _costs}  # fmt: skip


def closing(results: dict[str, Any]) -> str:
    """One line a workload: how densekit stands to the fastest peer."""
    rows = [["", "densekit", "fastest peer", "", "ratio"]]
    for group in ("training", "inference"):
        for entry in results[group]:
            ours, theirs, r = best(entry, True), best(entry, False), ratio(entry)
            if ours and theirs and r:
                rows.append([entry["name"], duration(ours[1]["median"]), theirs[0],
                             duration(theirs[1]["median"]), f"{r:.2f}x"])  # fmt: skip
    text = table(rows) if len(rows) > 1 else ""
    warning = "\nA short run checks that all works; its numbers mean little." * results["short"]
    return f"\nIn short\n{text}\n{results['seconds']:.0f} s in all{warning}"


# Files


def markdown(results: dict[str, Any]) -> str:
    """The tables that a page can include."""
    versions = ", ".join(f"{p} {v}" for p, v in results["versions"].items())
    blocks = [f"{machine_text(results)}\n\nVersions: {versions}."]
    for group in ("training", "inference"):
        if results[group]:
            blocks.append(f"### {HEADINGS[group]}\n\n" + _summary(group, results[group]))
    for name in _OTHERS:
        if name in results:
            text = other_text(name, results[name])
            blocks.append(f"### {HEADINGS[name]}\n\n```text\n{text}\n```")
    details = [entry_text(g, e).strip() for g in ("training", "inference") for e in results[g]]
    if details:
        blocks.append("### Every peer\n\n```text\n" + "\n\n".join(details) + "\n```")
    return "\n\n".join(blocks) + "\n"


def _summary(group: str, entries: list[dict[str, Any]]) -> str:
    lines = [
        "| network | densekit | fastest peer | ratio | share of the limit |",
        "|---|--:|--:|--:|--:|",
    ]
    for e in entries:
        ours, theirs, r = best(e, True), best(e, False), ratio(e)
        if not ours:
            continue
        spread = (
            f"{duration(ours[1]['median'])} ± {100 * ours[1]['iqr'] / ours[1]['median'] / 2:.0f}%"
        )
        peer = f"{theirs[0]}: {duration(theirs[1]['median'])}" if theirs else ""
        limit = e["limit"]
        share = (
            f"{100 * limit['seconds'] / ours[1]['median']:.0f}% ({limit['term']})" if limit else ""
        )
        lines.append(f"| {e['title']}, {work(group, e)} | {spread} | {peer} | "
                     f"{f'{r:.2f}x' if r else ''} | {share} |")  # fmt: skip
    return "\n".join(lines)
