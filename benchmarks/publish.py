"""Files of a run: its numbers, the page of tables, plots."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import report


def write(results: dict[str, Any], folder: Path) -> list[Path]:
    """``<date>-<cpu>.json``, ``.md``, ``.svg`` and ``latest.md``."""
    folder.mkdir(exist_ok=True)
    cpu = re.sub(r"[^a-z0-9]+", "-", results["machine"]["cpu"].lower()).strip("-")
    stem = f"{datetime.date.today().isoformat()}-{cpu}-{results['threads']}t"
    taken, n = stem, 1
    while any(folder.glob(f"{taken}.*")):  # never over another run
        n += 1
        taken = f"{stem}-{n}"
    stem = taken
    paths = [folder / f"{stem}.json", folder / f"{stem}.md", folder / "latest.md"]
    paths[0].write_text(json.dumps(results, indent=1) + "\n")
    text = report.markdown(results)
    for path in paths[1:]:
        path.write_text(text)
    for draw, name in ((plot, f"{stem}.svg"), (plot_widths, f"{stem}-widths.svg")):
        picture = folder / name
        if draw(results, picture):
            paths.append(picture)
    return paths


def plot(results: dict[str, Any], path: Path) -> bool:
    """Time of every peer over densekit's, a bar each; False without Matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    groups = [(g, results[g]) for g in ("training", "inference") if results[g]]
    if not groups:
        return False
    figure, axes = plt.subplots(1, len(groups), figsize=(6.5 * len(groups), 6), squeeze=False)
    peers = sorted({r["peer"] for _, es in groups for e in es for r in e["peers"].values()})
    peers.sort(key=lambda p: p != report.OURS)
    colors = dict(zip(peers, plt.get_cmap("tab10").colors, strict=False))
    for ax, (group, entries) in zip(axes[0], groups, strict=True):
        height = 0.8 / len(peers)
        for n, entry in enumerate(entries):
            ours = report.best(entry, True)
            for k, p in enumerate(peers):
                laps = [r["median"] for r in entry["peers"].values() if r["peer"] == p]
                if laps and ours:
                    label = p if n == 0 else None
                    y = n + (k - (len(peers) - 1) / 2) * height
                    ax.barh(y, min(laps) / ours[1]["median"], height, color=colors[p], label=label)
        ax.set_yticks(
            range(len(entries)), [f"{e['title']}\n{report.work(group, e)}" for e in entries]
        )
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_xlabel("time over densekit's")
        ax.set_title(report.HEADINGS[group].split(":")[0])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colors[p]) for p in peers]
    figure.legend(handles, peers, loc="lower center", ncols=len(peers), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def plot_widths(results: dict[str, Any], path: Path) -> bool:
    """Time by width: densekit, the fastest peer at each width, the limit."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    found = results.get("widths")
    if not found:
        return False
    figure, axes = plt.subplots(1, len(found), figsize=(4.5 * len(found), 4), squeeze=False)
    for ax, (kind, entries) in zip(axes[0], found.items(), strict=True):
        lines: dict[str, list[tuple[int, float]]] = {"densekit": [], "fastest peer": []}
        for e in entries:
            for name, ours in (("densekit", True), ("fastest peer", False)):
                if (quickest := report.best(e, ours)) is not None:
                    lines[name].append((e["width"], quickest[1]["median"]))
            if e["limit"]:
                lines.setdefault("limit", []).append((e["width"], e["limit"]["seconds"]))
        for name, style in (("fastest peer", "o-C1"), ("densekit", "o-C0"), ("limit", "--k")):
            points = lines.get(name, [])
            ax.plot([w for w, _ in points], [1e6 * s for _, s in points], style, ms=3, label=name)
        ax.set(xscale="log", yscale="log", xlabel="width", title=kind)
        ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("microseconds")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
