"""The model of cost keeps to its own limits, and the script measures what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def scaling(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmarks/scaling.py")


def test_limits(scaling: Any) -> None:
    """Without latency and updates both layouts pay from s F / (3 beta) on, whatever the devices."""
    device = scaling.Device(1e12, math.inf, 1e9, 0.0, combines=True)
    expected = 4 * 1e12 / (3 * 1e9)
    for devices in (2, 16, 1024):
        stack = scaling.Stack(64, 2, 1)
        batch = scaling.break_even(device, stack, devices, False)
        assert expected <= batch <= 1.2 * expected
        # Two layers make one sum, not two: half as wide pays.
        width = scaling.break_even(device, stack._replace(batch=64), devices, True)
        assert expected / 2 <= width <= 1.2 * expected / 2
    alone = scaling.data_parallel(device, stack, 1)
    assert alone == scaling.tensor_parallel(device, stack, 1) == 6 * stack.weights / 1e12


def test_memory(scaling: Any) -> None:
    stack = scaling.Stack(1024, 8, 1, slots=2)
    of_weights = 4 * 4 * stack.weights
    assert scaling.bytes_held(stack, 1, False) == scaling.bytes_held(stack, 1, True)
    assert scaling.bytes_held(stack, 8, False) > of_weights
    assert of_weights / 8 < scaling.bytes_held(stack, 8, True) < of_weights / 7


def test_a_device_is_found_again_from_its_times(scaling: Any) -> None:
    device = scaling.Device(1e11, 2e10, 1e9, 1e-5, 1e-3)
    alone = [scaling.data_parallel(device, stack, 1) for stack in scaling.ALONE]
    sums = [scaling.all_reduce(device, 4, size) for size in scaling.SUMS]
    found = scaling.calibrated(alone, sums, 4, 1)
    assert found[:5] == pytest.approx(device[:5], rel=1e-6)


def test_what_is_measured(scaling: Any) -> None:
    """A step and a sum take some time, on one device as there is here."""
    assert 0 < scaling.sum_of(64, 1) < 10
