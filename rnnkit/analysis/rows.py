"""Which trials of any mix a figure is made of, and what stands behind them (`budget`)."""

from dataclasses import dataclass

import pandas as pd

from rnnkit import paper
from rnnkit.trials.key import pinned_in

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
LONGER = "long"  # the tuner of trainings that start from the best trials of such a search


def capacity(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task with the usual number of inputs and five time steps, where there
    are such, and no pinned hyper-parameters.
    """
    return five_steps(usual(unpinned(of_capacity(frame))))


def one_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with one layer, and with the nonlinearity pinned or not (Figure 2a)."""
    rows = of_capacity(frame)
    return five_steps(usual(rows[rows.n_layers == 1]))


def unrolled(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with one layer, of the one size that was unrolled for most different lengths (Figure
    2b).
    """
    rows = unpinned(of_capacity(frame))
    rows = usual(rows[rows.n_layers == 1])
    if not len(rows):
        return rows
    unrolls = rows.groupby("max_params").unroll.nunique()
    return rows[rows.max_params == unrolls[unrolls == unrolls.max()].index.max()]


def any_inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with any number of inputs."""
    return five_steps(unpinned(of_capacity(frame)))


def linear(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the linear model, which has neither layers nor time, on the capacity task."""
    return unpinned(frame[(frame.task_type == "per_cap") & (frame.n_layers == 0)])


def of_capacity(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame.task_type == "per_cap") & (frame.n_layers != 0)]


def unpinned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~is_pinned(rows)]


def usual(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.n_in == usual_inputs(rows)] if "n_in" in rows and len(rows) else rows


def five_steps(rows: pd.DataFrame) -> pd.DataFrame:
    five = rows.unroll == paper.UNROLL
    return rows[five] if five.any() else rows


def usual_inputs(rows: pd.DataFrame) -> pd.Series:
    """For each trial the number of inputs that most studies of its size have: other numbers are
    compared in a figure of their own.
    """
    counts = rows.groupby(["max_params", "n_in"]).study.nunique()
    most = {size: group.idxmax()[1] for size, group in counts.groupby(level=0)}
    return rows.max_params.map(most)


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task after their weights were rounded, that is with the column `kept`;
    none if that was not done.
    """
    rows = capacity(frame)
    return rows if "kept" in rows and rows.kept.notna().any() else rows.iloc[:0]


def searched(*task_types: str):
    """Selects the trials of these tasks that a tuner chose with the Gaussian process, each task in
    the largest form that was trained.
    """
    return _chosen_by(GP, task_types)


def searched_at_length(*task_types: str):
    """The same with the longer trainings that start from the best of them."""
    return _chosen_by((*GP, LONGER), task_types)


def _chosen_by(tuners, task_types):
    return lambda frame: largest_form(
        frame[frame.task_type.isin(task_types) & frame.tuner.isin(tuners) & ~is_pinned(frame)]
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


def searches(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the searches on the hard tasks (Figure 4), each task in one form and size."""
    return one_size(searched(*HARD)(frame))


def random_sets(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of random sets on the parentheses task (Figure 5, Tables 1 and App.2): the shallowest
    and the deepest networks.
    """
    rows = one_size(
        largest_form(frame[(frame.task_type == "parens_counting") & (frame.tuner == "random")])
    )
    return rows[rows.n_layers.isin({rows.n_layers.min(), rows.n_layers.max()})]


def reruns(frame: pd.DataFrame) -> pd.DataFrame:
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


def is_pinned(frame: pd.DataFrame, name: str = "nonlinearity") -> pd.Series:
    """Whether a trial is of a study that holds a hyper-parameter fixed; the study's key says so."""
    holds = {key: name in pinned_in(key) for key in frame.study.unique()}
    return frame.study.map(holds).astype(bool)


def twins(frame: pd.DataFrame) -> pd.DataFrame:
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
