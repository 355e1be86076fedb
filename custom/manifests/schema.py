"""The JSON file of a data manifest: finding it and checking it against the schema. The data are not read."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.patterns import fields_of
from custom.manifests.splits import SPLITS, expand_ranges, subjects_in_two_splits

__all__ = ["known_manifests", "manifest_digest", "manifest_folder", "problem_list", "read_manifest"]

_LONGEST_LIST = 20
# The smallest gap between slabs of two splits, as a fraction of the axis: neighbouring slices of one head look alike.
_SMALLEST_SLAB_GAP = 0.02
# JSON Schema takes 2.0 for an integer; Python does not take it for an index.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def manifest_folder() -> Path:
    """Return the folder of the manifests that come with this package."""
    return Path(__file__).resolve().parents[2] / "data_manifests"


def known_manifests() -> dict[str, Path]:
    """Return the path of each manifest by its name.

    Manifests are sought in `data_manifests` beside this package, then in `data_manifests` in the working directory.
    """
    known: dict[str, Path] = {}
    for folder in (manifest_folder(), Path.cwd() / "data_manifests"):
        for path in sorted(folder.glob("*.json")):
            if path.stem != "schema" and path.is_file():
                known.setdefault(path.stem, path)
    return known


def read_manifest(data_manifest: str | Path) -> tuple[dict[str, Any], Path]:
    """Read a manifest by its name or path and check it against the schema. The data are not read.

    Returns:
        The content of the manifest, and the path of its file.

    Raises:
        UsageError: if no manifest has this name.
        MissingFileError: if there is no file at this path.
        InputError: if the file is not JSON or breaks the schema; the message names every wrong key.
    """
    path = _manifest_path(data_manifest)
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_number
        )
    except (OSError, ValueError, RecursionError) as err:
        raise InputError(f"{path}: cannot be read as JSON ({err}); correct the manifest") from err
    schema_path = manifest_folder() / "schema.json"
    if not schema_path.is_file():
        raise MissingFileError(f"{schema_path}: no such file; keep the folder data_manifests beside the package")
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    errors = sorted(_Validator(schema).iter_errors(content), key=lambda error: error.json_path)
    if errors:
        raise InputError(
            problem_list(f"{path}: does not fit the schema of manifests", [_schema_words(error) for error in errors])
        )
    problems = _contradictions(content)
    if problems:
        raise InputError(problem_list(f"{path}: contradicts itself", problems))
    return content, path


def manifest_digest(content: dict[str, Any]) -> str:
    """Return the sha256 (hexadecimal) of a manifest as canonical JSON: keys sorted, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def problem_list(heading: str, lines: Sequence[str]) -> str:
    """Return one message with a line for each problem: the first 20 are shown, the others are counted."""
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
                f"data_manifest {path}: no such file; give the path of a file, or one of {', '.join(known_manifests())}"
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


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not a number that JSON has")


def _schema_words(error: ValidationError) -> str:
    """Return a line that names the wrong key, its value, and the values that are allowed."""
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
    """List what a schema cannot check: keys that contradict each other."""
    problems = []
    common = set.intersection(*(fields_of(pattern) for pattern in content["patterns"]))
    foreign = sorted(fields_of(content.get("mask_pattern", "{subject}")) - common)
    if foreign:
        problems.append(f"mask_pattern: the fields {', '.join(foreign)} are not in every entry of patterns")
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
