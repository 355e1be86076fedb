from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from custom.errors import InputError
from custom.evaluation import pictures
from custom.evaluation.pictures import comparison_picture, detail_box, picture_name

SCORES = {"nearest": (20.126, 0.71234), "cubic": (24.5, 0.8), "model": (26.25, 0.9)}


def volume(shape=(40, 44, 12)):
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(x**2 for x in axes) < 0.8
    return torch.where(inside, 0.6 + 0.3 * torch.sin(9 * axes[0]), torch.zeros(()))[None, None]


def arguments(shape=(40, 44, 12)):
    hr = volume(shape)
    return {
        "hr": hr,
        "images": {"nearest": hr * 0.8, "cubic": hr * 0.9, "model": hr * 0.95},
        "scores": SCORES,
        "mask": hr > 0,
    }


@pytest.fixture
def drawn(monkeypatch):
    """Keeps the figure that is written."""
    kept = []
    original = pictures._draw
    monkeypatch.setattr(pictures, "_draw", lambda *a: kept.append(original(*a)) or kept[-1])
    return kept


def texts(figure):
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [axes.get_title(), *(text.get_text() for text in axes.texts)]
    return " ".join(found)


@pytest.mark.parametrize(("shape", "panels"), [((40, 44), 4 + 4 + 3 + 1), ((40, 44, 12), 4 + 4 + 3 + 1 + 4 + 4)])
def test_all_panels_are_there(tmp_path, drawn, shape, panels):
    path = comparison_picture(tmp_path / "deep" / "s.png", **arguments(shape), title="sub-x")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 1000
        assert np.asarray(image.convert("L")).std() > 20
    assert [p.name for p in path.parent.iterdir()] == ["s.png"]
    (figure,) = drawn
    assert len(figure.axes) == panels
    text = texts(figure)
    for part in ("sub-x", "HR", "LR (nearest)", "Cubic", "Model", "PSNR 20.13 dB\nSSIM 0.7123", "PSNR 26.25 dB"):
        assert part in text


def test_panels_show_what_they_say(tmp_path, drawn):
    """One grey window for all images, one scale for all error maps and the bar."""
    given_ = arguments()
    comparison_picture(tmp_path / "s.png", **given_)
    shown = [axes.images[0] for axes in drawn[0].axes if axes.images]
    grey = [image for image in shown if image.get_cmap().name == "gray"]
    errors = [image for image in shown if image.get_cmap().name == "inferno"]
    assert len(grey) == 16
    assert len({image.get_clim() for image in grey}) == 1
    assert len(errors) == 4
    limit = errors[0].get_clim()[1]
    assert {image.get_clim() for image in errors[:3]} == {(0, limit)}
    assert errors[3].get_extent()[3] == pytest.approx(limit)
    hr = np.asarray(grey[0].get_array())
    for image, factor in zip(errors[:3], (0.8, 0.9, 0.95), strict=True):
        assert np.asarray(image.get_array()) == pytest.approx(hr * (1 - factor), abs=1e-6)


def test_the_zoom_is_at_the_centre_when_that_is_asked_for(tmp_path, drawn):
    given_ = arguments((60, 80))
    comparison_picture(tmp_path / "s.png", **given_, zoom="centre")
    grey = [axes.images[0] for axes in drawn[0].axes if axes.images and axes.images[0].get_cmap().name == "gray"]
    whole, crop = np.asarray(grey[0].get_array()), np.asarray(grey[1].get_array())
    rows, columns = (slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(whole.shape, crop.shape, strict=True))
    np.testing.assert_array_equal(crop, whole[rows, columns])


def test_an_affine_turns_the_volume_and_gives_voxels_their_shape(tmp_path, drawn):
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    comparison_picture(tmp_path / "s.png", **arguments(), affine=affine)
    figure = drawn[0]
    for word in ("axial", "coronal", "sagittal", "R", "A", "S"):
        assert word in texts(figure).split()
    assert sorted({round(axes.get_aspect(), 3) for axes in figure.axes if axes.images and axes.texts}) == [1, 3]


@pytest.mark.parametrize(("slices", "slice_axis"), [(1, -1), (1, 0), (12, -1), (40, 0)])
def test_no_text_lies_on_another(tmp_path, drawn, slices, slice_axis):
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    comparison_picture(tmp_path / "s.png", **arguments((40, 44, slices)), affine=affine, slice_axis=slice_axis)
    figure = drawn[0]
    written = [text for axes in figure.axes for text in (*axes.texts, axes.title)] + figure.texts
    boxes = {text: text.get_window_extent() for text in written if text.get_text()}
    assert len(boxes) > 10
    for (one, box), (two, other) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(other), (one.get_text(), two.get_text())


def test_empty_and_equal_images_are_drawn_too(tmp_path):
    hr = torch.zeros(1, 1, 12, 9, 1)
    same = {"nearest": hr, "cubic": hr, "model": hr}
    assert comparison_picture(tmp_path / "s.png", hr, same, {}, mask=hr > 0).is_file()


def test_threads_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda i: comparison_picture(tmp_path / f"{i}.png", **arguments((20, 22))), range(2)))
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "pictures").write_text("a file")
    with pytest.raises(InputError, match="output_dir"):
        comparison_picture(tmp_path / "pictures" / "s.png", **arguments((20, 22)))


def test_the_box_is_where_the_detail_is_and_not_at_the_rim():
    image = np.zeros((80, 80), np.float32)
    mask = np.zeros((80, 80), bool)
    mask[8:72, 8:72] = True
    image[mask] = 1  # the step to the background is steeper than all detail
    rows, columns = np.mgrid[40:52, 24:36]
    image[40:52, 24:36] += 0.1 * ((rows + columns) % 4 > 1)
    row, column = detail_box(image, mask, 16)
    assert 36 <= row <= 40
    assert 20 <= column <= 24


@given(st.text(min_size=1))
def test_names_are_files_in_the_folder(subject):
    name = picture_name(subject)
    assert name.endswith(".png")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not name.startswith((".", "-"))
    assert len(name) < 120


def test_names_stay_apart():
    assert picture_name("sub-17") == "sub-17.png"
    names = [picture_name(s) for s in ("a/b", "a_b", "../a_b", "a\\b", "é", "ü", "..")]
    assert len(set(names)) == len(names)
    assert all("/" not in name for name in names)
