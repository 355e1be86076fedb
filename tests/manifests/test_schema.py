"""Manifests by name and path, their digests, and what is said of a wrong one: its key, and what is allowed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from manifest_files import GOOD, save_manifest

from custom.errors import InputError, MissingFileError, UsageError
from custom.manifests.schema import manifest_digest, read_manifest


def test_digest_depends_on_what_is_said_and_not_on_how() -> None:
    shuffled = json.loads(json.dumps(dict(reversed(GOOD.items())), indent=8))
    assert manifest_digest(shuffled) == manifest_digest(GOOD)
    assert manifest_digest({**GOOD, "kind": "slices"}) != manifest_digest(GOOD)
    # sha256 of the text {"a":1,"b":"ä"} in UTF-8, from sha256sum
    expected = "f5300ffcfd6fd3fc2de46d700be90d43fd799cd9eb69da4737201006143d48a1"
    assert manifest_digest({"b": "ä", "a": 1}) == expected


def test_unknown_name_is_wrong_use_and_gets_a_hint() -> None:
    with pytest.raises(UsageError, match=r"'sample_brain': unknown; did you mean 'sample_brain_t1'\? Known are acdc"):
        read_manifest("sample_brain")
    with pytest.raises(UsageError, match="'schema': unknown"):
        read_manifest("schema")
    with pytest.raises(MissingFileError, match=r"gone/mine\.json: no such file; give the path of a file, or one of"):
        read_manifest("gone/mine.json")


Change = Callable[[dict[str, Any]], Any]
WRONG: dict[str, tuple[Change, str]] = {
    "missing": (lambda m: m.pop("licence"), "the manifest: 'licence' is missing"),
    "unknown": (lambda m: m.update(modalty="x"), "unknown key 'modalty'; allowed are name, .*modality"),
    "kind": (lambda m: m.update(kind="movie"), r'kind: "movie" is not allowed .*one of \'volume\', \'slices\''),
    "name": (lambda m: m.update(name="My Data"), 'name: "My Data" is not allowed .*lower-case letters'),
    "type": (lambda m: m.update(sample="yes"), 'sample: "yes" is not allowed .*boolean'),
    "url": (lambda m: m["how_to_get"].update(url="ftp://x"), 'how_to_get.url: "ftp://x" .*https'),
    "no subject": (lambda m: m.update(patterns=["*.nii"]), r"patterns\[0\]: .*a \{subject\} field"),
    "absolute": (lambda m: m.update(patterns=["/data/{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards": (lambda m: m.update(patterns=["a/../../{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards first": (lambda m: m.update(patterns=["../{subject}.nii"]), r"patterns\[0\]: .*below dataset_dir"),
    "upwards mask": (lambda m: m.update(mask_pattern="../{subject}.nii"), "mask_pattern: .*below dataset_dir"),
    "no pattern": (lambda m: m.update(patterns=[]), r"patterns: \[\] is not allowed .*minItems"),
    "frame field": (
        lambda m: m.update(frame_number={"field": "image", "phases": 20}),
        "frame_number.field: 'image' is not a field of any of patterns",
    ),
    "phases": (
        lambda m: m.update(frame_number={"field": "subject", "phases": 1}),
        "frame_number.phases: 1 is not allowed .*at least 2",
    ),
    "mask field": (lambda m: m.update(mask_pattern="{subject}_{visit}.nii"), "mask_pattern: the fields visit are not"),
    "by": (lambda m: m["split"].update(by="luck"), "split.by: .*one of 'list', 'fractions', 'field', 'slabs'"),
    "no split": (lambda m: m.update(split={}), "split: 'by' is missing"),
    "no test": (lambda m: m["split"].pop("test"), "split: 'test' is missing"),
    "split key": (
        lambda m: m["split"].update(val=["x"]),
        "split: unknown key 'val'; allowed are by, train, validation",
    ),
    "no names": (lambda m: m["split"].update(train="a"), 'split.train: "a" is not allowed .*a list of subjects'),
    "twice": (lambda m: m["split"].update(test=["a", "d"]), "the subject 'a' is in two splits, train and test"),
    "range": (lambda m: m["split"].update(test=["s[9-3]"]), r"'s\[9-3\]' is not a range"),
    "endless range": (
        lambda m: m["split"].update(test=["sub-[1-1000000000]"]),
        r"split: 'sub-\[1-1000000000\]' names too many subjects, a split has at most 100,000",
    ),
    "long name": (
        lambda m: m["split"].update(test=["x" * 10_000 + "[1-9]"]),
        r"split.test\[0\]: \"x{100,120} is not allowed .*at most 255 characters",
    ),
    "half axis": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0]) | {"axis": 2.0}),
        "split.axis: 2.0 is not allowed .*array axis",
    ),
    "sum": (
        lambda m: m.update(split={"by": "fractions", "train": 0.7, "validation": 0.2, "test": 0.2, "random_seed": 0}),
        "split: the fractions add up to 1.1",
    ),
    "fraction": (
        lambda m: m.update(split={"by": "fractions", "train": 7, "validation": 0.2, "test": 0.2, "random_seed": 0}),
        "split.train: 7 is not allowed .*a number from 0 to 1",
    ),
    "no number": (
        lambda m: m.update(split={"by": "fractions", "train": 0.7, "validation": 0.2, "test": 0.1}),
        "split: 'random_seed' is missing",
    ),
    "field": (
        lambda m: m.update(
            split={"by": "field", "field": "part", "train": ["x"], "validation": ["y"], "test": ["z"], "random_seed": 0}
        ),
        "split.field: 'part' is not a field",
    ),
    "field without validation": (
        lambda m: m.update(split={"by": "field", "field": "part", "train": ["x"], "test": ["z"], "random_seed": 0}),
        "split: give one of 'validation', 'validation_fraction'",
    ),
    "slabs of no sample": (
        lambda m: m.update(split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0])),
        'split.by: slabs .*"sample": true, or split by subject',
    ),
    "slabs overlap": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.4, 0.6], [0.8, 1.0])),
        "train ends at 0.5 and one of validation starts at 0.4; slabs may not overlap",
    ),
    "slabs touch": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.5, 0.6], [0.8, 1.0])),
        "keep a gap of at least 0.02",
    ),
    "slab backwards": (
        lambda m: m.update(sample=True, split=_slab_split([0.5, 0.3], [0.6, 0.7], [0.8, 1.0])),
        r"split.train: the slab \[0.5, 0.3\) is empty",
    ),
    "slab axis": (
        lambda m: m.update(sample=True, split=_slab_split([0.0, 0.5], [0.6, 0.7], [0.8, 1.0]) | {"axis": 3}),
        "split.axis: 3 is not allowed .*array axis",
    ),
}


def _slab_split(train: list[float], validation: list[float], test: list[float]) -> dict[str, Any]:
    return {"by": "slabs", "axis": 2, "train": [train], "validation": [validation], "test": [test]}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_manifest_names_its_key(tmp_path: Path, case: str) -> None:
    change, words = WRONG[case]
    content = copy.deepcopy(GOOD)
    change(content)
    path = save_manifest(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD) | {"kind": "movie", "sample": "no"}
    del content["citation"]
    with pytest.raises(InputError, match="3 problems") as caught:
        read_manifest(save_manifest(tmp_path, content))
    for key in ("kind", "sample", "citation"):
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'name': 1}", "cannot be read as JSON"),
        ('{"name": "a", "name": "b"}', "the key 'name' is there twice"),
        ("[]", "is not allowed .type object"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"train": NaN}', "NaN is not a number"),
        ("\xff\xfe", "cannot be read as JSON|not allowed"),
    ],
)
def test_file_that_is_no_manifest(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=words) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
