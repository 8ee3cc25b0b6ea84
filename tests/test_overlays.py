"""The authors' trials lie pale on our figures where the task is the same, and change nothing where
they have not been downloaded.
"""

import warnings

import numpy as np
import pytest
import synthetic
from test_reference import BEST, HPARAMS, archive, pickled

from rnnkit import figures, reference
from rnnkit.exhibits.overlays import (
    VARIABLE,
    _load_authors,
    authors,
    authors_sizes,
    key_if_drawn,
    overlay,
    overlay_columns,
    overlay_search,
)
from rnnkit.exhibits.style import new_figure

CAPACITY = [
    ("gru", "per_cap", HPARAMS, depth, n, size, size - 7, 0.1, -bits * size, -bits * size)
    for depth in (1, 2)
    for size in (1_000, 30_000)
    for n, bits in enumerate((3.0, 5.0, 4.0))
]
PARENS = [
    ("lstm", "parens_counting", HPARAMS, 8, n, 200_000, 199_000, 9.0, 9.0 - n, 9.0 - n)
    for n in (2, 0, 1)
]


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    path = archive(
        tmp_path / "authors.tar.gz",
        [
            ("fig1_capacity.p", pickled(CAPACITY)),
            ("fig3_txt8rcf.p", pickled([BEST])),
            ("fig4_parens.p", pickled(PARENS)),
        ],
    )
    load = reference.load
    monkeypatch.setattr(reference, "load", lambda path, figure: load(path, figure, verify=False))
    monkeypatch.setenv(VARIABLE, str(path))
    _load_authors.cache_clear()
    yield path
    _load_authors.cache_clear()


def pale(ax):
    return [line for line in ax.lines if line.get_label() == "_authors"]


def test_without_the_variable_nothing_is_drawn(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    ax = new_figure(3).subplots()
    overlay({None: ax}, "fig1", "per_cap", "bits")
    assert not ax.lines


def test_the_best_trial_of_each_size_is_drawn(theirs):
    ax = new_figure(3).subplots()
    overlay({1: ax}, "fig1", "per_cap", "bits_per_param")
    (line,) = pale(ax)
    np.testing.assert_allclose(line.get_xdata(), [993, 29_993])
    np.testing.assert_allclose(
        line.get_ydata(), [5_000 / 993, 150_000 / 29_993]
    )  # by hand, from the table above
    (key,) = key_if_drawn(ax.figure)
    assert key.get_label() == "pale: the authors' own trials"


def test_panels_share_limits_that_hold_both(theirs):
    axes = new_figure(3).subplots(1, 2)
    for ax in axes:
        ax.set(xlim=(100, 2_000), ylim=(0, 3))
    overlay(dict(zip((1, 2), axes)), "fig1", "per_cap", "bits_per_param")
    assert axes[0].get_xlim() == axes[1].get_xlim() and axes[0].get_ylim() == axes[1].get_ylim()
    assert (
        axes[0].get_xlim()[0] == 100
        and axes[0].get_xlim()[1] > 29_993
        and authors_sizes("fig1", "per_cap") == {1_000, 30_000}
    )
    assert axes[0].get_xlim()[1] < 40_000 and axes[0].get_ylim()[1] > 5


def test_capacity_losses_that_are_not_minus_bits_are_not_taken_for_bits(tmp_path, theirs):
    other = [(*row[:-1], -row[-1]) for row in CAPACITY]
    archive(theirs, [("fig1.p", pickled(other))])
    _load_authors.cache_clear()
    assert authors("fig1", "per_cap").bits.isna().all()
    figure = new_figure(3)
    overlay({1: figure.subplots()}, "fig1", "per_cap", "bits")
    assert key_if_drawn(figure) == []


@pytest.mark.parametrize(
    "task, form, drawn",
    [
        ("parens_counting", "paper", 3),
        ("parens_counting", "small", 0),
        ("text8", "small", 1),
        ("text8", "small sample", 0),
        ("rcf", "small", 0),
    ],
)
def test_only_the_same_task_in_the_same_size_is_compared(theirs, task, form, drawn):
    assert len(authors("fig4" if task == "parens_counting" else "fig3", task, form)) == drawn


def test_a_search_is_drawn_as_its_running_minimum(theirs):
    ax = new_figure(3).subplots()
    overlay_search(ax, "fig4", "parens_counting", 8, "minimum", lambda losses: losses)
    np.testing.assert_array_equal(
        pale(ax)[0].get_ydata(), [9, 8, 7]
    )  # in the order of hyper_iter 0, 1, 2


def test_random_sets_are_drawn_in_the_column_of_their_architecture(theirs):
    ax = new_figure(3).subplots()
    overlay_columns(ax, "fig4", "parens_counting", 8, ["gru", "lstm"], lambda losses: losses)
    (strip,) = pale(ax)
    assert (np.round(strip.get_xdata()) == 1).all() and sorted(strip.get_ydata()) == [7, 8, 9]


def test_a_file_that_cannot_be_read_is_reported_once_and_the_figure_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.tar.gz"))
    _load_authors.cache_clear()
    ax = new_figure(3).subplots()
    with pytest.warns(UserWarning, match="are not drawn: There is no file"):
        overlay({1: ax}, "fig1", "per_cap", "bits")
    assert not ax.lines
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlay({1: ax}, "fig1", "per_cap", "bits")
    _load_authors.cache_clear()


def test_figure_1_shows_them_beside_ours(theirs):
    figure = figures.fig1(synthetic.frame((300, 1_000), (1, 2)))
    panels = [ax for ax in figure.get_axes() if pale(ax)]
    assert len(panels) == 6  # all depths, 1 and 2, in both rows; they have no depth 4
    assert "pale: the authors' own trials" in [
        text.get_text() for text in figure.axes[-1].get_legend().get_texts()
    ]
