"""Print what pyproject.toml requires, with the extras named as arguments, one a line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for extra in sys.argv[1:]:
        wanted += project["project"]["optional-dependencies"][extra]
    print("\n".join(r for r in wanted if not r.startswith("densekit[")))


if __name__ == "__main__":
    main()
