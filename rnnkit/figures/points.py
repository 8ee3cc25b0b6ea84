"""What is plotted, as tables: the CSV beside a figure is what the figure draws."""

import pandas as pd

from rnnkit import analysis

BEST = [
    "architecture", "n_layers", "max_params", "num_params", "unroll", "bits", "bits_low", "bits_per_param", "bits_per_param_low",
    "samples", "trials", "infeasible", "steps", "hyper_iter",
]  # fmt: skip


def points(name: str, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that figure `name` draws, by file name; parameters and steps are counts, `bits` is equation 22."""
    rows = analysis.rows_of(name, frame)
    return TABLES[name](rows)


def _fig1(rows):
    best = analysis.stored_bits(rows)
    return {"fig1": best[BEST], "fig1i": analysis.multipliers(best)}


def _fig2a(rows):
    """`nonlinearity` is "any" for the best of the studies that were free to choose, "relu" for the best with ReLU of all studies."""
    relu = rows[[hparams.get("nonlinearity") == "relu" for hparams in rows.hparams]]
    pinned = rows.study.str.contains("nonlinearity=", regex=False)
    free = rows[~pinned] if (~pinned).any() else rows
    parts = [analysis.stored_bits(part)[BEST].assign(nonlinearity=which) for which, part in (("any", free), ("relu", relu)) if len(part)]
    return {"fig2a": pd.concat(parts, ignore_index=True)}


def _best(name):
    return lambda rows: {name: analysis.stored_bits(rows)[BEST]}


def _calibration(rows):
    trials = analysis.per_trial(rows).dropna(subset="bits")
    trials = trials.assign(samples_per_param=trials.samples / trials.num_params)
    columns = ["architecture", "max_params", "num_params", "hyper_iter", "samples", "samples_per_param", "bits", "bits_per_param", "steps"]
    return {"calibration": trials[columns].reset_index(drop=True)}


def _best_so_far(rows):
    columns = ["study", "architecture", "n_layers", "max_params", "num_params", "trial", "bits_per_param", "best"]
    return {"best_so_far": analysis.best_so_far(rows)[columns].reset_index(drop=True)}


TABLES = {
    "fig1": _fig1,
    "fig2a": _fig2a,
    "fig2b": _best("fig2b"),
    "figapp1": _best("figapp1"),
    "calibration": _calibration,
    "best_so_far": _best_so_far,
}
