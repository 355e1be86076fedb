"""The learning curves of a training as a table and a picture, up to date after every epoch."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ignite.engine import Engine, Events
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from custom.errors import InputError
from custom.handlers.epoch_loss import EpochLoss
from custom.handlers.hooks import hold_during_run, is_first_rank, on_epoch_end_after_all, scalars
from custom.storage import replace_file

__all__ = ["LearningCurves"]

_VALIDATION = "validation_"
_TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mae": "MAE"}
_INK, _BLUE, _ORANGE = "#333333", "#1f5a99", "#c2571a"


class LearningCurves:
    """Write `curves.csv` and `curves.png` to `output_dir` while training.

    A row of the table is an epoch: `epoch`, the trainer's scalar `state.metrics` (`loss`, those that have names as
    `loss_<name>`, `learning_rate`, ...), the validator's as `validation_<name>` (empty where there was no validation),
    `seconds`. When a training is resumed, the rows that are there are kept up to the epoch from which it goes on;
    later ones are dropped. A table that does not reach that epoch is refused.

    The picture shows the losses and the validator's PSNR, else its first metric. It is drawn after the first epoch,
    then at most every `png_interval_s` seconds, and at the end of the run, also of one that an error ends.

    Args:
        output_dir: folder of the two files.
        validator: the engine whose metrics are taken; None: no validation.

    Attributes:
        png_interval_s: shortest time between two drawings, in seconds.
    """

    def __init__(self, output_dir: str | Path, validator: Engine | None = None) -> None:
        self.csv_path = Path(output_dir) / "curves.csv"
        self.png_path = Path(output_dir) / "curves.png"
        self.validator = validator
        self.png_interval_s = 30.0
        self._rows: list[dict[str, float]] | None = None
        self._drawn_at = -math.inf
        self._is_drawn = False

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        EpochLoss().attach(engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        on_epoch_end_after_all(engine, self._add_row)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        hold_during_run(engine, self._drawing_after_errors)

    @contextmanager
    def _drawing_after_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._draw()
            raise

    def _begin(self, engine: Engine) -> None:
        # Not at Events.STARTED: only now is it sure that a checkpoint has set the epoch.
        if not is_first_rank():
            return
        if self._rows is None:
            self._rows = _read_rows(self.csv_path, engine.state.epoch - 1)
        self._rows = [row for row in self._rows if row["epoch"] < engine.state.epoch]

    def _add_row(self, engine: Engine) -> None:
        if self._rows is None:
            return
        row = {"epoch": float(engine.state.epoch), **scalars(engine.state.metrics)}
        seconds = row.pop("seconds")
        # Where validation is not in every epoch, the validator still holds the figures of an earlier one.
        if self.validator is not None and self.validator.state.epoch == engine.state.epoch:
            row |= {_VALIDATION + name: value for name, value in scalars(self.validator.state.metrics).items()}
        self._rows.append({**row, "seconds": seconds})
        self._is_drawn = False
        replace_file(self.csv_path, _as_csv(self._rows))
        if time.monotonic() - self._drawn_at >= self.png_interval_s:
            self._draw()

    def _finish(self, engine: Engine) -> None:
        if self._rows is None and is_first_rank():  # resumed when all epochs were done
            self._rows = _read_rows(self.csv_path, engine.state.epoch)
        self._draw()

    def _draw(self) -> None:
        if self._is_drawn or not self._rows:
            return
        names = [name for row in self._rows for name in row if name.startswith(_VALIDATION)]
        name = _VALIDATION + "psnr" if _VALIDATION + "psnr" in names else next(iter(names), None)
        # Margins of a fixed size: matplotlib's own layout draws everything twice.
        width = 9.0 if name else 4.8
        figure = Figure(figsize=(width, 3.4), dpi=110)
        figure.subplots_adjust(left=0.55 / width, right=1 - 0.1 / width, bottom=0.15, top=0.91, wspace=0.2)
        panels = figure.subplots(1, 2 if name else 1, squeeze=False)[0]
        parts = sorted({name for row in self._rows for name in row if name.startswith("loss_")})
        _plot(panels[0], self._rows, ["loss", *parts], "training loss", _BLUE)
        if name:
            short = name.removeprefix(_VALIDATION)
            _plot(panels[1], self._rows, [name], f"validation {_TITLES.get(short, short)}", _ORANGE)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        replace_file(self.png_path, picture.getvalue())
        self._drawn_at = time.monotonic()
        self._is_drawn = True


def _as_csv(rows: list[dict[str, float]]) -> str:
    # A row without validation lacks the validator's columns, so the row with the most columns gives their order.
    widest = max(rows, key=len)
    columns = list(widest)
    columns += sorted({name for row in rows for name in row} - set(columns))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.7g}" for name, value in row.items()} for row in rows)
    return text.getvalue()


def _read_rows(path: Path, done: int) -> list[dict[str, float]]:
    """Read the rows of the epochs that are done; none where there is no table, as somebody may have moved it away."""
    if done == 0 or not path.is_file():
        return []
    try:
        text = path.read_text()
        table = csv.DictReader(io.StringIO(text))
        rows = [{name: float(cell) for name, cell in row.items() if cell} for row in table]
        if "epoch" not in (table.fieldnames or ()) or any("epoch" not in row for row in rows):
            raise ValueError("no column 'epoch'")
        if not text.endswith("\n") or done not in [row["epoch"] for row in rows]:
            raise ValueError(f"it is cut before the end of epoch {done}")
    except (ValueError, TypeError) as err:
        raise InputError(f"{path}: not a table of learning curves ({err}); move it away or delete it") from err
    return rows


def _plot(axes: Axes, rows: list[dict[str, float]], names: list[str], title: str, colour: str) -> None:
    """Draw the first of the columns as the main curve, the others as thin ones with a legend."""
    curves = {n: [(row["epoch"], row[n]) for row in rows if math.isfinite(row.get(n, math.nan))] for n in names}
    for name, points in curves.items():
        main = name == names[0]
        axes.plot(
            [epoch for epoch, _ in points],
            [value for _, value in points],
            color=colour if main else None,
            linewidth=1.6 if main else 0.9,
            marker="o" if main and len(points) <= 25 else "",
            markersize=3.5,
            label="loss" if main else name.removeprefix("loss_"),
        )
    if len(names) > 1:
        axes.legend(fontsize=8, frameon=False)
    values = [value for points in curves.values() for _, value in points]
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    points = curves[names[0]]
    if points and names[0] in (_VALIDATION + "psnr", _VALIDATION + "ssim"):  # of which more is better
        best_epoch, best = max(points, key=lambda point: point[1])
        axes.axhline(best, color=colour, linewidth=0.7, linestyle=":")
        title += f", best {best:.4g} in epoch {best_epoch:.0f}"
    axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.set_xlabel("epoch", fontsize=9, color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.tick_params(labelsize=8, colors=_INK)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
