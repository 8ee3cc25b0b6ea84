"""A study suggests, trains, observes and stores; an experiment is a list of studies; a scale is a
row of a table.
"""

import dataclasses
import itertools
import math
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import rnnkit.studies as studies
from rnnkit import draws, hparams
from rnnkit.cells import CELLS, PAPER
from rnnkit.studies import EXPERIMENTS, SCALES, Study, jobs_of, plan, run, studies_of
from rnnkit.studies.experiments import FRESH, _fig1
from rnnkit.studies.pace import work_of
from rnnkit.studies.progress import Progress
from rnnkit.studies.scales import LARGE, Extent, inputs_for
from rnnkit.tasks import TASKS
from rnnkit.training import Outcome, benchmark_step, seconds_per_step
from rnnkit.training.timing import Stepper
from rnnkit.trials import TrialStore
from rnnkit.tuner import TUNERS
from rnnkit.wording import duration


def small(architecture="rnn", n_layers=1, **changes):
    """A study whose trials take a millisecond."""
    return Study(
        "per_cap",
        architecture,
        n_layers,
        **{**dict(max_params=60, n_in=5, unroll=2, train_steps=(5, 20)), **changes},
    )


@pytest.fixture
def store():
    with TrialStore(":memory:") as store:
        yield store


@pytest.fixture
def stub(monkeypatch):
    """Training replaced by a known function of the hyper-parameters; records what was asked for."""
    asked = []

    def train(study, hparams, numbers, device="cpu", on_outcome=None, stop=None):
        asked.append(list(numbers))
        for number, h in reversed(list(zip(numbers, hparams))):  # outcomes may come in any order
            if stop and stop():
                return
            bad = h["lr_init"] > 0.05
            loss = math.nan if bad else (math.log10(h["lr_init"]) + 3) ** 2
            on_outcome(number, h, Outcome(loss, loss, loss, bad, 10, 0.1, 60, "cpu"))

    monkeypatch.setattr("rnnkit.studies.study.train", train)
    return asked


def asked_for(store, study):
    return [trial.hparams for trial in store.trials(study.key)]


# --- Study.run ------------------------------------------------------------------------------------


def test_a_study_is_trained_in_rounds_of_sixteen(store, stub):
    small(tuner="random").run(store, 40)
    assert stub == [list(range(0, 16)), list(range(16, 32)), list(range(32, 40))]


def test_a_row_says_all_about_its_trial(store):
    study = small("gru", seed=3, tuner="random")
    study.run(store, 2, scale="smoke")
    row = store.frame().iloc[1]
    assert (row.study, row.architecture, row.task_type, row.n_layers, row.hyper_iter) == (
        study.key,
        "gru",
        "per_cap",
        1,
        1,
    )
    assert (row.max_params, row.num_params, row.seed, row.scale, row.device) == (
        60,
        study.num_params,
        3,
        "smoke",
        "cpu",
    )
    assert (row.n_in, row.unroll, row.tuner, row.steps) == (
        5,
        2,
        "random",
        row.hparams["train_steps"],
    )
    assert row.valid_loss == row.eval_loss <= 0 < row.train_loss and not row.infeasible


def test_an_infeasible_trial_is_a_row_without_losses(store, stub):
    study = small(tuner="random")
    study.run(store, 40)
    frame = store.frame()
    assert (
        frame.infeasible.any()
        and frame.valid_loss[frame.infeasible].isna().all()
        and frame.valid_loss[~frame.infeasible].notna().all()
    )


def test_only_gaps_are_filled(store, stub):
    study = small(tuner="random")
    study.run(store, 16)
    kept = [trial for trial in store.trials(study.key) if trial.hyper_iter not in (3, 7)]
    with TrialStore(":memory:") as holes:
        holes.add(kept)
        stub.clear()
        study.run(holes, 18)
        assert stub == [[3, 7], [16, 17]]
        assert asked_for(holes, study)[:16] == asked_for(store, study)


def test_what_is_complete_is_not_trained_again(store, stub):
    small().run(store, 20)
    stub.clear()
    small().run(store, 20)
    small().run(store, 5)
    assert stub == []


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 31])
def test_a_study_interrupted_anywhere_asks_for_what_an_undisturbed_one_asks(store, stub, cut):
    """The undisturbed run is its own witness; the tuner is the real one."""
    study = small()
    study.run(store, 36)
    with TrialStore(":memory:") as cut_off:
        seen = []
        study.run(cut_off, 36, on_trial=seen.append, stop=lambda: len(seen) >= cut)
        assert len(cut_off) == cut
        study.run(cut_off, 36)
        assert asked_for(cut_off, study) == asked_for(store, study)


def test_a_study_that_is_extended_asks_for_what_a_long_one_asks(store, stub):
    study = small()
    study.run(store, 36)
    with TrialStore(":memory:") as grown:
        for n in (3, 20, 36):
            study.run(grown, n)
        assert asked_for(grown, study) == asked_for(store, study)


def test_the_tuner_hears_of_the_losses_in_the_order_of_the_trials(store, stub, monkeypatch):
    heard = []

    class Listener(TUNERS["random"]):
        def observe(self, hparams, losses):
            heard.append((hparams, losses))

    monkeypatch.setitem(TUNERS, "listener", Listener)
    study = small(tuner="listener")
    study.run(store, 20)
    trials = store.trials(study.key)
    assert heard[0][0] == [trial.hparams for trial in trials[:16]]
    assert repr(heard[0][1]) == repr(
        [trial.valid_loss for trial in trials[:16]]
    )  # repr, since NaN is not NaN


def test_the_gp_finds_better_learning_rates_than_chance(store, stub):
    """The stub's loss is least at lr_init = 1e-3; after the first round the GP knows."""
    study = small()
    study.run(store, 48)
    frame = store.frame()
    assert frame.valid_loss[32:].median() < 0.3 * frame.valid_loss[:16].median()


def test_trials_do_not_depend_on_the_company_they_were_trained_in(store):
    study = small("gru", tuner="random", train_steps=(200, 400))
    study.run(store, 8)
    with TrialStore(":memory:") as alone:
        alone.add([trial for trial in store.trials(study.key) if trial.hyper_iter % 2])
        study.run(alone, 8)
        assert [trial.valid_loss for trial in alone.trials(study.key)] == [
            trial.valid_loss for trial in store.trials(study.key)
        ]


# --- what defines a study -------------------------------------------------------------------------


def test_a_key_differs_wherever_the_study_differs():
    base = small()
    changes = dict(
        architecture="ugrnn",
        n_layers=2,
        max_params=61,
        seed=1,
        n_in=6,
        unroll=3,
        train_steps=(5, 21),
        tuner="random",
        pinned=(("nonlinearity", "relu"),),
    )
    keys = {
        base.key,
        *(dataclasses.replace(base, **{name: value}).key for name, value in changes.items()),
    }
    assert len(keys) == 1 + len(changes)


def test_a_key_can_be_read():
    key = small(pinned={"nonlinearity": "relu"}).key
    assert (
        key.rsplit("=", 1)[0]
        == "per_cap/rnn/layers=1/params=60/in=5/unroll=2/steps=5-20/nonlinearity=relu/gp/seed=0/of"
    )


def test_a_key_knows_the_equations_the_space_and_the_draws(monkeypatch):
    before = small("gru").key

    class ResetAfter(CELLS["gru"]):
        """As torch.nn.GRU has it: the reset gate acts after the product."""

        @staticmethod
        def step(W, h, x, s):
            r = torch.sigmoid(W.r(h, x))
            u = torch.sigmoid(W.u(h, x))
            c = s(r * W.c(h, x))
            h = u * h + (1 - u) * c
            return h, h

    class Renamed(CELLS["gru"]):
        """The same equations in other words."""

        @staticmethod
        def step(W, state, below, nonlinearity):
            reset = torch.sigmoid(W.r(state, below))
            update = torch.sigmoid(W.u(state, below))
            new = nonlinearity(W.c(reset * state, below))
            return (update * state + (1 - update) * new,) * 2

    for cell, same in ((ResetAfter, False), (Renamed, True)):
        monkeypatch.setitem(CELLS, "gru", cell)
        assert (small("gru").key == before) is same
    monkeypatch.undo()
    monkeypatch.setattr(draws, "VERSION", draws.VERSION + 1)
    assert small("gru").key != before
    monkeypatch.undo()
    monkeypatch.setattr("rnnkit.hparams.LEARNING", hparams.LEARNING[1:])
    assert small("gru").key != before


def test_a_network_fills_its_budget():
    """RNN, one layer, 5 inputs: N (5 + N) weights, N biases, N initial states, N + 1 for the
    readout.
    """
    study = small(max_params=60)
    size = lambda n: n * (5 + n) + n + n + n + 1
    assert study.num_params == size(study.n_units) <= 60 < size(study.n_units + 1)


def test_mean_steps_are_those_of_a_log_uniform_draw():
    """The mean of a log-uniform variable on [1, e] is e - 1."""
    assert small(train_steps=(1000, 2718)).mean_steps == pytest.approx(
        1000 * (math.e - 1), rel=1e-3
    )
    assert small(train_steps=(7, 7)).mean_steps == 7


def test_flops_are_six_a_parameter_example_step_and_training_step():
    study = small(train_steps=(10, 10))
    assert study.flops == 6 * study.num_params * 128 * 2 * 10


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(architecture="grue"), "architecture must be one of rnn, .*got 'grue'"),
        (dict(task_type="per_capita"), "task_type must be one of per_cap.*got 'per_capita'"),
        (dict(tuner="grid"), "tuner must be one of gp, gp-usual, random, rerun, long, got 'grid'"),
        (
            dict(architecture="+rnn"),
            r"\+RNN needs n_layers >= 2 \(paper, section 1.4\), got n_layers=1",
        ),
        (dict(n_layers=0), "needs n_layers >= 1, got n_layers=0. Give it as many"),
        (dict(form="tiny"), "form must be left out for per_cap, which has one size, got 'tiny'"),
        (dict(form=None), "form must be left out for per_cap.*got None"),
        (dict(task_type="rcf", form=3), "form must be one of paper, small, tiny for rcf, got 3"),
        (dict(task_type="rcf", form="tinny"), "got 'tinny'. The nearest is 'tiny'"),
        (dict(n_layers=1.5), "n_layers must be a whole number"),
        (dict(max_params=-300), "max_params must be a whole number of at least 1, got -300"),
        (dict(max_params=True), "max_params must be a whole number of at least 1, got True.$"),
        (dict(max_params=np.int64(60)), r"a whole number .*got .*60.* Write int\(60\)\.$"),
        (dict(max_params="300"), "max_params must be a whole number"),
        (dict(max_params=9), "max_params must leave room for one unit per layer.*got max_params=9"),
        (dict(seed=-1), "seed must be a whole number of at least 0, got -1"),
        (dict(n_in=0), "n_in must be a whole number of at least 1"),
        (dict(unroll=0), "unroll must be a whole number of at least 1"),
        (dict(train_steps=5), "train_steps must be two whole numbers"),
        (dict(train_steps=(20, 5)), "The least of train_steps must not exceed the most"),
        (dict(train_steps=(0, 5)), "the least of train_steps must be a whole number of at least 1"),
        (dict(pinned={"nonlinear": "relu"}), "pinned .*got 'nonlinear'"),
        (dict(pinned={"nonlinearity": "sine"}), "pinned .*got 'sine'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(changes, said):
    values = dict(task_type="per_cap", architecture="rnn", n_layers=1, max_params=60, n_in=5)
    with pytest.raises(ValueError, match=said) as caught:
        Study(**{**values, **changes})
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# --- experiments and scales -----------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_can_be_made_at_every_scale(experiment, scale):
    made = studies_of(experiment, scale, seed=5)
    assert (
        made
        and len({study.key for study in made}) == len(made)
        and min(study.seed for study in made) in (5, 5 + FRESH)
    )


@pytest.mark.parametrize("scale", SCALES)
def test_figure_1_has_all_six_architectures_but_no_shallow_intersection_rnn(scale):
    made = {(study.architecture, study.n_layers) for study in studies_of("fig1", scale)}
    assert (
        {architecture for architecture, _ in made} == set(PAPER)
        and ("+rnn", 1) not in made
        and ("+rnn", 2) in made
    )


def test_the_paper_scale_is_the_papers():
    """Section 2.1 and Appendix A: depths 1, 2, 4; six sizes; 1,000 trials and more of 50K to 20M
    steps; T = 5.
    """
    paper = SCALES["paper"].capacity
    assert (paper.depths, paper.steps, paper.unroll) == ((1, 2, 4), (50_000, 20_000_000), 5)
    assert len(paper.sizes) >= 6 and paper.trials >= 1000


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_share_the_studies_that_they_have_in_common(scale):
    keys = {name: {study.key for study in studies_of(name, scale)} for name in EXPERIMENTS}
    assert keys["figapp1"] == keys["fig1"] and keys["start"] <= keys["fig1"]
    assert {key for key in keys["fig2a"] if "nonlinearity" not in key} <= keys["fig1"]
    assert keys["fig2b"] & keys["fig1"], "unroll 5 of Figure 2b is Figure 1's"


def test_relu_studies_try_relu_alone(store):
    pinned = [study for study in studies_of("fig2a", "smoke") if study.pinned]
    assert {study.architecture for study in pinned} == {"rnn", "ugrnn"}
    pinned[0].run(store, 3)
    assert [h["nonlinearity"] for h in asked_for(store, pinned[0])] == ["relu"] * 3


def test_the_calibration_has_one_weight_an_input_and_a_bias():
    for study in studies_of("calibration", "quick"):
        assert (study.architecture, study.n_layers, study.num_params, study.n_in) == (
            "linear",
            0,
            study.max_params,
            study.max_params - 1,
        )


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: studies_of("fig9", "quick"), "experiment must be one of .*fig1.*got 'fig9'"),
        (
            lambda: studies_of("fig1", "huge"),
            "scale must be one of smoke, quick, overnight, paper, got 'huge'",
        ),
        (lambda: studies_of("fig1", "quick", seed=-1), "seed must be"),
        (
            lambda: jobs_of("fig1", "quick", trials=-5),
            "trials must be a whole number of at least 0, got -5",
        ),
        (lambda: run("fig1", "smoke", ":memory:", workers=-1), "workers must be a whole number"),
        (
            lambda: run("fig1", "smoke", ":memory:", device="tpu"),
            "device must be cpu or cuda, got 'tpu'",
        ),
        (lambda: plan("huge"), "scale must be one of"),
        (lambda: plan("quick", only="fig9"), "experiment must be one of"),
    ],
)
def test_unknown_names_and_impossible_numbers_are_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_none_and_zero_trials_mean_what_the_scale_says():
    assert jobs_of("fig1", "quick") == jobs_of("fig1", "quick", trials=0)
    assert {n for _, n in jobs_of("fig1", "quick")} == {SCALES["quick"].capacity.trials} and {
        n for _, n in jobs_of("fig1", "quick", trials=7)
    } == {7}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", ["fig1", "fig2a", "fig2b", "inputs", "more_cells"])
def test_every_network_of_the_capacity_task_that_is_shown_has_at_least_four_units_per_layer(
    experiment, scale
):
    assert min(study.n_units for study in studies_of(experiment, scale)) >= 4


@pytest.mark.parametrize("scale", ["quick", "overnight", "paper"])
def test_less_than_a_thousandth_of_the_samples_coincide_and_one_input_fewer_would_not_do(scale):
    """Expected among b patterns of n bits: each coincides with one of the (b - 1) / 2 before it, on
    average, with probability 2^-n.
    """
    for study in studies_of("fig1", scale):
        samples = 5 * study.max_params
        assert samples / 2 ** (study.n_in + 1) <= 1e-3 < samples / 2**study.n_in
    words, _ = TASKS["per_cap"](n_in=inputs_for(3_000)).data(0, 15_000)
    assert 15_000 - len(words[0].unique()) <= 15


@pytest.mark.parametrize("scale", ["quick", "overnight"])
def test_steps_of_the_capacity_task_are_in_proportion_to_parameters(scale):
    c = SCALES[scale].capacity
    for study, _ in _fig1(SCALES[scale]):
        large = study.max_params > LARGE and c.large_steps
        assert tuple(steps / study.max_params for steps in study.train_steps) == (
            c.large_steps if large else c.steps_per_param
        )


def test_longer_trainings_start_from_the_best_trials_of_their_study(store, stub, monkeypatch):
    longer = {"per_cap": (Extent((420,), (1,), 2, (1, 2)),)}
    scale = dataclasses.replace(SCALES["smoke"], longer=longer)
    monkeypatch.setitem(SCALES, "smoke", scale)
    assert [study.tuner for study, _ in jobs_of("fig1", "smoke", store=store)][-5:] == [
        "gp-usual"
    ] * 5, "none before there is a trial"
    frame = run("fig1", "smoke", store, progress=False)
    longer = frame[frame.tuner == "long"]
    assert longer.groupby("architecture").size().to_dict() == dict.fromkeys(
        ("rnn", "irnn", "ugrnn", "gru", "lstm"), 2
    )
    assert all(420 <= hparams["train_steps"] <= 840 for hparams in longer.hparams)
    first = (
        frame[(frame.tuner != "long") & (frame.architecture == "gru") & (frame.n_layers == 1)]
        .sort_values("valid_loss")
        .hparams.iloc[0]
    )
    found = longer[longer.architecture == "gru"].sort_values("hyper_iter").hparams.iloc[0]
    assert all(found[name] == first[name] for name in ("optimizer", "input_presentation"))
    assert 1 <= found["samples_per_param"] / first["samples_per_param"] <= 1.25


def test_steps_of_longer_trainings_are_counted_by_the_parameters_of_each_size():
    """An Extent of two sizes once gave both the steps of the first."""
    smoke = SCALES["smoke"].capacity
    scale = dataclasses.replace(
        SCALES["smoke"],
        capacity=dataclasses.replace(smoke, sizes=(420, 840)),
        longer={"per_cap": (Extent((420, 840), (1,), 2, (1, 2)),)},
    )
    searches = [study for study, _ in _fig1(scale)]
    longer = EXPERIMENTS["fig1"].follow_up(scale, searches, None)
    assert {study.max_params: study.train_steps for study, _ in longer} == {
        420: (420, 840),
        840: (840, 1_680),
    }


def test_larger_networks_start_from_the_best_trials_of_the_size_that_was_searched(
    store, stub, monkeypatch
):
    larger = Extent((900,), (1,), 2, (40, 50), "tiny", starts=1, lr_decay_rate=0.01)
    scale = dataclasses.replace(SCALES["smoke"], longer={"arithmetic": (larger,)})
    monkeypatch.setitem(SCALES, "smoke", scale)
    frame = run("fig4", "smoke", store, progress=False)
    later = [s for s in studies_of("fig4", "smoke", store=store) if s.tuner == "long"]
    assert {(s.task_type, s.max_params, s.n_layers) for s in later} == {("arithmetic", 900, 1)}
    for study in later:
        searched = frame[
            (frame.task_type == "arithmetic")
            & (frame.architecture == study.architecture)
            & (frame.n_layers == 1)
            & (frame.max_params == 600)
        ]
        best = searched.loc[searched.valid_loss.idxmin()].hparams
        (start,) = study.start
        assert dict(start) == best | {"lr_decay_rate": 0.01}
        trials = frame[frame.study == study.key]
        assert len(trials) == 2
        assert all(0.003 < hparams["lr_decay_rate"] < 0.03 for hparams in trials.hparams)


def test_the_best_of_each_search_is_rerun_and_nothing_stands_for_one_that_always_diverged(
    store, monkeypatch
):
    def train(study, hparams, numbers, device="cpu", on_outcome=None, stop=None):
        for number, h in zip(numbers, hparams):
            diverges = study.architecture == "gru"
            loss = math.nan if diverges else h["lr_init"]
            on_outcome(number, h, Outcome(loss, loss, loss, diverges, 10, 0.1, 60, "cpu"))

    monkeypatch.setattr("rnnkit.studies.study.train", train)
    frame = run("tableapp1", "smoke", store, trials=3, progress=False)
    searches = frame[frame.tuner != "rerun"]
    assert set(searches.seed) == {0} and "gru" in set(searches.architecture)
    feasible = searches[~searches.infeasible]
    best = feasible.loc[feasible.groupby("architecture").valid_loss.idxmin()]
    assert set(best.architecture) == set(searches.architecture) - {"gru"}
    reruns = frame[frame.tuner == "rerun"]
    assert reruns.groupby("architecture").size().to_dict() == dict.fromkeys(best.architecture, 3)
    for row in best.itertuples():
        assert all(
            h == row.hparams for h in reruns.hparams[reruns.architecture == row.architecture]
        )


# --- run and plan ---------------------------------------------------------------------------------


def test_run_returns_the_trials_of_its_experiment_alone(tmp_path):
    path = tmp_path / "trials.sqlite"
    run("calibration", "smoke", path, progress=False)
    frame = run("start", "smoke", path, trials=2, progress=False)
    assert (
        list(frame["experiment"]) == ["start"] * 2
        and list(frame["architecture"]) == ["rnn"] * 2
        and list(frame["hyper_iter"]) == [0, 1]
    )


def test_run_returns_no_more_trials_than_were_asked_for(store):
    assert len(run("start", "smoke", store, trials=5, progress=False)) == 5
    assert len(run("start", "smoke", store, trials=2, progress=False)) == 2 and len(store) == 5


def test_a_second_run_trains_nothing(store, monkeypatch):
    first = run("start", "smoke", store, progress=False)
    monkeypatch.setattr("rnnkit.studies.study.train", lambda *_, **__: pytest.fail("trained again"))
    assert run("start", "smoke", store, progress=False).equals(first)


def test_what_a_parquet_file_lacks_is_trained_once_and_kept_beside_it(
    tmp_path, capsys, monkeypatch
):
    file = tmp_path / "trials.parquet"
    with TrialStore(tmp_path / "trials.sqlite") as store:
        run("start", "smoke", store, trials=1, progress=False)
        store.export(file)
    assert len(run("start", "smoke", file, trials=3)) == 3
    beside = tmp_path / "trials-more.sqlite"
    assert (
        f"{file} lacks 2 trials; they are trained now and kept in {beside}."
        in capsys.readouterr().err
    )
    monkeypatch.setattr("rnnkit.studies.study.train", lambda *_, **__: pytest.fail("trained again"))
    assert len(run("start", "smoke", file, trials=3)) == 3


def one_second(study, device):
    return 1.0


def test_a_plan_counts_shared_studies_once(store):
    table = plan("smoke", store=store, speed=one_second).set_index("experiment")
    assert (
        table.studies["fig1"] == 11
        and table.to_train["fig1"] == (11 - 1) * SCALES["smoke"].capacity.trials
    )  # one is `start`'s
    assert table.to_train["figapp1"] == 0 and table.to_train["all"] == table.to_train[:-1].sum()


def test_a_plan_leaves_out_what_the_store_has(store):
    run("start", "smoke", store, trials=2, progress=False)
    assert plan("smoke", "start", store=store, speed=one_second).to_train.tolist() == [1, 1]


def test_a_plans_time_is_steps_times_seconds_per_step_over_the_workers(store):
    (study,) = studies_of("start", "smoke")
    expected = 3 * study.mean_steps * 1.0

    def seconds(scale, experiment, workers):
        return plan(scale, experiment, store=store, workers=workers, speed=one_second).seconds[0]

    assert seconds("smoke", "start", 1) == pytest.approx(expected)
    assert seconds("smoke", "start", 2) == pytest.approx(expected / 2), "a round is shared"
    assert seconds("quick", "fig1", 2) == pytest.approx(seconds("quick", "fig1", 1) / 2)


def test_a_plan_names_an_experiment_as_the_kit_does(store):
    table = plan("smoke", "FIG1", store=store, speed=lambda study, device: 1e-3)
    assert table.experiment.tolist()[0] == "fig1"


def test_a_plan_makes_no_store(tmp_path):
    plan("smoke", "start", store=tmp_path / "none.sqlite", speed=one_second)
    assert not (tmp_path / "none.sqlite").exists()


def test_a_plan_measures_the_smallest_and_the_largest_and_draws_a_power_law_between():
    measured = []

    def linear(study, device):
        measured.append(study.num_params)
        return study.num_params * study.unroll * 1e-6

    table = plan("overnight", "fig1", store=None, workers=1, speed=linear)
    expected = sum(
        n * study.mean_steps * study.num_params * study.unroll * 1e-6
        for study, n in jobs_of("fig1", "overnight")
    )
    assert table.seconds[0] == pytest.approx(expected) and len(measured) == 2 * len(PAPER)


def test_a_plan_never_counts_all_trials_of_a_store_that_has_some(store):
    """Counting a million of them takes a tenth of a second, which was spent for every study."""
    run("start", "smoke", store, trials=2, progress=False)
    statements = []
    store._sql.set_trace_callback(statements.append)
    plan("smoke", store=store, speed=one_second)
    store._sql.set_trace_callback(None)
    assert statements and not any("count(" in statement for statement in statements)
    assert all("WHERE study = " in one for one in statements if "FROM trials" in one), statements


def test_the_measurements_of_a_plan_share_less_than_a_second(monkeypatch):
    """The clock ticks by a hundredth of a second per training step."""
    taken = []
    clock = SimpleNamespace(perf_counter=lambda: sum(taken) * 0.01)
    monkeypatch.setattr("rnnkit.training.timing.time", clock)
    monkeypatch.setattr(
        "rnnkit.training.timing.benchmark_step",
        lambda *_, **__: Stepper(taken.append, slots=1),
    )
    few = plan("quick", "start", store=None, workers=1)
    (study,) = studies_of("start", "quick")
    assert few.seconds[0] == pytest.approx(20 * study.mean_steps * 0.01)
    assert 10 < sum(taken) <= 30, "a tenth of a second or a little more"
    taken.clear()
    plan("quick", store=None)
    assert 50 < len(taken) == sum(taken) < 100, "one step each, where that takes all of the time"


def test_a_network_that_would_diverge_takes_its_time():
    """A trial that has diverged is over, and its steps take none: this one has not."""
    study = Study("text8", "irnn", 4, 1_280_000, form="paper sample")
    step = benchmark_step(study)
    start = time.perf_counter()
    step(1)
    first = time.perf_counter() - start
    assert seconds_per_step(study, seconds=4 * first) > first / 5


@pytest.mark.parametrize("module", ["rnnkit.studies.planning", "rnnkit.studies.verify"])
def test_what_only_looks_into_a_store_waits_for_no_tuner(module):
    code = f"import sys, {module}; print([n for n in ('scipy', 'skopt', 'sklearn') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# --- progress -------------------------------------------------------------------------------------


def test_progress_says_studies_trials_and_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    study = small()
    progress = Progress([(study, 4, 1)], label="fig1", quiet=True)
    trial = dataclasses.make_dataclass("T", ["study", "seconds"])(study.key, 60.0)
    assert progress.line() == "fig1 · 0 of 1 studies done · 1 of 4 trials · 0 s so far"
    now[0] += 60
    progress.trial(trial)  # one of three took 60 s
    assert progress.line() == "fig1 · 0 of 1 studies done · 2 of 4 trials · about 2 min left"
    now[0] += 120
    [progress.trial(trial) for _ in range(2)]
    assert progress.line() == "fig1 · 1 of 1 studies done · 4 of 4 trials · took 3 min"


def test_the_time_left_does_not_swing(monkeypatch):
    """A run whose studies have another pace than their cost says: one task takes eight times as
    long per unit of work as the other, trials end four at a time, and the slow one comes first.
    """
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    slow = small()
    fast = dataclasses.replace(small(), architecture="gru")
    trials = {study.key: 40 for study in (slow, fast)}
    progress = Progress([(study, 40, 0) for study in (slow, fast)], quiet=True)
    ended = dataclasses.make_dataclass("T", ["study", "seconds"])
    work = {study: work_of(study).cost * study.mean_steps for study in (slow, fast)}
    seconds = {slow.key: 8.0 * work[slow] / work[fast], fast.key: 1.0}
    whole = sum(40 * each for each in seconds.values())
    errors = []
    for study in (slow, fast):
        for _ in range(0, 40, 4):
            now[0] += 4 * seconds[study.key]
            for _ in range(4):
                progress.trial(ended(study.key, seconds[study.key]))
            trials[study.key] -= 4
            if progress.line().endswith(" left"):
                errors.append((now[0] + progress.seconds_left) / whole)
    assert len(errors) > 15 and max(errors) < 2.0 and min(errors) > 0.9
    moves = [max(a, b) / min(a, b) for a, b in itertools.pairwise(errors)]
    assert max(moves) < 1.25  # no line differs from the last one by more than a quarter


def test_nothing_is_said_of_the_time_left_before_there_is_something_to_judge_by(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    study = small()
    progress = Progress([(study, 1_000, 0)], quiet=True)
    now[0] += 5
    progress.trial(dataclasses.make_dataclass("T", ["study", "seconds"])(study.key, 5.0))
    assert progress.line().endswith("5 s so far")
    now[0] += 60
    assert progress.line().endswith("left")


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3599, "1 h 00 min"),
        (12_000, "3 h 20 min"),
        (187_200, "2 days 4 h"),
        (3.156e10, "1,000.1 years"),
    ],
)
def test_durations_are_told_as_people_tell_them(seconds, text):
    assert duration(seconds) == text


def test_a_quiet_run_is_quiet(store, capsys):
    run("start", "smoke", store, progress=False)
    assert capsys.readouterr() == ("", "")


def test_everything_public_is_there():
    assert all(hasattr(studies, name) for name in studies.__all__)


# --- what is shown of larger scales ---------------------------------------------------------------


@pytest.fixture
def two_scales():
    """`smoke`, and `quick` as small as smoke but with other steps."""
    larger = dataclasses.replace(SCALES["smoke"].capacity, steps=(21, 61))
    memory = dataclasses.replace(SCALES["smoke"].memory, train_steps=(21, 61))
    quick = dataclasses.replace(SCALES["smoke"], capacity=larger, memory=memory)
    all_scales = dict(SCALES)  # put back as they were: their order counts
    SCALES["quick"] = quick
    del SCALES["overnight"], SCALES["paper"]
    yield
    SCALES.clear()
    SCALES.update(all_scales)


def test_the_best_of_a_network_is_taken_over_larger_scales_where_all_cells_were_searched_alike(
    store, two_scales
):
    small = run("fig1", "smoke", store, progress=False)
    jobs = jobs_of("fig1", "quick")
    deep = [job for job in jobs if job[0].n_layers == 2]
    lone = next(job for job in jobs if job[0].n_layers == 1)
    studies.complete(
        [s for s, _ in deep] + [lone[0]], [n for _, n in deep] + [lone[1]], store, progress=False
    )
    both = studies.trials_in(store, "fig1", "smoke")
    assert set(both.study) == set(small.study) | {study.key for study, _ in deep}, (
        "one cell alone has no advantage"
    )
    assert set(studies.trials_in(store, "fig1", "smoke", trials=2).study) == set(small.study)


def test_a_search_that_is_whole_at_a_larger_scale_is_shown_instead(store, two_scales):
    run("fig2c", "smoke", store, progress=False)
    jobs = jobs_of("fig2c", "quick")
    studies.complete([s for s, _ in jobs[:-1]], [n for _, n in jobs[:-1]], store, progress=False)
    assert set(studies.trials_in(store, "fig2c", "smoke").study) == {
        study.key for study in studies_of("fig2c", "smoke")
    }
    studies.complete([jobs[-1][0]], [jobs[-1][1]], store, progress=False)
    assert set(studies.trials_in(store, "fig2c", "smoke").study) == {study.key for study, _ in jobs}


def test_a_plan_of_the_papers_text_needs_no_corpus_but_the_one_that_ships():
    timed = []
    plan("paper", only="fig3", store=None, speed=lambda study, device: timed.append(study) or 1e-3)
    forms = {study.form for study in timed if study.task_type == "text8"}
    assert forms == {"paper sample"}
