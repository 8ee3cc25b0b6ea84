"""Names as people write them, and the answer to a misspelling."""

import inspect

import pytest

import rnnkit as rk
from rnnkit.exhibits.base import exhibit, exhibits
from rnnkit.names import matching, resolve_name

CELLS = ("rnn", "gru", "lstm", "+rnn", "gp-usual")


@pytest.mark.parametrize(
    "written, meant",
    [("GRU", "gru"), ("+RNN", "+rnn"), ("gp usual", "gp-usual"), ("GP_Usual", "gp-usual")],
)
def test_case_and_spaces_are_forgiven(written, meant):
    assert resolve_name("cell", written, CELLS) == meant


def test_a_plus_is_no_space():
    assert resolve_name("cell", "RNN", CELLS) == "rnn"


def test_what_could_be_two_names_is_neither():
    assert matching("A B", ("ab", "a-b")) is None


@pytest.mark.parametrize(
    "written, said",
    [
        ("gruu", "cell must be one of rnn, .*, got 'gruu'. The nearest is 'gru'."),
        ("transformer", r"got 'transformer'\. Check the spelling\.$"),
        (3, r"got 3\. Check the spelling\.$"),
        ("GRU,lstm", r"got 'GRU,lstm'\. Give 'gru' and 'lstm' one at a time\.$"),
        ("gp-usual gru  rnn ", r"Give 'gp-usual' and 'gru' and 'rnn' one at a time\.$"),
        (["gru", "rnn"], r"got \['gru', 'rnn'\]\. Give 'gru' and 'rnn' one at a time\.$"),
        (["gru"], r"Check the spelling\.$"),
        (["gru", ["rnn"]], r"Check the spelling\.$"),
    ],
)
def test_a_misspelling_is_answered_with_the_nearest_name(written, said):
    with pytest.raises(ValueError, match=said):
        resolve_name("cell", written, CELLS)


def test_no_one_of_many_that_are_equally_near_is_suggested():
    with pytest.raises(ValueError, match="got 'fig9'. Check the spelling."):
        resolve_name("figure", "fig9", ("fig1", "fig2", "fig3", "fig4"))


def test_a_study_is_the_same_however_its_names_are_written():
    assert rk.Study("Per-Cap", "GRU", 1, 1_000, tuner="Random") == rk.Study(
        "per_cap", "gru", 1, 1_000, tuner="random"
    )
    assert rk.num_params("LSTM", 1, 10, 5, 1) == rk.num_params("lstm", 1, 10, 5, 1)
    assert rk.space_for("IRNN", "per_cap") == rk.space_for("irnn", "per_cap")


@pytest.mark.parametrize(
    "wrong, right",
    [
        (lambda: rk.Study("per_cap", "lstn", 1, 1_000), "'lstm'"),
        (lambda: rk.Study("arithmatic", "gru", 1, 1_000), "'arithmetic'"),
        (lambda: rk.Study("per_cap", "gru", 1, 1_000, pinned={"lr_int": 0.1}), "'lr_init'"),
        (lambda: rk.Study("text8", "gru", 1, 9_000, form="smal"), "'small'"),
        (lambda: rk.run("calibraton", "smoke"), "'calibration'"),
        (lambda: rk.run("fig1", "quik"), "'quick'"),
        (lambda: rk.widget("inside_the_cell"), "'inside_a_cell'"),
        (lambda: rk.compare("figg1", None), "'fig1'"),
        (lambda: rk.conclude("gradient", None), "'gradients'"),
        (lambda: rk.figures.publish("calibraton", None), "'calibration'"),
    ],
)
def test_every_name_of_the_kit_is_mended(wrong, right):
    with pytest.raises(ValueError, match=f"The nearest is {right}."):
        wrong()


def test_what_is_no_figure_is_not_published():
    with pytest.raises(ValueError, match="figure must be one of .*, got 'fig9'"):
        rk.figures.publish("fig9", None)


@pytest.mark.parametrize("name", exhibits())
def test_help_shows_what_a_figure_takes(name):
    assert list(inspect.signature(exhibit(name).draw).parameters)[:1] == ["frame"]


def test_a_run_keeps_its_names_as_the_kit_writes_them(tmp_path):
    frame = rk.run("Start", "SMOKE", tmp_path / "trials.sqlite", trials=1, progress=False)
    assert set(frame.experiment) == {"start"} and set(frame.scale) == {"smoke"}
