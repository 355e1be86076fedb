"""One run of a bundle command: what is the same in all its parts."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import MutableMapping
from typing import Any

import torch
import torch.distributed as dist
from monai.utils import set_determinism

from custom.command_line import check_command_line, config_as_run, report_errors, use_typed_paths
from custom.errors import UsageError
from custom.inferers.precision import Precision
from custom.memory import keep_freed_memory
from custom.options import switch

__all__ = ["Run", "local_device"]


class Run:
    """One run of a bundle command: configuration, random seed, precision and processes.

    A config makes one and passes it on to what needs it. From then on errors are reported in words, the first of them
    those of the command line. `start` is the first entry of a config's `initialize`, `finish` the last of its
    `finalize`.

    Args:
        seed: of all random generators; None leaves them alone. Of several processes each adds its number.
        amp: the precision; see `Precision`.
        device: where the networks run.
        distributed: join the processes that torchrun has started.
        debug: show the traceback of each error.

    Attributes:
        precision: of the networks.

    Raises:
        UsageError: as `check_command_line`; for a `debug` that is neither true nor false.
    """

    def __init__(
        self,
        seed: int | None = 0,
        amp: bool | str = "auto",
        device: torch.device | str = "cpu",
        distributed: bool | str = False,
        debug: bool | str = False,
    ) -> None:
        report_errors(switch("debug", debug))
        check_command_line()
        self.seed = seed
        self.device = device
        self.distributed = distributed
        self.precision = Precision(amp, device)

    @property
    def config(self) -> dict[str, Any]:
        """The merged config of the command with its overrides, not resolved; empty outside of a bundle command."""
        return config_as_run()

    def start(self, resolved: MutableMapping[str, Any] | None = None) -> None:
        """Prepare the process.

        Paths of the command line are used as they were typed. The random generators of Python, numpy and torch are set,
        and freed memory is kept for the next buffer. With `distributed` the process joins those that torchrun started
        (NCCL where there are GPUs, gloo elsewhere), only the first one logs, and all take its precision: replicas of
        different precision would not train one network. Each has a seed of its own, so that random degradations and
        noise differ between the patches of different processes.

        Args:
            resolved: what MONAI has resolved of the config so far: `__local_refs`, which every expression of a config
                knows.

        Raises:
            UsageError: for a path without a value, a device that is not there, an unknown `amp`; for `distributed`
                without torchrun.
        """
        if resolved is not None:
            use_typed_paths(resolved)
        keep_freed_memory()
        if switch("distributed", self.distributed) and not dist.is_initialized():
            _join_processes()
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # an AssertionError where torch was built without CUDA
            reason = str(error).split("\n")[0]
            raise UsageError(
                f"device is {str(self.device)!r}, which cannot be used ({reason}); give cpu, or cuda if there is a GPU"
            ) from error
        names = [self.precision.name]
        if dist.is_initialized():
            dist.broadcast_object_list(names, src=0)
        self.precision.name = names[0]
        rank = dist.get_rank() if dist.is_initialized() else 0
        set_determinism(seed=None if self.seed is None else self.seed + rank)

    def finish(self) -> None:
        """End what `start` began."""
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def computation(self) -> dict[str, str | int]:
        """What the networks are computed in and by: precision, device, threads, backend; written beside results."""
        device = torch.device(self.device)
        if device.type == "cuda":
            processor = torch.cuda.get_device_name(device)
        else:
            processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        return {
            "precision": self.precision.name,
            "device": f"{device.type} ({processor})",
            "threads": torch.get_num_threads(),
            "backend": f"torch {torch.__version__}",
        }


def local_device() -> torch.device:
    """Return the device of this process: its own GPU where torchrun started several processes, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _join_processes() -> None:
    if "RANK" not in os.environ:
        raise UsageError(
            "the multi_gpu configs run under torchrun: torchrun --nproc_per_node=N -m monai.bundle run ..."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(local_device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if dist.get_rank() > 0:
        logging.disable(logging.WARNING)
