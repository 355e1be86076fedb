"""What a derived image says of the software and the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custom.errors import InputError, MissingFileError
from custom.scans import bundle_provenance


def test_provenance_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    with pytest.raises(MissingFileError, match=r"metadata\.json"):
        bundle_provenance(tmp_path)
    metadata = tmp_path / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"name": "Größe\\X", "version": "0.1.0"}))
    (tmp_path / "model.pt").write_bytes(b"abc")
    made = bundle_provenance(tmp_path, tmp_path / "model.pt")
    # the digest of "abc" in FIPS 180-2, appendix B.1
    assert made.weights_sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert made.description.isascii()
    assert "\\" not in made.description
    assert made.computation == ""
    metadata.write_text("[]")
    with pytest.raises(InputError, match="mend it"):
        bundle_provenance(tmp_path)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("off", "float32, cpu, 2 threads, torch 3"),
        ("exact", "float32, data consistency exact, cpu, 2 threads, torch 3"),
    ],
)
def test_derived_images_say_that_they_were_made_to_agree_with_their_source(
    tmp_path: Path, mode: str, words: str
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"name": "model", "version": "1"}))
    computation = {"precision": "float32", "device": "cpu", "threads": 2, "backend": "torch 3"}
    made = bundle_provenance(tmp_path, computation=computation, data_consistency=mode)
    assert f"computed in {words};" in made.description  # DICOM
    assert made.short_description == f"{words}; model 1"  # NIfTI
