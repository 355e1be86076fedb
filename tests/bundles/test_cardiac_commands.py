"""What cardiac_mri_srresnet alone has: cines in every form, its tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from bundle_cases import BUNDLES, Command, table
from dicom_files import OBLIQUE, Layout, write_classic
from PIL import Image
from pydicom.dataset import Dataset
from scipy import ndimage
from tiny_scans import AFFINE, tiny_volume

from custom.arrays import field_of_view_corners

BUNDLE = "cardiac_mri_srresnet"
# Columns, rows, slices and phases differ, so that no two axes can be taken for each other.
COLUMNS, ROWS, SLICES, PHASES = 14, 12, 3, 4
CINE = Layout(
    shape=(COLUMNS, ROWS, SLICES), frames=PHASES, orientation=OBLIQUE, spacing=(1.25, 1.5, 8.0), dtype="int16"
)


def tiny_cine(seed: int, shape: tuple[int, int, int] = (24, 26, 2), phases: int = 4) -> np.ndarray:
    """Paint a bright pool of another size in each phase in a dim textured body: (x, y, slice, phase).

    Smooth, as the network's inputs are: it sharpens, and what is sharp already it would make much too sharp.
    """
    body = tiny_volume(seed, shape)
    i, j = (np.linspace(-1, 1, n) for n in shape[:2])
    radius = np.hypot(i[:, None], j)[:, :, None]
    frames = [
        np.where(radius < 0.5 - 0.05 * (2 * phase % (phases + 1)), 1800 + 0.1 * body, 0.3 * body)
        for phase in range(phases)
    ]
    return ndimage.gaussian_filter(np.stack(frames, axis=-1), (1, 1, 0, 0)).astype(np.float32)


def save_cine(path: Path, array: np.ndarray, seconds: float = 0.04) -> None:
    image = nib.Nifti1Image(array, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = seconds
    nib.save(image, path)


@pytest.fixture
def dicom_cine(tmp_path: Path) -> Path:
    """A cine series of 3 slices by 4 phases, alone in the folder `sax`, with a heart in it."""
    cine = tiny_cine(3, (COLUMNS, ROWS, SLICES), PHASES)

    def change(data: Dataset, k: int, t: int) -> Dataset:
        data.PatientName, data.PatientID, data.StudyID = "Heart^Test", "H-7", "41"
        data.PixelData = cine[:, :, k, t].T.astype("<i2").tobytes()
        return data

    write_classic(tmp_path / "in" / "sax", CINE, description="cine_sax", change=change)
    return tmp_path / "in" / "sax"


def infer(run_bundle: Command, source: Path, out: Path, **keys: object) -> None:
    run_bundle(BUNDLE, "inference", "inference", input=str(source), output_dir=str(out), **keys)


def lowered(array: np.ndarray) -> np.ndarray:
    """Make an input of a result again: blocks of 4 by 4 of the first two axes averaged, and blurred."""
    rows, columns, *rest = array.shape
    small = array.reshape(rows // 4, 4, columns // 4, 4, *rest).mean((1, 3))
    return ndimage.gaussian_filter(small, (1, 1, *(0 for _ in rest)))


def test_a_4d_cine_keeps_its_place_and_its_times(run_bundle: Command, tmp_path: Path) -> None:
    source = tmp_path / "cine.nii.gz"
    save_cine(source, tiny_cine(1))
    infer(run_bundle, source, tmp_path / "out")
    before, after = nib.load(source), nib.load(tmp_path / "out" / "cine_sr.nii.gz")
    assert after.shape == (96, 104, 2, 4)
    zooms = [image.header.get_zooms() for image in (before, after)]
    np.testing.assert_allclose(zooms[1], np.divide(zooms[0], (4, 4, 1, 1)), rtol=1e-5)
    assert after.header.get_xyzt_units() == ("mm", "sec")
    corners = [field_of_view_corners(image.shape[:3], image.affine) for image in (before, after)]
    np.testing.assert_allclose(*corners, atol=1e-3)
    # Each phase and slice is itself enlarged: it is nearest to its own source.
    small = lowered(after.get_fdata()).reshape(24, 26, -1)
    large = before.get_fdata().reshape(24, 26, -1)
    apart = np.abs(small[..., :, None] - large[..., None, :]).mean((0, 1))
    assert apart.argmin(axis=1).tolist() == list(range(8))


def test_a_single_slice_is_enlarged(run_bundle: Command, tmp_path: Path) -> None:
    for name, array in (("flat", tiny_cine(1)[:, :, 0, 0]), ("thin", tiny_cine(1)[:, :, :1, 0])):
        nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii.gz")
        infer(run_bundle, tmp_path / f"{name}.nii.gz", tmp_path / "out")
        after = nib.load(tmp_path / "out" / f"{name}_sr.nii.gz").get_fdata()
        assert after.shape == (96, 104, *array.shape[2:])
        assert np.abs(lowered(after) - array).mean() < 0.1 * array.mean()


def test_a_folder_of_pictures_gives_pictures(run_bundle: Command, tmp_path: Path) -> None:
    cine = tiny_cine(2)
    frames = [(cine[:, :, 0, phase] / 16).astype(np.uint8) for phase in range(3)]
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(tmp_path / "in" / f"IM-{number:04d}.png")
    infer(run_bundle, tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"IM-{n:04d}_sr.png" for n in (1, 2, 3)]
    for number, frame in enumerate(frames, start=1):
        with Image.open(tmp_path / "out" / f"IM-{number:04d}_sr.png") as picture:
            assert (picture.mode, picture.size) == ("L", (104, 96))
            pixels = np.asarray(picture, dtype=float)
        assert np.abs(lowered(pixels) - frame).mean() < 0.05 * frame.max()


def test_a_dicom_cine_becomes_a_dicom_cine(run_bundle: Command, dicom_cine: Path, tmp_path: Path) -> None:
    infer(run_bundle, dicom_cine, tmp_path / "out")
    before = [pydicom.dcmread(path) for path in sorted(dicom_cine.iterdir())]
    after = [pydicom.dcmread(path) for path in sorted((tmp_path / "out" / "sax_sr").iterdir())]
    assert len(after) == SLICES * PHASES
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])

    def place(image: Dataset) -> tuple[int, float]:
        return round(float(np.dot(image.ImagePositionPatient, normal)) / 8.0), float(image.TriggerTime)

    source = {place(image): image for image in before}
    assert {place(image) for image in after} == set(source)
    for image in after:
        origin = source[place(image)]
        for keyword in ("PatientName", "PatientID", "StudyID", "StudyInstanceUID", "FrameOfReferenceUID", "EchoTime"):
            assert image[keyword].value == origin[keyword].value
        assert image.SeriesInstanceUID != origin.SeriesInstanceUID
        assert (image.Rows, image.Columns) == (4 * ROWS, 4 * COLUMNS)
        np.testing.assert_allclose(image.PixelSpacing, np.divide(origin.PixelSpacing, 4), rtol=1e-6)
        np.testing.assert_allclose(image.ImageOrientationPatient, OBLIQUE, atol=1e-6)
        # The first pixel is smaller, so its middle lies nearer to the corner that it shares with the source's.
        inwards = 0.375 * (1.25 * np.array(OBLIQUE[:3]) + 1.5 * np.array(OBLIQUE[3:]))
        moved = np.subtract(image.ImagePositionPatient, origin.ImagePositionPatient)
        np.testing.assert_allclose(moved, -inwards, atol=1e-4)
        small = lowered(image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept))
        assert np.abs(small - origin.pixel_array).mean() < 0.15 * origin.pixel_array.mean()
    assert len({image.SOPInstanceUID for image in after}) == len(after)
    assert sorted(image.InstanceNumber for image in after) == list(range(1, len(after) + 1))
    orders = [[place(i) for i in sorted(images, key=lambda i: i.InstanceNumber)] for images in (before, after)]
    assert orders[0] == orders[1]


def test_a_dicom_cine_as_nifti_overlays_its_input(run_bundle: Command, dicom_cine: Path, tmp_path: Path) -> None:
    infer(run_bundle, dicom_cine, tmp_path / "out", output_format="nifti")
    after = nib.load(tmp_path / "out" / "sax_sr.nii.gz")
    assert after.shape == (4 * COLUMNS, 4 * ROWS, SLICES, PHASES)
    np.testing.assert_allclose(after.header.get_zooms()[:3], (1.25 / 4, 1.5 / 4, 8.0), rtol=1e-5)
    unit = {"sec": 1000.0, "msec": 1.0}[after.header.get_xyzt_units()[1]]
    assert after.header.get_zooms()[3] * unit == pytest.approx(40.0)
    voxels = after.get_fdata()
    for path in sorted(dicom_cine.iterdir()):
        image = pydicom.dcmread(path)
        k = round(float(np.dot(np.subtract(image.ImagePositionPatient, CINE.origin), CINE.normal)) / 8.0)
        t = round((float(image.TriggerTime) - CINE.frame_value(0, k)) / 40.0)
        # The middle of a pixel (i, j) of the source is the middle of a block of the result.
        for i, j in ((0, 0), (COLUMNS - 1, 0), (5, ROWS - 1)):
            middle = after.affine @ [4 * i + 1.5, 4 * j + 1.5, k, 1]
            np.testing.assert_allclose(middle[:3], CINE.world(i, j, k), atol=1e-3)
        small = lowered(voxels[:, :, k, t])
        assert np.abs(small - image.pixel_array.T).mean() < 0.15 * image.pixel_array.mean()


SUBJECTS = ("heart-1", "heart-2", "heart-3", "heart-4")
SPLIT = {"by": "list", "train": ["heart-1"], "validation": ["heart-2"], "test": ["heart-3", "heart-4"]}
SHORT = {"max_epochs": 1, "patches_per_epoch": 8, "batch_size": 4, "patch_size": [16, 16]}


def write_manifest(path: Path, source: str, /, **changes: object) -> str:
    """Write a manifest of the package with changes; return its path."""
    manifest = json.loads((BUNDLES.parent / "data_manifests" / f"{source}.json").read_text())
    path.write_text(json.dumps({**manifest, **changes}))
    return str(path)


@pytest.fixture(scope="module")
def cines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Four hearts as 4D NIfTI with a manifest of three splits, as keys of a command."""
    folder = tmp_path_factory.mktemp("cines")
    for number, subject in enumerate(SUBJECTS):
        save_cine(folder / f"{subject}_sa.nii.gz", tiny_cine(number, (32, 34, 2)))  # 32 is the least for a lattice
    manifest = write_manifest(folder / "cines.json", "sample_cardiac_cine", name="cines", split=SPLIT)
    return {"dataset_dir": str(folder), "data_manifest": manifest}


def figures(rows: list[dict[str, str]], column: str) -> dict[tuple[str, str], float]:
    return {(row["subject"], row["method"]): float(row[column]) for row in rows}


def test_a_cine_is_trained_on_and_evaluated(run_bundle: Command, cines: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_bundle(BUNDLE, "training", "train", output_dir=str(out), **cines, **SHORT)
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", output_dir=str(out), zscore="true", **cines, **SHORT)
    methods = ["nearest", "linear", "cubic", "spline", "zero_filled", "wiener", "model"]
    rows = table(out / "metrics.csv")
    assert [(row["subject"], row["method"]) for row in rows] == [(s, m) for s in SUBJECTS[2:] for m in methods]
    for column in ("psnr", "ssim", "mae", "hfen", "consistency", "psnr_zscore", "ssim_zscore", "checkerboard"):
        assert np.isfinite(list(figures(rows, column).values())).all(), column
    cine = table(out / "cine.csv")
    assert {row["method"] for row in cine} == {*methods, "truth"}
    assert {(row["subject"], row["slice"], row["frames"]) for row in cine} == {
        (subject, number, "4") for subject in SUBJECTS[2:] for number in "01"
    }
    for column in ("flicker", "change", "largest_area", "smallest_area"):
        assert np.isfinite([float(row[column]) for row in cine]).all(), column
    assert {float(row["flicker"]) for row in cine if row["method"] == "truth"} == {0.0}
    assert all(float(row["change"]) > 0.1 for row in cine if row["method"] == "truth")
    summary = json.loads((out / "cine.json").read_text())
    assert summary["subjects"] == list(SUBJECTS[2:])
    assert all(method in (out / "cine.md").read_text() for method in methods)
    names = {f"{subject}{ending}.png" for subject in SUBJECTS[2:] for ending in ("", "_m_mode")}
    assert {path.name for path in (out / "pictures").iterdir()} == names
    for name in names:
        with Image.open(out / "pictures" / name) as picture:
            assert picture.size[0] > 300


def test_pictures_of_single_frames_make_a_cine(run_bundle: Command, tmp_path: Path) -> None:
    """As the PNG form of Sunnybrook: numbered slice after slice, here 4 phases each."""
    for number, subject in enumerate(SUBJECTS):
        (tmp_path / "data" / subject).mkdir(parents=True)
        frames = tiny_cine(number).transpose(2, 3, 0, 1).reshape(8, 24, 26) / 9
        for frame, pixels in enumerate(frames, start=1):
            if frame != 6:  # of the second slice the second phase
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / subject / f"IM-{frame:04d}.png")
    manifest = write_manifest(
        tmp_path / "png.json", "sunnybrook_cine", split=SPLIT, frame_number={"field": "image", "phases": 4}
    )
    data = {"dataset_dir": str(tmp_path / "data"), "data_manifest": manifest}
    out = str(tmp_path / "out")
    run_bundle(BUNDLE, "training", "train", output_dir=out, **data, **SHORT)
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", output_dir=out, **data)
    rows = table(tmp_path / "out" / "metrics.csv")
    assert len(rows) == 2 * 7
    assert np.isfinite(list(figures(rows, "psnr").values())).all()
    cine = [row for row in table(tmp_path / "out" / "cine.csv") if row["method"] == "model"]
    assert [(row["subject"], row["slice"], row["frames"]) for row in cine] == [
        (subject, number, frames) for subject in SUBJECTS[2:] for number, frames in (("0", "4"), ("1", "3"))
    ]
    assert [row["flicker"] == "" for row in cine] == [False, True] * 2


@pytest.mark.slow
def test_the_five_models_stand_beside_the_sixth(run_bundle: Command, cines: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_bundle(BUNDLE, "evaluating", "train", "evaluate", "compare", output_dir=str(out), **cines)
    models = ["model", *(f"model_{number}" for number in range(1, 6))]
    methods = ["nearest", "linear", "cubic", "spline", "zero_filled", "wiener", *models]
    rows = table(out / "metrics.csv")
    assert [row["method"] for row in rows] == 2 * methods
    psnr = figures(rows, "psnr")
    assert np.isfinite(list(psnr.values())).all()
    assert len({psnr["heart-3", model] for model in models}) == 6
    assert [row["method"] for row in table(out / "cine.csv")[: len(methods) + 1]] == [*methods, "truth"]
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["parameters"]) == set(models)
    difference = summary["difference_from_model"]["model_2"]["psnr"]["mean"]
    expected = np.mean([psnr[subject, "model_2"] - psnr[subject, "model"] for subject in SUBJECTS[2:]])
    assert difference == pytest.approx(expected, abs=1e-3)
    assert "model_1" not in summary["difference_from_model_1"]


@pytest.mark.parametrize("overlay", [[], *([f"model_{number}"] for number in range(1, 6))], ids=str)
def test_each_model_enlarges_a_scan(run_bundle: Command, tmp_path: Path, overlay: list[str]) -> None:
    """With its own weights, which its overlay names, and exactly in pieces too."""
    save_cine(tmp_path / "cine.nii.gz", tiny_cine(1, (120, 8, 1), phases=1))
    results = []
    for name, keys in (("whole", {}), ("pieces", {"tile_size": 40})):
        run_bundle(
            BUNDLE,
            "inference",
            "inference",
            *overlay,
            input=str(tmp_path / "cine.nii.gz"),
            output_dir=str(tmp_path / name),
            amp=False,
            **keys,
        )
        results.append(np.asarray(nib.load(tmp_path / name / "cine_sr.nii.gz").dataobj))
    assert results[0].shape[:2] == (480, 32)
    assert results[0].std() > 0
    np.testing.assert_allclose(results[1], results[0], rtol=0, atol=1e-3 * results[0].max())
