"""How often callbacks save: after each epoch, or after a number of batches."""

from __future__ import annotations

from densekit._core.errors import describe, message


def check_save_freq(where: str, save_freq: object) -> None:
    """ValueError unless it says how often a callback saves."""
    if save_freq != "epoch" and not isinstance(save_freq, int):
        expected = "`save_freq` 'epoch' or a number of batches"
        raise ValueError(message(where, expected, describe(save_freq), "Pass one of these."))


class BatchesSinceSave:
    """Counts batches, over epochs, though a hook is called with some of them only.

    Args:
        last: the batch that counts as seen when training begins.
    """

    def __init__(self, last: int = -1) -> None:
        self.last = last
        self._count = 0

    def add(self, batch: int) -> int:
        """`batch` has ended: how many have since the call before."""
        begins_epoch = batch <= self.last
        new = batch + 1 if begins_epoch else batch - self.last
        self.last = batch
        self._count += new
        return new

    def reach(self, save_freq: str | int) -> bool:
        """Whether to save now; the count then begins anew."""
        if not isinstance(save_freq, int) or self._count < save_freq:
            return False
        self._count = 0
        return True
