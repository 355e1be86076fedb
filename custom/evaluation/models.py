"""Networks with all that a bundle's inference does around them, as functions from a scan to its enlargement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from monai.networks.utils import eval_mode
from torch import Tensor, nn

from custom.errors import MissingFileError
from custom.transforms import RestoreIntensityd, ScaleIntensityByPercentiled

__all__ = ["AppliedModel", "load_applied_models"]


@dataclass(frozen=True)
class AppliedModel:
    """A network that enlarges scans in their own units, scaled to about [0, 1] and back as inference does it.

    Attributes:
        network: sees images in [0, 1].
        inferer: applies it to `(1, frames, *spatial)`.
        device: of the network.
    """

    network: nn.Module
    inferer: Inferer | Callable[..., Tensor]
    device: torch.device | str = "cpu"

    def __call__(self, lr: Tensor) -> Tensor:
        """Enlarge `(1, frames, *spatial)`, any units.

        Raises:
            InputError: for a scan without positive values, which has no scale.
        """
        item = ScaleIntensityByPercentiled("image")({"image": lr[0]})
        with eval_mode(self.network):
            pred = self.inferer(item["image"][None].to(self.device), self.network)
        restored: Tensor = RestoreIntensityd()({**item, "pred": pred[0].float().to(lr.device)})["pred"][None]
        return restored


def load_applied_models(
    models: Mapping[str, Sequence[str | Mapping[str, Any]]], bundle_root: str | Path, device: torch.device | str = "cpu"
) -> dict[str, AppliedModel]:
    """Load models of a bundle with their own networks and inferers, in float32.

    Args:
        models: by name what is laid over `configs/inference.json`: names of overlays (`configs/<name>.json`), or keys,
            such as {"data_consistency": "exact"}.
        bundle_root: the bundle's folder.
        device: where the networks go.

    Raises:
        MissingFileError: when there is no such overlay.
        InputError: when the weights, `models/<model_name>.pt` unless a key says otherwise, do not fit the network.
    """
    configs = Path(bundle_root) / "configs"
    loaded = {}
    for name, overlays in models.items():
        names = ["inference", *(overlay for overlay in overlays if isinstance(overlay, str))]
        files = [configs / f"{part}.json" for part in names]
        for file in files:
            if not file.is_file():
                raise MissingFileError(f"{file}: no such file; model {name!r} is made of overlays in {configs}")
        parser = ConfigParser()
        parser.read_config([str(file) for file in files])
        keys: dict[str, Any] = {"bundle_root": str(bundle_root), "device": device, "amp": False}
        for overlay in overlays:
            keys |= {} if isinstance(overlay, str) else overlay
        parser.update(keys)
        network, inferer = (parser.get_parsed_content(key) for key in ("network", "inferer"))
        loaded[name] = AppliedModel(network, inferer, device)
    return loaded
