"""What the paper reports, as data: names, numbers, tables and claims, each with its place in the
paper. Imports nothing from the kit.

Collins, Sohl-Dickstein & Sussillo, *Capacity and Trainability in Recurrent Neural Networks*, ICLR
2017 (arXiv 1611.09913).
"""

from typing import NamedTuple

ARCHITECTURES = ("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn")  # section 1.4, in the paper's order
TASKS = {  # sections 2-4
    "per_cap": "perceptron capacity",
    "mem_thru": "memory throughput",
    "text8": "text8",
    "rcf": "random continuous functions",
    "parens_counting": "parentheses counting",
    "arithmetic": "arithmetic",
}
LABELS = {
    "rnn": "RNN",
    "irnn": "IRNN",
    "ugrnn": "UGRNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "+rnn": "+RNN",
}
GATES = {"rnn": 0, "irnn": 0, "ugrnn": 1, "gru": 2, "lstm": 3, "+rnn": 2}  # equations 1-20
# section 2.1.2: most stored bits first, IRNN put aside
ORDER = ("rnn", "ugrnn", "gru", "lstm", "+rnn")

DEPTHS = (1, 2, 4)  # Figure 1b-d
HARD_DEPTHS = (1, 2, 4, 8)  # Figure 4
UNROLL = 5  # time steps of the capacity task, Figure 1
TRIALS = "1000+"  # trials behind each point of Figure 1
STEPS = (50_000, 20_000_000)  # App. A: the range of train_steps
DIMENSIONS = (10, 27)  # App. A: tuned hyper-parameters of an architecture

BITS_PER_PARAMETER = 5.0  # section 2.1.2, averaged over architectures and depths
BAND = (3.0, 6.0)  # section 2.1.2: all architectures, depths and sizes
RELU_BITS = 3.5  # section 2.1.2: IRNN, and RNN and UGRNN with ReLU alone
PERCEPTRON_BITS = 2.0  # section 2.1: Cover 1965, Gardner 1988
SYNAPSE_BITS = 4.7  # section 5: Bartol et al. 2016

# Bits per character on text8 -> {layers: {architecture: ((parameters, bits), ...)}}. One layer:
# Foerster et al. 2017 (arXiv 1611.09434), from memory and not checked against print. Four layers:
# the best of the authors' published trials, an example of their data's README.
TEXT8_ANCHORS: dict[int, dict[str, tuple]] = {
    1: {
        "rnn": ((80_000, 1.88), (320_000, 1.69), (1_280_000, 1.59)),
        "irnn": ((80_000, 1.89), (320_000, 1.71), (1_280_000, 1.58)),
        "gru": ((80_000, 1.83), (320_000, 1.66), (1_280_000, 1.59)),
        "lstm": ((80_000, 1.85), (320_000, 1.68), (1_280_000, 1.59)),
    },
    4: {"lstm": ((1_268_217, 1.549270),)},
}

# Table 1: % infeasible of 1,000 random hyper-parameter sets on parentheses, 200K parameters -> (1
# layer, 8 layers)
TABLE_1: dict[str, tuple] = {
    "+rnn": (None, 8.8),
    "gru": (15.5, 3.2),
    "irnn": (56.7, 44.6),
    "lstm": (12.0, 4.0),
    "rnn": (21.5, 18.7),
    "ugrnn": (20.2, 11.5),
}

# Table App.1: 100 reruns of the best hyper-parameters on parentheses, 1 layer, 100K parameters
TABLE_APP1_COLUMNS = ("original", "infeasible_percent", "min", "mean", "max", "sd", "sd_over_mean")
TABLE_APP1 = {
    "rnn": (1.16e-2, 0, 1.41e-2, 8.21e-2, 0.294, 5.22e-2, 0.636),
    "irnn": (4.20e-4, 48, 2.24e-4, 5.02e-4, 8.69e-4, 1.35e-4, 0.269),
    "ugrnn": (1.02e-4, 0, 3.66e-5, 2.71e-4, 6.06e-3, 7.12e-4, 2.63),
    "gru": (2.80e-4, 1, 7.66e-5, 1.89e-4, 5.48e-4, 9.08e-5, 0.480),
    "lstm": (7.96e-4, 0, 8.10e-4, 2.02e-3, 0.0145, 2.31e-3, 1.14),
}

# Table App.2: Welch's t-test on parentheses losses -> (t, df, p) at 1 layer and at 8 layers; p =
# .001 stands for "< 0.001"
TABLE_APP2: dict[tuple[str, str], tuple] = {
    ("+rnn", "gru"): (None, (-23.6, 1080, 0.001)),
    ("+rnn", "irnn"): (None, (-25.7, 954, 0.001)),
    ("+rnn", "lstm"): (None, (-26.1, 941, 0.001)),
    ("+rnn", "rnn"): (None, (-25.8, 946, 0.001)),
    ("+rnn", "ugrnn"): (None, (-24.3, 1050, 0.001)),
    ("gru", "irnn"): ((-7.74, 696, 0.001), (-3.51, 1360, 0.001)),
    ("gru", "lstm"): ((-6.65, 1750, 0.001), (-4.84, 1290, 0.001)),
    ("gru", "rnn"): ((-26.5, 1340, 0.001), (-3.93, 1330, 0.001)),
    ("gru", "ugrnn"): ((-4.11, 1620, 0.001), (-1.13, 1840, 0.261)),
    ("irnn", "lstm"): ((2.23, 652, 0.0264), (-2.04, 1250, 0.0420)),
    ("irnn", "rnn"): ((-12.7, 426, 0.001), (-0.571, 1250, 0.568)),
    ("irnn", "ugrnn"): ((4.03, 719, 0.001), (2.37, 1320, 0.0178)),
    ("lstm", "rnn"): ((-19.6, 1500, 0.001), (1.53, 1730, 0.125)),
    ("lstm", "ugrnn"): ((2.25, 1640, 0.0247), (3.81, 1260, 0.001)),
    ("rnn", "ugrnn"): ((20.7, 1210, 0.001), (2.81, 1300, 0.00498)),
}
# The pairs whose losses differ "with statistical significance (p > 0.05)" at 8 layers, says the
# table's caption
CALLED_SIGNIFICANT = ({"gru", "ugrnn"}, {"irnn", "rnn"}, {"lstm", "rnn"})

# Bits per parameter in other work, each counted in its own way: what, bits, how they were counted,
# source
LATER_NUMBERS = (
    ("Perceptron", PERCEPTRON_BITS, "theory", "Cover 1965, Gardner 1988"),
    ("Transformers, facts", 2.0, "knowledge", "Allen-Zhu & Li 2024, arXiv 2404.05405"),
    ("GPT, random tokens", 3.6, "soft", "Morris et al. 2025, arXiv 2505.24832"),
    ("Synapse, hippocampus", SYNAPSE_BITS, "sizes", "Bartol et al. 2016"),
    ("Recurrent networks", BITS_PER_PARAMETER, "hard", "the paper, section 2.1.2"),
)


class Claim(NamedTuple):
    """A sentence of the paper: where it stands, what it says, the number that decides it, and the
    paper's value of that number.

    An id that ends with b is of a claim of ours, set beside the paper's of the same number: the
    paper has 37, and of one of them (C05) it prints no number, so that 36 can be decided.
    """

    where: str
    text: str
    statistic: str
    paper: str


CLAIMS = {
    "C01": Claim(
        "2.1.2, Fig. 1a",
        "Stored bits are roughly linear in the number of parameters",
        "slope of log bits on log parameters",
        "1",
    ),
    "C02": Claim(
        "2.1.2, Fig. 1e",
        "Networks store about 5 bits per parameter",
        "mean best bits per parameter at sizes trained to their end",
        "5",
    ),
    "C02b": Claim(
        "2.1 (ours)",
        "Networks store more than a perceptron's two bits per parameter",
        "mean best bits per parameter of all networks",
        "above 2",
    ),
    "C03": Claim(
        "2.1.2",
        "All architectures and depths 1, 2, 4 lie between 3 and 6 bits per parameter",
        "mean, least and most bits per parameter",
        "3-6",
    ),
    "C04": Claim(
        "Fig. 1",
        "Architectures differ only a little",
        "highest over lowest geometric mean of bits per parameter, IRNN aside",
        "small",
    ),
    "C05": Claim(
        "Fig. 1i",
        "Table of parameter multipliers between architectures",
        "largest multiplier",
        "no number",
    ),
    "C06": Claim(
        "2.1.2", "On average RNN > UGRNN > GRU > LSTM > +RNN", "Kendall's tau with that order", "1"
    ),
    "C07": Claim(
        "2.1.2",
        "More gates, slightly less capacity",
        "change of bits per parameter for one gate more",
        "negative",
    ),
    "C08": Claim(
        "2.1.2",
        "The IRNN is the lowest and reaches about 3.5 bits per parameter",
        "most bits per parameter of the IRNN",
        "3.5",
    ),
    "C09": Claim(
        "2.1.2, Fig. 2a",
        "With ReLU alone, RNN and UGRNN drop to about 3.5 bits per parameter",
        "bits with tanh over bits with ReLU",
        "above 1",
    ),
    "C10": Claim(
        "2.1.2, Fig. 2b",
        "Unrolling longer stores more, then saturates",
        "bits at 5 steps over bits at 1 step",
        "above 1",
    ),
    "C12": Claim(
        "Fig. App.1",
        "The best dataset is only slightly larger than the stored bits",
        "best dataset size over stored bits",
        "just above 1",
    ),
    "C13": Claim(
        "5",
        "The depths agree: results cluster by architecture",
        "mean Kendall's tau between depths",
        "high",
    ),
    "C15": Claim(
        "5",
        "Weights compress to about 5 bits without loss",
        "bits kept under k-bit weights, k at 99 %",
        "5",
    ),
    "C17": Claim(
        "2.1",
        "A perceptron stores 2 bits per parameter",
        "best bits per parameter of a linear model",
        "2",
    ),
    "M01": Claim(
        "2.2, Fig. 2c",
        "Inputs are reconstructed if and only if units >= inputs",
        "mean error with enough units",
        "nearly 0",
    ),
    "M02": Claim(
        "2.2, Fig. 2c",
        "Below that, the error is that of an N-dimensional subspace",
        "error above 1 - N / n_in",
        "0",
    ),
    "M03": Claim(
        "2.2, Fig. 2c",
        "All architectures and depths follow the same curve",
        "spread of errors at equal units",
        "none",
    ),
    "T01": Claim(
        "3, Fig. 3a-c",
        "text8: equal loss at equal parameters",
        "spread of bits per character",
        "near 0",
    ),
    "T02": Claim(
        "3, Fig. 3d",
        "Comparing by units misleads",
        "R2 on log parameters less R2 on log units",
        "above 0",
    ),
    "R01": Claim(
        "3, Fig. 3e-g",
        "Random function: equal loss at equal parameters",
        "spread of the error",
        "near 0",
    ),
    "R02": Claim(
        "3",
        "No size learns the tasks perfectly; loss falls with size",
        "slope of log loss on log parameters",
        "negative",
    ),
    "P01": Claim(
        "4, Fig. 4a-h",
        "RNN and IRNN are the worst and the slowest",
        "share of pairs with a gated cell in which they come later",
        "order",
    ),
    "P02": Claim(
        "4, Table App.1", "RNN and IRNN solve depth 1 eventually", "best loss", "1.16e-2, 4.20e-4"
    ),
    "P03": Claim(
        "4, Fig. 4",
        "At depth only gated cells solve the task",
        "share of trials of RNN and IRNN that solve it",
        "none",
    ),
    "P04": Claim(
        "4, Fig. 4",
        "GRU is the most trainable at depth 1, +RNN at depth 8",
        "largest median over another's",
        "below 1",
    ),
    "P05": Claim(
        "4, Fig. 4i-p",
        "Arithmetic is far harder; RNN and IRNN still fall at the end",
        "decades that the best falls in the last third",
        "negative",
    ),
    "P06": Claim(
        "App. B", "Arithmetic, once learned, is nearly perfect", "share of exact answers", "about 1"
    ),
    "H01": Claim("Table 1", "Infeasible share at depth 1", "share of random sets", "12-57 %"),
    "H02": Claim("Table 1", "Infeasible share at depth 8", "share of random sets", "3-45 %"),
    "H04": Claim(
        "4, Fig. 5",
        "Depth 1: GRU has the lowest error; depth 8: +RNN",
        "largest median over another's",
        "below 1",
    ),
    "H05": Claim(
        "Table App.2", "Welch tests at depth 1", "share of pairs with the paper's sign", "1"
    ),
    "H06": Claim(
        "Table App.2", "Welch tests at depth 8", "share of pairs with the paper's sign", "1"
    ),
    "H07": Claim(
        "Table App.2, derived",
        "At depth 8 more random runs of the +RNN solve the task than of any other architecture",
        "its share below half the plateau",
        "the most",
    ),
    "H07b": Claim(
        "Table App.2, derived (ours)",
        "At depth 8 .43 of the +RNN's random runs solve the task",
        "share below half the plateau",
        ".43",
    ),
    "A01": Claim(
        "App. C, Table App.1",
        "Rerunning the best hyper-parameters gives nearly the original loss",
        "mean over original",
        "0.7-7",
    ),
    "G01": Claim(
        "2.2",
        "Cost per sample is linear in parameters, quadratic in units",
        "slope of log seconds on log parameters",
        "1",
    ),
    "G03": Claim(
        "App. A",
        "Each architecture has between 10 and 27 hyper-parameters",
        "tuned hyper-parameters",
        "10-27",
    ),
    "G04": Claim(
        "5",
        "GRU for shallow networks, +RNN for deep; LSTM is almost never the best",
        "share of wins",
        "most",
    ),
}

# drawn in a figure, without a printed number: no trial can decide it, and it is not counted
WITHOUT_NUMBERS = ("C05",)

# Section 5's advice on which architecture to take, and the claims on which it rests
ADVICE = (
    (
        "Much to spend on training, little on running: the vanilla RNN, which stores most",
        ("C06", "P02"),
    ),
    ("Little to spend on training: a gated architecture", ("P01", "P03")),
    ("Shallow networks: the GRU, then the UGRNN", ("P04", "H04", "G04")),
    ("Deep networks: the +RNN", ("P04", "H04", "H07", "G04")),
    ("The LSTM is reliable, and almost never the best", ("G04", "H01", "H02")),
    ("Weights may be compressed to about 5 bits", ("C15",)),
)


# what the paper spent on a figure of its searches, and on one of random hyper-parameters
SEARCH_BUDGET = f"{TRIALS} trials per point, {STEPS[0]:,}-{STEPS[1]:,} training steps each"
RANDOM_BUDGET = (
    "1,000 random sets for each architecture and depth, 200,000 parameters, the full task"
)
