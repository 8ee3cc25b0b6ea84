"""Which trials a figure is made of, out of any mix of trials (`rows_of`), and what stands behind
them (`budget`).
"""

from dataclasses import dataclass

import pandas as pd

from rnnkit import paper
from rnnkit.names import known

# columns that an older frame may lack, and what they then hold
from rnnkit.trials.trial import LATER

COLUMNS = (
    "study",
    "architecture",
    "task_type",
    "hparams",
    "n_layers",
    "hyper_iter",
    "max_params",
    "num_params",
    "train_loss",
    "valid_loss",
    "eval_loss",
    "infeasible",
    "steps",
    "seconds",
    "seed",
    "scale",
    "unroll",
)
# what a network of Figures 2c and 3 is known by; a best is taken over its seeds and tuners
NETWORK = [
    "task_type",
    "form",
    "n_in",
    "unroll",
    "n_layers",
    "n_units",
    "max_params",
    "architecture",
]
# what a search is for: a network whose units follow from its parameters
SEARCH = [name for name in NETWORK if name != "n_units"]
FORMS = ("paper", "small", "tiny")  # of a task, largest first
HARD = ("parens_counting", "arithmetic")  # section 4
# searches with the Gaussian process: from the ranges alone, and from usual values
GP = ("gp", "gp-usual")


def rows_of(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that figure `name` is made of, out of any frame of trials. ValueError for an
    unknown figure or a frame without them.
    """
    name = known("figure", name, paper.FIGURES)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(
            "A frame of trials must have the columns of the store, got one without"
            f" {', '.join(missing)}. Take it from run()."
        )
    select, what = ROWS[name]
    rows = select(
        name,
        frame.assign(
            **{column: value for column, value in LATER.items() if column not in frame.columns}
        ),
    )
    if rows.empty:
        raise ValueError(
            f"{name} needs trials of the {what}, got {len(frame)} trials and none for it. Run"
            f" {name!r} first."
        )
    return rows


def capacity(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task: five time steps, no pinned hyper-parameters, except where the
    figure is about these.
    """
    rows = frame[
        (frame.task_type == "per_cap") & ((frame.n_layers == 0) == (name == "calibration"))
    ]
    if name in ("fig2a", "fig2b"):
        rows = rows[rows.n_layers == 1]
    if name != "fig2a":
        rows = rows[~is_pinned(rows)]
    if name not in ("inputs", "calibration") and "n_in" in rows and len(rows):
        rows = rows[rows.n_in == usual_inputs(rows)]
    if name == "fig2b" and len(rows):  # the one size that was unrolled for most different lengths
        unrolls = rows.groupby("max_params").unroll.nunique()
        return rows[rows.max_params == unrolls[unrolls == unrolls.max()].index.max()]
    if name != "calibration" and (rows.unroll == paper.UNROLL).any():
        return rows[rows.unroll == paper.UNROLL]
    return rows


def usual_inputs(rows: pd.DataFrame) -> pd.Series:
    """For each trial the number of inputs that most studies of its size have: other numbers are
    compared in a figure of their own.
    """
    counts = rows.groupby(["max_params", "n_in"]).study.nunique()
    most = {size: group.idxmax()[1] for size, group in counts.groupby(level=0)}
    return rows.max_params.map(most)


def rounded(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task after their weights were rounded, that is with the column `kept`;
    none if that was not done.
    """
    rows = capacity(name, frame)
    return rows if "kept" in rows and rows.kept.notna().any() else rows.iloc[:0]


def searched(*task_types: str):
    """Selects the trials of these tasks that a tuner chose with the Gaussian process, each task in
    the largest form that was trained.
    """
    return lambda name, frame: largest_form(
        frame[frame.task_type.isin(task_types) & frame.tuner.isin(GP) & ~is_pinned(frame)]
    )


def largest_form(rows: pd.DataFrame) -> pd.DataFrame:
    """One form of each task: the paper's before the small and the tiny one, and of equal ones the
    real text before the sample.
    """

    def place(form):
        size = form.split(" ")[0]
        return (FORMS.index(size) if size in FORMS else len(FORMS), "sample" in form, form)

    best = {
        task: min(rows.form[rows.task_type == task], key=place) for task in rows.task_type.unique()
    }
    return rows[rows.form == rows.task_type.map(best)]


def searches(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the searches on the hard tasks (Figure 4), each task in one form and size."""
    return one_size(searched(*HARD)(name, frame))


def random_sets(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of random sets on the parentheses task (Figure 5, Tables 1 and App.2): the shallowest
    and the deepest networks.
    """
    rows = one_size(
        largest_form(frame[(frame.task_type == "parens_counting") & (frame.tuner == "random")])
    )
    return rows[rows.n_layers.isin({rows.n_layers.min(), rows.n_layers.max()})]


def reruns(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Reruns of the best sets of one layer on the parentheses task, with the searches that these
    come from (Table App.1).
    """
    rows = frame[(frame.task_type == "parens_counting") & (frame.n_layers == 1) & ~is_pinned(frame)]
    again = one_size(largest_form(rows[rows.tuner == "rerun"]))
    first = rows[
        rows.tuner.isin(GP) & rows.form.isin(again.form) & rows.max_params.isin(again.max_params)
    ]
    return (
        pd.concat([again, first[first.architecture.isin(again.architecture)]])
        if len(again)
        else again
    )


def one_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each task the size that was trained at most depths, and of equal ones the largest."""
    depths = rows.groupby(["task_type", "max_params"]).n_layers.nunique()
    best = {
        task: max(group.items(), key=lambda item: (item[1], item[0][1]))[0][1]
        for task, group in depths.groupby(level=0)
    }
    return rows[rows.max_params == rows.task_type.map(best)] if best else rows


def is_pinned(frame: pd.DataFrame) -> pd.Series:
    """Whether a trial is of a study that holds the nonlinearity fixed; the study's key says so."""
    return frame.study.str.contains("nonlinearity=", regex=False)


def twins(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Capacity trials of studies that both the Gaussian process and random search were given; their
    keys differ in the tuner alone.
    """
    rows = frame[(frame.task_type == "per_cap") & frame.tuner.isin(["gp", "random"])]
    study = pd.Series(
        [key.replace(f"/{tuner}/seed=", "/*/seed=") for key, tuner in zip(rows.study, rows.tuner)],
        rows.index,
        dtype=object,
    )
    return rows[rows.tuner.groupby(study).transform("nunique") == 2]


ROWS = {  # figure -> what selects its trials, and what it calls them if there are none
    "fig1": (capacity, "capacity task"),
    "fig2a": (capacity, "capacity task"),
    "fig2b": (capacity, "capacity task"),
    "figapp1": (capacity, "capacity task"),
    "calibration": (capacity, "capacity task"),
    "inputs": (capacity, "capacity task"),
    "best_so_far": (capacity, "capacity task"),
    "tuner": (twins, "capacity task under both tuners"),
    "importance": (capacity, "capacity task"),
    "lost": (random_sets, "parentheses task with random sets"),
    "fig2c": (searched("mem_thru"), "memory task"),
    "g01": (searched("mem_thru"), "memory task"),
    "fig3": (searched("text8", "rcf"), "text or the random function task"),
    "fig4": (searches, "parentheses or the arithmetic task"),
    "fig5": (random_sets, "parentheses task with random sets"),
    "table1": (random_sets, "parentheses task with random sets"),
    "tableapp1": (reruns, "parentheses task with rerun sets"),
    "tableapp2": (random_sets, "parentheses task with random sets"),
    "quantised": (rounded, "capacity task whose weights were rounded (studies.quantise)"),
    "later_numbers": (capacity, "capacity task"),
    "more_cells": (capacity, "capacity task"),
}


@dataclass(frozen=True)
class Budget:
    """What stands behind a number. `least` and `most` are trials a study, `steps` the range over
    feasible trials, `seconds` their sum.

    `tasks` are pairs of task and form; `units` are units a layer, as far as they are known.
    """

    studies: int
    trials: int
    infeasible: int
    least: int
    most: int
    steps: tuple[int, int]
    seconds: float
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    unrolls: tuple[int, ...]
    seeds: tuple[int, ...]
    scales: tuple[str, ...]
    units: tuple[int, ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()

    def __str__(self):
        each = f"{self.least:,}" if self.least == self.most else f"{self.least:,}-{self.most:,}"
        steps = (
            f"{self.steps[0]:,}"
            if self.steps[0] == self.steps[1]
            else f"{self.steps[0]:,}-{self.steps[1]:,}"
        )
        studies = f"{self.studies} {'study' if self.studies == 1 else 'studies'}"
        return (
            f"{studies} of {each} {'trial' if self.most == 1 else 'trials'}, {steps} training steps"
            " each"
        )


def budget(frame: pd.DataFrame) -> Budget:
    """The budget behind a frame of trials of any task."""
    bad, sizes = frame.infeasible.astype(bool), frame.groupby("study").size()
    steps = frame.steps[~bad] if (~bad).any() else frame.steps
    values = {
        name: tuple(sorted(frame[name].dropna().unique().tolist()))
        for name in ("max_params", "n_layers", "unroll", "seed", "scale")
    }
    units = (
        tuple(sorted(set(frame.n_units[frame.n_units > 0].tolist()))) if "n_units" in frame else ()
    )
    forms = frame.form if "form" in frame else [""] * len(frame)
    return Budget(
        len(sizes),
        len(frame),
        int(bad.sum()),
        int(sizes.min()),
        int(sizes.max()),
        (int(steps.min()), int(steps.max())),
        float(frame.seconds.sum()),
        values["max_params"],
        values["n_layers"],
        values["unroll"],
        values["seed"],
        values["scale"],
        units,
        tuple(
            sorted(
                set(zip(frame.task_type, forms)),
                key=lambda task: ([*paper.TASKS, task[0]].index(task[0]), task[1]),
            )
        ),
    )
