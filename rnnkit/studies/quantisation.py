"""The five-bit test (section 5): how many of its stored bits a network keeps when each of its weights
is rounded to k bits.

Every matrix of equations 1-20, every bias and every initial state has a grid of its own, since maps
differ in their scale. It is rounded to 2^k evenly spaced values, either over the range from its
least to its greatest weight ("range"), or over the narrower range that gives the least squared
error ("clipped"), where a weight outside the range becomes its nearest end. No training follows.
"""

import os
from typing import Any

import numpy as np
import pandas as pd

from rnnkit.names import resolve_name
from rnnkit.studies.progress import Progress
from rnnkit.studies.retrain import evaluate, theta_of, weights_of
from rnnkit.studies.study import Study
from rnnkit.trials import StoreError, Trial, TrialStore

BITS = tuple(range(1, 17))
SHARES = np.linspace(0.3, 1.0, 36)  # of the range; the candidates for "clipped"
METHODS = ("range", "clipped")
# in the account of the weights; older files have "kept", from one grid for all maps of a layer
NOTE = "kept_per_map"


def quantise_block(block: np.ndarray, bits: int, method: str = "range") -> np.ndarray:
    """The block with each weight moved to the nearest of 2^bits evenly spaced values. ValueError
    for a method that is neither "range" nor "clipped".
    """
    method = resolve_name("method", method, METHODS)
    block = np.asarray(block, np.float64)
    low = block.min(initial=np.inf)
    high = block.max(initial=-np.inf)
    if not high > low:
        return block  # empty, or all weights are equal
    centre = (low + high) / 2
    half = (high - low) / 2

    def over(share: float) -> np.ndarray:
        start = centre - share * half
        step = 2 * share * half / (2**bits - 1)
        return start + step * np.clip(np.rint((block - start) / step), 0, 2**bits - 1)

    if method == "range":
        return over(1.0)
    return min(map(over, SHARES), key=lambda candidate: ((candidate - block) ** 2).sum())


def quantise_network(
    network: dict, n_units: int, bits: int, method: str = "range"
) -> dict[str, np.ndarray]:
    """The blocks of a network (`retrain.blocks_of`) with the matrices and biases of each map, and
    each initial state, quantised by themselves.
    """

    def quantise_parts(name: str, block: np.ndarray) -> np.ndarray:
        if not block.size:
            return block
        parts = np.split(block.reshape(-1), _count_parts(name, block, n_units))
        return np.reshape([quantise_block(part, bits, method) for part in parts], block.shape)

    return {name: quantise_parts(name, block) for name, block in network.items()}


def _count_parts(name: str, block: np.ndarray, n_units: int) -> int:
    """How many maps or states a block stacks, each of which has `n_units` rows."""
    kind = name.rstrip("0123456789")
    if kind in ("Wx", "Wh", "b"):
        return len(block) // n_units
    return block.size // n_units if kind == "h" else 1


def bits_kept(
    study: Study, hparams: dict, network: dict, device: str = "cpu"
) -> dict[str, list[float]]:
    """Stored bits of a network of the capacity task with weights of 1, 2, ..., 16 bits: one list per
    method, and a list of one number, "whole", for the network as it is.
    """
    networks = [network]
    for method in METHODS:
        networks += [quantise_network(network, study.n_units, bits, method) for bits in BITS]
    thetas = np.stack([theta_of(study, candidate) for candidate in networks])
    full_bits, *rounded_bits = (
        -loss["eval_loss"] for loss in evaluate(study, hparams, thetas, device)
    )
    n = len(BITS)
    return {
        "whole": [full_bits],
        **{method: rounded_bits[i * n :][:n] for i, method in enumerate(METHODS)},
    }


def quantise(
    frame: pd.DataFrame,
    store: str | os.PathLike | TrialStore,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """A frame of trials of the capacity task with the additional column `kept`: the `bits_kept` of
    each study's best trial, and None for all others.

    The weights come from the store (a TrialStore, or its path), or from training the trial again.
    The results are saved beside the weights. StoreError, ValueError.
    """
    if not isinstance(store, TrialStore):
        with TrialStore(store, create=False) as trial_store:
            return quantise(frame, trial_store, device, progress)
    status = Progress([], quiet=not progress)
    feasible = frame.reset_index(drop=True)[lambda trials: ~trials.infeasible]
    best = feasible.loc[feasible.groupby("study", sort=False).valid_loss.idxmin()]
    results: list[dict | None] = [None] * len(frame)
    count = 0
    for number, row in enumerate(best.itertuples(), 1):
        bits = _read_note(store, row)
        if bits is None:
            study = Study.from_row(row)
            trial = Trial(**{name: getattr(row, name) for name in Trial.__dataclass_fields__})
            network = weights_of(store, study, trial, device)
            bits = bits_kept(study, trial.hparams, network, device)
            store.shelf.note(row.study, row.hyper_iter, **{NOTE: bits})
            count += 1
            status.tick(
                lambda: f"rounding the weights of the best networks: {number} of {len(best)}"
            )
        results[row.Index] = bits
    if count:
        status.say(f"rounded the weights of {count} networks")
    return frame.assign(kept=results)


def _read_note(store: TrialStore, row: Any) -> dict[str, list[float]] | None:
    """The `bits_kept` saved beside the weights of this very trial; None if there are none."""
    try:
        account, _ = store.shelf.load(row.study)
    except StoreError:
        return None
    bits = account.get(NOTE)
    lengths = {"whole": 1, **dict.fromkeys(METHODS, len(BITS))}
    if account["hyper_iter"] != row.hyper_iter or not isinstance(bits, dict):
        return None
    valid = bits.keys() == lengths.keys() and all(
        isinstance(bits[name], list)
        and len(bits[name]) == length
        and all(type(number) is float for number in bits[name])
        for name, length in lengths.items()
    )
    if not valid or not np.isfinite(sum(bits.values(), [])).all():
        return None
    return bits if bits["whole"][0] == -row.eval_loss else None
