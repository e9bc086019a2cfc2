"""Run Keras' own tests against densekit: `make keras-tests`.

The tests are fetched with Keras' source distribution and are no part of this repository. Names that
they import are answered by `keras_stand_ins.py`. Counted are test functions; one with parameters
holds if all its cases do. Which tests are left out, and why, says `keras_own_tests.toml`, and on
top of it four rules: a test is not counted that fails where it reaches for a private attribute of
Keras' classes, a private function or module of Keras, a public name or a mode that is absent on
purpose (`docs/coverage.md`), or another framework.

    python scripts/keras_own_tests.py                      all areas, two files at a time
    python scripts/keras_own_tests.py layers/core models   some, by the beginning of their path
    python scripts/keras_own_tests.py -v losses/loss_test.py
    python scripts/keras_own_tests.py --json now.json --against before.json
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIST = HERE / "keras_own_tests.toml"
FOLDER = ROOT / "build" / "keras-tests"
CASES = 40  # of a test with parameters, spread evenly: products of all dtypes run to thousands
SECONDS = 60  # for one case
FILE_SECONDS = 900
# What densekit says of what it leaves out on purpose (docs/differences-from-keras.md).
REFUSED = re.compile(
    "float8 is for GPUs|calibrates language models|whose code is never read from a file"
    "|expected a dense tensor|Pass a real type"
)
STATES = ("held", "failed", "outside")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("areas", nargs="*", help="beginnings of paths below keras/src")
    parser.add_argument("--sdist", type=Path, help="Keras' source distribution, if it is here")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--against", type=Path, help="results of a former run to compare with")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("-k", default="", help="only tests whose name contains this")
    parser.add_argument("--cases", type=int, default=CASES, help="cases of one test at most")
    parser.add_argument("-v", "--verbose", action="store_true", help="tracebacks of failures")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "RESULT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sources = fetched(options.sdist)
    if options.one:
        return run_file(sources, Path(options.one[0]), Path(options.one[1]), options)
    tests = sources / "keras" / "src"
    known = tomllib.loads(LIST.read_text())
    files = []
    for file in sorted(tests.rglob("*_test.py")):
        path = str(file.relative_to(tests))
        if options.areas and not path.startswith(tuple(options.areas)):
            continue
        if not any(re.fullmatch(pattern, path) for pattern in known["files"]):
            files.append(path)

    def run(path: str) -> dict[str, Any]:
        result = run_apart(path, options)
        held = sum(test["state"] == "held" for test in result.values())
        failed = sum(test["state"] == "failed" for test in result.values())
        print(f"{path}: {held} of {held + failed}", file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(files, pool.map(run, files), strict=True))
    report(results, options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return compare(results, options.against) if options.against else 0


def fetched(given: Path | None) -> Path:
    """The folder of Keras' sources, of the version that is installed as our witness."""
    from importlib.metadata import version

    name = f"keras-{version('keras')}"
    folder = FOLDER / name
    if not (folder / "keras").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        if given is None:
            command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", "keras"]
            wanted = name.replace("-", "==")
            target = ["-d", str(FOLDER), wanted]
            subprocess.run([sys.executable, "-m", *command, *target], check=True)
            given = FOLDER / f"{name}.tar.gz"
        with tarfile.open(given) as archive:
            archive.extractall(FOLDER, filter="data")
    return folder


def run_apart(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """One file in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, __file__, "--one", path, str(result)]
        command += ["-k", options.k, "--cases", str(options.cases)]
        command += ["--sdist", str(options.sdist)] if options.sdist else []
        command += ["-v"] if options.verbose else []
        environment = os.environ | {"PYTHONWARNINGS": "ignore"}
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=None if options.verbose else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=FILE_SECONDS,
            )
            said = (done.stdout or b"").decode(errors="replace")[-2000:]
        except subprocess.TimeoutExpired:
            said = f"longer than {FILE_SECONDS} s"
        if result.exists():
            return json.loads(result.read_text())
        return {"<file>": {"state": "failed", "why": said}}


def run_file(sources: Path, path: Path, result: Path, options: argparse.Namespace) -> int:
    """Run the tests of one file in this process."""
    sys.path.insert(0, str(HERE))
    import keras_stand_ins
    import ml_dtypes  # noqa: F401  # so that NumPy knows "bfloat16", which the tests write

    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    known = tomllib.loads(LIST.read_text())
    told = (name for p, name in known["backends"].items() if re.fullmatch(p, str(path)))
    keras_stand_ins.install(sources, next(told, "densekit"))
    file = sources / "keras" / "src" / path
    # Apart from Keras' packages, so that the test file is a module of its own.
    link = Path.cwd() / file.name
    link.unlink(missing_ok=True)
    link.symlink_to(file)
    recorder = Recorder(file, str(path), options)
    arguments = [str(link), "-p", "no:cacheprovider", "-W", "ignore", "--import-mode=prepend"]
    arguments += ["-q", "--tb", "short" if options.verbose else "no", "-c", os.devnull]
    arguments += ["--rootdir", str(Path.cwd()), "-o", "python_files=*_test.py"]
    pytest.main(arguments, plugins=[recorder])
    result.write_text(json.dumps(recorder.results))
    return 0


class Recorder:
    """A plugin of pytest that leaves out what is not counted, and notes what comes of the rest."""

    def __init__(self, file: Path, path: str, options: argparse.Namespace) -> None:
        self.results: dict[str, dict[str, Any]] = {}
        self._options = options
        self._path = path
        tree = ast.parse(file.read_text())
        self._functions = _functions(tree)
        self._private = _private_uses(tree)
        known = tomllib.loads(LIST.read_text())
        self._left_out = {
            name.partition("::")[2]: why
            for name, why in known["tests"].items()
            if name.startswith(f"{path}::")
        }

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        _accept_other_words(self)
        cases = defaultdict(list)
        for item in items:
            name = self._name(item.nodeid)
            if self._options.k not in name:
                continue
            why = self._left_out.get(name)
            if why:
                self._note(name, "outside", why)
            else:
                cases[name].append(item)
        items[:] = [
            group[i * len(group) // count]
            for group in cases.values()
            for count in [min(len(group), self._options.cases)]
            for i in range(count)
        ]

    def pytest_runtest_setup(self, item: Any) -> None:
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(SECONDS)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Iterator[None]:
        """Types that JAX cut to 32 bits for the test are compared in 64, which densekit keeps."""
        yield
        if "Dtype" in item.nodeid and getattr(item, "_excinfo", None):
            import jax

            with jax.enable_x64(True), contextlib.suppress(AssertionError):
                type(item.instance)(item.name).debug()
                item._excinfo = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = self._name(report.nodeid)
        if report.skipped:
            self._note(name, "outside", _reason(report))
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(crash.message if crash else report.longrepr)[:600]
            self._note(name, *self._judged(name, why))
        elif report.when == "call":
            self._note(name, "held", "")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._note("<file>", "failed", str(report.longrepr)[-600:])
        elif report.skipped:
            for name in self._functions:
                self._note(name, "outside", _reason(report))

    def other_words(self) -> None:
        """A message of another wording was accepted in the running test."""
        name = self._name(os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0])
        self.results.setdefault(name, {"state": "held", "cases": 0})["words"] = True

    def _name(self, nodeid: str) -> str:
        """`Class::test_function` of a case."""
        parts = nodeid.partition("[")[0].split("::")[1:]
        inside = "::".join(parts)
        known = [f for f in self._functions if inside == f or inside.startswith(f)]
        inherited = [f for f in self._functions if parts[-1].startswith(f.split("::")[-1])]
        if known:
            return max(known, key=len)
        longest = max(inherited, key=lambda f: len(f.split("::")[-1]), default=inside)
        return "::".join([*parts[:-1], longest.split("::")[-1]])

    def _judged(self, name: str, why: str) -> tuple[str, str]:
        """What comes of a test that failed, and the reason."""
        refused = REFUSED.search(why)
        if refused:
            return "outside", f"absent: {refused[0]}"
        private = self._private.get(name, ())
        reached = next((p for p in private if p.rpartition(".")[2] in why), None)
        return ("outside", f"private to Keras: {reached}") if reached else ("failed", why)

    def _note(self, name: str, state: str, why: str) -> None:
        """A failed case decides over held ones, a held one over those outside."""
        new = {"state": state, "cases": 0, **({"why": why} if why else {})}
        old = self.results.setdefault(name, new)
        old["cases"] = old.get("cases", 0) + 1
        if STATES.index(state) == 1 != STATES.index(old["state"]) or (
            state == "held" and old["state"] == "outside"
        ):
            old.update(state=state, why=why)


def _reason(report: Any) -> str:
    """Why pytest skipped something."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return re.sub(r"^(Skipped|keras_missing\.Outside|Outside): ", "", str(said))


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def _functions(tree: ast.Module) -> list[str]:
    """`Class::test_function` of a file."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            inside = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            found += [f"{node.name}::{n.name}" for n in inside if n.name.startswith("test")]
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            found.append(node.name)
    return found


def _private_uses(tree: ast.Module) -> dict[str, list[str]]:
    """What tests use of private attributes that the file does not define, or patch in Keras."""
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    found: dict[str, list[str]] = defaultdict(list)
    for family in tree.body:
        if not isinstance(family, ast.ClassDef):
            continue
        for function in family.body:
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                name = f"{family.name}::{function.name}"
                if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
                    if node.attr not in own:
                        found[name].append(f".{node.attr}")
                elif isinstance(node, ast.Constant) and str(node.value).startswith("keras.src"):
                    found[name].append(str(node.value))
    return found


def _accept_other_words(recorder: Recorder) -> None:
    """From now on an expected message may have any words; that it has others is noted."""
    import unittest

    import pytest

    def accept(context: Any) -> None:
        plain_exit = context.__exit__

        def leave(self: Any, kind: Any, value: Any, trace: Any) -> Any:
            wanted, self.expected_regex = self.expected_regex, None
            result = plain_exit(self, kind, value, trace)
            said = [str(w.message) for w in getattr(self, "warnings", ())] or [str(value)]
            if wanted is not None and not any(map(wanted.search, said)):
                recorder.other_words()
            return result

        context.__exit__ = leave

    accept(unittest.case._AssertRaisesContext)
    accept(unittest.case._AssertWarnsContext)
    plain_raises = pytest.raises

    def raises(*args: Any, match: str | None = None, **kwargs: Any) -> Any:
        return plain_raises(*args, **kwargs)

    pytest.raises = raises


def report(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """The table, and each failure in a line."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    for path, tests in results.items():
        folder = str(Path(path).parent)
        for name, test in tests.items():
            table[folder][test["state"]] += 1
            table[folder]["words"] += test["state"] == "held" and test.get("words", False)
            table[folder]["cases"] += test.get("cases", 0)
            if test["state"] == "failed":
                why = " ".join(test["why"].split())[:150]
                print(f"{path}::{name}: {why}")
            elif test["state"] == "outside":
                reasons[test["why"][:100]] += 1
    print()
    head = ("", "held", "of", "other words", "outside", "cases")
    print("{:32}{:>7}{:>7}{:>13}{:>9}{:>8}".format(*head))
    for folder, counts in [*sorted(table.items()), ("total", sum(table.values(), Counter()))]:
        held, failed = counts["held"], counts["failed"]
        row = (folder, held, held + failed, counts["words"], counts["outside"], counts["cases"])
        print("{:32}{:>7}{:>7}{:>13}{:>9}{:>8}".format(*row))
    if options.verbose:
        print("outside:", *(f"{n} {why}" for why, n in reasons.most_common()), sep="\n  ")


def compare(results: dict[str, dict[str, Any]], before: Path) -> int:
    """What holds no longer, and what holds now. 1 if there is any of the first."""
    old = json.loads(before.read_text())
    lost, won = [], []
    for path, tests in results.items():
        for name, test in tests.items():
            was = old.get(path, {}).get(name, {}).get("state")
            if was == "held" and test["state"] == "failed":
                lost.append(f"{path}::{name}")
            elif was == "failed" and test["state"] == "held":
                won.append(f"{path}::{name}")
    print(f"\nheld before and fails now: {len(lost)}", *lost, sep="\n  ")
    print(f"failed before and holds now: {len(won)}", *won, sep="\n  ")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
