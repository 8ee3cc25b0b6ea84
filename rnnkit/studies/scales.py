"""How much is run (`SCALES`). The scale is the one dial from which all sizes of all experiments follow."""

import math
from dataclasses import dataclass, field

from rnnkit.names import resolve_name
from rnnkit.studies.study import Study

# the largest share of samples of the capacity task that may coincide with an earlier one
DUPLICATES = 1e-3
LABELS = 5  # per parameter; a search rarely asks a network to store more
# parameters; a study of the capacity task with more counts as large: it has `large_trials`, one seed
LARGE = 1_000


def inputs_for(max_params: int) -> int:
    """The number of inputs of the capacity task, which the paper leaves open: the least with which
    at most a thousandth of the samples coincide.

    Of b samples among 2^n patterns, a share of about b / 2^(n + 1) coincides with an earlier one. No
    network can store the labels of both, so n must not be too small. It should not be larger than
    that either, since each input takes one more column of each input matrix.
    """
    return math.ceil(math.log2(LABELS * max_params / (2 * DUPLICATES)))


@dataclass(frozen=True)
class Extent:
    """The size of one experiment at a scale."""

    sizes: tuple[int, ...]  # parameters; units per layer in Figure 2c
    depths: tuple[int, ...]  # recurrent layers
    trials: int  # per study
    train_steps: tuple[int, int]  # least and most (App. A)
    form: str = "small"  # of the task
    starts: int = 4  # best trials of a search that longer trainings start from
    architectures: tuple[str, ...] = ()  # that are trained for longer; empty: all
    # of longer trainings, instead of that of the trials they start from, which a search that starts
    # cold found best for its own few steps
    lr_decay_rate: float | None = None


@dataclass(frozen=True)
class Capacity:
    """The size of the experiments on the capacity task at a scale. Training steps are counted per
    parameter, so that a large network is not trained worse than a small one. `steps` replaces them
    if the scale, like the paper, has one range for all sizes.
    """

    sizes: tuple[int, ...]  # parameters, Figure 1
    depths: tuple[int, ...]  # recurrent layers, Figure 1
    trials: int  # per study
    steps_per_param: tuple[int, int] = (1, 1)  # least and most
    steps: tuple[int, int] | None = None
    large_trials: int = 0  # per large study; 0: as many as all others
    large_steps: tuple[int, int] | None = (
        None  # per parameter, of a large study; None: those of all others
    )
    seeds: int = 1  # data sets of networks that are not large; each has a study of its own
    unrolls: tuple[int, ...] = (1, 5)  # time steps, Figure 2b
    unroll_size: int = 1_000  # parameters, Figure 2b
    input_counts: tuple[int, ...] = (20, 30, 50)  # compared with each other
    # the networks that compare them; steps per parameter
    inputs: Extent = field(kw_only=True)
    # parameters of the linear model that calibrates the count of bits
    linear_sizes: tuple[int, ...] = (100, 300)
    # its steps per parameter; it is cheap, and converges slowly
    linear_steps: tuple[int, int] = (1, 1)
    more_sizes: int = 1  # the number of Figure 1's sizes at which the later cells are compared
    # whether Figure 2a has ReLU studies of its own, since Figure 1's tuners try ReLU too rarely
    relu_studies: bool = True
    n_in: int = 0  # number of inputs; 0: `inputs_for` the size
    unroll: int = 5  # time steps, except in Figure 2b

    def steps_for(self, max_params: int) -> tuple[int, int]:
        """The least and the most training steps of a network."""
        large = self.large_steps if max_params > LARGE else None
        low, high = large or self.steps_per_param
        return self.steps or (low * max_params, high * max_params)

    def inputs_for(self, max_params: int) -> int:
        """The number of inputs of a network."""
        return self.n_in or inputs_for(max_params)

    def trials_for(self, study: Study) -> int:
        """The number of trials of a study."""
        return self.large_trials if self.large_trials and study.max_params > LARGE else self.trials


@dataclass(frozen=True)
class Scale:
    """The size of a reproduction, from which all sizes of all experiments follow."""

    capacity: Capacity  # Figures 1, 2a, 2b and App.1
    memory: Extent  # Figure 2c
    text: Extent  # Figure 3a-d
    function: Extent  # Figure 3e-g
    parentheses: Extent  # Figure 4a-h
    arithmetic: Extent  # Figure 4i-p
    # Figure 5, Tables 1 and App.2: random hyper-parameters on parentheses
    random_sets: tuple[Extent, ...]
    reruns: int  # of the best hyper-parameters, Table App.1
    tuner_trials: int  # per study of the comparison of tuners
    # by task: longer trainings, which start from the best trials of Figures 1, 2c, 3 and 4; their
    # steps are per parameter on the capacity task
    longer: dict[str, tuple[Extent, ...]] = field(default_factory=dict)


SCALES = {
    "smoke": Scale(
        Capacity((420,), (1, 2), 3, steps=(20, 60), unroll_size=420, inputs=Extent((420,), (1,), 3, (1, 1)), linear_sizes=(50,), n_in=10),
        memory=Extent((8, 16, 20), (1, 2), 2, (20, 60), "tiny"),
        text=Extent((600, 1_000), (1, 2), 2, (10, 30), "tiny sample"),
        function=Extent((300, 600), (1, 2), 2, (20, 60), "tiny"),
        parentheses=Extent((600,), (1, 2), 4, (10, 30), "tiny"),
        arithmetic=Extent((600,), (1, 2), 4, (10, 30), "tiny"),
        random_sets=(Extent((600,), (1, 2), 6, (10, 30), "tiny"),),
        reruns=3, tuner_trials=6,
    ),
    "quick": Scale(
        Capacity((600, 1_000), (1, 2, 4), 20, (20, 60), unrolls=(1, 5, 12), unroll_size=600, inputs=Extent((1_000,), (1,), 20, (20, 60)),
                 linear_steps=(500, 2_000)),
        memory=Extent((16, 28, 32, 36), (1, 2), 16, (1_000, 3_000)),
        text=Extent((1_000, 4_000), (1, 2), 16, (400, 1_200), "small sample"),
        function=Extent((500, 2_000), (1, 2), 16, (1_000, 4_000)),
        parentheses=Extent((2_000,), (1, 2, 4, 8), 20, (500, 1_500)),
        arithmetic=Extent((2_000,), (1, 2, 4, 8), 20, (500, 1_500)),
        random_sets=(Extent((2_000,), (1, 8), 60, (500, 1_500)),),
        reruns=20, tuner_trials=32,
    ),
    "overnight": Scale(
        Capacity((600, 1_000, 3_000), (1, 2, 4), 48, (50, 200), large_trials=24, large_steps=(50, 150), seeds=2,
                 unrolls=(1, 2, 5, 12), inputs=Extent((300, 1_000, 3_000), (1,), 24, (25, 75)),
                 linear_steps=(2_000, 10_000), more_sizes=2),
        memory=Extent((16, 24, 32, 40), (1, 2, 4), 48, (4_000, 12_000)),
        text=Extent((2_000, 6_000, 20_000), (1, 2), 20, (2_000, 8_000), "small sample"),
        function=Extent((500, 2_000, 8_000), (1, 2, 4), 24, (20_000, 80_000)),
        parentheses=Extent((2_000,), (1, 2, 4, 8), 48, (10_000, 40_000)),
        arithmetic=Extent((2_000,), (1, 2, 4, 8), 24, (20_000, 60_000)),
        random_sets=(Extent((2_000,), (1,), 500, (10_000, 40_000)), Extent((2_000,), (8,), 300, (10_000, 40_000))),
        reruns=100, tuner_trials=96,
        longer={
            "per_cap": (Extent((600,), (1, 2), 8, (1_000, 2_000)), Extent((1_000,), (1, 2, 4), 16, (1_000, 2_000)),
                        Extent((3_000,), (4,), 8, (75, 150)), Extent((3_000,), (1, 2, 4), 4, (200, 300))),
            "mem_thru": (Extent((16, 24, 32, 40), (1, 2, 4), 8, (24_000, 48_000)), Extent((32, 40), (2,), 8, (60_000, 180_000)), Extent((32,), (2,), 8, (120_000, 240_000), starts=1),
                         Extent((32,), (2,), 8, (240_000, 480_000), starts=1, architectures=("irnn",))),
            "text8": (Extent((2_000, 6_000, 20_000), (1, 2), 6, (12_000, 36_000)),),
            "parens_counting": (Extent((2_000,), (1,), 8, (40_000, 120_000)),),
            "arithmetic": (Extent((2_000,), (1,), 8, (300_000, 900_000)), Extent((8_000,), (1,), 6, (200_000, 500_000), lr_decay_rate=0.01)),
        },
    ),
    "paper": Scale(
        Capacity((600, 1_000, 3_000, 10_000, 30_000, 100_000), (1, 2, 4), 1_000, steps=(50_000, 20_000_000), unrolls=(1, 2, 3, 5, 8, 12, 20),
                 unroll_size=10_000, inputs=Extent((300, 1_000, 3_000), (1,), 1_000, (50, 2_000)), linear_sizes=(100, 300, 1_000, 3_000), more_sizes=2, relu_studies=False),
        memory=Extent((16, 32, 48, 56, 64, 72, 96, 128), (1, 2, 4), 1_000, (50_000, 1_000_000), "paper"),
        text=Extent((80_000, 320_000, 1_280_000), (1, 2, 4), 1_000, (50_000, 1_200_000), "paper"),
        function=Extent((10_000, 30_000, 100_000, 300_000), (1, 2, 4), 1_000, (50_000, 20_000_000), "paper"),
        parentheses=Extent((100_000,), (1, 2, 4, 8), 1_500, (50_000, 1_000_000), "paper"),
        arithmetic=Extent((100_000,), (1, 2, 4, 8), 2_500, (50_000, 1_000_000), "paper"),
        random_sets=(Extent((200_000,), (1, 8), 1_000, (50_000, 1_000_000), "paper"),),
        reruns=100, tuner_trials=1_000,
    ),
}  # fmt: skip


def scale_of(scale: str) -> Scale:
    """The scale of a name. ValueError for an unknown name."""
    return SCALES[resolve_name("scale", scale, SCALES)]
