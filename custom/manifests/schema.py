"""The JSON of a data manifest: where it is found, and whether it says what it has to; no data are looked at."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.patterns import fields_of
from custom.manifests.splits import SPLITS, expand_ranges, subjects_in_two_splits

__all__ = ["known_manifests", "listed", "manifest_digest", "manifest_folder", "read_manifest"]

_LONGEST_LIST = 20
# Neighbouring slices of one head look alike, so slabs of different splits keep at least this part of the axis apart.
_SMALLEST_SLAB_GAP = 0.02


def manifest_folder() -> Path:
    """Return the folder of the manifests that come with this package."""
    return Path(__file__).resolve().parents[2] / "data_manifests"


def known_manifests() -> dict[str, Path]:
    """Return the manifests that can be named: those of this package, then those of the working directory."""
    known: dict[str, Path] = {}
    for folder in (manifest_folder(), Path.cwd() / "data_manifests"):
        for path in sorted(folder.glob("*.json")):
            if path.stem != "schema":
                known.setdefault(path.stem, path)
    return known


def read_manifest(data_manifest: str | Path) -> tuple[dict[str, Any], Path]:
    """Read a manifest by name or path and check it against the schema; no data are looked at.

    Returns:
        Its content, and the path of its file.

    Raises:
        UsageError: for a name that is not known.
        MissingFileError: for a path that is not there.
        InputError: for a file that is not JSON or breaks the schema; every key that is wrong is named.
    """
    path = _manifest_path(data_manifest)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_key_twice)
    except (OSError, ValueError) as err:
        raise InputError(f"{path}: cannot be read as JSON ({err}); mend the manifest") from err
    schema_path = manifest_folder() / "schema.json"
    if not schema_path.is_file():
        raise MissingFileError(f"{schema_path}: not there; keep data_manifests beside the package, as in a clone")
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(schema).iter_errors(content), key=lambda error: error.json_path)
    if errors:
        raise InputError(listed(f"{path}: breaks the schema of manifests", [_schema_words(error) for error in errors]))
    problems = _contradictions(content)
    if problems:
        raise InputError(listed(f"{path}: contradicts itself", problems))
    return content, path


def manifest_digest(content: dict[str, Any]) -> str:
    """Return the sha256 (hexadecimal) of a manifest as canonical JSON: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def listed(heading: str, lines: Sequence[str]) -> str:
    """Make one message of many lines, of which the first 20 are shown and the rest counted."""
    shown = [f"  - {line}" for line in lines[:_LONGEST_LIST]]
    if len(lines) > _LONGEST_LIST:
        shown.append(f"  - and {len(lines) - _LONGEST_LIST} more")
    count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
    return "\n".join([f"{heading}: {count}", *shown])


def _manifest_path(data_manifest: str | Path) -> Path:
    words = str(data_manifest)
    if isinstance(data_manifest, Path) or words.endswith(".json") or "/" in words or "\\" in words:
        path = Path(words)
        if not path.is_file():
            raise MissingFileError(
                f"data_manifest {path}: no such file; known names are {', '.join(known_manifests())}"
            )
        return path
    known = known_manifests()
    if words not in known:
        close = difflib.get_close_matches(words, known, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"data_manifest {words!r}: unknown; {hint}Known are {', '.join(known)}; or give the path of your own .json"
        )
    return known[words]


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} is there twice")
        content[key] = value
    return content


def _schema_words(error: ValidationError) -> str:
    """Say which key is wrong, with the value received and what is allowed."""
    key = error.json_path.removeprefix("$").removeprefix(".") or "the manifest"
    schema = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties":
        allowed = list(schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in allowed]
        return f"{key}: unknown key {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{key}: {', '.join(map(repr, missing))} is missing"
    if error.validator == "oneOf":
        choices = [name for option in error.validator_value for name in option.get("required", [])]
        return f"{key}: give one of {', '.join(map(repr, choices))}, and one only"
    allowed_words = schema.get("description", "")
    if error.validator == "enum":
        allowed_words = "one of " + ", ".join(map(repr, error.validator_value))
    hint = f"; allowed: {allowed_words}" if allowed_words else ""
    return f"{key}: {json.dumps(error.instance)[:120]} is not allowed ({error.validator} {error.validator_value}){hint}"


def _contradictions(content: dict[str, Any]) -> list[str]:
    """Check what a schema cannot say."""
    problems = []
    common = set.intersection(*(fields_of(pattern) for pattern in content["patterns"]))
    for key in ("mask_pattern", "image_pattern"):
        foreign = sorted(fields_of(content.get(key, "{subject}")) - common)
        if foreign:
            problems.append(f"{key}: the fields {', '.join(foreign)} are not in every entry of patterns")
    if "frame_number" in content and not any(
        content["frame_number"]["field"] in fields_of(pattern) for pattern in content["patterns"]
    ):
        problems.append(f"frame_number.field: {content['frame_number']['field']!r} is not a field of any of patterns")
    split = content["split"]
    if split["by"] == "list":
        try:
            expanded = {name: expand_ranges(split[name]) for name in SPLITS}
        except InputError as err:
            return [*problems, f"split: {err}"]
        for subject, names in subjects_in_two_splits(expanded).items():
            problems.append(f"split: the subject {subject!r} is in two splits, {' and '.join(names)}; leave it in one")
    elif split["by"] == "fractions":
        total = sum(split[name] for name in SPLITS)
        if abs(total - 1.0) > 1e-6:
            problems.append(f"split: the fractions add up to {total:g}; they have to add up to 1")
    elif split["by"] == "field" and split["field"] not in common:
        problems.append(f"split.field: {split['field']!r} is not a field of every entry of patterns")
    elif split["by"] == "slabs":
        problems += _slab_problems(content)
    return problems


def _slab_problems(content: dict[str, Any]) -> list[str]:
    if not content.get("sample", False):
        return ['split.by: slabs of one subject are for a demonstration; set "sample": true, or split by subject']
    slabs = sorted((start, stop, name) for name in SPLITS for start, stop in content["split"][name])
    problems = [
        f"split.{name}: the slab [{start:g}, {stop:g}) is empty; start has to be below stop"
        for start, stop, name in slabs
        if start >= stop
    ]
    for (_, stop, first), (start, _, second) in pairwise(slabs):
        if start < stop or (first != second and start - stop < _SMALLEST_SLAB_GAP - 1e-9):
            problems.append(
                f"split: a slab of {first} ends at {stop:g} and one of {second} starts at {start:g}; slabs may not "
                f"overlap, and those of different splits keep a gap of at least {_SMALLEST_SLAB_GAP:g}"
            )
    return problems
