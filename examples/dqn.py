"""Deep Q-learning: keep a pole upright on a cart.

Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015, algorithm
1: a network learns the value of each action from transitions sampled from a replay buffer, towards
the target network's value of the next state. The next action is chosen by the network and its value
taken from the target network, as in van Hasselt, Guez and Silver, arXiv:1509.06461. Writes dqn.png.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np
from control import ACTIONS, STATE, Pole, lengths

import densekit as keras
from densekit import ops

BATCH, MEMORY, DISCOUNT = 64, 20_000, 0.99
POLES = 8  # played at once: a step of all of them for each update
FOLLOW = 200  # updates between two copies


def build_network() -> keras.Model:
    """A state in, the value of each action out."""
    return keras.Sequential(
        [
            keras.Input((STATE,)),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(ACTIONS),
        ]
    )


class Memory:
    """The latest transitions."""

    def __init__(self) -> None:
        self.states = np.zeros((MEMORY, STATE), "float32")
        self.afters = np.zeros((MEMORY, STATE), "float32")
        self.actions = np.zeros(MEMORY, "int64")
        self.goes_on = np.zeros(MEMORY, "float32")
        self.size = self.next = 0

    def add(self, states, actions, afters, fell) -> None:
        places = (self.next + np.arange(len(actions))) % MEMORY
        self.states[places], self.actions[places] = states, actions
        self.afters[places], self.goes_on[places] = afters, 1 - fell
        self.next = (self.next + len(actions)) % MEMORY
        self.size = min(self.size + len(actions), MEMORY)

    def draw(self, rng: np.random.Generator):
        picked = rng.integers(self.size, size=BATCH)
        return (a[picked] for a in (self.states, self.actions, self.afters, self.goes_on))


def update(network, copy, optimizer, states, actions, afters, goes_on) -> float:
    """One step towards ``1 + discount * value of the next state``; the loss."""
    best = np.argmax(network(afters), axis=1)
    after = np.take_along_axis(copy(afters), best[:, None], axis=1)[:, 0]
    target = 1 + DISCOUNT * goes_on * after
    chosen = ops.one_hot(actions, ACTIONS)
    with keras.GradientTape() as tape:
        values = ops.sum(network(states, training=True) * chosen, axis=1)
        loss = ops.mean((values - target) ** 2)
    optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
    return float(loss)


def train(updates: int, seed: int):
    """The network, and after every so many updates the mean length of an episode."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    network, copy, memory, poles = build_network(), build_network(), Memory(), Pole(POLES, seed)
    optimizer = keras.optimizers.Adam(1e-3)
    progress = []
    best, kept = 0.0, network.get_weights()
    for step in range(updates):
        if step % FOLLOW == 0:
            copy.set_weights(network.get_weights())
            played = lengths(lambda s: np.argmax(network(s), axis=1), 20, seed=1).mean()
            progress.append((step, played))
            if played >= best:
                best, kept = played, network.get_weights()
        states = poles.state
        explore = rng.uniform(size=POLES) < max(0.05, 1 - step / 1000)
        actions = np.where(
            explore, rng.integers(ACTIONS, size=POLES), np.argmax(network(states), axis=1)
        )
        afters, fell, _ = poles.step(actions)
        memory.add(states, actions, afters, fell)
        if memory.size >= BATCH:
            update(network, copy, optimizer, *memory.draw(rng))
    network.set_weights(kept)
    return network, progress


def plot(progress: list, network: keras.Model) -> None:
    """How long episodes last; the action the network takes by angle and angular speed."""
    figure, (curve, plane) = plt.subplots(1, 2, figsize=(12.5, 5), layout="constrained")
    curve.plot(*zip(*progress, strict=True))
    curve.set(title="Steps upright, mean of 20 episodes", xlabel="updates", ylim=(0, 205))
    curve.grid(alpha=0.3)
    angle = np.linspace(-0.2, 0.2, 101, dtype="float32")
    turning = np.linspace(-2, 2, 101, dtype="float32")
    grid = np.stack(np.meshgrid([0.0], [0.0], angle, turning), axis=-1).reshape(-1, STATE)
    values = network.predict(grid.astype("float32"), verbose=0)
    lead = (values[:, 1] - values[:, 0]).reshape(101, 101)
    most = np.abs(lead).max()
    shown = plane.pcolormesh(angle, turning, lead.T, cmap="RdBu", vmin=-most, vmax=most)
    figure.colorbar(shown, ax=plane, label="Q(right) - Q(left)")
    plane.set(title="What the network has learned", xlabel="angle", ylabel="angular speed")
    figure.savefig("dqn.png", dpi=120)


def main() -> None:
    """Train, play and draw."""
    parser = argparse.ArgumentParser(description="Deep Q-learning of a pole on a cart")
    parser.add_argument("--updates", type=int, default=6000, help="default 6000")
    options = parser.parse_args()
    network, progress = train(options.updates, seed=0)
    played = lengths(lambda s: np.argmax(network(s), axis=1), 100, seed=2)
    print(f"100 episodes: {played.mean():.0f} of 200 steps upright, the shortest {played.min()}")
    plot(progress, network)
    print("dqn.png: length of episodes, values of the actions")


if __name__ == "__main__":
    main()
