"""Derived series of real DICOM: what other people's checkers and readers make of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_checks import enlarged, stack_of
from monai.data import PydicomReader
from monai.transforms import LoadImage

from custom.arrays.geometry import field_of_view_corners
from custom.scans.dicom.frame import DicomStack
from custom.scans.dicom.pixels import read_stack
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.writer import write_dicom
from custom.scans.scan import Scan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning"),
    pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning"),  # SWIG's, in SimpleITK
]

# Folder and form of the result.
CASES = {
    "siemens, enhanced": ("dicom/enhanced/siemens_t1", "as_input"),
    "siemens, enhanced to classic": ("dicom/enhanced/siemens_t1", "classic"),
    "philips pcasl, enhanced": ("dicom/enhanced/philips_pcasl", "as_input"),
    "philips pcasl, enhanced to classic": ("dicom/enhanced/philips_pcasl", "classic"),
    "philips pcasl, classic": ("dicom/classic/philips_pcasl", "as_input"),
    "philips t1": ("dicom/classic/philips_t1", "as_input"),
    "ge knee": ("dicom/classic/ge_knee_echo1", "as_input"),
    "ge cine": ("cardiac_cine/dicom/SC-HF-I-01", "as_input"),
}
# As much as six digits of a direction cosine are worth over 250 mm; what other readers round or make orthogonal.
_PLACE_MM = 2e-3


@pytest.fixture(scope="module", params=CASES)
def derived(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DicomStack, DicomStack, np.ndarray, np.ndarray]:
    """Source, result, and what the result has to hold: the middle of the scan, its voxels halved along all axes."""
    folder, form = CASES[request.param]
    source = stack_of(shared_data / folder)
    if len(source.frames[0]) > 4:  # a few slices and phases of a cine show as much as all
        part = tmp_path_factory.mktemp("part")
        for row in source.frames[:3]:
            for frame in row[:4]:
                shutil.copy(frame.path, part)
        source = stack_of(part)
    array, affine = _middle(read_stack(source))
    array, affine = enlarged(array, affine, (2, 2, 2))
    one_file = source.enhanced and form == "as_input"
    target = tmp_path_factory.mktemp("derived") / ("out.dcm" if one_file else "out")
    made = Provenance("a model", "1.0.0", "0" * 64)
    return source, stack_of(write_dicom(array, affine, source, target, form=form, provenance=made)), array, affine


def _middle(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Cut 40 columns, 48 rows and 4 slices, or as many as there are, out of the middle of a scan."""
    starts = [max((n - m) // 2, 0) for n, m in zip(scan.spatial_shape, (40, 48, 4), strict=True)]
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ starts
    i, j, k = starts
    return scan.array[i : i + 40, j : j + 48, k : k + 4], affine


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: dicom3tools, dcm2niix)")
    return found


def _spread(files: Sequence[Path]) -> list[Path]:
    return sorted({files[0], files[len(files) // 2], files[-1]})


def _errors(files: Iterable[Path]) -> set[str]:
    """What dciodvfy calls errors, without the places in the data set; references repeat the values they refer to."""
    errors = set()
    for file in files:
        done = subprocess.run([_tool("dciodvfy"), "-new", str(file)], capture_output=True, text=True, errors="replace")
        lines = (done.stdout + done.stderr).splitlines()
        errors |= {re.sub(r"^Error - (<\S*> - )?", "", line) for line in lines if line.startswith("Error")}
    return errors


def test_dciodvfy_finds_no_error_that_the_source_has_not(derived: tuple[DicomStack, DicomStack]) -> None:
    source, result = derived[:2]
    checked = _spread(result.files)
    originals = source.files if len(source.files) < 50 else _spread(source.files)
    assert _errors(checked) <= _errors(originals)


def test_dcentvfy_finds_the_series_consistent(derived: tuple[DicomStack, DicomStack]) -> None:
    names = [str(file) for file in derived[1].files]
    done = subprocess.run([_tool("dcentvfy"), *names], capture_output=True, text=True, errors="replace")
    assert done.stdout + done.stderr == ""


def _check_place(shape: tuple[int, ...], affine: np.ndarray, their_shape: tuple[int, ...], theirs: np.ndarray) -> None:
    """Corners in any order: others flip and swap axes."""
    corners = field_of_view_corners(shape, affine)
    distances = np.linalg.norm(corners[:, None] - field_of_view_corners(their_shape, theirs)[None], axis=2)
    assert distances.min(axis=1).max() < _PLACE_MM


def _on_axes_of(array: np.ndarray, affine: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Flip and swap axes to those of another affine."""
    turn = np.rint(np.linalg.inv(target) @ affine)[:3, :3]
    order = np.abs(turn).argmax(axis=1)
    swapped = np.transpose(array, (*order, *range(3, array.ndim)))
    return np.flip(swapped, [axis for axis in range(3) if turn[axis, order[axis]] < 0])


def _half_a_unit(source: DicomStack) -> float:
    return 0.5 * min(frame.slope for row in source.frames for frame in row) * (1 + 1e-4)


def test_our_own_reader_has_it_in_place(derived: tuple[DicomStack, DicomStack, np.ndarray, np.ndarray]) -> None:
    source, result, array, affine = derived
    back = read_stack(result)
    assert np.abs(back.array - array).max() <= _half_a_unit(source)
    np.testing.assert_allclose(
        field_of_view_corners(array.shape[:3], back.affine), field_of_view_corners(array.shape[:3], affine), atol=1e-3
    )


def test_simpleitk_agrees(derived: tuple[DicomStack, DicomStack, np.ndarray, np.ndarray]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    source, result, array, affine = derived
    names = [str(row[0].path) for row in result.frames]
    image = sitk.ReadImage(names[0] if result.enhanced else names)
    theirs = np.eye(4)
    theirs[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    theirs[:3, 3] = image.GetOrigin()
    theirs = np.diag([-1, -1, 1, 1]) @ theirs
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    _check_place(array.shape[:3], affine, values.shape, theirs)
    first = array if array.ndim == 3 else array[..., 0]
    assert np.abs(_on_axes_of(values, theirs, affine) - first).max() <= _half_a_unit(source)


def test_dcm2niix_agrees(derived: tuple[DicomStack, DicomStack, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    source, result, array, affine = derived
    tool = _tool("dcm2niix")
    command = [tool, "-z", "n", "-b", "n", "-f", "x", "-o", str(tmp_path), str(result.files[0].parent)]
    subprocess.run(command, check=True, capture_output=True)
    (written,) = tmp_path.glob("*.nii")
    image = nib.load(written)
    _check_place(array.shape[:3], affine, image.shape[:3], image.affine)
    values = _on_axes_of(image.get_fdata(), image.affine, affine)
    assert values.shape == array.shape
    assert np.abs(values - array).max() <= _half_a_unit(source)


def test_monai_agrees(derived: tuple[DicomStack, DicomStack, np.ndarray, np.ndarray]) -> None:
    source, result, array, affine = derived
    if result.enhanced or array.ndim > 3:
        pytest.skip("MONAI's reader mixes frames up")
    image = LoadImage(reader=PydicomReader())(result.files[0].parent)
    theirs = np.asarray(image.affine, dtype=np.float64)
    _check_place(array.shape, affine, tuple(image.shape), theirs)
    assert np.abs(_on_axes_of(image.numpy(), theirs, affine) - array).max() <= _half_a_unit(source)


def test_both_exports_of_one_scan_give_the_same(shared_data: Path, tmp_path: Path) -> None:
    results = []
    for form in ("classic", "enhanced"):
        source = stack_of(shared_data / "dicom" / form / "philips_pcasl")
        array, affine = _middle(read_stack(source))
        target = tmp_path / ("out.dcm" if form == "enhanced" else "out")
        results.append(read_stack(stack_of(write_dicom(array * 1.5 - 7, affine, source, target))))
    np.testing.assert_array_equal(results[0].array, results[1].array)
    np.testing.assert_allclose(results[0].affine, results[1].affine, atol=1e-9)
