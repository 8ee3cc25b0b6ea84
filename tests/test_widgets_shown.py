"""What the widgets show is what was trained: bits by hand, stored networks' answers against their
losses, counts by a plain loop.
"""

import math
import random
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from rnnkit.studies import run
from rnnkit.training import train
from rnnkit.training.live import watch
from rnnkit.trials import StoreError, TrialStore
from rnnkit.tuner import RandomTuner
from rnnkit.widgets import (
    WIDGETS,
    luck_of_the_draw,
    memorise_me,
    one_number_per_unit,
    read_the_stack,
    stored,
    theme_for,
    trials_explorer,
)
from rnnkit.widgets import panel as frame_of_widgets
from rnnkit.widgets.panel import png

QUICK = dict(architecture="gru", max_params=300, labels=2.0, unroll=2, train_steps=200)
MINE = (
    "memorise_me",
    "one_number_per_unit",
    "luck_of_the_draw",
    "read_the_stack",
    "trials_explorer",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seconds of training: memory, parentheses and addition in their tiny forms."""
    path = tmp_path_factory.mktemp("store") / "trials.sqlite"
    for experiment in ("fig2c", "fig4"):
        run(experiment, scale="smoke", store=path, workers=1, progress=False)
    return path


@pytest.fixture(scope="module")
def panels(store):
    return {
        "memorise_me": memorise_me.widget(),
        "one_number_per_unit": one_number_per_unit.widget(store),
        "luck_of_the_draw": luck_of_the_draw.widget(),
        "read_the_stack": read_the_stack.widget(store),
        "trials_explorer": trials_explorer.widget(store),
    }


def drawn(panel, background="#ffffff", **values):
    """The figure and the sentence of a panel with some other values."""
    panel.background = background
    controls = panel.controls
    state = panel.state
    changed = {
        name: replace(controls[name], value=value)
        for name, value in values.items()
        if name in controls
    }
    panel.controls = controls | changed
    panel.state = state | {name: value for name, value in values.items() if name not in controls}
    try:
        figure = panel.figure()
        return figure, figure.alt
    finally:
        panel.controls = controls
        panel.state = state
        panel.background = "#ffffff"


def ends(control):
    """Values at both ends of a control, or all of its options."""
    if "min" in control.options:
        return [control.options["min"], control.options["max"]]
    if "options" in control.options:
        values = [o[1] if isinstance(o, tuple) else o for o in control.options["options"]]
        return (
            [(), tuple(values[:1]), tuple(values)]
            if control.kind == "SelectMultiple"
            else values[:3] + values[-1:]
        )
    return [control.value]


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
def test_the_first_picture_can_be_drawn_and_says_a_sentence(panels, name, background):
    figure, sentence = drawn(panels[name], background)
    assert sentence.endswith((".", "=")) and len(sentence) < 300 and png(figure)


@pytest.mark.parametrize("name", MINE)
def test_every_control_can_be_moved_to_its_ends_and_changes_the_picture(panels, name):
    panel = panels[name]
    for key, control in panel.controls.items():
        moved = [drawn(panel, **{key: value}) for value in ends(control)]
        assert all(sentence and "\n" not in sentence for _, sentence in moved)
        assert (
            len({png(figure) for figure, _ in moved}) > 1 or len(set(map(str, ends(control)))) == 1
        ), key


@pytest.mark.parametrize("name", MINE)
def test_a_widget_is_listed(name):
    assert name in WIDGETS


# --- memorise me ----------------------------------------------------------------------------------


def test_a_watched_trial_ends_as_the_same_trial_unwatched():
    study = memorise_me.study_of("gru", 300, 2)
    hparams = memorise_me.hparams_of(study, 2.0, 300)
    *_, last = watch(study, hparams, number=3)
    (alone,) = train(study, [hparams], [3])
    assert last["steps"] == alone.steps == 300 and last["accuracy"] == alone.accuracy
    assert last["train_loss"] == pytest.approx(alone.train_loss, rel=1e-6)


def test_a_watched_trial_is_seen_often_at_first():
    study = memorise_me.study_of("rnn", 300, 1)
    steps = [seen["steps"] for seen in watch(study, memorise_me.hparams_of(study, 1.0, 2_000))]
    assert steps[:3] == [0, 8, 16] and steps[-1] == 2_000 and steps == sorted(set(steps))


def test_a_trial_that_diverges_ends_there():
    study = memorise_me.study_of("irnn", 300, 12)
    hparams = memorise_me.hparams_of(study, 2.0, 3_000)
    *_, last = watch(
        study, hparams | {"lr_init": 1e30, "gradient_clip_val": 1e30, "optimizer": "SGD"}
    )
    assert last["infeasible"] and math.isnan(last["train_loss"]) and last["steps"] < 3_000


def test_bits_are_those_of_equation_22():
    """By hand, from the share of right labels."""
    *_, last = memorise_me.states(QUICK | {"architecture": "rnn"}, past=())
    steps, bits, share = last["curve"][-1]
    study = memorise_me.study_of("rnn", 300, 2)
    count = round(2.0 * study.num_params)
    by_hand = count * (1 + share * math.log2(share) + (1 - share) * math.log2(1 - share))
    assert (
        bits == pytest.approx(by_hand / study.num_params, rel=1e-9) and share > 0.5 and steps == 200
    )


def test_the_sentence_counts_what_the_curve_ends_with():
    panel = memorise_me.widget()
    _, sentence = drawn(panel, curve=((0, 0.0, 0.5), (500, 1.25, 0.9)), note="")
    assert "90.0 % right after 500 steps" in sentence and "1.25 per parameter" in sentence


def test_a_move_makes_another_network_and_keeps_the_curve_in_sight_as_what_it_was(monkeypatch):
    monkeypatch.setattr(frame_of_widgets, "someone_answers", lambda: True)
    panel = memorise_me.widget()
    panel.make()
    for state in memorise_me.states(QUICK, past=()):
        panel.state |= state
    panel.live["architecture"].value = "lstm"
    ((cell, name, curve),) = panel.state["past"]
    assert (
        panel.state["curve"] == ()
        and cell == "gru"
        and name.startswith("GRU, 300, 2 labels: ")
        and curve[-1][0] == 200
    )


# --- luck of the draw -----------------------------------------------------------------------------


def test_draws_are_those_of_random_search():
    values = {"one": "rnn", "other": "gru", "depth": 1, "form": "tiny", "seed": 5}
    found = list(islice(luck_of_the_draw.draw_trials(values), 4))
    for which, cell in enumerate(("rnn", "gru")):
        study = luck_of_the_draw.study_of(cell, 1, "tiny", 5)
        outcomes = train(study, RandomTuner(study.space, 5).suggest(2), [0, 1])
        assert [loss for k, loss in found if k == which] == pytest.approx(
            [o.eval_loss for o in outcomes], nan_ok=True
        )


def test_a_diverged_draw_is_counted():
    _, sentence = drawn(
        luck_of_the_draw.widget(), trials=((0, 1.0), (1, math.nan), (0, 2.4), (1, 2.0)), note=""
    )
    assert "GRU, 1 layer: 1 of 2 draws solved the task" in sentence
    assert "0 diverged. IRNN, 1 layer: 0 of 2 draws solved the task" in sentence
    assert sentence.endswith("1 learned something, 0 nothing, 1 diverged.")


def test_draws_are_told_apart_by_how_far_below_chance_they_came():
    losses = np.array([0.1, 0.49, 0.51, 0.89, 0.91, 3.0, math.nan])
    assert luck_of_the_draw.outcomes(2 * losses, 2.0) == {
        "solved": 2,
        "learned something": 2,
        "learned nothing": 2,
        "diverged": 1,
    }


def test_the_plus_rnn_is_drawn_with_the_layers_that_it_needs():
    assert luck_of_the_draw.study_of("+rnn", 1, "tiny", 0).n_layers == 2


# --- stored networks ------------------------------------------------------------------------------


def test_a_stored_networks_answers_have_its_stored_error(store):
    """Memory: the mean over the evaluation data, computed here with the widget's own way to run a
    network.
    """
    for network in stored.best_networks(stored.open_store(store), "mem_thru")[:4]:
        task = network.study.task
        inputs, targets, weights = task.held_out(0, "eval")
        x = inputs.transpose(1, 2).flatten(0, 1)
        last = task.steps - 1
        z = network.answers([x] + [0 * x] * last, last)[0]
        error = ((z - targets.transpose(1, 2).flatten(0, 1)) ** 2).mean(1)
        loss = float((error * weights.flatten()).sum())
        assert loss == pytest.approx(network.trial.eval_loss, rel=1e-4)


def test_a_stored_networks_answers_are_right_as_often_as_stored(store):
    """Parentheses: the share of streams with all counts right."""
    for network in stored.best_networks(stored.open_store(store), "parens_counting")[:3]:
        task = network.study.task
        inputs, targets, weights = task.held_out(0, "eval")
        symbols = inputs.permute(1, 0, 3, 2).flatten(1, 2).long()
        x = torch.zeros(task.steps, symbols.shape[1], task.n_in).scatter_(2, symbols, 1.0)
        z = network.answers(list(x), task.steps - 1)[-1]
        said = z.reshape(len(z), task.heads, -1).argmax(-1)
        right = (said == targets[:, 0].transpose(1, 2).flatten(0, 1)).all(1).double()
        share = float((right * weights.flatten()).sum())
        assert share == pytest.approx(network.trial.accuracy, abs=1e-3)


def test_the_best_trial_of_each_search_is_taken(store):
    opened = stored.open_store(store)
    frame = opened.frame()
    for network in stored.best_networks(opened, "parens_counting"):
        losses = frame[frame.study == network.study.key].valid_loss
        assert network.trial.valid_loss == losses.min()


def test_a_store_without_the_task_says_so(tmp_path, store):
    with (
        TrialStore(tmp_path / "empty.sqlite") as empty,
        pytest.raises(StoreError, match="no feasible trial of mem_thru"),
    ):
        stored.best_networks(empty, "mem_thru")


def test_a_network_that_takes_long_to_train_again_is_not(store, monkeypatch):
    opened = stored.open_store(store)
    network = stored.best_networks(opened, "mem_thru")[0]
    monkeypatch.setattr(opened.shelf, "load", lambda key: (_ for _ in ()).throw(StoreError("none")))
    network.trial["seconds"] = 1000.0
    with pytest.raises(StoreError, match="take 1000 s to train again"):
        network.theta_1xP


# --- one number per unit --------------------------------------------------------------------------


def test_no_network_beats_the_bound(panels):
    networks = panels["one_number_per_unit"].state["networks"]
    assert all(
        network.trial.eval_loss >= 1 - units / 16 - 1e-3
        for (_, _, units), network in networks.items()
    )  # 16 numbers in the tiny form


def test_the_sentence_tells_the_error_and_the_bound(panels):
    panel = panels["one_number_per_unit"]
    _, sentence = drawn(panel, architecture="gru", depth=1, units=8)
    error = panel.state["networks"]["gru", 1, 8].trial.eval_loss
    assert f"error {error:.3f}" in sentence and "least possible is 0.500" in sentence


def test_a_network_that_does_not_exist_is_reported_as_missing(panels):
    assert (
        "two layers or more"
        in drawn(panels["one_number_per_unit"], architecture="+rnn", depth=1)[1]
    )


# --- read the stack -------------------------------------------------------------------------------


def open_counts(text, pair, cap):
    """A plain loop over the text: how many are open after each symbol."""
    count = 0
    counts = []
    for symbol in text:
        count = (
            min(count + 1, cap)
            if symbol == pair[0]
            else max(count - 1, 0)
            if symbol == pair[1]
            else count
        )
        counts.append(count)
    return counts


def test_the_truth_is_what_a_plain_loop_counts(panels):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("parentheses"))
    task = panel.state["networks"][shown].study.task
    for seed in range(5):
        text = "".join(random.Random(seed).choices("()[]ab", k=task.steps))
        symbols, truth, p, remark = read_the_stack.reading_of(panel.state["networks"][shown], text)
        assert symbols == list(text) and (not remark or "forgets" in remark)
        assert truth.T.tolist() == [open_counts(text, pair, task.cap) for pair in ("()", "[]")]
        np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)


def test_a_longer_text_is_read_from_where_a_stream_would_begin(panels):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("parentheses"))
    steps = panel.state["networks"][shown].study.task.steps
    symbols, *_, remark = read_the_stack.reading_of(
        panel.state["networks"][shown], "(" * 5 + "a" * steps
    )
    assert symbols == ["a"] * steps
    assert f"reads {steps} symbols, so the first 5 of yours are left out" in remark


def test_what_the_task_cannot_count_is_not_called_the_truth(panels):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("parentheses"))
    cap = panel.state["networks"][shown].study.task.cap
    _, sentence = drawn(panel, label=shown, entry="(" * (cap + 2))
    assert f"by the rule of the task: () {cap} (" in sentence
    assert f"Of (, {cap + 2} are open, but the task counts to {cap}" in sentence


def test_a_letter_that_the_network_does_not_know_is_named(panels):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("parentheses"))
    symbols, *_, remark = read_the_stack.reading_of(panel.state["networks"][shown], "(z")
    assert f"it reads z as {symbols[1]}." in remark


@pytest.mark.parametrize(
    "typed, problem, answer",
    [("3+4=", "3+4=", "7"), (" -2 + -9 ", "-2+-9=", "-11"), ("9+-9", "9+-9=", "0")],
)
def test_a_sum_is_read_however_it_is_spaced(panels, typed, problem, answer):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("addition"))
    _, sentence = drawn(panel, label=shown, entry=typed)
    assert sentence.startswith(problem) and re.search(
        rf"right\.$|: {re.escape(answer)} it is", sentence
    )


@pytest.mark.parametrize("typed", ["", "3+", "3-4", "100+1=", "(a)", "1+2+3"])
def test_what_is_no_sum_is_answered_with_one_that_is(panels, typed):
    panel = panels["read_the_stack"]
    shown = next(name for name in panel.state["networks"] if name.startswith("addition"))
    assert drawn(panel, label=shown, entry=typed)[1].startswith(
        "Type two whole numbers from -9 to 9"
    )


# --- trials explorer ------------------------------------------------------------------------------


def test_trials_are_ranked_by_what_the_tuner_minimises(panels):
    frame = panels["trials_explorer"].state["frame"]
    part = trials_explorer.select(frame, "mem_thru", ("gru", "lstm"), (1,), 0)
    assert set(part.architecture) == {"gru", "lstm"} and set(part.n_layers) == {1}
    assert part.valid_loss.dropna().is_monotonic_increasing


def everything(panel):
    """The settings of a panel's controls with which it shows all trials of its task."""
    frame = panel.state["frame"]
    cells = tuple(set(frame.architecture))
    depths = tuple(set(frame.n_layers))
    return {"cells": cells, "depths": depths, "size": 0, "length": ""}


def of_task(panel):
    """All trials of a panel's task, the best first."""
    values = panel.values | everything(panel)
    names = ("frame", "task", "cells", "depths", "size")
    return trials_explorer.select(*(values[name] for name in names))


def test_it_opens_on_one_search_alone(panels):
    panel = panels["trials_explorer"]
    values = panel.values
    names = ("frame", "task", "cells", "depths", "size", "length")
    part = trials_explorer.select(*(values[name] for name in names))
    of_one = ["architecture", "n_layers", "max_params", "length"]
    sizes = values["frame"][values["frame"].task_type == values["task"]].groupby(of_one).size()
    assert len(part) == sizes.max() and len(part[of_one].drop_duplicates()) == 1


def test_against_the_number_of_parameters_it_shows_all_sizes(panels, explorer):
    frame = panels["trials_explorer"].state["frame"]
    task = explorer.live["task"].value
    panel = trials_explorer.widget(frame, task, "num_params")
    assert panel.values["size"] == 0
    explorer.live["size"].value = int(frame[frame.task_type == task].max_params.min())
    explorer.live["against"].value = "num_params"
    assert explorer.live["size"].value == 0 and "No such trial" not in explorer.picture.sentence


def test_the_lengths_to_choose_from_are_those_that_were_trained(panels):
    frame = panels["trials_explorer"].state["frame"]
    for task in set(frame.task_type):
        offered = [length for _, length in trials_explorer._lengths(frame, task, 0)]
        trained = set(frame[frame.task_type == task].length)
        assert set(offered) == (trained | {""} if len(trained) > 1 else trained)


def test_the_trial_that_is_described_is_the_one_of_that_rank(panels):
    panel = panels["trials_explorer"]
    figure, sentence = drawn(panel, rank=3, **everything(panel))
    trial = of_task(panel).iloc[2]
    assert "Number 3 from the best" in sentence
    told = dict(line.split() for line in figure.details.splitlines()[5:])
    assert set(told) == set(trial.hparams) and float(told["lr_init"]) == pytest.approx(
        trial.hparams["lr_init"], rel=0.01
    )


def test_diverged_trials_are_counted_and_come_last(panels):
    frame = panels["trials_explorer"].state["frame"].copy()
    frame.loc[frame.index[:5], ["infeasible", "valid_loss", "score"]] = [True, math.nan, math.nan]
    panel = trials_explorer.widget(frame)
    task = panel.values["task"]
    bad = int((frame.infeasible & (frame.task_type == task)).sum())
    assert f"{bad} of them diverged" in drawn(panel, **everything(panel))[1]


@pytest.fixture
def explorer(store, monkeypatch):
    """The explorer as on a page, showing all trials of its task."""
    monkeypatch.setattr(frame_of_widgets, "someone_answers", lambda: True)
    panel = trials_explorer.widget(store)
    panel.make()
    for name, value in everything(panel).items():
        if name != "length" or ("any time", "") in panel.live[name].options:
            panel.live[name].value = value
    return panel


def test_a_click_describes_the_nearest_trial(explorer):
    wanted = of_task(explorer).iloc[6]
    trials_explorer._describe_nearest(explorer, wanted.hparams["lr_init"] * 1.0001, wanted.score)
    assert explorer.live["rank"].value == 7


def test_choosing_fewer_trials_shortens_the_ranks(explorer):
    before = explorer.live["rank"].max
    explorer.live["cells"].value = ("gru",)
    assert explorer.live["rank"].max < before and "GRU" in explorer.picture.sentence


def test_another_task_opens_on_a_search_of_its_own(explorer):
    for task in explorer.live["task"].options[::-1]:
        explorer.live["task"].value = task
        assert "No such trial" not in explorer.picture.sentence
        first = trials_explorer._first(explorer.state["frame"], task)
        assert explorer.live["cells"].value == (first.architecture,)
        assert explorer.live["length"].value == first.length


def test_an_empty_store_is_refused(panels):
    frame = panels["trials_explorer"].state["frame"]
    with pytest.raises(ValueError, match="must hold trials"):
        trials_explorer.widget(frame[:0])


def test_light_and_dark_pictures_differ(panels):
    assert all(png(drawn(panel)[0]) != png(drawn(panel, "#111111")[0]) for panel in panels.values())
    assert theme_for("#111111").dark and not theme_for("#ffffff").dark
