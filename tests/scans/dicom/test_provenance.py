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
    metadata.write_text("[]")
    with pytest.raises(InputError, match="mend it"):
        bundle_provenance(tmp_path)
