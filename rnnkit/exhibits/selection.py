"""Which trials of any frame an exhibit is made of."""

from collections.abc import Callable

import pandas as pd

from rnnkit import paper
from rnnkit.trials.key import parse

# what tells a network of Figures 2c and 3 from others; its best trial is that of all seeds and tuners
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
# what tells a search from others: the units of its network follow from the parameters
SEARCH = [name for name in NETWORK if name != "n_units"]
FORMS = ("paper", "small", "tiny")  # of a task, largest first
HARD = ("parens_counting", "arithmetic")  # section 4
# searches with the Gaussian process: from the ranges alone, and from usual values
GP = ("gp", "gp-usual")
LONGER = "long"  # the tuner of trainings that start from the best trials of such a search


def capacity(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task without pinned hyper-parameters, with the usual number of inputs and
    with five time steps (or any number, if there are none with five).
    """
    return five_steps(usual(without_pinned(of_capacity(frame))))


def of_capacity(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame.task_type == "per_cap") & (frame.n_layers != 0)]


def without_pinned(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[~is_pinned(trials)]


def usual(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials.n_in == usual_inputs(trials)]


def five_steps(trials: pd.DataFrame) -> pd.DataFrame:
    five = trials.unroll == paper.UNROLL
    return trials[five] if five.any() else trials


def usual_inputs(trials: pd.DataFrame) -> pd.Series:
    """For each trial, the number of inputs that most studies of its size have. Other numbers are
    compared in a figure of their own (`section_2_1.inputs`).
    """
    counts = trials.groupby(["max_params", "n_in"]).study.nunique().reset_index("n_in")
    most = counts.sort_values("study", kind="stable", ascending=False).groupby("max_params").first()
    return trials.max_params.map(most.n_in)


def by_gaussian_process(
    *task_types: str, at_length: bool = False
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that selects the trials of these tasks whose hyper-parameters were chosen with the
    Gaussian process, each task in the largest form that was trained; `at_length`, together with the
    longer trainings that start from the best of these trials.
    """
    tuners = (*GP, LONGER) if at_length else GP

    def select(frame: pd.DataFrame) -> pd.DataFrame:
        is_chosen_so = frame.task_type.isin(task_types) & frame.tuner.isin(tuners)
        return largest_form(frame[is_chosen_so & ~is_pinned(frame)])

    return select


def largest_form(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of one form of each task: the paper's form before the small and the tiny one, and the
    real text before the sample.
    """

    def rank(form: str) -> tuple[int, bool, str]:
        size = form.split(" ")[0]
        return (FORMS.index(size) if size in FORMS else len(FORMS), "sample" in form, form)

    best = {task: min(set(forms), key=rank) for task, forms in trials.groupby("task_type").form}
    return trials[trials.form == trials.task_type.map(best)]


def random_sets(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of random sets on the parentheses task (Figure 5, Tables 1 and App.2): the shallowest
    and the deepest networks.

    Trials that diverge end early. So of a study that is not complete, only the trials before the
    first missing one count: among the later ones too many diverged.
    """
    random = frame[(frame.task_type == "parens_counting") & (frame.tuner == "random")]
    trials = one_size(largest_form(random))
    trials = trials[trials.n_layers.isin({trials.n_layers.min(), trials.n_layers.max()})]
    earlier = trials.groupby("study").hyper_iter.rank(method="first") - 1
    return trials[trials.hyper_iter == earlier]


def one_size(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of one size of each task: the size that was trained at the most depths, and the largest
    of these.
    """
    depths = trials.groupby(["task_type", "max_params"]).n_layers.nunique().reset_index()
    best = depths.sort_values(["n_layers", "max_params"]).groupby("task_type").max_params.last()
    return trials[trials.max_params == trials.task_type.map(best)]


def is_pinned(frame: pd.DataFrame, name: str = "nonlinearity") -> pd.Series:
    """Whether each trial is of a study that holds this hyper-parameter fixed, as the study's key says."""
    keys = {study: parse(study) for study in frame.study.unique()}
    holds = {study: key is not None and name in key.pinned for study, key in keys.items()}
    return frame.study.map(holds).astype(bool)
