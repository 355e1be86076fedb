"""The comparison of a network with the classical methods, subject by subject: what the evaluating command makes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from ignite.engine import Engine, Events
from monai.networks.utils import eval_mode
from torch import Tensor

from custom.arrays.intensity import foreground_mask
from custom.degradations import Degradation, WienerFilter
from custom.errors import UsageError
from custom.evaluation.classical import CLASSICAL_METHODS, WIENER, BestClassical, best_classical, classical_methods
from custom.evaluation.comparison import MODEL, Comparison, Prediction, compare, device_clock
from custom.evaluation.pictures import comparison_picture, picture_name
from custom.evaluation.summary import REFERENCE, Row, merge_rows, summarise, table_markdown, write_results
from custom.handlers.hooks import is_first_rank
from custom.handlers.items import EvaluatedItem, evaluated_items, gather_over_ranks
from custom.metrics import LPIPS, find_lpips
from custom.options import switch
from custom.run import Run
from custom.run_info import versions
from custom.storage import sha256

__all__ = ["ComparisonTable", "compared_items"]

_logger = logging.getLogger(__name__)


class _Manifest(Protocol):
    name: str
    digest: str


def compared_items(engine: Engine) -> list[tuple[EvaluatedItem, Comparison]]:
    """Return the scans of an iteration and what the `ComparisonTable` that is attached to the engine found of them.

    Raises:
        UsageError: if there is no such handler, or it comes later.
    """
    items = evaluated_items(engine)
    found: list[Comparison] | None = getattr(engine.state, "comparisons", None)
    if found is None or len(found) != len(items):
        raise UsageError("no ComparisonTable comes before this handler, which reads its images; attach one first")
    return list(zip(items, found, strict=True))


class ComparisonTable:
    """An Ignite handler that compares a network with the classical methods on whole scans and writes what it finds.

    After each iteration of an evaluator (output: "image", "label", "pred"; batch: "subject", perhaps "mask";
    `engine.state.seconds`: how long the network took for the batch) all methods are measured, and a picture is drawn
    of the first scan of each subject (its first frame). A subject has one row a method, however many scans it has:
    each figure, the PSNR too, is taken of each scan (an image of a folder of slices, a volume, a cine) and then
    averaged, so that intervals are over subjects and not over images. When the epoch ends the rows of all processes are
    put together, and rank 0 writes `metrics.csv`, `summary.json` and `table.md`. The means are then in
    `engine.state.metrics` of every process as `<method>_<metric>`, and the gain over cubic as `difference_<metric>`:
    handlers that read them are to be attached after this one, as are those that read the images of all methods by
    `compared_items`.

    Args:
        output_dir: where the files go; pictures in `pictures/`.
        degradation: what made the network's input; a 2D one within `SliceBySlice`.
        crop_border: HR voxels to leave out of all figures at each side, the same for all methods.
        manifest: names the data (`name`, `digest`), for summary.json.
        weights: the file of the network's weights, whose digest goes to summary.json.
        run: in whose precision and by which processor the networks run, for summary.json.
        wiener: the Wiener filter of the degradation, for the row "wiener"; None leaves it out.
        validation: the scans of the validation subjects, {"label", "subject"}, by which the best classical method is
            chosen; without them there are no differences from it.
        networks: further networks by name, compared on the same scans with the evaluator's own inferer; they stand in
            all tables and pictures after the evaluator's network.
        references: methods besides cubic from which the paired differences of all others are given.
        pictures: whether to draw pictures.
        zoom: what their crop shows, "detail" or "centre".
        zscore: whether to add the columns "psnr_zscore" and "ssim_zscore"; see `custom.metrics.zscore_metrics`.
        lattice: whether to add the column "checkerboard"; see `custom.metrics.checkerboard`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        degradation: Degradation,
        crop_border: int | Sequence[int] = 0,
        manifest: _Manifest | None = None,
        weights: str | Path | None = None,
        run: Run | None = None,
        wiener: WienerFilter | None = None,
        validation: Iterable[Mapping[str, Any]] = (),
        networks: Mapping[str, torch.nn.Module] | None = None,
        references: Sequence[str] = (),
        pictures: bool = True,
        zoom: Literal["detail", "centre"] = "detail",
        zscore: bool | str = False,
        lattice: bool = False,
    ) -> None:
        self.networks = dict(networks or {})
        own = (*CLASSICAL_METHODS, MODEL)
        for name in self.networks:
            if name in own:
                raise UsageError(f"networks: {name!r} is another method of the table; choose another name")
        for name in references:
            if name not in (*own, *self.networks):
                raise UsageError(f"references: {name!r} is not in the table; give some of {[*own, *self.networks]}")
        self.output_dir = Path(output_dir)
        self.degradation = degradation
        self.crop_border = crop_border
        self.manifest = manifest
        self.weights = weights
        self.run = run
        self.wiener = wiener
        self.validation = validation
        self.references = (REFERENCE, *references)
        self.pictures = pictures
        self.zoom = zoom
        self.zscore = switch("zscore", zscore)
        self.lattice = lattice
        self._lpips: LPIPS | None = None
        self._rows: list[Row] = []
        self._drawn: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_STARTED, self.forget_images)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.measure)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget an earlier run and look for the weights of LPIPS."""
        self._rows, self._drawn = [], set()
        self._lpips = find_lpips()

    def forget_images(self, engine: Engine) -> None:
        """Let go of the images of the last iteration before the network needs memory for the next."""
        engine.state.comparisons = []

    def measure(self, engine: Engine) -> None:
        """Compare the scans of one iteration."""
        items = evaluated_items(engine)
        engine.state.comparisons = []
        seconds = float(getattr(engine.state, "seconds", math.nan)) / max(1, len(items))
        for item in items:
            if item.image is None:
                raise UsageError("the engine's output has no 'image', the network's input; the comparison needs it")
            mask = item.mask
            if mask is None:
                mask = torch.as_tensor(foreground_mask(item.label, spatial_dims=item.label.ndim - 2))
            comparison = compare(
                item.subject,
                item.image,
                item.label,
                {MODEL: Prediction(item.pred, seconds), **self._others(engine, item.image)},
                self.degradation,
                wiener=self.wiener,
                mask=mask,
                crop_border=self.crop_border,
                lpips=self._lpips,
                zscore=self.zscore,
                lattice=self.lattice,
            )
            engine.state.comparisons.append(comparison)
            self._rows += [{**row, "key": item.key} for row in comparison.rows]
            if self.pictures and item.subject not in self._drawn:
                self._draw(item, comparison, mask)

    def finish(self, engine: Engine) -> None:
        """Gather the rows of all processes, write the files and publish the means."""
        rows = merge_rows(gather_over_ranks(self._rows))
        best = self._best_classical(engine) if is_first_rank() else None  # which is all that writes it
        summary = summarise(rows, self.references, best)
        for method, found in summary["methods"].items():
            engine.state.metrics.update({f"{method}_{k}": v.mean for k, v in found.items() if not math.isnan(v.mean)})
        gains = summary["difference_from_cubic"][MODEL]
        engine.state.metrics.update({f"difference_{k}": v.mean for k, v in gains.items() if not math.isnan(v.mean)})
        if not is_first_rank():
            return
        write_results(rows, summary, self.output_dir, self._origin(engine))
        _logger.info("%s\n%s", self.output_dir / "table.md", table_markdown(summary))

    def _best_classical(self, engine: Engine) -> BestClassical | None:
        """Find the best classical method on the validation scans; the engine makes pairs of them as of all others."""

        def scans() -> Iterator[tuple[str, Tensor, Tensor]]:
            for item in self.validation:
                batch = {"label": torch.as_tensor(item["label"])[None]}
                yield item["subject"], *engine.prepare_batch(batch, engine.state.device, engine.non_blocking)

        return best_classical(scans(), classical_methods(self.degradation, self.wiener))

    def _others(self, engine: Engine, image: Tensor) -> dict[str, Prediction]:
        """Apply the further networks to the input of one scan."""
        predictions = {}
        for name, network in self.networks.items():
            start = device_clock(image)
            with eval_mode(network):
                pred = engine.inferer(image, network)
            predictions[name] = Prediction(pred, device_clock(image) - start)
        return predictions

    def _draw(self, item: EvaluatedItem, comparison: Comparison, mask: Tensor) -> None:
        self._drawn.add(item.subject)
        scores = {row["method"]: (row["psnr"], row["ssim"]) for row in comparison.rows}
        shown = ("nearest", REFERENCE, WIENER, MODEL, *self.networks)
        comparison_picture(
            self.output_dir / "pictures" / picture_name(item.subject),
            hr=item.label,
            images={name: comparison.images[name] for name in shown if name in comparison.images},
            scores=scores,
            mask=mask,
            affine=item.affine,
            slice_axis=comparison.slice_axis,
            title=item.subject,
            zoom=self.zoom,
        )

    def _origin(self, engine: Engine) -> dict[str, Any]:
        """Say what the figures come from."""
        networks = {MODEL: getattr(engine, "network", None), **self.networks}
        found = None if self.manifest is None else {"name": self.manifest.name, "digest": self.manifest.digest}
        return {
            "manifest": found,
            "weights_sha256": None if self.weights is None else sha256(self.weights),
            "parameters": {
                name: sum(p.numel() for p in network.parameters())
                for name, network in networks.items()
                if isinstance(network, torch.nn.Module)
            },
            "computation": None if self.run is None else self.run.computation,
            "versions": versions(),
        }
