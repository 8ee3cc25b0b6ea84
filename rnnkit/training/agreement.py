"""Whether the fused step of a GPU computes on the card at hand what the plain step computes on the
processor.
"""

from pathlib import Path

from rnnkit.native import Study, Unavailable, cuda
from rnnkit.native.libraries import load_or_build
from rnnkit.training.data import Data
from rnnkit.training.eager import Eager
from rnnkit.training.fused import Fused
from rnnkit.training.slots import slots_of

# a relative difference between gradients that is always allowed; rounding makes some 1e-6
MOST = 1e-3


def check_agreement(module: cuda.Module, study: Study, data: Data, hparams: dict) -> None:
    """Raises Unavailable unless the first gradient of a study by its kernel is that of the plain
    step. A kernel that agrees is not checked again on this kind of card.

    `data` are the study's, on the kernel's device, for trials among which is one with `hparams`.
    """

    def report() -> bytes:
        gap = difference(module, study, data, hparams)
        if gap > MOST:
            raise Unavailable(
                f"the relative difference of the GPU's first gradient from the plain step's must be"
                f" at most {MOST}, got {gap:.2g}"
            )
        return f"{gap:.1e}".encode()

    kernel = module.kernel
    texts = [*kernel.sources, module.card]
    load_or_build(f"{kernel.architecture}-agrees", texts, ".txt", report, Path.read_bytes)


def difference(module: cuda.Module, study: Study, data: Data, hparams: dict) -> float:
    """The relative difference between the first gradients of a kernel and of the plain step, at a
    usual point of the study's space; 0 where the latter is not finite.
    """
    # after one step of SGD, m is the gradient
    point = study.space.usual_point() | {"optimizer": "SGD"}
    if data.is_stored:
        point["samples_per_param"] = hparams["samples_per_param"]
    fused = Fused(study, data, str(data.device), module)
    ours = slots_of(study, [(0, point)], device=fused.device)
    fused.start_training(module.current(), ours, 1)
    module.settle()
    plain = Eager(study, Data(study, [point]))
    theirs = slots_of(study, [(0, point)])
    plain.take(theirs, 1)
    if theirs.dead.any():
        return 0.0
    gap = (ours.m.cpu() - theirs.m).norm() / theirs.m.norm()
    return float(gap.nan_to_num(float("inf")))
