"""Scopes: values in place of variables, names for custom objects."""

from __future__ import annotations

import numpy as np

import densekit as keras


def test_a_variable_may_stand_for_itself() -> None:
    v = keras.Variable([1.0, 2.0])
    with keras.StatelessScope([(v, v)]) as scope:
        np.testing.assert_array_equal(v.value, [1.0, 2.0])
        scope.add_update((v, keras.Variable([3.0, 4.0])))
        np.testing.assert_array_equal(v.value, [3.0, 4.0])
    np.testing.assert_array_equal(v.value, [1.0, 2.0])


def test_a_scope_of_no_custom_objects() -> None:
    for scope in (keras.saving.custom_object_scope, keras.saving.CustomObjectScope):
        with scope(None):
            assert keras.activations.get("relu") is keras.activations.relu
    with (
        keras.saving.custom_object_scope({"mine": np.tanh}),
        keras.saving.custom_object_scope(None),
    ):
        assert keras.activations.get("mine") is np.tanh
