"""How much of a training epoch is spent waiting for data.

    python tests/benchmarks/loader_waiting.py [--patches 1600]

Runs the training of brain_mri_espcn on the sample for two epochs and prints, for the second, the share of its time
between the end of one iteration and the batch of the next.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

from ignite.engine import Events
from monai.bundle import ConfigParser

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_espcn"


def main() -> None:
    """Measure and print the share."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patches", type=int, default=1600)
    options = arguments.parse_args()

    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    with tempfile.TemporaryDirectory() as folder:
        parser.config.update(
            bundle_root=str(BUNDLE), output_dir=folder, max_epochs=2, patches_per_epoch=options.patches
        )
        parser["train#handlers"] = []
        trainer = parser.get_parsed_content("train#trainer")
        waits: list[float] = []
        started = [0.0]
        trainer.add_event_handler(Events.GET_BATCH_STARTED, lambda: started.__setitem__(0, perf_counter()))
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, lambda: waits.append(perf_counter() - started[0]))
        trainer.add_event_handler(Events.EPOCH_STARTED, waits.clear)
        trainer.run()
        seconds = trainer.state.times["EPOCH_COMPLETED"]
    print(f"| {len(waits)} iterations | {seconds:.2f} s | waiting for data {100 * sum(waits) / seconds:.1f} % |")


if __name__ == "__main__":
    main()
