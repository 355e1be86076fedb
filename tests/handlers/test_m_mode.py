"""M-mode pictures while evaluating, and what they have in common with the table of cines."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from evaluated_cine import Scaled, evaluate, rows_in
from PIL import Image
from tiny_cine import cine, frame

from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice
from custom.errors import UsageError
from custom.handlers.cine import CineTable
from custom.handlers.m_mode import MMode


def test_the_handler_draws_the_first_cine_of_each_subject(tmp_path):
    scans = [{"label": cine(), "subject": name} for name in ("a", "a", "b")]
    evaluate(tmp_path, [MMode(tmp_path)], scans)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a_m_mode.png", "b_m_mode.png"]
    with Image.open(tmp_path / "pictures" / "a_m_mode.png") as picture:
        assert picture.size == (round(2.3 * 5 * 150), 750)
        assert np.asarray(picture.convert("L")).std() > 20


def test_the_slices_are_those_along_the_axis_of_the_degradation(tmp_path):
    pictures, areas = [], []
    for name, scan, axis in (("last", cine(), -1), ("first", cine().movedim(-1, 1), 0)):
        folder = tmp_path / name
        degradation = SliceBySlice(AreaMean(2, spatial_dims=2), axis)
        evaluate(folder, [CineTable(folder), MMode(folder)], [{"label": scan, "subject": "a"}], degradation=degradation)
        with Image.open(folder / "pictures" / "a_m_mode.png") as picture:
            pictures.append(np.asarray(picture.convert("L")).astype(int))
        areas.append([float(row["largest_area"]) for row in rows_in(folder)])
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    # Voxels of 1.5 x 2 x 8 mm: pixels of 1.5 x 2 in slices along the last axis, of 2 x 8 along the first.
    np.testing.assert_allclose(areas[1], np.multiply(areas[0], 16 / 3))


def test_every_compared_network_is_in_the_cines_table_and_picture(tmp_path):
    handlers = [CineTable(tmp_path), MMode(tmp_path)]
    scans = [{"label": cine(slices=1), "subject": "a"}]
    evaluate(tmp_path, handlers, scans, networks={"brighter": Scaled(1.25), "darker": Scaled(0.8)})
    areas = {row["method"]: float(row["largest_area"]) for row in rows_in(tmp_path)}
    assert list(areas) == [*UPSAMPLING_METHODS, "model", "brighter", "darker", "truth"]
    assert areas["darker"] < areas["model"] < areas["brighter"]
    with Image.open(tmp_path / "pictures" / "a_m_mode.png") as picture:
        assert picture.size == (round(2.3 * 7 * 150), 750)


def test_scans_without_frames_have_no_table(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        evaluate(tmp_path, [CineTable(tmp_path), MMode(tmp_path)], [{"label": frame(12.0)[None], "subject": "a"}])
    assert not list(tmp_path.glob("cine*"))
    assert not list(tmp_path.rglob("*m_mode*"))
    assert "no scan has frames" in caplog.text


def test_a_table_needs_a_comparison_before_it(tmp_path):
    item = {"label": cine(), "pred": cine()}
    engine = SimpleNamespace(state=SimpleNamespace(output=[item], batch=[{"subject": "a"}]))
    for observe in (CineTable(tmp_path).measure, MMode(tmp_path).draw):
        with pytest.raises(UsageError, match="ComparisonTable"):
            observe(engine)
