"""The bench of the tuner: searches of real studies get the same steps, and the table agrees with
the searches.
"""

import json
import math

import numpy as np
import pytest

from rnnkit.bench import searches, tuners
from rnnkit.bench.contenders import CarriedTuner, SkoptTuner, TPETuner, fill_infeasible
from rnnkit.bench.searches import Contest, best_after, run_search, search_all, table, wins
from rnnkit.hparams import Choice, IntLog, Log, Space, Uniform
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import GPTuner, RandomTuner, UsualGPTuner

MIXED = Space(
    (Log("a", 1e-3, 1.0), Uniform("b", -2.0, 2.0), IntLog("n", 1, 50), Choice("c", ("x", "y", "z")))
)
CAPACITY = Contest(
    "capacity", Study("per_cap", "rnn", 1, 100, n_in=5, train_steps=(5, 20)), smaller=60
)
MEMORY = Contest("memory", Study("mem_thru", "rnn", 1, 2_000, train_steps=(5, 20)), smaller=700)


def run_of(contest, tuner, seed, *trials):
    """A search whose trials are (steps, loss)."""
    told = [{"hparams": {}, "steps": steps, "loss": loss} for steps, loss in trials]
    return {"contest": contest.study.key, "tuner": tuner, "seed": seed, "trials": told}


def test_quick_bench_says_every_table_and_writes_it(tmp_path):
    said = []
    result = tuners.run(tmp_path / "bench.json", quick=True, say=said.append)
    assert set(result["best"]) == {"hartmann", "levy"} and set(result["best"]["levy"]) == {
        "gp",
        "random",
        "skopt",
    }
    assert json.loads((tmp_path / "bench.json").read_text())["best"]["levy"]["gp"].keys() == {
        "16",
        "32",
    }
    assert any(line.startswith("    100 observed trials") for line in said)


# --- the contenders


def test_infeasible_losses_become_the_worst_feasible_plus_half_the_range():
    assert fill_infeasible([1.0, math.nan], [1.0, 3.0, math.nan]) == [1.0, 4.0] and fill_infeasible(
        [math.inf], [math.inf]
    ) == [0.0]


@pytest.mark.parametrize("kind", [SkoptTuner, TPETuner])
def test_contender_stays_in_the_space_and_is_told_of_infeasible_trials(kind):
    if kind is TPETuner:
        pytest.importorskip("optuna")
    contender = kind(MIXED, seed=0)
    best = []
    for start in (0, 16, 32):
        points = contender.suggest(16, start)
        assert all(row.holds(point[row.name]) for point in points for row in MIXED.ranges)
        losses = [
            math.nan if point["b"] < -1 else (point["b"] - 1) ** 2 + (point["c"] != "y")
            for point in points
        ]
        contender.observe(points, losses)
        best.append(np.nanmedian(losses))
    assert best[-1] < best[0]


def test_smaller_networks_best_trials_stand_in_the_place_of_four_cold_points():
    space = CAPACITY.study.space
    carried = RandomTuner(space, seed=9).suggest(4)
    points = CarriedTuner(space, 0, carried).suggest(16)
    usual = UsualGPTuner(space, 0).suggest(16)
    assert [points[i] for i in (1, 5, 9, 13)] == [pytest.approx(point) for point in carried]
    assert all(points[i] == usual[i] for i in range(16) if i % 4 != 1)


def test_contender_given_a_smaller_networks_trials_has_searched_that_network():
    made = searches.contender("gp-smaller", CAPACITY, seed=1)
    small = Study("per_cap", "rnn", 1, 60, n_in=5, train_steps=(5, 20))
    trials = run_search(Contest("small", small, 0), UsualGPTuner(small.space, 1), 1)
    best = min(trials, key=lambda trial: math.inf if trial["loss"] is None else trial["loss"])
    assert made.starts[0] == best["hparams"]


# --- the searches


@pytest.fixture(scope="module")
def of_seed_3():
    """The trials of one search with a Gaussian process."""
    return run_search(CAPACITY, GPTuner(CAPACITY.study.space, 3), seed=3)


def test_search_spends_its_steps_and_stops_after_the_round(of_seed_3):
    trials = of_seed_3
    steps = [trial["steps"] for trial in trials]
    assert sum(steps[:-16]) < CAPACITY.steps <= sum(steps) and len(trials) % 16 == 0


def test_trial_of_a_search_is_a_trial_of_the_study_with_its_seed(of_seed_3):
    trials = of_seed_3
    study = Study("per_cap", "rnn", 1, 100, seed=3, n_in=5, train_steps=(5, 20))
    (outcome,) = train(study, [trials[20]["hparams"]], [20])
    assert (
        trials[20]["loss"] == pytest.approx(outcome.valid_loss)
        and trials[20]["steps"] == outcome.steps
    )


def test_best_counts_feasible_trials_that_ended_within_the_steps():
    trials = run_of(CAPACITY, "gp", 0, (10, 3.0), (10, None), (10, 1.0), (10, 0.5))["trials"]
    assert [best_after(trials, steps) for steps in (9, 10, 29, 30, 100)] == [
        math.inf,
        3.0,
        3.0,
        1.0,
        0.5,
    ]


def test_search_that_is_in_the_file_is_not_run_again(tmp_path):
    path = tmp_path / "runs.jsonl"
    said = []
    first = search_all(path, (0,), ("random",), (CAPACITY,), say=said.append)
    more = search_all(path, (0, 1), ("random",), (CAPACITY,), say=said.append)
    assert more[:1] == first and len(more) == len(said) == 2


def test_file_that_was_cut_short_loses_its_last_search_alone(tmp_path):
    path = tmp_path / "runs.jsonl"
    whole = search_all(path, (0, 1), ("random",), (CAPACITY,), say=lambda line: None)
    path.write_text(path.read_text()[:-40])
    again = []
    search_all(path, (0, 1), ("random",), (CAPACITY,), say=again.append)
    assert len(again) == 1 and searches.load_runs(path) == whole


# --- the table


def test_table_has_medians_and_paired_gains_by_hand():
    # the memory task's losses are better when lower; a third of the steps is before the second
    # trial ends
    steps = MEMORY.steps / 2
    runs = [
        run_of(MEMORY, "gp", seed, (steps / 2, 0.9), (steps, loss))
        for seed, loss in enumerate((0.5, 0.6, 0.7))
    ]
    runs += [
        run_of(MEMORY, "gp-usual", seed, (steps / 2, 0.8), (steps, loss))
        for seed, loss in enumerate((0.4, 0.55, 0.2))
    ]
    rows = table(runs, (MEMORY,)).set_index("tuner")
    assert rows["median at 100%"].to_dict() == {"gp": 0.6, "gp-usual": 0.4} and rows[
        "median at 33%"
    ].to_dict() == {"gp": 0.9, "gp-usual": 0.8}
    gain = rows.loc["gp-usual", ["gain at 100%", "low at 100%", "high at 100%"]].tolist()
    assert gain == pytest.approx([0.1, 0.05, 0.5]) and math.isnan(rows.loc["gp", "gain at 100%"])


def test_capacity_is_told_in_bits_per_parameter_where_more_is_better():
    parameters = CAPACITY.study.num_params
    runs = [
        run_of(CAPACITY, "gp", 0, (1, -2.0 * parameters)),
        run_of(CAPACITY, "random", 0, (1, -1.5 * parameters)),
    ]
    rows = table(runs, (CAPACITY,)).set_index("tuner")
    assert rows.loc["gp", "median at 100%"] == pytest.approx(2.0) and rows.loc[
        "random", "gain at 100%"
    ] == pytest.approx(-0.5)


def test_searches_of_one_seed_alone_are_paired():
    runs = [
        run_of(MEMORY, "gp", 0, (1, 0.5)),
        run_of(MEMORY, "tpe", 0, (1, 0.4)),
        run_of(MEMORY, "tpe", 7, (1, 0.0)),
    ]
    row = table(runs, (MEMORY,)).set_index("tuner").loc["tpe"]
    assert row["gain at 100%"] == row["high at 100%"] == pytest.approx(0.1) and row.seeds == 2


def test_wins_are_counted_over_contests_with_the_sign_test():
    runs = [run_of(c, "gp", s, (1, 0.5)) for c in (CAPACITY, MEMORY) for s in range(3)]
    runs += [run_of(c, "tpe", s, (1, 0.4)) for c in (CAPACITY, MEMORY) for s in range(3)]
    row = wins(runs, (CAPACITY, MEMORY)).iloc[0]
    assert (row.won, row.pairs) == (6, 6) and row.p == pytest.approx(2 * 0.5**6)


def test_printed_table_names_every_tuner():
    said = []
    searches.print_tables(
        [run_of(MEMORY, name, 0, (1, 0.5)) for name in searches.NAMES], (MEMORY,), said.append
    )
    lines = "\n".join(said).splitlines()
    assert all(any(line.startswith(title) for line in lines) for title in searches.NAMES.values())
