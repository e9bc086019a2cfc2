"""A small control task in NumPy for the examples: a pole on a cart, to be kept upright.

The equations, bounds and rewards are those of Barto, Sutton and Anderson, "Neuronlike adaptive
elements that can solve difficult learning control problems", 1983, as in the common benchmark: a
state is position, speed, angle and angular speed; an action pushes the cart to the left or to the
right; each step upright is worth 1; an episode ends with a fall, at the edge, or after 200 steps.
"""

from __future__ import annotations

import numpy as np

STATE, ACTIONS, LONGEST = 4, 2, 200
GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MOST_X, MOST_ANGLE = 2.4, 12 * np.pi / 180


class Pole:
    """Many poles at once: arrays of states ``(n, 4)``, actions ``(n,)``."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.state = self.fresh(count)
        self.age = np.zeros(count, int)

    def fresh(self, count: int) -> np.ndarray:
        """States to begin with: nearly upright."""
        return self.rng.uniform(-0.05, 0.05, (count, STATE)).astype("float32")

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The states after a push, whether each pole fell, and whether its episode is over.

        Poles whose episode is over begin anew: `state` is then not what is returned.
        """
        _, speed, angle, turning = self.state.T
        force = np.where(action == 1, FORCE, -FORCE)
        mass = CART + POLE
        push = (force + POLE * HALF_LENGTH * turning**2 * np.sin(angle)) / mass
        tilt = GRAVITY * np.sin(angle) - np.cos(angle) * push
        turn = tilt / (HALF_LENGTH * (4 / 3 - POLE * np.cos(angle) ** 2 / mass))
        shift = push - POLE * HALF_LENGTH * turn * np.cos(angle) / mass
        rates = np.stack([speed, shift, turning, turn], axis=1)
        after = (self.state + SECONDS * rates).astype("float32")
        self.age += 1
        fell = (np.abs(after[:, 0]) > MOST_X) | (np.abs(after[:, 2]) > MOST_ANGLE)
        over = fell | (self.age >= LONGEST)
        self.state = np.where(over[:, None], self.fresh(len(over)), after)
        self.age[over] = 0
        return after, fell, over


def lengths(policy, episodes: int, seed: int) -> np.ndarray:
    """How many steps each of some episodes lasts, all played at once."""
    poles = Pole(episodes, seed)
    length = np.zeros(episodes, int)
    running = np.ones(episodes, bool)
    for step in range(1, LONGEST + 1):
        _, _, over = poles.step(policy(poles.state))
        length[running & over] = step
        running &= ~over
    return length
