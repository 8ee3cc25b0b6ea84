"""The paper's numbers as data: checked against each other and against the claims that are decided
with them.
"""

import ast
import inspect

import pytest

from rnnkit import paper
from rnnkit.exhibits.base import exhibits


def test_it_imports_nothing_but_the_type_of_its_rows():
    tree = ast.parse(inspect.getsource(paper))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imports] == ["from typing import NamedTuple"]


def test_every_architecture_has_a_label_and_its_gates():
    assert set(paper.LABELS) == set(paper.GATES) == set(paper.ARCHITECTURES)


def test_the_order_of_section_2_1_2_puts_the_irnn_aside():
    assert set(paper.ARCHITECTURES) - set(paper.ORDER) == {"irnn"}


def test_more_gates_come_later_in_the_papers_order_except_for_the_intersection_rnn():
    # section 2.1.2: "The vanilla RNN has no gates, the UGRNN has one, while the remaining three
    # have two or more"
    gates = [paper.GATES[a] for a in paper.ORDER]
    assert gates[:2] == [0, 1] and min(gates[2:]) >= 2


def test_every_claim_is_decided_by_one_exhibit():
    named = [id for about in exhibits().values() for id in about.claims]
    assert sorted(named) == sorted(paper.CLAIMS)


@pytest.mark.parametrize("pair, row", paper.TABLE_APP2.items())
def test_a_welch_test_names_two_different_architectures(pair, row):
    assert len(set(pair)) == 2 and set(pair) <= set(paper.ARCHITECTURES)


def test_welch_tests_are_of_all_pairs_and_without_intersection_rnn_at_one_layer():
    assert len(paper.TABLE_APP2) == 6 * 5 / 2
    assert {pair for pair, (shallow, _) in paper.TABLE_APP2.items() if shallow is None} == {
        p for p in paper.TABLE_APP2 if "+rnn" in p
    }


@pytest.mark.parametrize("architecture", paper.TABLE_APP1)
def test_the_spread_of_table_app_1_is_its_standard_deviation_over_its_mean(architecture):
    row = dict(zip(paper.TABLE_APP1_COLUMNS, paper.TABLE_APP1[architecture]))
    assert row["sd"] / row["mean"] == pytest.approx(
        row["sd_over_mean"], rel=0.01
    )  # three printed digits


def test_the_intersection_rnn_has_no_share_at_one_layer():
    assert [a for a, (shallow, _) in paper.TABLE_1.items() if shallow is None] == ["+rnn"]


def test_a_claim_shows_what_it_says():
    assert "2.1.2" in repr(paper.CLAIMS["C06"]) and "RNN > UGRNN" in repr(paper.CLAIMS["C06"])
