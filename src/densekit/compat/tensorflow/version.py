"""`tf.version`."""

from __future__ import annotations

import densekit as keras

VERSION = f"2.0.0+densekit.{keras.__version__}"
