from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.errors import UsageError
from custom.handlers.items import evaluated_items, gather_over_ranks
from custom.scans import ScanHeader, ScanReference

PICTURE = ScanHeader(source=ScanReference(Path("0.png"), "picture", "0", Path()))


def engine(output, batch):
    return SimpleNamespace(state=SimpleNamespace(output=output, batch=batch))


def evaluated(shape=(1, 6, 6), header=None):
    """Output and batch of an engine after two scans."""
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    outputs, batches = [], []
    for i in range(2):
        meta = {"filename_or_obj": f"{i}.nii", "header": header}
        label = MetaTensor(torch.full(shape, float(i)), affine=affine, meta=meta)
        batches.append({"label": label, "subject": f"s{i}", "mask": torch.ones(shape)})
        plain = label.as_tensor()
        outputs.append({"image": plain[..., ::2, ::2], "label": plain, "pred": plain + 1})
    return outputs, batches


def test_items_are_plain_tensors_with_their_name_and_place():
    found = evaluated_items(engine(*evaluated()))
    assert [item.subject for item in found] == ["s0", "s1"]
    assert [item.key for item in found] == ["0.nii", "1.nii"]
    assert np.array_equal(np.diag(found[0].affine), [2, 3, 4, 1])
    assert found[1].label.shape == (1, 1, 6, 6)
    assert type(found[1].label) is torch.Tensor
    assert float(found[1].pred.mean()) == 2
    assert found[1].image.shape == (1, 1, 3, 3)
    assert found[1].mask.shape == (1, 1, 6, 6)


def test_a_picture_has_no_affine():
    assert evaluated_items(engine(*evaluated(header=PICTURE)))[0].affine is None


def test_a_larger_result_is_cut_at_the_ends():
    outputs, batches = evaluated()
    outputs[0]["pred"] = torch.nn.functional.pad(outputs[0]["pred"], (0, 2, 0, 1), value=99)
    found = evaluated_items(engine(outputs, batches))
    assert found[0].pred.shape == (1, 1, 6, 6)
    assert float(found[0].pred.max()) == 1


def test_a_smaller_result_is_refused():
    outputs, batches = evaluated()
    outputs[0]["pred"] = outputs[0]["pred"][..., :5]
    with pytest.raises(UsageError, match=r"s0.*\(1, 6, 5\).*\(1, 6, 6\)"):
        evaluated_items(engine(outputs, batches))


@pytest.mark.parametrize("key", ["label", "pred", "subject"])
def test_a_missing_key_is_named(key):
    outputs, batches = evaluated()
    (batches if key == "subject" else outputs)[1].pop(key)
    with pytest.raises(UsageError, match=key):
        evaluated_items(engine(outputs, batches))


def test_a_failed_step_has_no_items():
    assert evaluated_items(engine(None, {"error": "unreadable"})) == []


def test_one_process_gathers_its_own():
    assert gather_over_ranks([1, 2]) == [1, 2]
