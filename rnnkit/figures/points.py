"""What is plotted, as tables: the CSV beside a figure is what the figure draws."""

from contextlib import contextmanager

import pandas as pd

from rnnkit import analysis
from rnnkit.analysis import compression, search
from rnnkit.analysis.loss import best_losses
from rnnkit.analysis.rows import NETWORK
from rnnkit.analysis.throughput import memory_errors, step_costs

BEST = [
    "architecture", "n_layers", "n_units", "n_in", "max_params", "num_params", "unroll", "bits", "bits_low", "bits_per_param", "bits_per_param_low",
    "samples", "trials", "infeasible", "steps", "hyper_iter",
]  # fmt: skip

FOUND = ["num_params", "loss", "loss_high", "trials", "infeasible", "steps", "hyper_iter"]


def points(name: str, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that figure `name` draws, by file name; parameters and steps are counts, `bits` is
    equation 22.
    """
    if _computed is None:
        return TABLES[name](analysis.rows_of(name, frame))
    key = name, id(frame)
    if key not in _computed:
        # the frame is held, so that no other gets its id
        _computed[key] = (frame, TABLES[name](analysis.rows_of(name, frame)))
    return {stem: table.copy() for stem, table in _computed[key][1].items()}


_computed = None  # (figure, id of a frame) -> the frame and its tables, while they are remembered


@contextmanager
def remembered():
    """Computes each table once in here, however often it is asked for: its figure, its caption and
    its CSV take the same one.

    The frames that are drawn in here must not be changed meanwhile.
    """
    global _computed
    before, _computed = _computed, {} if _computed is None else _computed
    try:
        yield
    finally:
        _computed = before


def _fig1(rows):
    best = analysis.stored_bits(rows)
    return {"fig1": best[BEST], "fig1i": analysis.multipliers(best)}


def _fig2a(rows):
    """`nonlinearity` is "any" for the best of the studies that were free to choose, "relu" for the
    best with ReLU of all studies.
    """
    relu = rows[[hparams.get("nonlinearity") == "relu" for hparams in rows.hparams]]
    pinned = rows.study.str.contains("nonlinearity=", regex=False)
    free = rows[~pinned] if (~pinned).any() else rows
    parts = [
        analysis.stored_bits(part)[BEST].assign(nonlinearity=which)
        for which, part in (("any", free), ("relu", relu))
        if len(part)
    ]
    return {"fig2a": pd.concat(parts, ignore_index=True)}


def _best(name):
    return lambda rows: {name: analysis.stored_bits(rows)[BEST]}


def _calibration(rows):
    trials = analysis.per_trial(rows).dropna(subset="bits")
    trials = trials.assign(samples_per_param=trials.samples / trials.num_params)
    columns = [
        "architecture",
        "max_params",
        "num_params",
        "hyper_iter",
        "samples",
        "samples_per_param",
        "bits",
        "bits_per_param",
        "steps",
    ]
    return {"calibration": trials[columns].reset_index(drop=True)}


def _best_so_far(rows):
    columns = [
        "study",
        "architecture",
        "n_layers",
        "max_params",
        "num_params",
        "trial",
        "bits_per_param",
        "best",
    ]
    return {"best_so_far": analysis.best_so_far(rows)[columns].reset_index(drop=True)}


def _fig4(rows):
    columns = [
        "task_type",
        "architecture",
        "n_layers",
        "study",
        "trial",
        "loss",
        "median",
        "median_low",
        "median_high",
        "minimum",
        "minimum_high",
        "chance",
    ]
    return {
        "fig4": analysis.running_curves(rows)[columns],
        "fig4_networks": analysis.by_network(rows),
    }


def _fig5(rows):
    columns = ["architecture", "n_layers", "num_params", "hyper_iter", "loss", "chance", "solved"]
    trials = analysis.hard_trials(rows).sort_values(["n_layers", "study", "hyper_iter"])
    return {
        "fig5": trials[columns].reset_index(drop=True),
        "fig5_networks": analysis.by_network(rows),
    }


TABLES = {
    "fig1": _fig1,
    "fig2a": _fig2a,
    "fig2b": _best("fig2b"),
    "figapp1": _best("figapp1"),
    "calibration": _calibration,
    "inputs": lambda rows: {"inputs": analysis.by_inputs(rows)},
    "best_so_far": _best_so_far,
    "tuner": lambda rows: {
        "tuner": search.search_curves(rows),
        "tuner_typical": search.typical_trials(rows),
    },
    "importance": lambda rows: {"importance": search.importance(rows)},
    "lost": lambda rows: {"lost": search.lost(rows)},
    "fig2c": lambda rows: {"fig2c": memory_errors(rows)[[*NETWORK, "bound", "excess", *FOUND]]},
    "g01": lambda rows: {"g01": step_costs(rows)},
    "fig3": lambda rows: {"fig3": best_losses(rows)[[*NETWORK, *FOUND]]},
    "fig4": _fig4,
    "fig5": _fig5,
    "table1": lambda rows: {"table1": analysis.infeasible_table(rows)},
    "tableapp1": lambda rows: {"tableapp1": analysis.rerun_table(rows)},
    "tableapp2": lambda rows: {"tableapp2": analysis.welch_table(rows)},
    "quantised": lambda rows: {
        "quantised": compression.kept_bits(rows),
        "quantised_needed": compression.needed_bits(rows),
    },
    "more_cells": _best("more_cells"),
    "later_numbers": lambda rows: {"later_numbers": compression.beside_later_work(rows)},
}
