"""``python -m densekit script.py ...``: runs a script written for Keras or `tf.keras` unchanged."""

from __future__ import annotations

import os
import runpy
import sys

from densekit.compat import install

_USAGE = """\
usage: python -m densekit script.py [arguments]
       python -m densekit -m module [arguments]

Runs a script or module in which `import keras`, `from tensorflow import keras` and
`import tensorflow as tf` mean densekit."""


def main(arguments: list[str]) -> int:
    """Run what the command line names; the exit status of the command line itself."""
    as_module = arguments[:1] == ["-m"]
    given = arguments[1:] if as_module else arguments
    if not given or given[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    if not as_module and not os.path.exists(given[0]):
        print(f"python -m densekit: no script {given[0]!r}. Check the path.", file=sys.stderr)
        return 2
    install()
    sys.argv = given
    if as_module:
        runpy.run_module(given[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(given[0]))  # as `python script.py` has it
        runpy.run_path(given[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
