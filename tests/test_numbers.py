"""What a metric may be given as, and that one bad value never costs its neighbours."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import autotrack
from autotrack.capture.recorder import number


class OnlyItem:
    """A 0-d array of a library whose arrays are no floats by themselves."""

    ndim = 0

    def item(self):
        return 2.5


class Indexed:
    def __index__(self):
        return 7


class Raises:
    def __float__(self):
        raise RuntimeError("not now")


class RaisesOnAnyName:
    def __getattr__(self, name):
        raise OSError(name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1.5, 1.5),
        (3, 3.0),
        (True, 1.0),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int8(-3), -3.0),
        (np.bool_(True), 1.0),
        (np.array(4.5), 4.5),
        (np.array(2), 2.0),
        (pd.Series([1.25])[0], 1.25),
        (OnlyItem(), 2.5),
        (Indexed(), 7.0),
        (float("inf"), math.inf),
        (-np.inf, -math.inf),
        (Decimal("-Infinity"), -math.inf),
    ],
)
def test_numbers_of_every_kind_are_floats(given, expected):
    found = number(given)
    assert type(found) is float
    assert found == expected


def test_nan_stays_nan():
    for given in (float("nan"), np.float64("nan"), Decimal("NaN"), np.array(np.nan)):
        assert math.isnan(number(given))


@pytest.mark.parametrize(
    "given",
    ["1", b"1", bytearray(b"1"), None, [1], (1,), {}, np.array([1.0]), np.array([[1]]), 1j, np.complex64(1), object,
     pd.Series([1.0]), 10**400, object()],
    ids=lambda given: f"{type(given).__name__}",
)  # fmt: skip
def test_what_is_no_number_is_refused(given):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        number(given)


def test_a_bad_value_costs_only_itself(logged, recwarn):
    bad = {"text": "x", "raises": Raises(), "odd": RaisesOnAnyName(), "big": 10**400, "many": np.ones(3), "c": 1j}
    with autotrack.start_run(name="values") as run:
        run._recorder.metrics({"before": 1, **bad, "after": Decimal(2)})
    assert autotrack.get_run("values").metrics == {"before": 1.0, "after": 2.0}
    assert len(recwarn) == 0
