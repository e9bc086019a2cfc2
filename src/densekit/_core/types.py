"""Names of types that many files share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Index: TypeAlias = npt.NDArray[np.int64]
Config: TypeAlias = dict[str, Any]  # an object as plain data, as files hold it
Logs: TypeAlias = dict[str, Any]  # numbers by name, as callbacks are told them
