"""Examples of the tasks, drawn from plain numbers and text that these tests write."""

import numpy as np
import pytest

from rnnkit.exhibits.appendix_b import MOST, costs, table, task_example
from rnnkit.figures import illustrations
from rnnkit.tasks import TASKS, example

CURVE = dict(
    x=np.arange(3),
    y=np.array([0.5, 0.3, 0.2]),
    xlabel="x",
    ylabel="y",
    title="a curve",
    about="something",
)
SUM = dict(
    task="arithmetic",
    form="small",
    input=["1+2=      "],
    target="  3",
    problem=4,
    first=7,
    unit="nats a symbol",
    chance=1.25,
    perfect=0.0,
    curve=CURVE,
)
COUNTS = dict(
    task="parens_counting",
    form="tiny",
    input=["((a", "]a["],
    pairs=["()", "[]"],
    target=np.array([2, 1]),
    first=2,
    unit="nats",
    chance=2.0,
    perfect=0.0,
    curve=CURVE,
)
VECTOR = dict(
    task="mem_thru",
    form="tiny",
    input=np.array([[1.5, 0], [-0.5, 0]]),
    target=np.array([1.5, -0.5]),
    first=1,
    unit="u",
    chance=1.0,
    perfect=0.0,
    curve=CURVE,
)
TEXT = dict(
    task="text8",
    form="tiny sample",
    input=["to be"],
    target="be ",
    first=2,
    unit="bits a character",
    chance=4.1,
    perfect=np.nan,
    curve=CURVE,
)


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_what_is_asked_stands_below_the_step_at_which_it_is_due():
    figure = task_example(SUM)
    answers = [
        (t.get_position(), t.get_text()) for t in figure.axes[0].texts if t.get_position()[1] == 1
    ]
    assert answers == [((8, 1), "·"), ((9, 1), "·"), ((10, 1), "3")]


def test_each_stream_shows_its_own_parentheses_strongly_and_its_count():
    figure = task_example(COUNTS)
    strong = "".join(t.get_text() for t in figure.axes[0].texts if t.get_fontweight() == "bold")
    assert strong == "((][" and {"() open: 2", "[] open: 1"} <= set(texts(figure))


def test_a_long_line_shows_its_end_and_says_so():
    long = {**COUNTS, "input": ["a" * 100 + "(", "b" * 100 + "["], "first": 100}
    figure = task_example(long)
    assert sum(text in ("a", "b", "(", "[") for text in texts(figure)) == 2 * MOST
    assert figure.axes[0].get_xlabel() == f"time step (the last {MOST} of 101)"


def test_a_vector_is_drawn_with_its_answer_in_the_same_colours():
    shown, asked = task_example(VECTOR).axes[0].images
    assert np.array_equal(shown.get_array(), VECTOR["input"]) and np.array_equal(
        asked.get_array()[:, 0], VECTOR["target"]
    )
    assert shown.get_clim() == asked.get_clim() == (-1.5, 1.5)


def test_costs_are_given_in_words_and_an_unknown_one_as_unknown():
    assert (
        costs(SUM)
        == "An answer that ignores the input costs 1.25 (nats a symbol), a perfect one 0."
    )
    assert "nobody knows" in costs(TEXT)


def test_the_sample_is_called_no_text8_in_title_caption_and_alt():
    figure = task_example(TEXT)
    assert all(
        "Shakespeare sample, not text8" in words
        for words in (figure.axes[0].get_title(), figure.caption, figure.alt)
    )


def test_the_table_is_what_is_drawn():
    rows = table(COUNTS)
    assert "".join(rows[(rows.part == "input") & (rows.row == 1)].value) == "]a["
    assert rows[rows.part == "target"].value.tolist() == [2, 1] and set(
        rows[rows.part == "target"].x
    ) == {3}
    assert rows[rows.part == "curve"].value.tolist() == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_an_exhibit_of_its_example(name):
    figure = illustrations()[f"task_{name}"](
        example(name, "tiny sample" if name == "text8" else "tiny")
    )
    assert list(figure.tables) == [f"task_{name}"] and figure.alt and figure.caption
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["a", "b"]
