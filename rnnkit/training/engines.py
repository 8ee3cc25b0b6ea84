"""The choice of an engine for a study and a device (`engine_for`), and what engines measure of the
trials that are over.
"""

import re
from collections.abc import Callable

import torch

from rnnkit import native
from rnnkit.names import resolve_name
from rnnkit.native import Study
from rnnkit.training.compiled import Compiled
from rnnkit.training.data import Data
from rnnkit.training.eager import Eager
from rnnkit.training.engine import Engine, warn_once
from rnnkit.training.fused import Fused
from rnnkit.training.slots import Slots

__all__ = [
    "ENGINES",
    "Compiled",
    "Data",
    "Eager",
    "Engine",
    "Fused",
    "check_device",
    "engine_for",
    "measure",
    "warn_plain_step",
]


def check_device(device: str, else_do: str = "Use device cpu.") -> str:
    """`device`, if this machine has it. Raises ValueError for one that is neither cpu nor cuda nor
    cuda:NUMBER, or that is not here; the error then says what else to do.
    """
    if device == "cpu":
        return device
    if not (isinstance(device, str) and re.fullmatch("cuda(:[0-9]+)?", device)):
        raise ValueError(f"device must be cpu or cuda, got {device!r}.")
    if not torch.cuda.is_available():
        raise ValueError(
            f"device {device} needs a GPU that torch can see, and it sees none. {else_do}"
        )
    last = torch.cuda.device_count() - 1
    if int(device.partition(":")[2] or 0) > last:
        raise ValueError(
            f"device {device} must be a GPU of this machine, and the last that torch sees is"
            f" cuda:{last}. Use a lower number."
        )
    return device


def warn_plain_step(study: Study, reason: object, device: str = "cpu") -> None:
    """Warns, once per process and reason, that a study trains with the plain step."""
    how = " in a CUDA graph" if str(device).startswith("cuda") else ""
    warn_once(
        f"{study.architecture} trains with the plain torch step{how}, several times slower:"
        f" {reason}.",
        reason,
    )


def _compiled(study: Study, data: Data, device: str, dtype: torch.dtype) -> Engine:
    """The compiled engine of this processor, or that of a GPU."""
    if device == "cpu":
        return Compiled(study, data, dtype)
    if dtype != torch.float32:
        raise native.Unavailable("the step for a GPU takes 32-bit numbers")
    return Fused(study, data, device)


def _eager(study: Study, data: Data, device: str, dtype: torch.dtype) -> Engine:
    return Eager(study, data, dtype, device)


# each raises Unavailable, with the reason, for a study or a device that it cannot take
ENGINES: dict[str, Callable[[Study, Data, str, torch.dtype], Engine]] = {
    "compiled": _compiled,
    "eager": _eager,
}


def engine_for(
    study: Study,
    data: Data,
    device: str = "cpu",
    engine: str = "auto",
    dtype: torch.dtype = torch.float32,
) -> Engine:
    """The engine of a study on a device: one of ENGINES, or "auto", which is compiled where that is
    possible and plain elsewhere. Raises Unavailable where the requested engine is not possible.
    """
    engine = resolve_name("engine", engine, ("auto", *ENGINES))
    if engine != "auto":
        return ENGINES[engine](study, data, device, dtype)
    try:
        return _compiled(study, data, device, dtype)
    except native.Unavailable as reason:
        warn_plain_step(study, reason, device)
    return _eager(study, data, device, dtype)


def measure(engine: Engine, s: Slots, indices: list[int]) -> list[dict[str, float]]:
    """Evaluates the trials in some slots; `Data.losses` of each, in their order."""
    if not indices:
        return []
    splits = dict.fromkeys(engine.data.splits.values())
    sums = {split: engine.evaluate(s, indices, split) for split in splits}
    return [
        engine.data.losses(
            int(s.column("samples")[i]),
            {split: (float(loss[k]), float(correct[k])) for split, (loss, correct) in sums.items()},
        )
        for k, i in enumerate(indices)
    ]
