from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom.errors import InputError
from custom.manifests.splits import SPLITS, expand_ranges, split_by_field, split_by_fractions, subjects_in_two_splits

names = st.lists(st.text("abc019_-", min_size=1, max_size=6), min_size=0, max_size=40, unique=True)
parts = st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)).map(
    lambda weights: {name: weight / sum(weights) for name, weight in zip(SPLITS, weights, strict=True)}
)


@given(names, parts, st.integers())
def test_fractions_deal_every_subject_to_one_split(
    subjects: list[str], fractions: dict[str, float], random_seed: int
) -> None:
    split = split_by_fractions(subjects, fractions, random_seed)
    dealt = [subject for name in SPLITS for subject in split[name]]
    assert sorted(dealt) == sorted(subjects)
    wanted = [name for name in SPLITS if fractions[name] > 0]
    for name in SPLITS:
        if fractions[name] == 0:
            assert split[name] == []
        elif len(subjects) >= len(wanted):
            assert split[name]
            assert abs(len(split[name]) - fractions[name] * len(subjects)) < len(SPLITS)


@given(names, st.integers(0, 5), st.randoms(use_true_random=False))
def test_fractions_do_not_depend_on_the_order_of_the_listing(
    subjects: list[str], random_seed: int, random: Random
) -> None:
    fractions = {"train": 0.7, "validation": 0.15, "test": 0.15}
    expected = split_by_fractions(subjects, fractions, random_seed)
    shuffled = list(subjects)
    random.shuffle(shuffled)
    assert split_by_fractions(shuffled + shuffled[:2], fractions, random_seed) == expected


def test_fractions_are_the_same_on_every_machine() -> None:
    # sha256 of "0:s0" ... "0:s9" in rising order, worked out with sha256sum and sort.
    order = ["s0", "s3", "s5", "s6", "s4", "s1", "s8", "s7", "s9", "s2"]
    subjects = [f"s{number}" for number in range(10)]
    split = split_by_fractions(subjects, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0)
    assert split == {"train": sorted(order[:6]), "validation": sorted(order[6:8]), "test": sorted(order[8:])}


def test_another_number_gives_another_split() -> None:
    subjects = [f"s{number}" for number in range(50)]
    fractions = {"train": 0.5, "validation": 0.0, "test": 0.5}
    assert split_by_fractions(subjects, fractions, 0) != split_by_fractions(subjects, fractions, 1)


def test_ranges_keep_their_zeros() -> None:
    assert expand_ranges(["sub-[08-11]", "x", "p[3-4]_a"]) == [
        "sub-08",
        "sub-09",
        "sub-10",
        "sub-11",
        "x",
        "p3_a",
        "p4_a",
    ]


@pytest.mark.parametrize("entry", ["sub-[09-03]", "a[1-2]b[3-4]"])
def test_ranges_that_are_none_are_refused(entry: str) -> None:
    with pytest.raises(InputError, match="is not a range"):
        expand_ranges([entry])


@pytest.mark.parametrize(
    "entries",
    [["sub-[1-1000000000]"], ["a[1-100001]"], ["a[1-60000]", "b[1-60000]"], ["a[1-" + "9" * 5000 + "]"]],
)
def test_more_subjects_than_any_data_set_has_are_refused(entries: list[str]) -> None:
    with pytest.raises(InputError, match="names too many subjects, a split has at most 100,000"):
        expand_ranges(entries)


def test_as_many_subjects_as_are_allowed() -> None:
    subjects = expand_ranges(["a[000001-099999]", "b[7-7]"])
    assert (len(subjects), subjects[0], subjects[-1]) == (100_000, "a000001", "b7")


def test_field_takes_whole_subjects_out_of_train_for_validation() -> None:
    values = {f"p{number}": {"train"} for number in range(10)} | {"q1": {"test"}, "q2": {"test"}}
    split = split_by_field(values, {"train": ["train"], "test": ["test"]}, 0.2, 7)
    assert len(split["validation"]) == 2
    assert split["test"] == ["q1", "q2"]
    assert sorted(split["train"] + split["validation"]) == [f"p{number}" for number in range(10)]


def test_a_subject_of_two_splits_is_found() -> None:
    assert subjects_in_two_splits({"train": ["a", "b", "a"], "validation": ["c"], "test": ["b"]}) == {
        "b": ["train", "test"]
    }
