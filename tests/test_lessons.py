"""The exercises' answers, worked out by hand or with numpy here, are right; slips are not, and get
a hint of their own.
"""

import math
import re
from fractions import Fraction
from pathlib import Path

import nbformat
import numpy as np
import pytest

from rnnkit import lessons
from rnnkit.lessons import EXERCISES, verdict
from rnnkit.practice import PRACTICE

BY_HAND = {
    "0a": 265.5,  # 500 (1 - 0.468996)
    "0b": 1500,
    "1a": 3 * (500 + 100 + 10) + 10 + 11,
    "1b": next(n for n in range(1, 100) if 0.9**n < 0.01),
    "1c": next(
        b / 2 for b in range(13) if (1 / (1 + math.exp(-b / 2))) ** 30 > 0.5
    ),  # what the gate alone leaves
    "2.1a": max(n for n in range(1, 50) if n * 22 + n * n + n + n + n + 1 <= 1000),
    "2.1b": 1.25,
    "2.2a": 0.25,
    "2.2b": min(n for n in range(65) if 1 - n / 64 <= 0.1),
    "3a": np.log2(27).item(),
    "3b": 66_000,  # ln(14.2) / 5.303 = 0.5003
    "4a": 23.03,  # notes of the task: chance 18.21 is below this
    "4b": 0.0586,
    "5a": 6.4,
    "5b": " GRU ",
    "A1": 0.3333,
    "A2": 0.0798,  # 0.2 * 0.3989
    "B1": len("-10000000+-10000000="),
    "B2": float(np.var(np.linspace(-math.sqrt(3), math.sqrt(3), 100_001))),
    "C1": 0.03,  # the rule of three
    "C2": (
        1 - 0.1 * 2.508
    ),  # tables of order statistics: the largest of 100 normals is 2.508 on average
    "own1": 1241,
    "own2": 1.2247,
}


def test_every_exercise_is_worked_out_here():
    assert set(BY_HAND) == set(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_worked_out_by_hand_is_right(name):
    right, said = verdict(name, BY_HAND[name])
    assert right and said.startswith(f"Exercise {name}: right. ")


@pytest.mark.parametrize("name", EXERCISES)
def test_every_slip_is_wrong_and_gets_its_own_word(name):
    for slip, word in EXERCISES[name].slips.items():
        assert verdict(name, slip) == (False, f"Exercise {name}: not yet. {word}")


@pytest.mark.parametrize("name", EXERCISES)
def test_any_other_answer_gets_the_hint(name):
    other = "a cell" if isinstance(EXERCISES[name].solution(), str) else -17.3
    assert verdict(name, other) == (False, f"Exercise {name}: not yet. {EXERCISES[name].hint}")


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_is_an_invitation(nothing):
    right, said = verdict("0a", nothing)
    assert not right and "your turn" in said


def test_an_answer_of_the_wrong_kind_is_told_what_kind_is_due():
    assert "a number, got 'many'" in verdict("0a", "many")[1]
    assert "a word, got 3" in verdict("5b", 3)[1]


def test_a_large_answer_of_the_wrong_kind_is_named_by_its_type():
    assert verdict("0a", list(range(100)))[1].endswith("The answer is a number, got a list.")


@pytest.mark.parametrize("number", [np.int64(21), np.float32(21), Fraction(21)])
def test_a_number_of_any_kind_is_a_number(number):
    assert verdict("2.1a", number)[0]


def test_a_share_in_per_cent_is_told_so():
    for name, exercise in EXERCISES.items():
        solution = exercise.solution()
        if not isinstance(solution, str) and solution <= 1:
            assert "This is right in per cent" in verdict(name, 100 * solution)[1]
    assert "per cent" not in verdict("2.1a", 2_100)[1]


def test_an_unknown_exercise_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"exercise must be one of 0a, .*, got '9z'"):
        lessons.check("9z", 1)


def test_a_check_prints_one_line(capsys):
    lessons.check("2.2a", 0.25)
    assert capsys.readouterr().out.count("\n") == 1


# --- in the notebooks -----------------------------------------------------------------------------

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def asked(path) -> list[str]:
    """The exercises that a notebook checks, in order."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        name
        for cell in cells
        if cell.cell_type == "code"
        for name in re.findall(r'rk\.check\("(\S+?)"', cell.source)
    ]


def test_every_exercise_is_asked_in_one_notebook():
    assert sorted(name for path in NOTEBOOKS for name in asked(path)) == sorted(
        [*EXERCISES, *PRACTICE]
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_three_exercises_named_after_it(path):
    number = path.stem.split("_")[0] + (
        "." + path.stem.split("_")[1] if path.stem[:2] == "2_" else ""
    )
    begins = "own" if path.stem == "your_own_cell" else number
    names = asked(path)
    assert len(names) == 3 and all(name.startswith(begins) for name in names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_exercise_is_asked_before_its_check_and_solved_in_a_fold_behind_it(path):
    cells = nbformat.read(path, as_version=4).cells
    for before, cell, after in zip(cells, cells[1:], cells[2:]):
        for name in re.findall(
            r'rk\.check\("(\S+?)"', cell.source if cell.cell_type == "code" else ""
        ):
            assert f"**Exercise {name}.**" in before.source
            assert (
                after.source.startswith("<details>\n<summary>Solution</summary>\n\n")
                and "</details>" in after.source
            )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_no_answer_away(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "rk.check(" in cell.source:
            assert cell.source.startswith("answer = None  # ")
