"""The five-bit test (section 5): how many of its stored bits a network keeps when its weights are
rounded to k bits each.

Every matrix of equations 1-20, every bias and every initial state has a grid of its own, since maps
differ in their scale: it is rounded to 2^k evenly spaced values, over the range from its least to
its greatest weight ("range"), or over the narrower range that gives its least squared error
("clipped"), where what lies outside becomes the nearest end. Nothing is trained again afterwards.
"""

import time

import numpy as np

from rnnkit.studies.progress import Progress
from rnnkit.studies.retrain import measured, network_of, theta_of
from rnnkit.studies.study import Study
from rnnkit.trials import StoreError, Trial, TrialStore

BITS = tuple(range(1, 17))
SHARES = np.linspace(0.3, 1.0, 36)  # of the range, tried for "clipped"
WAYS = ("range", "clipped")
NOTE = (  # beside the weights; "kept", in older files, is of one grid for all maps of a layer
    "kept_per_map"
)


def quantised(block: np.ndarray, bits: int, way: str = "range") -> np.ndarray:
    """The block with each weight at the nearest of 2^bits evenly spaced values. `way` is "range" or
    "clipped"; ValueError for another.
    """
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}, got {way!r}. Check the spelling.")
    block = np.asarray(block, np.float64)
    low, high = block.min(initial=np.inf), block.max(initial=-np.inf)
    if not high > low:
        return block  # all weights are one value
    middle, half = (low + high) / 2, (high - low) / 2

    def rounded(share):
        start, step = middle - share * half, 2 * share * half / (2**bits - 1)
        return start + step * np.clip(np.rint((block - start) / step), 0, 2**bits - 1)

    if way == "range":
        return rounded(1.0)
    return min((rounded(share) for share in SHARES), key=lambda near: ((near - block) ** 2).sum())


def rounded(parts: dict, n_units: int, bits: int, way: str = "range") -> dict[str, np.ndarray]:
    """The blocks of a network (`retrain.blocks_of`) with each map's matrices and bias, and each
    initial state, `quantised` by itself.

    A block of a layer stacks what its maps, or its states, have: as many times `n_units` rows as
    there are of them.
    """

    def stacked(name, block):
        kind = name.rstrip("0123456789")
        return (
            len(block) // n_units
            if kind in ("Wx", "Wh", "b")
            else block.size // n_units
            if kind == "h"
            else 1
        )

    return {
        name: (
            np.stack(
                [
                    quantised(one, bits, way)
                    for one in np.split(block.reshape(-1), stacked(name, block))
                ]
            ).reshape(block.shape)
            if block.size
            else block
        )
        for name, block in parts.items()
    }


def bits_kept(study, hparams: dict, parts: dict, device="cpu") -> dict[str, list[float]]:
    """Stored bits of a network of the capacity task with weights of 1, 2, ... 16 bits: a list for
    each way, and "whole", unrounded.
    """
    theta = theta_of(study, parts)
    rows = [theta]
    for way in WAYS:
        rows += [theta_of(study, rounded(parts, study.n_units, bits, way)) for bits in BITS]
    stored = [-found["eval_loss"] for found in measured(study, hparams, np.stack(rows), device)]
    return {
        "whole": stored[:1],
        **{way: stored[1 + i * len(BITS) :][: len(BITS)] for i, way in enumerate(WAYS)},
    }


def quantise(frame, store, device="cpu", progress=True):
    """A frame of trials of the capacity task with one column more, `kept`: for each study's best
    trial its `bits_kept`, else None.

    Weights come from the store (a TrialStore, or its path), or from training the trial again; what
    is found is noted beside them. StoreError, ValueError.
    """
    if not isinstance(store, TrialStore):
        with TrialStore(store, create=False) as opened:
            return quantise(frame, opened, device, progress)
    kept, best = [None] * len(frame), {}
    for place, row in enumerate(frame.itertuples(index=False)):
        if not row.infeasible and (
            row.study not in best or row.valid_loss < best[row.study][1].valid_loss
        ):
            best[row.study] = place, row
    shown, counted = Progress([], quiet=not progress), 0
    for done, (place, row) in enumerate(best.values(), 1):
        kept[place] = _noted(store, row)
        if kept[place] is None:
            study, trial = (
                Study.from_row(row),
                Trial(**{name: getattr(row, name) for name in Trial.__dataclass_fields__}),
            )
            kept[place] = bits_kept(
                study, trial.hparams, network_of(store, study, trial, device), device
            )
            store.shelf.note(row.study, row.hyper_iter, **{NOTE: kept[place]})
            counted += 1
            if time.monotonic() - shown.shown >= shown.pause:
                shown.shown = time.monotonic()
                shown.show(
                    f"rounding the weights of the best networks: {done} of {len(best)}", last=False
                )
    if counted:
        shown.say(f"rounded the weights of {counted} networks")
    return frame.assign(kept=kept)


def _noted(store, row):
    """`bits_kept` as noted beside the weights of this very trial; None if there is no such note."""
    try:
        about, _ = store.shelf.load(row.study)
    except StoreError:
        return None
    kept, lengths = about.get(NOTE), {"whole": 1, **dict.fromkeys(WAYS, len(BITS))}
    if (
        about["hyper_iter"] != row.hyper_iter
        or not isinstance(kept, dict)
        or kept.keys() != lengths.keys()
    ):
        return None
    for way, length in lengths.items():
        if (
            not isinstance(kept[way], list)
            or len(kept[way]) != length
            or not all(type(bits) is float for bits in kept[way])
        ):
            return None
    return (
        kept
        if kept["whole"][0] == -row.eval_loss and np.isfinite(sum(kept.values(), [])).all()
        else None
    )
