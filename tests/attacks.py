"""Attack the commands with what broke them before, and count what each family of attacks ends in.

    python tests/attacks.py --rng 1
    python tests/attacks.py --family acquisitions --limit 20 --keep failed

Each attack makes its files and reads them, or runs a command with them, in a process of its own with a limit of time
and memory. It has to end with a right result, or be refused in words that name a file, with nothing half-written.
Anything else has failed: another exception, a traceback, a wrong result, a process that hangs, dies or takes more
memory. The attacks themselves are in `attack_families`.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes are forked, and threads are not

import numpy as np
import torch
from attack_families import FAMILIES
from attack_families.attack import Attack, say_into

from custom.errors import InputError

__all__ = ["outcome"]

_RESULTS = ("result", "refused", "failed")
# All attacks with their families, for the processes that are forked.
_attacks: list[tuple[str, Attack]] = []


def outcome(attack: Attack, folder: Path) -> tuple[str, str]:
    """Run an attack in a process of its own.

    Args:
        attack: what to do.
        folder: empty; what the attack leaves behind stays there.

    Returns:
        "result", "refused" or "failed", and the words of the refusal or the reason of the failure.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        os.setsid()  # so that its own children can be ended with it
        ended = _attacked(attack, folder)
        with os.fdopen(sender, "w") as pipe:
            json.dump(ended, pipe)
        os._exit(0)
    os.close(sender)
    end = time.monotonic() + attack.seconds
    status: int | None = None
    while status is None and time.monotonic() < end:
        found, status_now = os.waitpid(child, os.WNOHANG)
        status = status_now if found else None
        time.sleep(0.002)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(receiver) as pipe:
        said = pipe.read()
    if status is None:
        return "failed", f"hangs: not ended after {attack.seconds:g} s"
    if status != 0 or not said:
        return "failed", f"the process ended with {os.waitstatus_to_exitcode(status)}"
    ended, words = json.loads(said)
    if ended != "failed" and attack.must not in ("", ended):
        return "failed", f"has to end in {attack.must!r}, ended in {ended!r} {words}"
    left = sorted(path.name for path in _left_behind(folder / "out")) if ended != "failed" else []
    return ("failed", f"{ended}, but left {', '.join(left)} behind; {words}") if left else (ended, words)


def _numbered(number_and_keep: tuple[int, Path | None]) -> tuple[str, str, float]:
    """Run the attack of a number, as processes cannot be handed functions; return its outcome and its seconds."""
    number, keep = number_and_keep
    family, attack = _attacks[number]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        ended, words = outcome(attack, Path(folder))
        if ended == "failed" and keep:
            kept = keep / family / f"{number:04d}"
            shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True, ignore=_special_files)
    return ended, words, time.monotonic() - start


def _attacked(attack: Attack, folder: Path) -> tuple[str, str]:
    """Run an attack in this process, limited."""
    say_into(folder / "log")
    with open("/proc/self/statm") as status:  # noqa: PTH123
        used = int(status.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + attack.memory,) * 2)
    try:
        attack.steps(folder, *attack.arguments)
    except InputError as err:
        return "refused", str(err)
    except BaseException as err:
        return "failed", "".join(traceback.format_exception(err)[-12:])
    return "result", ""


def _left_behind(out: Path) -> Iterator[Path]:
    """Yield what must not be left in the folder of results: half a file, or a name for one."""
    for path in out.rglob("*") if out.is_dir() else ():
        # The file of a lock stays there.
        if (path.name.startswith(".") and path.name != ".lock") or (path.is_file() and path.stat().st_size == 0):
            yield path


def main() -> int:
    """Attack, print, and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, help="only these attacks")
    parser.add_argument("--limit", type=int, help="attacks of each family at most")
    parser.add_argument("--rng", type=int, default=0, help="start of the random numbers")
    parser.add_argument("--processes", type=int, default=2, help="attacks at a time")
    parser.add_argument("--keep", type=Path, help="folder for the files of the attacks that failed")
    parser.add_argument("--verbose", action="store_true", help="print how each attack ended, and its seconds")
    options = parser.parse_args()
    for name in ("monai.bundle", "custom.engines", "custom.handlers"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.StreamHandler())
    gc.freeze()  # else each process visits, and so copies, all that is there
    families = [options.family] if options.family else list(FAMILIES)
    for family in families:
        attacks = FAMILIES[family](np.random.default_rng([options.rng, *family.encode()]))
        _attacks.extend((family, attack) for attack in islice(attacks, options.limit))
    totals: dict[str, Counter[str]] = {family: Counter() for family in families}
    numbers = [(number, options.keep) for number in range(len(_attacks))]
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for (family, attack), (ended, words, seconds) in zip(_attacks, pool.imap(_numbered, numbers), strict=True):
            totals[family][ended] += 1
            if ended == "failed" or options.verbose:
                print(f"--- {family}, {attack.name}: {ended} ({seconds:.1f} s): {words}", flush=True)
    totals["all"] = sum(totals.values(), Counter())
    print(f"{'':16}{'tried':>8}", *(f"{key:>8}" for key in _RESULTS))
    for family, counts in totals.items():
        print(f"{family:16}{sum(counts.values()):8}", *(f"{counts[key]:8}" for key in _RESULTS))
    return int(bool(totals["all"]["failed"]))


def _special_files(folder: str, names: list[str]) -> list[str]:
    """Name what cannot be copied."""
    places = [Path(folder) / name for name in names]
    return [place.name for place in places if not place.is_symlink() and not place.is_file() and not place.is_dir()]


if __name__ == "__main__":
    sys.exit(main())
