from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate

from custom.errors import InputError
from custom.handlers.items import evaluated_items, gather_over_ranks


def engine(output, batch):
    return SimpleNamespace(state=SimpleNamespace(output=output, batch=batch))


def collated(shape=(1, 6, 6), kind="nifti"):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    items = []
    for i in range(2):
        label = MetaTensor(torch.full(shape, float(i)), affine=affine, meta={"filename_or_obj": f"{i}.nii"})
        label.meta["kind"] = kind
        items.append({"label": label, "subject": f"s{i}", "mask": torch.ones(shape)})
    batch = list_data_collate(items)
    plain = batch["label"].as_tensor()
    return {"image": plain[..., ::2, ::2], "label": plain, "pred": plain + 1}, batch


@pytest.mark.parametrize("separated", [False, True])
def test_both_forms_give_the_same_items(separated):
    output, batch = collated()
    if separated:
        output, batch = decollate_batch(output), decollate_batch(batch)
    found = evaluated_items(engine(output, batch))
    assert [item.subject for item in found] == ["s0", "s1"]
    assert found[1].label.shape == (1, 1, 6, 6)
    assert type(found[1].label) is torch.Tensor
    assert float(found[1].pred.mean()) == 2
    assert found[1].image.shape == (1, 1, 3, 3)
    assert found[1].mask.shape == (1, 1, 6, 6)
    if separated:
        assert [item.key for item in found] == ["0.nii", "1.nii"]
        assert np.array_equal(np.diag(found[0].affine), [2, 3, 4, 1])


def test_a_picture_has_no_affine():
    output, batch = collated(kind="image")
    found = evaluated_items(engine(decollate_batch(output), decollate_batch(batch)))
    assert found[0].affine is None


def test_a_larger_result_is_cut_at_the_ends():
    output, batch = collated()
    output["pred"] = torch.nn.functional.pad(output["pred"], (0, 2, 0, 1), value=99)
    found = evaluated_items(engine(output, batch))
    assert found[0].pred.shape == (1, 1, 6, 6)
    assert float(found[0].pred.max()) == 1


def test_a_smaller_result_is_refused():
    output, batch = collated()
    output["pred"] = output["pred"][..., :5]
    with pytest.raises(InputError, match=r"s0.*\(1, 6, 5\).*\(1, 6, 6\)"):
        evaluated_items(engine(output, batch))


@pytest.mark.parametrize("key", ["label", "pred", "subject"])
def test_a_missing_key_is_named(key):
    output, batch = collated()
    (batch if key == "subject" else output).pop(key)
    with pytest.raises(InputError, match=key):
        evaluated_items(engine(output, batch))


def test_a_failed_step_has_no_items():
    assert evaluated_items(engine(None, {"error": ["unreadable"]})) == []


def test_one_process_gathers_its_own():
    assert gather_over_ranks([1, 2]) == [1, 2]
