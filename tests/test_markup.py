"""Results as a notebook displays them."""

import re

import pandas as pd
import pytest

import rnnkit as rk
from rnnkit.exhibits.best_trials import BestTrials
from rnnkit.markup import SmallTable, first_few, markdown, table, text
from rnnkit.studies.experiments import searches_of


def cells(html):
    """The texts of a table, row by row."""
    return [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", html)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("markup") / "trials.sqlite"
    rk.run("start", "smoke", path, trials=3, progress=False)
    with rk.TrialStore(path) as opened:
        yield opened


@pytest.mark.parametrize(
    "value, shown",
    [(0.01234, "0.0123"), (1234.5, "1,234"), (1_000, "1,000"), (float("nan"), "-"), (True, "yes")],
)
def test_numbers_are_short(value, shown):
    assert text(value) == shown


def test_a_small_table_cuts_no_text_off_and_stays_a_frame():
    claim = "Stored bits are roughly linear in the number of parameters, whatever the architecture"
    rows = SmallTable({"claim": [claim, "b"], "holds": [0.051234, 0], "is": [True, False]})
    shown = cells(rows[rows.holds > 0]._repr_html_())
    assert shown == [["claim", "holds", "is"], [claim, "0.0512", "yes"]]
    assert rows.set_index("claim").holds["b"] == 0


def test_a_small_table_with_names_on_both_sides_shows_them_and_dashes_for_what_is_missing():
    columns = pd.MultiIndex.from_product([[1_000], [1, 2]], names=["parameters", "layers"])
    index = pd.Index(["rnn", "+rnn"], name="architecture")
    rows = SmallTable([[21, 0.123456], [pd.NA, float("nan")]], index=index, columns=columns)
    shown = re.sub(r"\n\s*", "", rows._repr_html_())
    assert [row[1:] for row in cells(shown)[-2:]] == [["21", "0.123"], ["-", "-"]]
    assert all(f">{text}<" in shown for text in ("1,000", "layers", "architecture", "+rnn"))


def test_what_a_table_shows_is_text_and_no_markup():
    assert "<script>" not in table(("<script>",), [("a", "<script>")], "<script>")


def test_a_table_for_a_page_has_the_same_numbers():
    assert markdown(("name", "loss"), [("rnn", 0.01234), ("gru", float("nan"))]).split("\n") == [
        "| name | loss |",
        "|---|---|",
        "| rnn | 0.0123 |",
        "| gru | - |",
    ]


def test_many_names_are_counted():
    assert first_few("abcd", 2) == "a, b and 2 more" and first_few("ab", 2) == "a, b"


def test_a_study_shows_its_network_and_what_is_tuned():
    study = rk.Study("per_cap", "gru", 2, 1_000, pinned={"lr_init": 0.01})
    shown = dict(cells(study._repr_html_()))
    assert shown["network"] == f"gru, 2 layers of {study.n_units} units"
    assert shown["parameters"] == f"{study.num_params:,} of at most 1,000"
    assert "lr_init = 0.01" in shown["pinned"] and shown["key"] == study.key


def test_a_store_shows_its_tasks(store):
    assert repr(store) == f"TrialStore({str(store.path)!r}): 3 trials"
    head, row = cells(store._repr_html_())
    assert head[0] == "task" and row[:4] == ["per_cap", "1", "3", "0"]


@pytest.mark.parametrize("name", rk.EXPERIMENTS)
def test_an_experiment_shows_what_it_trains_at_each_scale(name):
    experiment = rk.EXPERIMENTS[name]
    shown = experiment._repr_html_()
    assert experiment.title in shown and len(repr(experiment)) < 200
    _, smoke, *_ = cells(shown)
    searches = searches_of(name, "smoke")
    assert smoke[:3] == ["smoke", f"{len(searches):,}", f"{sum(n for _, n in searches):,}"]


def test_the_best_trials_show_what_differs_in_them(store):
    best = rk.analysis.best_trials(store.frame(), 3)
    assert isinstance(best, BestTrials) and isinstance(best, pd.DataFrame) and len(best) == 3
    rows = cells(best._repr_html_())
    names = [name for name, *_ in rows]
    assert rows[0] == ["", "number 1", "number 2", "number 3"]
    assert "lr_init" in names and "architecture" not in names
    assert "The same in all of them: architecture rnn" in best._repr_html_()


def test_one_best_trial_shows_all_of_it(store):
    rows = cells(rk.analysis.best_trials(store.frame(), 1)._repr_html_())
    assert ["architecture", "rnn"] in rows


def test_printed_too_the_best_trials_show_what_differs_in_them(store):
    best = rk.analysis.best_trials(store.frame(), 3)
    lines = repr(best).splitlines()
    assert lines[0].split() == ["number", "1", "number", "2", "number", "3"]
    assert [line.split()[0] for line in lines[1:-1]] == [
        name for name, *_ in cells(best._repr_html_())[1:]
    ]
    assert lines[-1].startswith("The same in all of them: architecture rnn")


def test_one_layer_is_one_layer():
    shown = dict(cells(rk.Study("per_cap", "rnn", 1, 1_000)._repr_html_()))
    assert shown["network"].startswith("rnn, 1 layer of ")
