"""What is run for each figure (`EXPERIMENTS`): data. How much of it, the scale says (scales.py)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from rnnkit.cells import LATER, PAPER, cell_of
from rnnkit.checks import whole_number
from rnnkit.markup import first_few, table
from rnnkit.names import resolve_name
from rnnkit.networks import num_params, units_for
from rnnkit.studies.quantisation import quantise
from rnnkit.studies.scales import LARGE, SCALES, Part, Scale, scale_of
from rnnkit.studies.study import Study
from rnnkit.tasks import TASKS

# tuners: one starts from usual values; the other, as the paper's, from the ranges alone
USUAL, COLD = ("gp-usual", "gp")
BEST = 4  # trials that longer trainings start from
FRESH = 1  # is added to the seed of the random sets
# per layer: fewer is no network to compare, so a size is shown only at depths where every cell has
# as many
LEAST_UNITS = 4


@dataclass(frozen=True)
class Experiment:
    """The studies behind one figure. `studies(scale, **settings)` gives them; `settings` goes on to
    each Study.

    Where `after` names another experiment, `studies(scale, frame, **settings)` makes them of that
    one's trials. Where there is `then`, `then(scale, frame, **settings)` makes further studies,
    each with its number of trials, of the trials of the first ones; without trials (`frame` is
    None) it gives studies of the same size, so that their cost is known beforehand. `finish(frame,
    store)`, where there is one, adds to the frame of trials what is measured of the networks
    afterwards. Where `pooled`, what counts is the best trial of a network, so that trials of larger
    scales are shown with those of a scale.
    """

    title: str
    where: str  # in the paper
    studies: Callable
    trials: Callable = lambda scale, study: scale.capacity.trials_for(study)  # per study
    after: str = ""
    then: Callable | None = None
    finish: Callable | None = None
    pooled: bool = False

    def __repr__(self) -> str:
        return f"Experiment({self.title!r}, {self.where!r})"

    def _repr_html_(self) -> str:
        """What it trains at each scale."""
        rows = []
        for name, scale in SCALES.items():
            studies = [] if self.after else self.studies(scale)
            trials = [self.trials(scale, study) for study in studies]
            rows.append(
                (
                    name,
                    f"{len(studies):,}",
                    f"{sum(trials):,}",
                    first_few(dict.fromkeys(study.architecture for study in studies)),
                    first_few(sorted({study.n_layers for study in studies})),
                    first_few(
                        f"{size:,}" for size in sorted({study.max_params for study in studies})
                    ),
                )
            )
        head = ("scale", "studies", "trials", "cells", "layers", "parameters")
        more = f"{self.title} ({self.where})."
        if self.after:
            more += f" Its studies are made of the trials of {self.after!r}, once these are there."
            return f"<p>{more}</p>"
        if self.then:
            more += " More studies follow, made of the trials of these."
        return table(head, rows, more)


def _per_cap(architectures, depths, sizes, scale, **settings):
    """Per-parameter capacity: the product of what is given, without depths that an architecture
    does not have.
    """
    c = scale.capacity
    return [
        Study(
            "per_cap",
            architecture,
            n_layers,
            max_params,
            **{
                "n_in": c.inputs_for(max_params),
                "unroll": c.unroll,
                "train_steps": c.steps_for(max_params),
                "tuner": USUAL,
                **settings,
            },
        )
        for max_params in sizes
        for n_layers in depths
        for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]


def shown_depths(max_params: int, scale: Scale) -> tuple[int, ...]:
    """The depths at which every cell of the paper has at least LEAST_UNITS units per layer in that
    many parameters.
    """

    def enough(architecture, n_layers):
        if n_layers < cell_of(architecture).min_layers:
            return True
        try:
            return (
                units_for(
                    architecture, n_layers, scale.capacity.inputs_for(max_params), 1, max_params
                )
                >= LEAST_UNITS
            )
        except ValueError:  # not even one fits
            return False

    return tuple(
        n_layers
        for n_layers in scale.capacity.depths
        if all(enough(architecture, n_layers) for architecture in PAPER)
    )


def _start(scale, **settings):
    size = min(scale.capacity.sizes, key=lambda size: abs(math.log(size / 1_000)))
    return _per_cap(("rnn",), (1,), (size,), scale, **settings)


def _calibration(scale, **settings):
    """n_in weights and one bias: the perceptron stores 2 bits per parameter (Cover 1965)."""
    c = scale.capacity
    return [
        study
        for size in c.linear_sizes
        for study in _per_cap(
            ("linear",),
            (0,),
            (size,),
            scale,
            **{
                **settings,
                "n_in": size - 1,
                "unroll": 1,
                "train_steps": c.steps or _per_param(c.linear_steps, size),
            },
        )
    ]


def _fig1(scale, seed=0, architectures=PAPER, depths=None, **settings):
    """All cells at all sizes, at the depths at which each has enough units; two data sets each
    where the scale says so.
    """
    return [
        study
        for size in scale.capacity.sizes
        for each in range(seed, seed + (scale.capacity.seeds if size <= LARGE else 1))
        for study in _per_cap(
            architectures,
            depths or shown_depths(size, scale),
            (size,),
            scale,
            seed=each,
            **settings,
        )
    ]


def _fig1_long(scale, frame, **settings):
    """Longer trainings at one size, from the best trials of each study of Figure 1: what a network
    stores when it is given time.
    """
    long = scale.capacity.long
    if long is None:
        return []
    studies = _per_cap(PAPER, long.depths, long.sizes, scale, **settings)
    return _longer(studies, long, _per_param(long.train_steps, long.sizes[0]), frame)


def _longer(studies, long: Part, train_steps: tuple[int, int], frame):
    """The same studies with more training steps, each with its number of trials: they start from
    the best trials of the studies in `frame`, where there is one.
    """

    def best(study):
        if frame is None:
            return ()
        trials = frame[(frame.study == study.key) & ~frame.infeasible].nsmallest(BEST, "valid_loss")
        return tuple(tuple(sorted(hparams.items())) for hparams in trials.hparams)

    starts = [best(study) for study in studies]
    return [
        (
            replace(study, train_steps=train_steps, tuner="long" if start else USUAL, start=start),
            long.trials,
        )
        for study, start in zip(studies, starts)
    ]


def _fig2a(scale, **settings):
    """Figure 1's studies of one layer, split by nonlinearity afterwards, and some that have ReLU
    only, of up to LARGE parameters.
    """
    sizes = [size for size in scale.capacity.sizes if size <= LARGE]
    relu = _per_cap(
        ("rnn", "ugrnn"), (1,), sizes, scale, **settings, pinned=(("nonlinearity", "relu"),)
    )
    return _fig1(scale, depths=(1,), **settings) + (relu if scale.capacity.relu_studies else [])


def _fig2b(scale, **settings):
    return [
        study
        for unroll in scale.capacity.unrolls
        for study in _per_cap(
            PAPER, (1,), (scale.capacity.unroll_size,), scale, **{**settings, "unroll": unroll}
        )
    ]


def _inputs(scale, seed=0, **settings):
    """The RNN with other numbers of inputs, two data sets each: what the paper leaves open decides
    how much of a network can compute.
    """
    part = scale.capacity.inputs
    return [
        study
        for size in part.sizes
        for n_in in scale.capacity.compared
        for each in (seed, seed + 1)
        for study in _per_cap(
            ("rnn",),
            part.depths,
            (size,),
            scale,
            **{
                "train_steps": _per_param(part.train_steps, size),
                **settings,
                "n_in": n_in,
                "seed": each,
            },
        )
    ]


def _per_param(steps, size):
    return tuple(each * size for each in steps)


def _more_cells(scale, **settings):
    """Studies of Figure 1, one data set, and the same ones of later cells."""
    return [
        study
        for size in scale.capacity.sizes[: scale.capacity.more_sizes]
        for study in _per_cap(
            (*PAPER, *LATER), shown_depths(size, scale)[:2], (size,), scale, **settings
        )
    ]


def _part(task_type, part: Part, architectures=PAPER, **settings):
    """The studies of one task: architectures at all sizes and depths that they have."""
    settings = {"train_steps": part.train_steps, "form": part.form, **settings}
    return [
        Study(task_type, architecture, n_layers, max_params, **settings)
        for max_params in part.sizes
        for n_layers in part.depths
        for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]


def _fig2c(scale, architectures=PAPER, **settings):
    """Studies sized by units: each has the budget that gives just as many."""
    part, task = scale.memory, TASKS["mem_thru"](form=scale.memory.form)
    return [
        Study(
            "mem_thru",
            architecture,
            n_layers,
            num_params(architecture, n_layers, n_units, task.n_in, task.n_out),
            **{"train_steps": part.train_steps, "form": part.form, "tuner": USUAL, **settings},
        )
        for n_units in part.sizes
        for n_layers in part.depths
        for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]


def _fig2c_long(scale, frame, **settings):
    """Longer trainings of the same networks, from the best trials of each: what they hold when they
    are given time.
    """
    long = scale.memory_long
    if long is None:
        return []
    return _longer(_fig2c(scale, **settings), long, long.train_steps, frame)


def _fig3(scale, **settings):
    return _part("text8", scale.text, tuner=USUAL, **settings) + _part(
        "rcf", scale.function, tuner=USUAL, **settings
    )


def _fig4(scale, **settings):
    return _part("parens_counting", scale.parentheses, tuner=COLD, **settings) + _part(
        "arithmetic", scale.arithmetic, tuner=COLD, **settings
    )


def _fig4_long(scale, frame, **settings):
    """Longer trainings of the networks with few layers, from the best trials of each search."""
    jobs = []
    for task_type, long in (
        ("parens_counting", scale.parentheses_long),
        ("arithmetic", scale.arithmetic_long),
    ):
        if long is not None:
            studies = [
                study
                for study in _fig4(scale, **settings)
                if study.task_type == task_type and study.n_layers in long.depths
            ]
            jobs += _longer(studies, long, long.train_steps, frame)
    return jobs


def _fig4_trials(scale, study):
    return (scale.parentheses if study.task_type == "parens_counting" else scale.arithmetic).trials


def _fig5(scale, seed=0, **settings):
    """Random sets, drawn by a seed of their own: the rules that judge them were settled on trials
    of the seed itself.
    """
    return _part("parens_counting", scale.untuned, **settings, seed=seed + FRESH, tuner="random")


def _tableapp1(scale, frame, **settings):
    """The best hyper-parameters of each architecture's search on parentheses with one layer (App.
    C).
    """
    bests, searched = [], _searched(scale, **settings)
    for study in searched:
        trials = frame[(frame.study == study.key) & ~frame.infeasible]
        if len(trials):
            hparams = trials.loc[trials.valid_loss.idxmin()].hparams
            bests.append(
                replace(study, tuner="rerun", pinned=tuple(hparams.items()), seed=study.seed + 1)
            )  # other weights, other data
    return bests


def _searched(scale, **settings):
    part = replace(scale.parentheses, depths=(1,), sizes=scale.parentheses.sizes[:1])
    return _part("parens_counting", part, tuner=COLD, **settings)


def _tuner(scale, seed=0, **settings):
    """One study by the Gaussian process, started cold, and by random search, five seeds each; a
    fifth of Figure 1's steps, since the search is compared.
    """
    size = scale.capacity.sizes[0]
    settings |= {
        "train_steps": tuple(max(1, steps // 5) for steps in scale.capacity.steps_for(size))
    }
    return [
        study
        for each in range(seed, seed + 5)
        for tuner in (COLD, "random")
        for study in _per_cap(("rnn",), (1,), (size,), scale, **settings, seed=each, tuner=tuner)
    ]


def battery(architecture, scale, seed=0) -> list[tuple[Study, int]]:
    """What a report on one cell is made of, at its least depth: studies, with the trials that each
    of them takes.

    Stored bits at Figure 1's two smallest sizes, the units of Figure 2c nearest to the number of
    inputs, random sets on parentheses.
    """
    depths, n_in = (
        (max(1, cell_of(architecture).min_layers),),
        TASKS["mem_thru"](form=scale.memory.form).n_in,
    )
    near = tuple(sorted(sorted(scale.memory.sizes, key=lambda units: abs(units - n_in))[:3]))
    around = replace(scale, memory=replace(scale.memory, sizes=near, depths=depths))
    untuned = replace(scale, untuned=replace(scale.untuned, depths=depths)).untuned
    parts = (
        (
            _per_cap((architecture,), depths, scale.capacity.sizes[:2], scale, seed=seed),
            scale.capacity.trials,
        ),
        (_fig2c(around, (architecture,), seed=seed), scale.memory.trials),
        (
            _part("parens_counting", untuned, (architecture,), seed=seed + FRESH, tuner="random"),
            scale.untuned.trials,
        ),
    )
    return [(study, trials) for studies, trials in parts for study in studies]


EXPERIMENTS = {
    "start": Experiment("One study from start to end", "section 2.1", _start),
    "calibration": Experiment("Bits of a linear model, where theory says 2 per parameter", "section 2.1", _calibration),
    "inputs": Experiment("Bits per parameter by the number of inputs", "section 2.1", _inputs, lambda scale, _: scale.capacity.inputs.trials,
                         pooled=True),
    "fig1": Experiment("Bits stored per parameter, by architecture, depth and size", "section 2.1, Figure 1", _fig1, then=_fig1_long, pooled=True),
    "fig2a": Experiment("Tanh against ReLU", "section 2.1.2, Figure 2a", _fig2a, pooled=True),
    "fig2b": Experiment("Unrolling for more steps", "section 2.1.2, Figure 2b", _fig2b, pooled=True),
    "figapp1": Experiment("The dataset size that stores most", "Figure App.1", _fig1, then=_fig1_long, pooled=True),
    "fig2c": Experiment("How many numbers a network holds, by units", "section 2.2, Figure 2c", _fig2c, lambda scale, _: scale.memory.trials,
                        then=_fig2c_long),
    "fig3": Experiment("Text and random functions: loss by parameters", "section 3, Figure 3", _fig3,
                       lambda scale, study: (scale.text if study.task_type == "text8" else scale.function).trials),
    "fig4": Experiment("Parentheses and arithmetic: the search", "section 4, Figure 4", _fig4, _fig4_trials, then=_fig4_long),
    "fig5": Experiment("Random hyper-parameters", "section 4, Figure 5, Tables 1 and App.2", _fig5, lambda scale, _: scale.untuned.trials),
    "tableapp1": Experiment("The best hyper-parameters again", "Table App.1", _tableapp1, lambda scale, _: scale.reruns, after="fig4"),
    "more_cells": Experiment("Bits per parameter of later cells", "section 2.1", _more_cells, pooled=True),
    "quantised": Experiment("Weights rounded to a few bits", "section 5", _fig1, finish=quantise, pooled=True),
    "tuner": Experiment("A Gaussian process against random search", "App. A", _tuner, lambda scale, _: scale.tuner_trials),
}  # fmt: skip


def experiment_of(experiment: str) -> Experiment:
    return EXPERIMENTS[resolve_name("experiment", experiment, EXPERIMENTS)]


def jobs_of(
    experiment: str, scale: str, seed: int = 0, trials: int | None = None, store=None
) -> list[tuple[Study, int]]:
    """The studies of an experiment at a scale, each with its number of trials: `trials` where it is
    given (and not 0), else the scale's.

    Studies that are made of earlier trials (of an experiment that this one follows, or of its own
    first studies) come of the trials in `store`; where that lacks them, studies of the same size
    stand for them, so that their number and cost are known beforehand. ValueError for a name that
    is neither an experiment nor a scale, and for a number that cannot be.
    """
    found, size, settings = (
        experiment_of(experiment),
        scale_of(scale),
        {"seed": whole_number("seed", seed, 0, 2**62)},
    )
    asked = whole_number("trials", 0 if trials is None else trials, 0, 1_000_000)

    def counted(studies):
        return [(study, asked or found.trials(size, study)) for study in studies]

    def stored(jobs):
        """The trials of those studies that the store has whole."""
        if store is None:
            return None
        return store.frame(study.key for study, n in jobs if store.has(study.key, n))

    if found.after:
        searched = _searched(size, **settings)
        frame = store.frame(study.key for study in searched) if store is not None else None
        return counted(
            found.studies(size, frame, **settings) if frame is not None and len(frame) else searched
        )
    jobs = counted(found.studies(size, **settings))
    if found.then:
        jobs += [(study, asked or n) for study, n in found.then(size, stored(jobs), **settings)]
    return jobs


def studies_of(experiment: str, scale: str, seed: int = 0, store=None) -> list[Study]:
    """The studies of an experiment at a scale. Arguments and errors as in `jobs_of`."""
    return [study for study, _ in jobs_of(experiment, scale, seed, store=store)]
