"""The two data sets CIFAR: archives of pickled batches of 32x32 colour images."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from densekit._core import settings
from densekit._core.types import Array
from densekit.datasets._fetching import Pair, unpickled
from densekit.utils._files import get_file

_ORIGIN = "https://www.cs.toronto.edu/~kriz/"


def extracted(name: str, archive: str, digits: str) -> Path:
    """The folder of an archive, fetched once."""
    return Path(get_file(name, _ORIGIN + archive, extract=True, file_hash=digits))


def batch(path: Path, labels: str) -> Pair:
    """Images as `image_data_format` says, and labels, (rows, 1)."""
    with path.open("rb") as file:
        found = cast("dict[bytes, Array]", unpickled(file))
    images = np.reshape(found[b"data"], (-1, 3, 32, 32))
    if settings.get("image_data_format") == "channels_last":
        images = images.transpose(0, 2, 3, 1)
    return images, np.reshape(np.asarray(found[labels.encode()]), (-1, 1))
