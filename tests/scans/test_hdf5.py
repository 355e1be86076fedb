"""HDF5 files: which dataset is the volume, where it lies, what is refused, and results."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiny_scans import AFFINE, ramp

from custom.errors import InputError
from custom.scans import (
    Provenance,
    ResultOptions,
    ScanHeader,
    check_header,
    find_scan,
    list_scans,
    read_scan,
    result_path,
    sizes,
    write_result,
    write_scan,
)

VOLUME = np.arange(60, dtype=np.float64).reshape(3, 4, 5) / 59


def _save(path: Path, **datasets: Any) -> Path:
    """Write datasets by their names; a double underscore stands for a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in datasets.items():
            file[name.replace("__", "/")] = array
    return path


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.H5"])
def test_file_of_the_published_scripts(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    scan = read_scan(_save(tmp_path / name, data1=VOLUME))
    np.testing.assert_array_equal(scan[0], VOLUME.astype(np.float32))
    np.testing.assert_array_equal(scan.affine, np.eye(4))
    assert (scan.meta["header"].source.format, scan.meta["header"].stored_dtype) == ("hdf5", "float64")
    assert "no attribute affine or spacing" in caplog.text


@pytest.mark.parametrize("dtype", [">f4", "<f2", ">i2", "u1", "<i8"])
def test_real_numbers_of_any_type(tmp_path: Path, dtype: str) -> None:
    scan = read_scan(_save(tmp_path / "a.h5", data1=np.arange(60).reshape(3, 4, 5).astype(dtype)))
    np.testing.assert_array_equal(scan[0], np.arange(60.0).reshape(3, 4, 5))
    assert scan.meta["header"].stored_dtype == np.dtype(dtype).newbyteorder("=").name


@pytest.mark.parametrize(
    ("datasets", "wanted", "found"),
    [
        ({"scan__image": VOLUME, "mask": np.ones((3, 4), int), "name": "knee"}, None, "scan/image"),
        ({"data1": VOLUME, "blurred": 1 - VOLUME}, None, "data1"),
        ({"data1": VOLUME, "blurred": 1 - VOLUME}, "blurred", "blurred"),
        ({"reconstruction_rss": VOLUME, "reconstruction_esc": 1 - VOLUME}, "/reconstruction_rss", "reconstruction_rss"),
    ],
)
def test_volume_is_the_named_dataset_or_the_only_one(
    tmp_path: Path, datasets: dict[str, Any], wanted: str | None, found: str
) -> None:
    path = _save(tmp_path / "a.h5", **datasets)
    expected = datasets[found.replace("/", "__")].astype(np.float32)
    (listed,) = list_scans(tmp_path, dataset=wanted)
    for scan in (find_scan(path, dataset=wanted), listed):
        check_header(scan)
        np.testing.assert_array_equal(read_scan(scan)[0], expected)


@pytest.mark.parametrize("at", ["file", "dataset"])
@pytest.mark.parametrize(
    ("attributes", "affine"),
    [
        ({"affine": AFFINE, "spacing": (9, 9, 9)}, AFFINE),
        ({"spacing": (0.5, 0.6, 3)}, np.diag([0.5, 0.6, 3, 1])),
    ],
)
def test_place_is_in_the_attributes(
    tmp_path: Path, at: str, attributes: dict[str, Any], affine: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = _save(tmp_path / "a.h5", data1=VOLUME)
    with h5py.File(path, "a") as file:
        (file if at == "file" else file["data1"]).attrs.update(attributes)
    np.testing.assert_array_equal(read_scan(path).affine, affine)
    assert not caplog.records


def _with(change: Callable[[h5py.File], object], **datasets: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _save(path, **datasets)
        with h5py.File(path, "a") as file:
            change(file)

    return make


def _other_file(path: Path) -> Path:
    return _save(path.with_name("secret.h5"), data1=VOLUME)


def _link(link: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        target = link(_other_file(path))
        with h5py.File(path, "w") as file:
            file["data1"] = target

    return make


def _virtual(path: Path) -> None:
    layout = h5py.VirtualLayout(VOLUME.shape, float)
    layout[:] = h5py.VirtualSource(_other_file(path), "data1", VOLUME.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data1", layout)


def _external(path: Path) -> None:
    path.with_name("values.raw").write_bytes(VOLUME.tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("data1", VOLUME.shape, float, external=[(path.with_name("values.raw"), 0, VOLUME.nbytes)])


def _cut(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        content = _save(path, data1=np.random.default_rng(0).normal(size=(20, 20, 20))).read_bytes()
        path.write_bytes(content[:size])

    return make


def _damaged_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data1", data=np.random.default_rng(0).normal(size=(20, 20, 20)), compression="gzip")
        chunk = file["data1"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 20 : chunk.byte_offset + 60] = bytes(40)
    path.write_bytes(content)


def _half_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data1", (4, 4, 4), float, chunks=(2, 4, 4))[:2] = 1.0


def _tiny_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        volume = file.create_dataset("data1", (4, 4, 4), float, chunks=(4, 4, 4), compression="gzip", fletcher32=True)
        volume.id.write_direct_chunk((0, 0, 0), b"abc")


def _crowd(file: h5py.File) -> None:
    for number in range(10_001):
        file[f"link{number}"] = file["data1"]


IN_HEADER = {
    "not HDF5": (lambda path: path.write_text("please log in " * 50), "cannot be read as HDF5"),
    "truncated": (_cut(40_000), "cannot be read as HDF5, it is truncated"),
    "superblock alone": (_cut(60), "cannot be read as HDF5, it is truncated"),
    "no dataset": (lambda path: _save(path), "no dataset is a volume.*there are: none"),
    "pictures": (lambda path: _save(path, a=VOLUME[0], b=VOLUME[0]), r"there are: a \(4 x 5, float64\), b"),
    "4D": (lambda path: _save(path, weights=VOLUME[None]), r"there are: weights \(1 x 3 x 4 x 5, float64\)"),
    "k-space": (lambda path: _save(path, kspace=VOLUME + 1j), r"k-space has to be reconstructed first.*complex128"),
    "texts": (lambda path: _save(path, names=np.full((3, 4, 5), b"knee", object)), r"names \(3 x 4 x 5, mixed\)"),
    "switches": (lambda path: _save(path, mask=VOLUME > 0.5), r"mask \(3 x 4 x 5, bool\)"),
    "a number": (lambda path: _save(path, number=7), r"number \(one value, int64\)"),
    "several": (
        lambda path: _save(path, sharp=VOLUME, x__blurred=VOLUME),
        "2 datasets are volumes: sharp, x/blurred; ch",
    ),
    "no voxels": (lambda path: _save(path, data1=VOLUME[:0]), "no voxels"),
    "never written": (
        _with(lambda file: file.create_dataset("data1", (4000, 4000, 4000), float, chunks=(64, 64, 64))),
        "of the dataset '/data1' 0 of 250047 parts .chunks. were written",
    ),
    "half written": (_half_written, "1 of 2 parts"),
    "chunk of three bytes": (_tiny_chunk, "0 of 1 parts"),
    "external link": (_link(lambda other: h5py.ExternalLink(other, "data1")), "there are: none"),
    "soft link": (
        _with(lambda file: file.__setitem__("data1", h5py.SoftLink("/a")), a=VOLUME[0]),
        "are: a .4 x 5, float64",
    ),
    "virtual": (_virtual, r"there are: data1 \(in other files\)"),
    "external values": (_external, r"there are: data1 \(in other files\)"),
    "crowd": (_with(_crowd, data1=VOLUME), "more than 10000 groups and datasets"),
    "bad affine": (
        _with(lambda file: file.attrs.update(affine=np.eye(3)), data1=VOLUME),
        "affine has to be 4 x 4 numbers",
    ),
    "spacing in words": (
        _with(lambda file: file.attrs.update(spacing="1 mm"), data1=VOLUME),
        "spacing has to be 3 numbers",
    ),
    "spacing of 0": (
        _with(lambda file: file.attrs.update(spacing=(1, 0, 1)), data1=VOLUME),
        r"spacing is \[1.0, 0.0, 1.0",
    ),
}
IN_VALUES = {
    "damaged chunk": (_damaged_chunk, "cannot be read as HDF5, it is truncated, damaged"),
    "NaN": (
        lambda path: _save(path, data1=np.where(VOLUME > 0.9, np.nan, VOLUME)),
        "6 voxels are NaN and 0 infinite, of 60",
    ),
    "too large": (lambda path: _save(path, data1=VOLUME * 1e39), "0 voxels are NaN and"),
    "constant": (lambda path: _save(path, data1=np.full((3, 4, 5), 7)), "every voxel has the value 7"),
    "singular": (_with(lambda file: file.attrs.update(affine=np.ones((4, 4))), data1=VOLUME), "affine is singular"),
}


@pytest.mark.parametrize("case", [*IN_HEADER, *IN_VALUES])
def test_bad_file_is_one_clear_error(tmp_path: Path, case: str) -> None:
    make, words = (IN_HEADER | IN_VALUES)[case]
    make(tmp_path / "a.h5")
    for look in (check_header, read_scan) if case in IN_HEADER else (read_scan,):
        with pytest.raises(InputError, match=words) as caught:
            look(tmp_path / "a.h5")
        assert str(caught.value).startswith(str(tmp_path / "a.h5"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("other", "'other' is not there"), ("picture", "'picture' is no volume"), ("link/data1", "is not")],
)
def test_wanted_dataset_that_is_none(tmp_path: Path, wanted: str, words: str) -> None:
    _with(lambda file: file.__setitem__("link", h5py.ExternalLink("b.h5", "/")), data1=VOLUME, picture=VOLUME[0])(
        tmp_path / "a.h5"
    )
    _save(tmp_path / "b.h5", data1=VOLUME)
    with pytest.raises(InputError, match=words):
        read_scan(find_scan(tmp_path / "a.h5", dataset=wanted))


def test_group_that_holds_itself_is_searched_once(tmp_path: Path) -> None:
    _with(lambda file: file["folder"].__setitem__("again", file["folder"]), folder__image=VOLUME)(tmp_path / "a.h5")
    assert read_scan(tmp_path / "a.h5").shape == (1, 3, 4, 5)


@pytest.mark.parametrize(
    ("shape", "chunks", "megabytes"),
    [
        ((200, 200, 200), (20, 200, 200), 48.0),  # 6 bytes a value: float32, and two unpacked chunks
        ((2, 2, 2), (128, 128, 128), 33.6),  # for 8 values
    ],
)
def test_packed_values_are_held_against_the_memory(
    tmp_path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], megabytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        volume = file.create_dataset("data1", shape, float, chunks=chunks, maxshape=(None,) * 3, compression="gzip")
        volume[:, 0, 0] = 1.0
    assert (tmp_path / "a.h5").stat().st_size < 200_000
    monkeypatch.setattr(sizes, "memory_left", lambda limit: (megabytes - 0.1) * 1e6)
    with pytest.raises(InputError, match=r"MB of memory to read, and .* MB are free"):
        read_scan(tmp_path / "a.h5")
    monkeypatch.setattr(sizes, "memory_left", lambda limit: (megabytes + 0.1) * 1e6)
    assert read_scan(tmp_path / "a.h5").sum() == shape[0]


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5"])
def test_result_lies_beside_its_source_in_the_same_form(tmp_path: Path, name: str) -> None:
    path = _save(tmp_path / name, images__rss=VOLUME, images__esc=VOLUME, ids=[1, 2])
    with h5py.File(path, "a") as file:
        file.attrs.update(patient_id="P4", max=1.0, norm=2.0, description="raw", long=np.zeros(7900))
        file["images/rss"].attrs.update(
            spacing=(1.0, 1, 2), echo_ms=6.3, refs=file["ids"].ref, steps=[b"crop", b"scale"]
        )
    scan = read_scan(find_scan(path, dataset="images/rss"))
    options = ResultOptions(tmp_path / "out")
    provenance = Provenance("edsr", "1.0", "0" * 64)
    written = write_result(scan * 2 + 5, AFFINE, scan.meta["header"], options, provenance)
    assert written == tmp_path / "out" / f"a_sr{path.suffix}"
    with h5py.File(written) as file:
        assert list(file) == ["images"]
        assert dict(file.attrs) == {"patient_id": "P4", "description": provenance.description}
        volume = file["images/rss"]
        assert volume.dtype == np.float32
        assert sorted(volume.attrs) == ["affine", "echo_ms", "spacing", "steps"]
        assert volume.attrs["echo_ms"] == 6.3
        np.testing.assert_allclose(volume.attrs["spacing"], np.linalg.norm(AFFINE[:3, :3], axis=0))
    again = read_scan(written)
    np.testing.assert_array_equal(again[0], 2 * VOLUME.astype(np.float32) + 5)
    np.testing.assert_array_equal(again.affine, AFFINE)


def test_result_may_keep_the_type_of_its_source(tmp_path: Path) -> None:
    scan = read_scan(_save(tmp_path / "a.h5", data1=np.arange(60, dtype=np.int16).reshape(3, 4, 5)))
    written = write_result(
        scan * 1000.4, scan.affine, scan.meta["header"], ResultOptions(tmp_path / "b", dtype="source")
    )
    with h5py.File(written) as file:
        assert file["data1"].dtype == np.int16
        np.testing.assert_array_equal(
            file["data1"], np.rint(np.arange(60) * 1000.4).clip(max=2**15 - 1).reshape(3, 4, 5)
        )


def test_result_as_nifti(tmp_path: Path) -> None:
    scan = read_scan(_save(tmp_path / "a.h5", data1=VOLUME))
    options = ResultOptions(tmp_path / "out", output_format="nifti")
    assert write_result(scan, AFFINE, scan.meta["header"], options).name == "a_sr.nii.gz"
    with pytest.raises(InputError, match="is not DICOM"):
        result_path(scan.meta["header"].source, ResultOptions(tmp_path / "out", output_format="dicom"))


def test_array_of_no_file_is_written_as_the_published_scripts_do(tmp_path: Path) -> None:
    write_scan(ramp(3, 4, 5), AFFINE, ScanHeader(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["data1"], ramp(3, 4, 5)[0])
    np.testing.assert_array_equal(read_scan(tmp_path / "a.h5").affine, AFFINE)
    with pytest.raises(InputError, match="HDF5 is written of three axes and this has 2"):
        write_scan(ramp(4, 5), AFFINE, ScanHeader(), tmp_path / "b.h5")


@pytest.mark.parametrize("limit", [0, 1000, 3000, 200_000])
def test_full_disk_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(InputError, match=r"a.h5: cannot be written \(File too large\)"):
            write_scan(ramp(30, 40, 50), AFFINE, ScanHeader(), tmp_path / "a.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_folder_of_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Results of an earlier run are left out, as those of any other form."""
    for name in ("P2.h5", "P1.hdf5", "sub/P3.h5", "P2_sr.h5"):
        _save(tmp_path / name, data1=VOLUME)
    with caplog.at_level(logging.WARNING):
        scans = list_scans(tmp_path, output_dir=tmp_path)
    assert [(scan.name, scan.format) for scan in scans] == [("P1", "hdf5"), ("P2", "hdf5"), ("P3", "hdf5")]
