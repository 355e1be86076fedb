"""What a derived image says of the software and the model that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custom import __version__
from custom.errors import InputError, MissingFileError
from custom.storage import sha256

__all__ = ["Provenance", "ascii_text", "bundle_provenance"]


@dataclass(frozen=True)
class Provenance:
    """Who made a result, in the words that are written into it.

    Attributes:
        model_name: as in the bundle's metadata.
        model_version: as in the bundle's metadata.
        weights_sha256: 64 hexadecimal digits, "" where there are no weights.
        factor: of the enlargement along columns, rows and slices, such as "4x4x1"; "" for the writer to work it out.
        computation: how the result was computed: precision, data consistency where there is one, device, threads and
            backend, such as "float32, data consistency exact, cpu (x86_64 AVX2), 2 threads, torch 2.13.0".
        software_version: of this package.
    """

    model_name: str = "unnamed model"
    model_version: str = ""
    weights_sha256: str = ""
    factor: str = ""
    computation: str = ""
    software_version: str = __version__

    @property
    def description(self) -> str:
        """One sentence for DerivationDescription, ASCII, at most 1024 characters."""
        words = [f"Super-resolution{f' by {self.factor}' if self.factor else ''} with {self.model_name}"]
        words += [f"version {self.model_version}"] if self.model_version else []
        words += [f"weights SHA-256 {self.weights_sha256 or 'not stated'}", f"software {self.software_version}"]
        words += [f"computed in {self.computation}"] if self.computation else []
        text = ", ".join(words)[:980] + "; not for diagnosis."
        return ascii_text(text)

    @property
    def short_description(self) -> str:
        """What fits into the 79 characters of a NIfTI header, ASCII: the computation, then the model."""
        model = f"{self.model_name} {self.model_version}".strip()
        return ascii_text("; ".join(filter(None, (self.computation, model))))[:79]


def bundle_provenance(
    bundle_root: str | Path,
    checkpoint: str | Path | None = None,
    computation: Mapping[str, Any] | None = None,
    data_consistency: str = "off",
) -> Provenance:
    """Gather the provenance of a bundle's results.

    Args:
        bundle_root: folder of the bundle; name and version are those of `configs/metadata.json`.
        checkpoint: file of the weights, of which the SHA-256 is taken; None for a network without.
        computation: what the network is computed in and by, as `Run.computation` says it.
        data_consistency: the mode of `custom.inferers.DataConsistency`.

    Raises:
        MissingFileError: for metadata or weights that are not there.
        InputError: for metadata that are not a JSON object.
    """
    path = Path(bundle_root) / "configs" / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        name, version = str(metadata["name"]), str(metadata["version"])
    except FileNotFoundError as err:
        raise MissingFileError(f"{path}: no such file; it names the model and its version") from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(f"{path}: cannot be read as metadata with a name and a version ({err}); mend it") from err
    form = "{precision}{consistency}, {device}, {threads} threads, {backend}"
    consistency = "" if data_consistency == "off" else f", data consistency {data_consistency}"
    return Provenance(
        model_name=name,
        model_version=version,
        weights_sha256="" if checkpoint is None else sha256(checkpoint),
        computation=form.format(**computation, consistency=consistency) if computation else "",
    )


def ascii_text(text: str) -> str:
    """Return a text with "?" for what ASCII does not have, and "/" for the backslash that parts values in DICOM."""
    return text.encode("ascii", errors="replace").decode().replace("\\", "/")
