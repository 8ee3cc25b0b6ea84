"""The discussion (section 5): weights of few bits, and bits per parameter elsewhere."""

import pandas as pd

from rnnkit.analysis import compression
from rnnkit.analysis.compression import beside_later_work, kept_bits, needed_bits
from rnnkit.analysis.finding import ABOUT, MIN_CELLS
from rnnkit.analysis.judge import ALWAYS, Rule, below
from rnnkit.analysis.rows import capacity, rounded
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.discussion import later_numbers, quantised
from rnnkit.figures.words import each
from rnnkit.paper import BITS_PER_PARAMETER


def least_mean(table: pd.DataFrame, column: str) -> pd.Series:
    """Mean by architecture of the least of a column for each study."""
    return table.groupby(["architecture", "study"])[column].min().groupby("architecture").mean()


FIVE_BITS = Rule(
    compression.five_bit_test,
    below(BITS_PER_PARAMETER * (1 + ABOUT)),
    needs={"networks": MIN_CELLS},
    refutes=ALWAYS,
)


Exhibit(
    name="quantised",
    title="Weights of few bits (ours: not in the paper)",
    gist=(
        "Stored bits that the best network of a study keeps when each of its matrices, a map's by"
        " itself, is rounded to 2^k evenly spaced values after training: (a) between its least and"
        " greatest weight, (b) in the narrower range of least squared error. Thick: mean of an"
        " architecture; thin: networks. (c) Bits a weight that leave 99 %, by the better way,"
        " against the bits that a parameter stores."
    ),
    section="5",
    place=19,
    select=rounded,
    trials="capacity task whose weights were rounded (studies.quantise)",
    tables={
        "quantised": lambda of: kept_bits(of.rows),
        "quantised_needed": lambda of: needed_bits(of.rows),
    },
    draw=quantised,
    panels=tuple("abc"),
    alt=(
        "share of the stored bits that is left against bits a weight, two ways of rounding, and"
        " bits needed against bits stored."
    ),
    numbers=lambda tables: each(
        "Bits a weight that leave 99 %, mean",
        least_mean(tables["quantised_needed"], "needed"),
        ".1f",
    ),
    facts=facts.rounded,
    claims={"C15": FIVE_BITS},
)

Exhibit(
    name="later_numbers",
    title="Bits per parameter, here and elsewhere (ours: not in the paper)",
    gist=(
        "Ours: mean and range over the best networks of the largest size, by equation 22 (full"
        " markers: a label is right or wrong) and by cross-entropy (open: bits saved). Others as"
        " published; their definitions differ, and so do the things that are stored."
    ),
    section="5",
    place=20,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    tables={"later_numbers": lambda of: beside_later_work(of.rows)},
    draw=later_numbers,
    alt="bits per parameter, a row for each source, beside ours.",
    numbers=lambda tables: each(
        "Hard count, mean",
        tables["later_numbers"]
        .query("counted == 'hard' and architecture != ''")
        .set_index("architecture")
        .bits,
    ),
    facts=facts.elsewhere,
)
