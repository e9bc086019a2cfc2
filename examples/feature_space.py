"""From a table to a trained model: `FeatureSpace` prepares the columns inside the model.

Synthetic customers of a phone company: who cancels follows from how long they stay, what they pay,
their kind of contract and, in one region alone, their device. Needs pandas.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

import densekit as keras
from densekit.utils import FeatureSpace


def customers(rows: int, seed: int) -> pd.DataFrame:
    """A table of customers and whether they cancelled."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "months": draw.integers(1, 72, rows),
            "charge": draw.gamma(4.0, 15.0, rows),
            "contract": draw.choice(["monthly", "one year", "two years"], rows, p=[0.5, 0.3, 0.2]),
            "region": draw.choice(["north", "south", "east", "west"], rows),
            "device": draw.choice(["phone", "tablet", "router"], rows),
            "zip code": draw.integers(10_000, 10_200, rows),
        }
    )
    leaning = 1.2 - table["months"] / 20 + (table["charge"] - 60) / 25
    leaning += table["contract"].map({"monthly": 1.2, "one year": -0.6, "two years": -1.8})
    leaning += 2.5 * ((table["region"] == "west") & (table["device"] == "router"))
    table["cancelled"] = (leaning + draw.logistic(0, 0.3, rows) > 0).astype(int)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(1)

    train, test = customers(arguments.rows, seed=0), customers(2_000, seed=1)
    columns = [name for name in train.columns if name != "cancelled"]

    space = FeatureSpace(
        {
            "months": "float_normalized",
            "charge": FeatureSpace.float_discretized(num_bins=12),
            "contract": "string_categorical",
            "region": "string_categorical",
            "device": "string_categorical",
            "zip code": FeatureSpace.integer_hashed(num_bins=16),
        },
        crosses=[FeatureSpace.cross(("region", "device"), crossing_dim=24)],
    )
    space.adapt(train[columns])

    encoded = space.get_encoded_features()
    x = keras.layers.Dense(32, activation="relu")(encoded)
    chance = keras.layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(space.get_inputs(), chance)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(
        dict(train[columns]),
        train["cancelled"],
        epochs=arguments.epochs,
        validation_split=0.1,
        verbose=0,
    )

    _, accuracy = model.evaluate(dict(test[columns]), test["cancelled"], verbose=0)
    guess = max(test["cancelled"].mean(), 1 - test["cancelled"].mean())
    print(f"{len(columns)} columns, {encoded.shape[-1]} numbers a row")
    print(f"Held-out accuracy: {accuracy:.1%}, guessing the larger class {guess:.1%}")

    model.save("customers.keras")
    again = keras.models.load_model("customers.keras")
    same = np.array_equal(
        again.predict(dict(test[columns]), verbose=0), model.predict(dict(test[columns]), verbose=0)
    )
    print("Reloaded: predictions equal to the last bit" if same else "Reloaded: predictions differ")
    one = {name: test[columns].iloc[[0]][name] for name in columns}
    print(f"The first customer cancels with {again.predict(one, verbose=0)[0, 0]:.0%}")


if __name__ == "__main__":
    main()
