from __future__ import annotations

import json
import math

import pytest

from custom.evaluation.tables import csv_text, interval_text, json_text
from custom.metrics import Interval


@pytest.mark.parametrize(
    ("figures", "signed", "text"),
    [
        ((1.234, 1.2, 1.26), False, "1.23 [1.20, 1.26]"),
        ((1.234, -1.2, 1.26), True, "+1.23 [-1.20, +1.26]"),
        ((1.234, 1.234, 1.234), False, "1.23"),
        ((1.234, math.nan, math.nan), False, "1.23"),
        ((math.nan, math.nan, math.nan), False, ""),
    ],
)
def test_a_mean_and_its_interval_in_words(figures, signed, text):
    assert interval_text(*figures, 2, signed) == text


def test_what_is_not_known_is_an_empty_cell():
    rows = [{"a": 1, "b": math.nan, "other": 7}, {"a": "x, y", "b": None}]
    assert csv_text(rows, ("a", "b")) == 'a,b\n1,\n"x, y",\n'


def test_json_has_no_nan_and_intervals_are_objects():
    found = json.loads(json_text({"ä": [Interval(1.0, math.nan, math.inf)], "n": (2, None)}))
    assert found == {"ä": [{"mean": 1.0, "low": None, "high": None}], "n": [2, None]}
