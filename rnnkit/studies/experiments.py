"""What is run for each figure (`EXPERIMENTS`), and how much of it (`SCALES`): data, and the one dial."""

from collections.abc import Callable
from dataclasses import dataclass

from rnnkit.cells import PAPER, cell_of, whole_number
from rnnkit.studies.study import Study


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is. Every size of every experiment follows from it."""

    sizes: tuple[int, ...]  # parameters, Figure 1
    depths: tuple[int, ...]  # recurrent layers, Figure 1
    trials: int  # a study
    train_steps: tuple[int, int]  # the range that is tuned (App. A)
    unrolls: tuple[int, ...]  # time steps, Figure 2b
    unroll_size: int  # parameters, Figure 2b
    linear_sizes: tuple[int, ...]  # parameters of the linear model that calibrates the count of bits
    n_in: int = 50  # inputs of the perceptron task
    unroll: int = 5  # time steps, everywhere but in Figure 2b
    relu_studies: bool = True  # Figure 2a with ReLU studies of its own, where Figure 1's tuners try ReLU too rarely


SCALES = {
    "smoke": Scale((150,), (1, 2), 3, (20, 60), (1, 5), 150, (50,), n_in=10),
    "quick": Scale((300, 1_000), (1, 2), 128, (5_000, 20_000), (1, 2, 5, 12), 300, (100, 300)),
    "overnight": Scale((300, 1_000, 3_000, 10_000), (1, 2, 4), 128, (10_000, 50_000), (1, 2, 3, 5, 8, 12, 20), 1_000, (100, 300, 1_000)),
    "paper": Scale((300, 1_000, 3_000, 10_000, 30_000, 100_000), (1, 2, 4), 1_000, (50_000, 20_000_000), (1, 2, 3, 5, 8, 12, 20), 10_000,
                   (100, 300, 1_000, 3_000), relu_studies=False),
}


@dataclass(frozen=True)
class Experiment:
    """The studies behind one figure. `studies(scale, **settings)` gives them; `settings` goes on to each Study."""

    title: str
    where: str  # in the paper
    studies: Callable


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


EXPERIMENTS = {
    "start": Experiment("One study from start to end", "section 2.1", _start),
    "calibration": Experiment("Bits of a linear model, where theory says 2 a parameter", "section 2.1", _calibration),
    "fig1": Experiment("Bits stored per parameter, by architecture, depth and size", "section 2.1, Figure 1", _fig1),
    "fig2a": Experiment("Tanh against ReLU", "section 2.1.2, Figure 2a", _fig2a),
    "fig2b": Experiment("Unrolling for more steps", "section 2.1.2, Figure 2b", _fig2b),
    "figapp1": Experiment("The dataset size that stores most", "Figure App.1", _fig1),
}


def scale_of(scale: str) -> Scale:
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}. Check the spelling.")
    return SCALES[scale]


def studies_of(experiment: str, scale: str, seed: int = 0) -> list[Study]:
    """The studies of an experiment at a scale. ValueError for a name that is neither."""
    if experiment not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {experiment!r}. Check the spelling.")
    return EXPERIMENTS[experiment].studies(scale_of(scale), seed=whole_number("seed", seed, 0))


def trials_of(scale: str, trials: int | None = None) -> int:
    """Trials a study: what is asked for, or, for None and 0, what the scale says."""
    return whole_number("trials", trials or 0, 0) or scale_of(scale).trials
