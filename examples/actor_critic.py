"""Advantage actor-critic: keep a pole upright on a cart.

Mnih et al., "Asynchronous methods for deep reinforcement learning", arXiv:1602.01783, with many
poles in one process in place of many processes: one network says how likely each action is and
the value of a state, and learns both from some steps of all poles. The advantage is that of
Schulman et al., arXiv:1506.02438, equation 16. Writes actor_critic.png.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np
from control import ACTIONS, STATE, Pole, lengths

import densekit as keras
from densekit import ops

POLES, STEPS = 16, 32
DISCOUNT, TRACE = 0.99, 0.95
ENTROPY = 0.01


def build_network() -> keras.Model:
    """A state in; logits of the actions and the value of the state out."""
    state = keras.Input((STATE,))
    hidden = keras.layers.Dense(64, "tanh")(state)
    hidden = keras.layers.Dense(64, "tanh")(hidden)
    return keras.Model(state, [keras.layers.Dense(ACTIONS)(hidden), keras.layers.Dense(1)(hidden)])


def play(network, poles: Pole, rng: np.random.Generator):
    """Some steps of all poles: states, actions, and what came of them."""
    rows = []
    for _ in range(STEPS):
        states = poles.state
        logits, values = network(states)
        noise = rng.gumbel(size=logits.shape)  # the largest logit with noise is a draw
        actions = np.argmax(logits + noise, axis=1)
        afters, fell, over = poles.step(actions)
        rows.append((states, actions, values[:, 0], fell, over, network(afters)[1][:, 0]))
    return [np.stack(column) for column in zip(*rows, strict=True)]


def advantages(values, fell, over, after):
    """How much better than expected things went, step by step from the end."""
    surprise = 1 + DISCOUNT * (1 - fell) * after - values
    found = np.zeros_like(values)
    following = np.zeros(values.shape[1], values.dtype)
    for t in reversed(range(STEPS)):
        following = surprise[t] + DISCOUNT * TRACE * (1 - over[t]) * following
        found[t] = following
    return found


def update(network, optimizer, states, actions, advantage, returns) -> None:
    """One step: policy gradient, squared error of the values, entropy bonus."""
    chosen = ops.one_hot(actions, ACTIONS)
    with keras.GradientTape() as tape:
        logits, values = network(states, training=True)
        logs = ops.log_softmax(logits)
        policy_loss = -ops.mean(ops.sum(logs * chosen, axis=1) * advantage)
        value_loss = ops.mean((values[:, 0] - returns) ** 2)
        entropy = -ops.mean(ops.sum(ops.exp(logs) * logs, axis=1))
        loss = policy_loss + 0.5 * value_loss - ENTROPY * entropy
    gradients = tape.gradient(loss, network.trainable_variables)
    optimizer.apply(gradients, network.trainable_variables)


def train(updates: int, seed: int):
    """The network, and after every ten updates the mean length of an episode."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    network, poles = build_network(), Pole(POLES, seed)
    optimizer = keras.optimizers.Adam(3e-3, global_clipnorm=1.0)
    progress = []
    for step in range(updates):
        states, actions, values, fell, over, after = play(network, poles, rng)
        advantage = advantages(values, fell, over, after)
        returns = advantage + values
        scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        rows = states.reshape(-1, STATE), actions.reshape(-1)
        update(network, optimizer, *rows, scaled.reshape(-1), returns.reshape(-1))
        if step % 10 == 9:
            played = lengths(lambda s: np.argmax(network(s)[0], axis=1), 20, seed=1)
            progress.append((step + 1, played.mean()))
    return network, progress


def plot(progress: list) -> None:
    """How long episodes last."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(*zip(*progress, strict=True))
    axes.set(title="Steps upright, mean of 20 episodes", xlabel="updates", ylim=(0, 205))
    axes.grid(alpha=0.3)
    figure.savefig("actor_critic.png", dpi=120)


def main() -> None:
    """Train, play and draw."""
    parser = argparse.ArgumentParser(description="Actor-critic of a pole on a cart")
    parser.add_argument("--updates", type=int, default=400, help="default 400")
    options = parser.parse_args()
    network, progress = train(options.updates, seed=0)
    played = lengths(lambda s: np.argmax(network(s)[0], axis=1), 100, seed=2)
    print(f"100 episodes: {played.mean():.0f} of 200 steps upright, the shortest {played.min()}")
    plot(progress)
    print("actor_critic.png: length of episodes")


if __name__ == "__main__":
    main()
