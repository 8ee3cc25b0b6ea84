"""What the paper reports, as data: names, numbers, tables, figures and claims, each with its
address. Imports nothing.

Collins, Sohl-Dickstein & Sussillo, *Capacity and Trainability in Recurrent Neural Networks*, ICLR
2017 (arXiv 1611.09913).
"""

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
TEXT8_ANCHORS = {
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
TABLE_1 = {
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
TABLE_APP2 = {
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


class Claim:
    """A sentence of the paper: where it stands, what it says, the number that decides it, and the
    paper's value of that number.

    An id that ends with b is of a claim of ours, set beside the paper's of the same number: the
    paper has 37, and of one of them (C05) it prints no number, so that 36 can be decided.
    """

    def __init__(self, where: str, text: str, statistic: str, paper: str):
        self.where, self.text, self.statistic, self.paper = where, text, statistic, paper

    def __repr__(self):
        return f"Claim({self.where!r}, {self.text!r}, {self.statistic!r}, {self.paper!r})"


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
        "At depth 8 the +RNN solves more random runs than each other",
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

# drawn in a figure, with no number printed: nothing of ours can decide it, and it is not counted
WITHOUT_NUMBERS = ("C05",)

# Section 5's advice on which architecture to take, and the claims that it leans on
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


class Figure:
    """A figure or table of the paper or of ours: its title, what it shows, its section, its panels,
    the claims that it decides and what the paper spent on it.
    """

    def __init__(
        self,
        title: str,
        gist: str,
        section: str,
        panels: tuple,
        claims: tuple = (),
        budget: str = "",
    ):
        self.title, self.gist, self.section, self.panels, self.claims, self.budget = (
            title,
            gist,
            section,
            panels,
            claims,
            budget,
        )

    def __repr__(self):
        return (
            f"Figure({self.title!r}, {self.gist!r}, {self.section!r}, {self.panels!r},"
            f" {self.claims!r}, {self.budget!r})"
        )


_SEARCH = f"{TRIALS} trials a point, {STEPS[0]:,}-{STEPS[1]:,} training steps each"
_RANDOM = "1,000 random sets for each architecture and depth, 200,000 parameters, the full task"

FIGURES = {  # in the order of the paper, ours where they belong; the gallery shows them so
    "fig1": Figure(
        "Figure 1",
        "(a) Most stored bits of any trial against the number of parameters, all depths; filled,"
        " half and open markers are 1, 2 and 4 layers. (b-d) One depth each. (e-h) The same as bits"
        " per parameter, with the paper's 5 (grey line) and 3-6 (grey band). (i) How many times the"
        " parameters the architecture on the x-axis needs to store as much as the one on the"
        " y-axis, by their means over the sizes and depths that both were trained at.",
        "2.1",
        tuple("abcdefghi"),
        ("C01", "C02", "C02b", "C03", "C04", "C05", "C06", "C07", "C08", "C13", "G03"),
        _SEARCH,
    ),
    "best_so_far": Figure(
        "The search",
        "Bits per parameter of each trial (dots) and of the best so far (lines) against the number"
        " of trials, a panel for each depth and size. A curve that still rises has not found its"
        " capacity.",
        "App. A",
        ("",),
        (),
        _SEARCH,
    ),
    "tuner": Figure(
        "The search against random search (ours: not in the paper)",
        "One study under both tuners. Left: bits per parameter of the best trial so far, median"
        " (line) and range (band) over the seeds. Right: median and middle half of each 16 trials,"
        " all seeds together.",
        "App. A",
        ("",),
    ),
    "importance": Figure(
        "What matters (ours: not in the paper)",
        "Share of the variance of a study's ranks that a random forest loses on unseen trials when"
        " one hyper-parameter is dealt out anew, summed over the maps of a cell (*). Last row: a"
        " number that means nothing.",
        "App. A",
        ("",),
    ),
    "lost": Figure(
        "Where trials are lost (ours: not in the paper)",
        "Share of trials with random hyper-parameters that diverged, and that ended more than a"
        " tenth above chance, by quarters of three hyper-parameters, all architectures and depths"
        " together; Wilson's 95 % interval.",
        "App. A",
        ("",),
    ),
    "fig2a": Figure(
        "Figure 2a",
        "The effect of ReLU: bits per parameter of 1-layer networks, best where the tuner chose the"
        " nonlinearity (solid) and best of all trials with ReLU (dashed, open).",
        "2.1",
        ("a",),
        ("C09",),
        _SEARCH,
    ),
    "fig2b": Figure(
        "Figure 2b",
        "Bits per parameter of 1-layer networks against the number of time steps unrolled.",
        "2.1",
        ("b",),
        ("C10",),
        _SEARCH,
    ),
    "fig2c": Figure(
        "Figure 2c",
        "Memory throughput: squared error of the reconstructed input against units a layer, all"
        " depths (filled, half and open markers: 1, 2 and 4 layers); black line: as many units as"
        " inputs. Dashed: the least error that a linear readout of N units allows, a bound and not"
        " a fit. Right, ours: the excess over it; an excess below 0.0001 is drawn there.",
        "2.2",
        ("c",),
        ("M01", "M02", "M03"),
        "hundreds to thousands of trials a point, 64 inputs, 12 time steps",
    ),
    "g01": Figure(
        "Cost of a step",
        "Ours: measured seconds of a training step (top; median over the trials of a network, its"
        " share of all that were trained side by side) and counted multiplications (bottom),"
        " against parameters and against units. Dashed: slopes 1 and 2.",
        "2.2",
        ("",),
        ("G01",),
    ),
    "fig3": Figure(
        "Figure 3",
        "Least losses of a search: (a-c) text, bits per character against parameters at depths 1, 2"
        " and 4, (d) against units at depth 1; (e-g) random continuous functions. Dashed: chance;"
        " dotted: the error left if each parameter held one of the heaviest samples.",
        "3",
        tuple("abcdefg"),
        ("T01", "T02", "R01", "R02"),
        "hundreds to thousands of trials a point, text8, 50 time steps, up to 1,280,000 parameters",
    ),
    "fig4": Figure(
        "Figure 4",
        "Searches on the hard tasks: (a-d) parentheses, median loss of all trials so far, depths 1,"
        " 2, 4, 8; dots are single trials. (e-h) The least loss so far. (i-p) The same for"
        " arithmetic. A diverged trial counts as worse than any. Grey line: chance, the loss of the"
        " best answer that ignores the input. Bands: 95 % of the median, and for the least loss"
        " what half of the trials would have found in 39 of 40 cases.",
        "4",
        tuple("abcdefghijklmnop"),
        ("P01", "P02", "P03", "P04", "P05", "P06", "G04"),
        "1,500-2,500 and more trials a curve; parentheses in ten streams of 175 steps, integers to"
        " ten million",
    ),
    "fig5": Figure(
        "Figure 5",
        "Losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest networks:"
        " median, quartiles, whiskers to the last trial within 1.5 times their distance, dots for"
        " all trials. Grey line: chance. Below each box: how many diverged.",
        "4",
        tuple("ab"),
        ("H04", "H07", "H07b"),
        _RANDOM,
    ),
    "table1": Figure(
        "Table 1",
        "Per cent of random hyper-parameters that diverged on parentheses, with Wilson's 95 %"
        " interval, beside the paper's.",
        "4",
        ("",),
        ("H01", "H02"),
        _RANDOM,
    ),
    "figapp1": Figure(
        "Figure App.1",
        "The dataset size of the best trial against the bits that this trial stored; no network can"
        " store more bits than there are labels (line y = x).",
        "App. A",
        ("",),
        ("C12",),
        _SEARCH,
    ),
    "tableapp1": Figure(
        "Table App.1",
        "The best hyper-parameters of a search on parentheses, 1 layer, trained again: losses in"
        " nats, ours above the paper's. Brackets hold 95 %.",
        "App. C",
        ("",),
        ("A01",),
        "100 reruns, 100,000 parameters, the full task",
    ),
    "tableapp2": Figure(
        "Table App.2",
        "Welch's t-test for equal mean losses of random hyper-parameters on parentheses, all pairs:"
        " t, degrees of freedom and p, ours beside the paper's. A negative t says that the second"
        " of the pair has the larger mean. Ours leaves out trials above twice chance.",
        "App. C",
        ("",),
        ("H05", "H06"),
        _RANDOM,
    ),
    "calibration": Figure(
        "Calibration",
        "A linear model without recurrence through the same pipeline. On the line y = x every label"
        " is stored; theory allows that up to 2 labels a parameter (Cover 1965, Gardner 1988).",
        "2.1",
        ("",),
        ("C17",),
    ),
    "inputs": Figure(
        "The number of inputs (ours: the paper does not give it)",
        "Most bits per parameter of the RNN against the number of inputs of a sample. Each input"
        " takes a column of the input matrix and so leaves fewer units; with too few inputs,"
        " samples coincide.",
        "2.1",
        ("",),
    ),
    "quantised": Figure(
        "Weights of few bits (ours: not in the paper)",
        "Stored bits that the best network of a study keeps when each of its matrices, a map's by"
        " itself, is rounded to 2^k evenly spaced values after training: (a) between its least and"
        " greatest weight, (b) in the narrower range of least squared error. Thick: mean of an"
        " architecture; thin: networks. (c) Bits a weight that leave 99 %, by the better way,"
        " against the bits that a parameter stores.",
        "5",
        tuple("abc"),
        ("C15",),
    ),
    "later_numbers": Figure(
        "Bits per parameter, here and elsewhere (ours: not in the paper)",
        "Ours: mean and range over the best networks of the largest size, by equation 22 (full"
        " markers: a label is right or wrong) and by cross-entropy (open: bits saved). Others as"
        " published; their definitions differ, and so do the things that are stored.",
        "5",
        ("",),
    ),
    "more_cells": Figure(
        "Later cells (ours: not in the paper)",
        "Most stored bits per parameter of cells that are younger than the paper, beside its six at"
        " the same sizes and with the same search, (a) 1 layer, (b) 2 layers. Lines begin at what"
        " half of the search would have found.",
        "2.1",
        ("a", "b"),
    ),
}
