"""What is trained for each figure (`EXPERIMENTS`), as data. The scale (scales.py) says how much of
it.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from rnnkit.cells import LATER, PAPER, cell_of
from rnnkit.checks import whole_number
from rnnkit.markup import first_few, table
from rnnkit.names import resolve_name
from rnnkit.networks import num_params, units_for
from rnnkit.studies.quantisation import quantise
from rnnkit.studies.scales import LARGE, SCALES, Extent, Scale, scale_of
from rnnkit.studies.study import Job, Study
from rnnkit.tasks import TASKS
from rnnkit.trials import TrialStore

# tuners: one starts from usual values; the other, like the paper's, from the ranges alone
USUAL, COLD = ("gp-usual", "gp")
FRESH = 1  # is added to the seed of the random sets
# units per layer; networks with fewer are not compared, so a size has only those depths at which
# every cell has as many
LEAST_UNITS = 4


@dataclass(frozen=True)
class Experiment:
    """The studies behind one figure. `jobs(scale, seed)` returns them, each with its number of trials.

    `follow_up(scale, searches, frame)` returns further jobs, made of the trials of these studies;
    without trials (`frame` is None) it returns studies of the same size, so that their cost is known
    beforehand. `finish(frame, store)` adds measurements of the networks to the frame of trials.
    `pooled` says that only the best trial of a network counts, so that trials of larger scales are
    shown with those of a scale.
    """

    title: str
    where: str  # in the paper
    jobs: Callable[..., list[Job]]
    follow_up: Callable[[Scale, list[Study], pd.DataFrame | None], list[Job]] | None = None
    finish: Callable | None = None
    pooled: bool = False

    def __repr__(self) -> str:
        return f"Experiment({self.title!r}, {self.where!r})"

    def _repr_html_(self) -> str:
        """What the experiment trains at each scale."""
        title = f"{self.title} ({self.where})."
        if self.follow_up:
            title += " More studies follow, made of the trials of these."
        lines = []
        for name, scale in SCALES.items():
            studies, trials = zip(*self.jobs(scale))
            sizes = sorted({study.max_params for study in studies})
            cells = (
                f"{len(studies):,}",
                f"{sum(trials):,}",
                first_few(dict.fromkeys(study.architecture for study in studies)),
                first_few(sorted({study.n_layers for study in studies})),
                first_few(f"{size:,}" for size in sizes),
            )
            lines.append((name, *cells))
        return table(("scale", "studies", "trials", "cells", "layers", "parameters"), lines, title)


def _networks(
    architectures: Iterable[str], depths: Iterable[int], sizes: Iterable[int]
) -> Iterator[tuple[str, int, int]]:
    """(architecture, number of layers, size) of all combinations, without depths that a cell does
    not have.
    """
    for size in sizes:
        for n_layers in depths:
            for architecture in architectures:
                if n_layers >= cell_of(architecture).min_layers:
                    yield architecture, n_layers, size


def _per_cap(
    architectures: Iterable[str],
    depths: Iterable[int],
    sizes: Iterable[int],
    scale: Scale,
    trials: int = 0,
    **settings: Any,
) -> list[Job]:
    """Jobs of the capacity task. `trials` (unless it is 0) and `settings` override those of the
    scale.
    """
    capacity = scale.capacity
    jobs = []
    for architecture, n_layers, max_params in _networks(architectures, depths, sizes):
        defaults: dict[str, Any] = {
            "n_in": capacity.inputs_for(max_params),
            "unroll": capacity.unroll,
            "train_steps": capacity.steps_for(max_params),
            "tuner": USUAL,
        }
        study = Study("per_cap", architecture, n_layers, max_params, **(defaults | settings))
        jobs.append((study, trials or capacity.trials_for(study)))
    return jobs


def shown_depths(max_params: int, scale: Scale) -> tuple[int, ...]:
    """The depths at which every cell of the paper that can be so deep has at least LEAST_UNITS units
    per layer.
    """
    n_in = scale.capacity.inputs_for(max_params)

    def is_large_enough(architecture: str, n_layers: int) -> bool:
        try:
            return units_for(architecture, n_layers, n_in, 1, max_params) >= LEAST_UNITS
        except ValueError:  # not even one unit fits
            return False

    return tuple(
        depth
        for depth in scale.capacity.depths
        if all(is_large_enough(*network[:2]) for network in _networks(PAPER, (depth,), (0,)))
    )


def _start(scale: Scale, seed: int = 0) -> list[Job]:
    size = min(scale.capacity.sizes, key=lambda size: abs(math.log(size / 1_000)))
    return _per_cap(("rnn",), (1,), (size,), scale, seed=seed)


def _calibration(scale: Scale, seed: int = 0) -> list[Job]:
    """n_in weights and one bias: the perceptron stores 2 bits per parameter (Cover 1965)."""
    capacity = scale.capacity
    jobs = []
    for size in capacity.linear_sizes:
        steps = capacity.steps or _per_param(capacity.linear_steps, size)
        jobs += _per_cap(
            ("linear",), (0,), (size,), scale, n_in=size - 1, unroll=1, train_steps=steps, seed=seed
        )
    return jobs


def _fig1(scale: Scale, seed: int = 0, depths: Iterable[int] | None = None) -> list[Job]:
    """All cells at all sizes, at the depths at which each has enough units. Small networks have
    several data sets, if the scale says so.
    """
    jobs = []
    for size in scale.capacity.sizes:
        for data_seed in range(seed, seed + (scale.capacity.seeds if size <= LARGE else 1)):
            shared_depths = depths or shown_depths(size, scale)
            jobs += _per_cap(PAPER, shared_depths, (size,), scale, seed=data_seed)
    return jobs


def _longer(
    studies: list[Study],
    long: Extent,
    train_steps: tuple[int, int],
    frame: pd.DataFrame | None,
    **changes: Any,
) -> list[Job]:
    """Jobs of the same studies with more training steps, and with `changes` to their settings. They
    start from the best trials of the studies in `frame`, if there is a frame.
    """
    jobs = []
    for study in studies:
        best = _best_hparams(frame, study, long.starts)
        rate = {"lr_decay_rate": long.lr_decay_rate} if long.lr_decay_rate else {}
        start = tuple(tuple(sorted((hparams | rate).items())) for hparams in best)
        tuner = "long" if start else USUAL
        longer = replace(study, train_steps=train_steps, tuner=tuner, start=start, **changes)
        jobs.append((longer, long.trials))
    return jobs


def _best_hparams(frame: pd.DataFrame | None, study: Study, count: int) -> list[dict]:
    """The hyper-parameters of the best feasible trials of a study; none without a frame."""
    if frame is None:
        return []
    feasible = frame[(frame.study == study.key) & ~frame.infeasible]
    return list(feasible.nsmallest(count, "valid_loss").hparams)


def _fig2a(scale: Scale, seed: int = 0) -> list[Job]:
    """Figure 1's studies of one layer, which are divided by nonlinearity afterwards, and some with
    ReLU only, of up to LARGE parameters.
    """
    jobs = _fig1(scale, seed, depths=(1,))
    if scale.capacity.relu_studies:
        sizes = [size for size in scale.capacity.sizes if size <= LARGE]
        relu = (("nonlinearity", "relu"),)
        jobs += _per_cap(("rnn", "ugrnn"), (1,), sizes, scale, seed=seed, pinned=relu)
    return jobs


def _fig2b(scale: Scale, seed: int = 0) -> list[Job]:
    size = scale.capacity.unroll_size
    jobs = []
    for unroll in scale.capacity.unrolls:
        jobs += _per_cap(PAPER, (1,), (size,), scale, seed=seed, unroll=unroll)
    return jobs


def _inputs(scale: Scale, seed: int = 0) -> list[Job]:
    """The RNN with other numbers of inputs, and two data sets each: this number, which the paper
    leaves open, determines which part of a network can compute.
    """
    inputs = scale.capacity.inputs
    jobs = []
    for size in inputs.sizes:
        steps = _per_param(inputs.train_steps, size)
        for n_in in scale.capacity.input_counts:
            for data_seed in (seed, seed + 1):
                own = {"train_steps": steps, "n_in": n_in, "seed": data_seed}
                jobs += _per_cap(("rnn",), inputs.depths, (size,), scale, inputs.trials, **own)
    return jobs


def _per_param(steps: tuple[int, int], size: int) -> tuple[int, int]:
    low, high = steps
    return low * size, high * size


def _more_cells(scale: Scale, seed: int = 0) -> list[Job]:
    """Studies of Figure 1 on one data set, and the same studies of later cells."""
    jobs = []
    for size in scale.capacity.sizes[: scale.capacity.more_sizes]:
        depths = shown_depths(size, scale)[:2]
        jobs += _per_cap((*PAPER, *LATER), depths, (size,), scale, seed=seed)
    return jobs


def _of_task(
    task_type: str, extent: Extent, architectures: Iterable[str] = PAPER, **settings: Any
) -> list[Job]:
    """The studies of one task: the architectures at all sizes and depths that they have."""
    settings |= {"train_steps": extent.train_steps, "form": extent.form}
    return [
        (Study(task_type, *network, **settings), extent.trials)
        for network in _networks(architectures, extent.depths, extent.sizes)
    ]


def _fig2c(scale: Scale, seed: int = 0, architectures: Iterable[str] = PAPER) -> list[Job]:
    """Studies whose sizes are numbers of units: each has the parameters that these units need."""
    memory = scale.memory
    jobs = []
    task = TASKS["mem_thru"](form=memory.form)
    settings: dict[str, Any] = {"form": memory.form, "train_steps": memory.train_steps}
    for architecture, n_layers, n_units in _networks(architectures, memory.depths, memory.sizes):
        max_params = num_params(architecture, n_layers, n_units, task.n_in, task.n_out)
        study = Study(
            "mem_thru", architecture, n_layers, max_params, seed=seed, tuner=USUAL, **settings
        )
        jobs.append((study, memory.trials))
    return jobs


def _longer_trainings(scale: Scale, searches: list[Study], frame: pd.DataFrame | None) -> list[Job]:
    """Longer trainings from the best trials of some searches, those of the first data set: what the
    networks reach when they are given time.

    For each extent of the scale, they are of the networks of its sizes and depths. A size that was
    not searched starts from the best trials of the largest one.
    """
    jobs = []
    first_seed = min(study.seed for study in searches)
    for task_type in dict.fromkeys(study.task_type for study in searches):
        size = "n_units" if task_type == "mem_thru" else "max_params"
        for long in scale.longer.get(task_type, ()):
            candidates = [
                study
                for study in searches
                if (study.task_type, study.seed) == (task_type, first_seed)
                and study.n_layers in long.depths
                and (not long.architectures or study.architecture in long.architectures)
            ]
            sizes_searched = {getattr(study, size) for study in candidates}
            for target in long.sizes:
                start = target if target in sizes_searched else max(sizes_searched)
                parents = [study for study in candidates if getattr(study, size) == start]
                other = {} if target in sizes_searched else {size: target}
                per_param = task_type == "per_cap"
                steps = _per_param(long.train_steps, target) if per_param else long.train_steps
                jobs += _longer(parents, long, steps, frame, **other)
    return jobs


def _fig3(scale: Scale, seed: int = 0) -> list[Job]:
    text = _of_task("text8", scale.text, tuner=USUAL, seed=seed)
    return text + _of_task("rcf", scale.function, tuner=USUAL, seed=seed)


def _fig4(scale: Scale, seed: int = 0) -> list[Job]:
    parentheses = _of_task("parens_counting", scale.parentheses, tuner=COLD, seed=seed)
    return parentheses + _of_task("arithmetic", scale.arithmetic, tuner=COLD, seed=seed)


def _fig5(scale: Scale, seed: int = 0) -> list[Job]:
    """Random sets, from a seed of their own: the rules that judge them were settled on trials of
    the seed itself.
    """
    return [
        job
        for extent in scale.random_sets
        for job in _of_task("parens_counting", extent, seed=seed + FRESH, tuner="random")
    ]


def _tableapp1(scale: Scale, seed: int = 0) -> list[Job]:
    """Each architecture's search on parentheses with one layer, of Figure 4."""
    extent = replace(scale.parentheses, depths=(1,), sizes=scale.parentheses.sizes[:1])
    return _of_task("parens_counting", extent, tuner=COLD, seed=seed)


def _reruns(scale: Scale, searches: list[Study], frame: pd.DataFrame | None) -> list[Job]:
    """Reruns of the best hyper-parameters of each search (App. C), with other weights and other
    data. There are none of a search whose trials all diverged.
    """
    keys_of_trials = set() if frame is None else set(frame.study)
    jobs = []
    for study in searches:
        rerun = replace(study, seed=study.seed + 1)
        for best in _best_hparams(frame, study, 1):
            rerun = replace(rerun, tuner="rerun", pinned=tuple(best.items()))
        if rerun.pinned or study.key not in keys_of_trials:
            jobs.append((rerun, scale.reruns))
    return jobs


def _tuner(scale: Scale, seed: int = 0) -> list[Job]:
    """One study by the Gaussian process, started cold, and one by random search, with five seeds
    each. They have a fifth of Figure 1's steps, since the searches are compared, not the networks.
    """
    size = scale.capacity.sizes[0]
    jobs = []
    steps = tuple(max(1, steps // 5) for steps in scale.capacity.steps_for(size))
    for search_seed in range(seed, seed + 5):
        for tuner in (COLD, "random"):
            own = {"train_steps": steps, "seed": search_seed, "tuner": tuner}
            jobs += _per_cap(("rnn",), (1,), (size,), scale, scale.tuner_trials, **own)
    return jobs


def battery(architecture: str, scale: Scale, seed: int = 0) -> list[Job]:
    """The jobs behind a report on one cell, at its least depth.

    They measure stored bits at Figure 1's two smallest sizes, memory with those numbers of units of
    Figure 2c that are nearest to the number of inputs, and random sets on parentheses.
    """
    cells = (architecture,)
    depths = (max(1, cell_of(architecture).min_layers),)
    capacity = _per_cap(cells, depths, scale.capacity.sizes[:2], scale, seed=seed)
    n_in = TASKS["mem_thru"](form=scale.memory.form).n_in
    sizes = sorted(scale.memory.sizes, key=lambda units: abs(units - n_in))[:3]
    near = replace(scale, memory=replace(scale.memory, sizes=tuple(sorted(sizes)), depths=depths))
    memory = _fig2c(near, seed, cells)
    random_sets = replace(scale.random_sets[0], depths=depths)
    random = _of_task("parens_counting", random_sets, cells, seed=seed + FRESH, tuner="random")
    return capacity + memory + random


EXPERIMENTS = {
    "start": Experiment("One study from start to end", "section 2.1", _start),
    "calibration": Experiment("Bits of a linear model, where theory says 2 per parameter", "section 2.1", _calibration),
    "inputs": Experiment("Bits per parameter by the number of inputs", "section 2.1", _inputs, pooled=True),
    "fig1": Experiment("Bits stored per parameter, by architecture, depth and size", "section 2.1, Figure 1", _fig1, follow_up=_longer_trainings, pooled=True),
    "fig2a": Experiment("Tanh against ReLU", "section 2.1.2, Figure 2a", _fig2a, pooled=True),
    "fig2b": Experiment("Unrolling for more steps", "section 2.1.2, Figure 2b", _fig2b, pooled=True),
    "figapp1": Experiment("The dataset size that stores most", "Figure App.1", _fig1, follow_up=_longer_trainings, pooled=True),
    "fig2c": Experiment("How many numbers a network holds, by units", "section 2.2, Figure 2c", _fig2c, follow_up=_longer_trainings),
    "fig3": Experiment("Text and random functions: loss by parameters", "section 3, Figure 3", _fig3, follow_up=_longer_trainings),
    "fig4": Experiment("Parentheses and arithmetic: the search", "section 4, Figure 4", _fig4, follow_up=_longer_trainings),
    "fig5": Experiment("Random hyper-parameters", "section 4, Figure 5, Tables 1 and App.2", _fig5),
    "tableapp1": Experiment("The best hyper-parameters again", "Table App.1", _tableapp1, follow_up=_reruns),
    "more_cells": Experiment("Bits per parameter of later cells", "section 2.1", _more_cells, pooled=True),
    "quantised": Experiment("Weights rounded to a few bits", "section 5", _fig1, finish=quantise, pooled=True),
    "tuner": Experiment("A Gaussian process against random search", "App. A", _tuner),
}  # fmt: skip


def experiment_of(experiment: str) -> Experiment:
    """The experiment of a name. ValueError for an unknown name."""
    return EXPERIMENTS[resolve_name("experiment", experiment, EXPERIMENTS)]


def searches_of(experiment: str, scale: str, seed: int = 0, trials: int | None = None) -> list[Job]:
    """Those studies of an experiment that are not made of earlier trials. Arguments and errors as in
    `jobs_of`.
    """
    spec = experiment_of(experiment)
    size = scale_of(scale)
    whole_number("seed", seed, 0, 2**62)
    trials = whole_number("trials", 0 if trials is None else trials, 0, 1_000_000)
    return [(study, trials or n) for study, n in spec.jobs(size, seed)]


def jobs_of(
    experiment: str,
    scale: str,
    seed: int = 0,
    trials: int | None = None,
    store: TrialStore | None = None,
) -> list[Job]:
    """The studies of an experiment at a scale, each with its number of trials, which is `trials` if
    that is given (and not 0), and the scale's otherwise.

    Studies that are made of the trials of others are made of those in `store`. If the store lacks
    them, studies of the same size take their place, so that their number and cost are known
    beforehand. ValueError for an unknown experiment or scale, and for a number of trials that is
    out of range.
    """
    jobs = searches_of(experiment, scale, seed, trials)
    if follow_up := experiment_of(experiment).follow_up:
        frame = None
        if store is not None:
            frame = store.frame(study.key for study, n in jobs if store.has(study.key, n))
        later = follow_up(scale_of(scale), [study for study, _ in jobs], frame)
        jobs += [(study, trials or n) for study, n in later]
    return jobs


def studies_of(
    experiment: str,
    scale: str,
    seed: int = 0,
    store: TrialStore | None = None,
    trials: int | None = None,
) -> list[Study]:
    """The studies of an experiment at a scale. Arguments and errors as in `jobs_of`."""
    return [study for study, _ in jobs_of(experiment, scale, seed, trials, store)]
