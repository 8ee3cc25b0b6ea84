"""What is run for each figure (`EXPERIMENTS`), and how much of it (`SCALES`): data, and the one dial."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rnnkit.cells import LATER, PAPER, cell_of, whole_number
from rnnkit.networks import num_params
from rnnkit.studies.compression import quantise
from rnnkit.studies.study import Study
from rnnkit.tasks import TASKS


@dataclass(frozen=True)
class Part:
    """How large one experiment is at a scale."""

    sizes: tuple[int, ...]  # parameters; units a layer in Figure 2c
    depths: tuple[int, ...]  # recurrent layers
    trials: int  # a study
    train_steps: tuple[int, int]  # the range that is tuned (App. A)
    form: str = "small"  # of the task


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is. Every size of every experiment follows from it."""

    sizes: tuple[int, ...]  # parameters, Figure 1
    depths: tuple[int, ...]  # recurrent layers, Figure 1
    trials: int  # a study of the capacity task
    train_steps: tuple[int, int]  # the range that is tuned (App. A)
    unrolls: tuple[int, ...]  # time steps, Figure 2b
    unroll_size: int  # parameters, Figure 2b
    linear_sizes: tuple[int, ...]  # parameters of the linear model that calibrates the count of bits
    memory: Part  # Figure 2c
    text: Part  # Figure 3a-d; its trials hold for all of Figure 3
    function: Part  # Figure 3e-g
    parentheses: Part  # Figure 4a-h; its trials hold for all of Figure 4
    arithmetic: Part  # Figure 4i-p
    untuned: Part  # Figure 5, Tables 1 and App.2: random hyper-parameters on parentheses
    reruns: int  # of the best hyper-parameters, Table App.1
    n_in: int = 50  # inputs of the perceptron task
    unroll: int = 5  # time steps, everywhere but in Figure 2b
    relu_studies: bool = True  # Figure 2a with ReLU studies of its own, where Figure 1's tuners try ReLU too rarely


SCALES = {
    "smoke": Scale(
        sizes=(150,), depths=(1, 2), trials=3, train_steps=(20, 60), unrolls=(1, 5), unroll_size=150, linear_sizes=(50,), n_in=10,
        memory=Part((8, 16, 20), (1, 2), 2, (20, 60), "tiny"),
        text=Part((600, 1_000), (1, 2), 2, (10, 30), "tiny sample"),
        function=Part((300, 600), (1, 2), 2, (20, 60), "tiny"),
        parentheses=Part((600,), (1, 2), 4, (10, 30), "tiny"),
        arithmetic=Part((600,), (1, 2), 4, (10, 30), "tiny"),
        untuned=Part((600,), (1, 2), 6, (10, 30), "tiny"),
        reruns=3,
    ),
    "quick": Scale(
        sizes=(300, 1_000), depths=(1, 2), trials=56, train_steps=(5_000, 20_000), unrolls=(1, 2, 5, 12), unroll_size=300,
        linear_sizes=(100, 300),
        memory=Part((16, 28, 32, 36, 48), (1, 2), 32, (300, 1_500)),
        text=Part((1_000, 4_000), (1, 2, 4), 20, (500, 2_000), "small sample"),
        function=Part((500, 2_000), (1, 2, 4), 20, (2_000, 8_000)),
        parentheses=Part((2_000,), (1, 2, 4, 8), 20, (800, 2_000)),
        arithmetic=Part((2_000,), (1, 2, 4, 8), 20, (800, 2_000)),
        untuned=Part((2_000,), (1, 4), 40, (800, 2_000)),
        reruns=20,
    ),
    "overnight": Scale(
        sizes=(300, 1_000, 3_000, 10_000), depths=(1, 2, 4), trials=128, train_steps=(10_000, 50_000), unrolls=(1, 2, 3, 5, 8, 12, 20),
        unroll_size=1_000, linear_sizes=(100, 300, 1_000),
        memory=Part((16, 32, 48, 56, 64, 72, 96), (1, 2), 24, (500, 2_000), "paper"),
        text=Part((2_000, 8_000, 30_000), (1, 2), 20, (3_000, 10_000), "small sample"),
        function=Part((500, 2_000, 8_000), (1, 2, 4), 32, (5_000, 20_000)),
        parentheses=Part((5_000,), (1, 2, 4, 8), 48, (2_000, 5_000)),
        arithmetic=Part((5_000,), (1, 2, 4, 8), 48, (2_000, 10_000)),
        untuned=Part((5_000,), (1, 8), 100, (2_000, 5_000)),
        reruns=100,
    ),
    "paper": Scale(
        sizes=(300, 1_000, 3_000, 10_000, 30_000, 100_000), depths=(1, 2, 4), trials=1_000, train_steps=(50_000, 20_000_000),
        unrolls=(1, 2, 3, 5, 8, 12, 20), unroll_size=10_000, linear_sizes=(100, 300, 1_000, 3_000), relu_studies=False,
        memory=Part((16, 32, 48, 56, 64, 72, 96, 128), (1, 2, 4), 1_000, (50_000, 1_000_000), "paper"),
        text=Part((80_000, 320_000, 1_280_000), (1, 2, 4), 1_000, (50_000, 1_200_000), "paper"),
        function=Part((10_000, 30_000, 100_000, 300_000), (1, 2, 4), 1_000, (50_000, 20_000_000), "paper"),
        parentheses=Part((100_000,), (1, 2, 4, 8), 1_500, (50_000, 1_000_000), "paper"),
        arithmetic=Part((100_000,), (1, 2, 4, 8), 2_500, (50_000, 1_000_000), "paper"),
        untuned=Part((200_000,), (1, 8), 1_000, (50_000, 1_000_000), "paper"),
        reruns=100,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """The studies behind one figure. `studies(scale, **settings)` gives them; `settings` goes on to each Study.

    Where `after` names another experiment, `studies(scale, frame, **settings)` makes them of that one's trials. `finish(frame, store)`,
    where there is one, adds to the frame of trials what is measured of the networks afterwards.
    """

    title: str
    where: str  # in the paper
    studies: Callable
    trials: Callable = lambda scale: scale.trials  # a study
    after: str = ""
    finish: Callable | None = None


def _per_cap(architectures, depths, sizes, scale, **settings):
    """Per-parameter capacity: the product of what is given, without depths that an architecture does not have."""
    settings = {"n_in": scale.n_in, "unroll": scale.unroll, "train_steps": scale.train_steps, **settings}
    return [
        Study("per_cap", architecture, n_layers, max_params, **settings)
        for max_params in sizes for n_layers in depths for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]


def _start(scale, **settings):
    return _per_cap(("rnn",), (1,), scale.sizes[:1], scale, **settings)


def _calibration(scale, **settings):
    """n_in weights and one bias: the perceptron stores 2 bits a parameter (Cover 1965)."""
    return [study for size in scale.linear_sizes
            for study in _per_cap(("linear",), (0,), (size,), scale, **{**settings, "n_in": size - 1, "unroll": 1})]


def _fig1(scale, **settings):
    return _per_cap(PAPER, scale.depths, scale.sizes, scale, **settings)


def _fig2a(scale, **settings):
    """Figure 1's studies of one layer, split by nonlinearity afterwards, and some that have ReLU only."""
    relu = _per_cap(("rnn", "ugrnn"), (1,), scale.sizes, scale, **settings, pinned=(("nonlinearity", "relu"),))
    return _per_cap(PAPER, (1,), scale.sizes, scale, **settings) + (relu if scale.relu_studies else [])


def _fig2b(scale, **settings):
    return [study for unroll in scale.unrolls
            for study in _per_cap(PAPER, (1,), (scale.unroll_size,), scale, **{**settings, "unroll": unroll})]


def _more_cells(scale, **settings):
    """Figure 1's smallest studies, and the same ones of later cells."""
    return _per_cap((*PAPER, *LATER), scale.depths[:2], scale.sizes[:2], scale, **settings)


def _part(task_type, part: Part, architectures=PAPER, **settings):
    """The studies of one task: architectures at all sizes and depths that they have."""
    settings = {"train_steps": part.train_steps, "form": part.form, **settings}
    return [
        Study(task_type, architecture, n_layers, max_params, **settings)
        for max_params in part.sizes for n_layers in part.depths for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]


def _fig2c(scale, architectures=PAPER, **settings):
    """Studies sized by units: each has the budget that gives just as many."""
    part, task = scale.memory, TASKS["mem_thru"](form=scale.memory.form)
    return [
        Study("mem_thru", architecture, n_layers, num_params(architecture, n_layers, n_units, task.n_in, task.n_out),
              **{"train_steps": part.train_steps, "form": part.form, **settings})
        for n_units in part.sizes for n_layers in part.depths for architecture in architectures
        if n_layers >= cell_of(architecture).min_layers
    ]  # fmt: skip


def _fig3(scale, **settings):
    return _part("text8", scale.text, **settings) + _part("rcf", scale.function, **settings)


def _fig4(scale, **settings):
    return _part("parens_counting", scale.parentheses, **settings) + _part("arithmetic", scale.arithmetic, **settings)


def _fig5(scale, **settings):
    return _part("parens_counting", scale.untuned, **settings, tuner="random")


def _tableapp1(scale, frame, **settings):
    """The best hyper-parameters of each architecture's search on parentheses with one layer (App. C)."""
    bests, searched = [], _searched(scale, **settings)
    for study in searched:
        trials = frame[(frame.study == study.key) & ~frame.infeasible]
        if len(trials):
            hparams = trials.loc[trials.valid_loss.idxmin()].hparams
            bests.append(replace(study, tuner="rerun", pinned=tuple(hparams.items()), seed=study.seed + 1))  # other weights, other data
    return bests


def _searched(scale, **settings):
    part = replace(scale.parentheses, depths=(1,), sizes=scale.parentheses.sizes[:1])
    return _part("parens_counting", part, **settings)


def _tuner(scale, seed=0, **settings):
    """One study by the Gaussian process and by random search, five seeds each; a fifth of Figure 1's steps, since the search is compared."""
    settings |= {"train_steps": tuple(max(1, steps // 5) for steps in scale.train_steps)}
    return [study for each in range(seed, seed + 5) for tuner in ("gp", "random")
            for study in _per_cap(("rnn",), (1,), scale.sizes[:1], scale, **settings, seed=each, tuner=tuner)]


def battery(architecture, scale, seed=0) -> list[tuple[Study, int]]:
    """What a report on one cell is made of, at its least depth: studies, with the trials that each of them takes.

    Stored bits at Figure 1's two smallest sizes, the units of Figure 2c nearest to the number of inputs, random sets on parentheses.
    """
    depths, n_in = (max(1, cell_of(architecture).min_layers),), TASKS["mem_thru"](form=scale.memory.form).n_in
    near = tuple(sorted(sorted(scale.memory.sizes, key=lambda units: abs(units - n_in))[:3]))
    around = replace(scale, memory=replace(scale.memory, sizes=near, depths=depths))
    parts = (
        (_per_cap((architecture,), depths, scale.sizes[:2], scale, seed=seed), scale.trials),
        (_fig2c(around, (architecture,), seed=seed), scale.memory.trials),
        (_part("parens_counting", replace(scale.untuned, depths=depths), (architecture,), seed=seed, tuner="random"), scale.untuned.trials),
    )
    return [(study, trials) for studies, trials in parts for study in studies]


EXPERIMENTS = {
    "start": Experiment("One study from start to end", "section 2.1", _start),
    "calibration": Experiment("Bits of a linear model, where theory says 2 a parameter", "section 2.1", _calibration),
    "fig1": Experiment("Bits stored per parameter, by architecture, depth and size", "section 2.1, Figure 1", _fig1),
    "fig2a": Experiment("Tanh against ReLU", "section 2.1.2, Figure 2a", _fig2a),
    "fig2b": Experiment("Unrolling for more steps", "section 2.1.2, Figure 2b", _fig2b),
    "figapp1": Experiment("The dataset size that stores most", "Figure App.1", _fig1),
    "fig2c": Experiment("How many numbers a network holds, by units", "section 2.2, Figure 2c", _fig2c, lambda scale: scale.memory.trials),
    "fig3": Experiment("Text and random functions: loss by parameters", "section 3, Figure 3", _fig3, lambda scale: scale.text.trials),
    "fig4": Experiment("Parentheses and arithmetic: the search", "section 4, Figure 4", _fig4, lambda scale: scale.parentheses.trials),
    "fig5": Experiment("Random hyper-parameters", "section 4, Figure 5, Tables 1 and App.2", _fig5, lambda scale: scale.untuned.trials),
    "tableapp1": Experiment("The best hyper-parameters again", "Table App.1", _tableapp1, lambda scale: scale.reruns, after="fig4"),
    "more_cells": Experiment("Bits per parameter of later cells", "section 2.1", _more_cells),
    "quantised": Experiment("Weights rounded to a few bits", "section 5", _fig1, finish=quantise),
    "tuner": Experiment("A Gaussian process against random search", "App. A", _tuner, lambda scale: 2 * scale.trials),
}


def scale_of(scale: str) -> Scale:
    if not isinstance(scale, str) or scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}. Check the spelling.")
    return SCALES[scale]


def experiment_of(experiment: str) -> Experiment:
    if not isinstance(experiment, str) or experiment not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {experiment!r}. Check the spelling.")
    return EXPERIMENTS[experiment]


def studies_of(experiment: str, scale: str, seed: int = 0, store=None) -> list[Study]:
    """The studies of an experiment at a scale. ValueError for a name that is neither.

    Those of an experiment that follows another come of the trials in `store`; where that has none, of the earlier studies with
    nothing pinned, so that their number and cost are known beforehand.
    """
    found, size, settings = experiment_of(experiment), scale_of(scale), {"seed": whole_number("seed", seed, 0, 2**62)}
    if not found.after:
        return found.studies(size, **settings)
    searched = _searched(size, **settings)
    frame = store.frame(study.key for study in searched) if store is not None else None
    return found.studies(size, frame, **settings) if frame is not None and len(frame) else searched


def trials_of(scale: str, trials: int | None = None, experiment: str = "start") -> int:
    """Trials a study: what is asked for, or, for None and 0, what the scale says of the experiment."""
    return whole_number("trials", 0 if trials is None else trials, 0, 1_000_000) or experiment_of(experiment).trials(scale_of(scale))
