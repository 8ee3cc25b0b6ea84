"""Equations beside code, and what a budget of parameters buys."""

import re

import pandas as pd
import pytest

from rnnkit import architectures, paper
from rnnkit.cells import PAPER
from rnnkit.networks import num_params


def test_the_twenty_equations_are_shared_out_as_in_the_paper():
    """Section 1.4: 1 is the RNN's and the IRNN's, 2-4 the UGRNN's, 5-8 the GRU's, 9-14 the LSTM's,
    15-20 the +RNN's.
    """
    found = {a: [number for number, _ in architectures.code_of(a) if number] for a in PAPER}
    ranges = {
        "rnn": (1, 1),
        "irnn": (1, 1),
        "ugrnn": (2, 4),
        "gru": (5, 8),
        "lstm": (9, 14),
        "+rnn": (15, 20),
    }
    assert found == {a: list(range(low, high + 1)) for a, (low, high) in ranges.items()}
    assert list(architectures.EQUATIONS) == list(range(1, 21))


@pytest.mark.parametrize("architecture", PAPER)
def test_an_equation_stands_beside_the_code_with_its_map(architecture):
    """The code's W.u(h, x) is W^{uh} h + W^{ux} x + b^u in the formula beside it; the RNN's one map
    has no name in equation 1.
    """
    for number, code in architectures.code_of(architecture):
        maps = re.findall(r"W\.(\w+)\(", code)
        names = re.findall(r"\\mathbf\{b\}\^\{(\w+)\}", architectures.EQUATIONS.get(number, ""))
        assert maps == names, (number, code)


@pytest.mark.parametrize("number", list(range(1, 21)))
def test_an_equation_has_a_sigmoid_and_a_forget_bias_where_the_paper_has_them(number):
    """From section 1.4: gates are 3, 5, 6, 9, 10, 13, 17, 18; b^fg stands in 3, 6, 10, 17, 18."""
    assert (r"\sigma" in architectures.EQUATIONS[number]) == (
        number in {3, 5, 6, 9, 10, 13, 17, 18}
    )
    assert ("b^{fg" in architectures.EQUATIONS[number]) == (number in {3, 6, 10, 17, 18})


@pytest.mark.parametrize("number", list(range(1, 21)))
def test_an_equation_is_formula_text_that_can_be_set(number):
    from matplotlib.mathtext import MathTextParser

    assert MathTextParser("agg").parse(f"${architectures.EQUATIONS[number]}$").width > 0


def test_a_notebook_shows_a_table_of_equations():
    lines = architectures.equation_table("gru")._repr_markdown_().splitlines()
    assert lines[0].count("|") == 4 and len(lines) == 2 + 4
    assert lines[2].startswith("| (5) | $") and lines[2].endswith("`r = sigmoid(W.r(h, x))` |")


def test_units_are_the_most_that_the_budget_buys():
    table = architectures.units(n_in=50, n_out=1)
    assert table.loc["rnn", (1_000, 1)] == 14  # N^2 + 53 N + 1: 939 at 14, 1,021 at 15
    assert table.loc["+rnn", (1_000, 1)] is pd.NA  # section 1.4
    for (size, depth), column in table.items():
        for architecture, n in column.dropna().items():
            assert (
                num_params(architecture, depth, int(n), 50, 1)
                <= size
                < num_params(architecture, depth, int(n) + 1, 50, 1)
            )


def test_the_authors_best_text8_network_is_sized_as_theirs():
    """Their data: LSTM, 4 layers, 1,268,217 parameters of a budget of 1.28e6."""
    assert architectures.units((1_280_000,), (4,), 27, 27, ("lstm",)).iloc[0, 0] == 210
    assert num_params("lstm", 4, 210, 27, 27) == 1_268_217


def test_the_formula_of_a_count_is_the_count():
    """By hand for the LSTM: 4 maps of N^2 + 50 N + N, readout N + 1, initial h and c 2 N."""
    formulas = architectures.formulas(50, 1)["parameters, 50 inputs, 1 output"]
    assert formulas["lstm"] == "4 N² + 207 N + 1" and formulas["rnn"] == "N² + 53 N + 1"
    assert formulas["+rnn"].endswith("(2 layers)")


def test_the_table_of_the_space_counts_each_architectures_dimensions():
    """Between 10 and 27 (Appendix A); the capacity task adds two to 13, 8, 17, 19, 22 and 25."""
    table = architectures.space_table("per_cap")
    assert table.iloc[-1, 3:].tolist() == [15, 10, 19, 21, 24, 27]
    assert (table.iloc[:-1, 3:].sum() == table.iloc[-1, 3:]).all()
    assert paper.DIMENSIONS == (10, 27) and architectures.space_table("text8").iloc[
        -1, 3:
    ].tolist() == [13, 8, 17, 19, 22, 25]
