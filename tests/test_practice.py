"""Exercises with a trained or written result: the right result is answered with its own numbers,
and any other one with what is missing.
"""

import pandas as pd
import pytest
import synthetic
import synthetic_hard

from rnnkit import cells
from rnnkit.lessons import check, verdict
from rnnkit.practice import PRACTICE


def capacity(trials=16, unroll=5, **settings):
    return synthetic.frame(
        (600,), (1,), trials, ("rnn",), unrolls=(unroll,), infeasible=0, **settings
    )


def memory(excess=0.005, units=24, trials=8):
    frame = synthetic.memory(
        excess, units=(units,), depths=(1,), architectures=("gru",), trials=trials
    )
    return frame.assign(n_in=32, eval_loss=1 - units / 32 + excess)


def width(units, architecture):
    return synthetic.losses(
        "rcf",
        lambda a, d, p, n: 0.5,
        units=(units,),
        depths=(1,),
        architectures=(architecture,),
        trials=4,
    )


def parens(tuner="random", pin="/lr_init=0.003", trials=16):
    frame = synthetic_hard.frame(tuner=tuner, depths=(1,), architectures=("gru",), trials=trials)
    size = "layers=1/params=2000/form=tiny/steps=100-400"
    study = f"parens_counting/gru/{size}{pin}/{tuner}/seed=0"
    return frame.assign(study=study, hparams=[{"lr_init": 0.003}] * len(frame))


def needed(bits):
    return pd.DataFrame({"study": ["a", "b"], "way": "range", "needed": bits})


def reruns(trials=8, tuner="rerun"):
    return synthetic_hard.frame(
        tuner=tuner, depths=(1,), architectures=("gru",), trials=trials, diverges={"gru": 0.0}
    )


RIGHT = {
    "0c": lambda: capacity(40),
    "2.1c": lambda: capacity(8, unroll=3),
    "2.2c": memory,
    "3c": lambda: [width(16, "rnn"), width(16, "lstm")],
    "4c": parens,
    "5c": lambda: [needed([8, 9]), needed([5, 6])],
    "A3": lambda: capacity(16).assign(tuner="random"),
    "B3": lambda: "))))(((",
    "C3": reruns,
}
LACKING = [
    ("0c", lambda: capacity(20), "trials=40"),
    ("0c", lambda: "twice", "must be a frame of trials, got str"),
    ("0c", memory, "must be of the capacity task"),
    ("0c", lambda: capacity(40).drop(columns=["hparams", "study"]), "columns study and hparams."),
    ("2.1c", lambda: capacity(8, unroll=5), "already has networks of 5 time steps"),
    ("2.1c", lambda: capacity(4, unroll=3), "Got 4 trials"),
    ("2.2c", lambda: memory(units=40), "can hold all 32 numbers"),
    (
        "2.2c",
        lambda: memory(excess=0.2),
        "The best error is 0.450, and the bound for 24 units is 0.250",
    ),
    ("3c", lambda: [width(16, "rnn"), width(20, "lstm")], "equally many units"),
    ("3c", lambda: [width(16, "rnn")], "must be of two architectures"),
    ("3c", lambda: 16, "must be a list of two frames"),
    ("4c", lambda: parens("gp"), "drawn at random"),
    ("4c", lambda: parens(pin=""), "held fixed"),
    ("5c", lambda: [needed([8, 9]), needed([8, 9])], "must ask for a smaller share"),
    ("5c", lambda: needed([8, 9]), "list of two tables"),
    ("A3", lambda: capacity(16, found=0.01).assign(tuner="random"), "A typical trial stores 0.0"),
    ("A3", lambda: capacity(16), "drawn at random"),
    ("B3", lambda: "((())", "must close more"),
    ("B3", lambda: "))))))(((((", "By the rule of the task, 5 are open"),
    ("B3", lambda: "ab", "must consist of ( and )"),
    ("B3", lambda: 3, "must be a string"),
    ("C3", lambda: reruns(3), "Got 3 reruns"),
    ("C3", lambda: reruns(tuner="gp"), "must be of one study of reruns"),
    ("own3", lambda: "a cell", "must be a report, as rk.report returns it, got str"),
]


def test_every_exercise_has_a_result_here():
    assert set(RIGHT) | {"own3"} == set(PRACTICE)


@pytest.mark.parametrize("name", RIGHT)
def test_a_result_that_is_asked_for_is_right(name):
    right, said = verdict(name, RIGHT[name]())
    assert right, said
    assert said.startswith(f"Exercise {name}: right. ")


@pytest.mark.parametrize(("name", "result", "word"), LACKING)
def test_another_result_is_told_what_is_missing(name, result, word):
    right, said = verdict(name, result())
    assert not right and said.startswith(f"Exercise {name}: not yet. ") and word in said


@pytest.mark.parametrize("name", PRACTICE)
def test_nothing_is_an_invitation(name):
    assert "your turn" in verdict(name)[1]


@pytest.mark.parametrize("name", PRACTICE)
@pytest.mark.parametrize("result", [3, "x", [], {}, pd.DataFrame(), [pd.DataFrame(), 1]], ids=repr)
def test_whatever_is_given_gets_an_answer_and_no_error(name, result):
    assert not verdict(name, result)[0]


def test_a_longer_search_hears_what_its_second_half_added():
    frame = capacity(40)
    frame["eval_loss"] = [-100.0] * 39 + [-120.0]
    assert "The second half added 20 %." in verdict("0c", frame)[1]


def test_equal_units_are_told_with_their_parameters():
    small = width(16, "rnn")
    large = width(16, "lstm").assign(eval_loss=0.4)
    ratio = large.num_params.iloc[0] / small.num_params.iloc[0]
    assert f"the LSTM has {ratio:.2g} times the parameters" in verdict("3c", [small, large])[1]


def test_the_result_of_a_study_itself_is_taken(tmp_path, capsys):
    from rnnkit import Study, num_params

    size = num_params("gru", 1, 6, 16, 16)
    frame = Study("mem_thru", "gru", 1, size, form="tiny", train_steps=(20, 40)).run(
        tmp_path / "own.sqlite", 8
    )
    check("2.2c", frame)
    assert "and the bound for 6 units is 0.625. Train longer" in capsys.readouterr().out


def test_a_report_on_a_cell_of_ones_own_is_right(tmp_path, monkeypatch):
    from rnnkit import Cell, report

    class Leaky(Cell):
        architecture = "leaky"
        maps = ("h",)

        @staticmethod
        def step(W, h, x, s):
            h = 0.5 * h + 0.5 * s(W.h(h, x))
            return h, h

    monkeypatch.setitem(cells.CELLS, "leaky", Leaky)  # is taken out again afterwards
    right, said = verdict(
        "own3", report(Leaky, scale="smoke", store=tmp_path / "own.sqlite", progress=False)
    )
    assert right and "Your cell leaky has 1 map" in said
    again = verdict(
        "own3", report("gru", scale="smoke", store=tmp_path / "own.sqlite", progress=False)
    )
    assert not again[0] and "was there before" in again[1]
