"""Figures as text: CSV, JSON, and a mean with its interval."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from custom.metrics import Interval

__all__ = ["csv_text", "interval_text", "json_text"]


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV with a header. NaN and None become empty cells; keys that are not a column are left out."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if _is_nan(value) else value for key, value in row.items()} for row in rows)
    return text.getvalue()


def json_text(value: Any) -> str:
    """Return nested figures as JSON. Intervals become objects; NaN and infinity become null, as JSON has neither."""
    return json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def interval_text(middle: float, low: float, high: float, digits: int, signed: bool) -> str:
    """Return a mean and its interval as text, such as "1.23 [1.20, 1.26]".

    Args:
        middle: the mean; NaN gives "".
        low: the lower end of the interval. If it is NaN or equals `high`, the interval is left out.
        high: the upper end.
        digits: after the decimal point.
        signed: write a plus before positive numbers.
    """
    if math.isnan(middle):
        return ""
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    text = form.format(middle)
    if math.isnan(low) or low == high:
        return text
    return f"{text} [{form.format(low)}, {form.format(high)}]"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
