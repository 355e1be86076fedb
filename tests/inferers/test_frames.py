from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from custom.degradations import Grid
from custom.inferers import FlipEnsemble, Frames, Tiles, VolumeSlices


class _Double(nn.Module):
    """Enlarge (B, 1, H, W) by 2, with a bias, so that a frame that was left out shows."""

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[1] == 1
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2) + 1


@pytest.mark.parametrize("slice_axis", [0, -1])
@torch.no_grad()
def test_each_frame_is_an_ordinary_scan(slice_axis: int) -> None:
    chain = VolumeSlices(slice_axis, inferer=FlipEnsemble(Grid.pixel_centre((2, 2)), inferer=Tiles(3, 1, 2)))
    cine = torch.rand(1, 4, 5, 6, 7)
    result = Frames(inferer=chain)(cine, _Double())
    expected = torch.cat([chain(cine[:, t : t + 1], _Double()) for t in range(4)], 1)
    assert torch.equal(result, expected)
    assert result.shape[1] == 4


@torch.no_grad()
def test_frames_of_pictures_and_a_bare_network() -> None:
    pictures = torch.rand(2, 3, 5, 6)
    result = Frames(progress=True)(pictures, _Double())
    torch.testing.assert_close(result, pictures.repeat_interleave(2, -1).repeat_interleave(2, -2) + 1)


@torch.no_grad()
def test_context_slices_are_those_of_the_frame() -> None:
    cine = 100.0 * torch.arange(3.0)[:, None] + torch.arange(4.0)
    cine = cine[None, :, None, None, :].expand(1, 3, 2, 2, 4)
    result = Frames(inferer=VolumeSlices(context_slices=3))(cine, lambda channels: channels.sum(1, keepdim=True))
    sums = torch.tensor([0 + 0 + 1, 0 + 1 + 2, 1 + 2 + 3, 2 + 3 + 3]) + 300.0 * torch.arange(3.0)[:, None]
    assert torch.equal(result, sums[None, :, None, None, :].expand(1, 3, 2, 2, 4))


def test_an_ordinary_scan_passes_without_a_copy() -> None:
    scan, result = torch.rand(1, 1, 3, 4, 5), torch.rand(1, 1, 3, 4, 5)
    seen: list[Tensor] = []
    assert Frames()(scan, lambda image: seen.append(image) or result) is result
    assert seen[0] is scan
