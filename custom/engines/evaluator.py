"""An evaluator for whole scans, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from torch import Tensor

from custom.errors import InputError, input_error_in, is_fault_of_all, working_on
from custom.transforms.meta import name_of

__all__ = ["ScanEvaluator"]

logger = logging.getLogger(__name__)


class ScanEvaluator(SupervisedEvaluator):
    """Apply a network to one whole scan at a time.

    Scans differ in size and carry metadata of their own, so they are never collated: the loader has `batch_size=None`
    and gives items {"image" or "label": `(frames, *spatial)`, ...}, as `LoadScand` makes them. `prepare_batch` and the
    inferer see a batch of one, `(1, frames, *spatial)`. Postprocessing and handlers see items again:
    `engine.state.batch` and `engine.state.output` are lists of one dictionary, as MONAI's engines leave them.

    As MONAI's `SupervisedEvaluator` in all else, and: `engine.state.seconds` is how long the network took for the scan;
    a prediction that is larger than its target, where the scale does not divide the size, is cropped to it; with
    `skip_failures` a scan that cannot be read, treated or written is reported and the others go on, and at the end the
    run fails with the list of them. A scan that could not be read comes from the loader as {"error": message}.

    Args:
        skip_failures: go on after the failure of a scan, unless all others would fail as well.
        **kwargs: those of MONAI's `SupervisedEvaluator`, without `decollate`.
    """

    def __init__(self, *, skip_failures: bool = False, **kwargs: Any) -> None:
        super().__init__(decollate=False, **kwargs)
        self.failures: list[str] = []
        self.skip_failures = skip_failures
        # While the next scan is read, treated and written, the memory of the last one is free.
        self.add_event_handler(Events.GET_BATCH_STARTED, self._forget)
        if skip_failures:
            self.add_event_handler(Events.COMPLETED, self._report)

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> Any:
        """Treat one scan; called by Ignite."""
        if not self.skip_failures:
            return self._apply(engine, batchdata)
        try:
            if "error" in batchdata:
                raise InputError(batchdata["error"])
            with working_on(name_of(batchdata["image"])):
                return self._apply(engine, batchdata)
        except Exception as error:
            if is_fault_of_all(error):
                raise
            failure = input_error_in(error)
            logger.error("%s", failure)
            logger.debug("raised for this scan:", exc_info=True)
            self.failures.append(str(failure))
            return None

    def _apply(self, engine: Any, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        batch = {key: value[None] if isinstance(value, Tensor) else value for key, value in item.items()}
        inputs, targets = engine.prepare_batch(batch, engine.state.device, engine.non_blocking)
        start = perf_counter()
        with engine.mode(engine.network):
            prediction = engine.inferer(inputs, engine.network)
        if prediction.is_cuda:
            torch.cuda.synchronize(prediction.device)
        engine.state.seconds = perf_counter() - start
        output = {"image": inputs[0].to(prediction.device), "pred": prediction[0]}
        if targets is not None:
            window = (..., *(slice(n) for n in targets.shape[2:]))
            output |= {"label": targets[0], "pred": prediction[window][0]}
        engine.state.batch, engine.state.output = [dict(item)], [output]
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def _forget(self, engine: Any) -> None:
        engine.state.output = engine.state.batch = None

    def _report(self, engine: Any) -> None:
        if self.failures:
            raise InputError(
                f"{len(self.failures)} of {engine.state.iteration} inputs failed; the others are done:\n  "
                + "\n  ".join(self.failures)
            )
