"""The time left is estimated from the tasks and cells of stored trials, and from this machine's
present pace.
"""

import dataclasses
import math

import numpy as np
import pytest

from rnnkit.studies.pace import Pace, Work, shipped_paces
from rnnkit.studies.progress import Progress
from rnnkit.studies.study import Study


def work(task="per_cap", cell="rnn", layers=1, params=1_000, unroll=5):
    return Work(task, cell, layers, params, unroll)


def test_one_trial_sets_the_pace_of_all():
    pace = Pace()
    pace.learn(work(), 0.01, trials=20, interval=1.0)
    same, larger = pace.seconds([work(), work(params=3_000)])
    assert same == pytest.approx(0.01, rel=0.2) and larger / same == pytest.approx(2, rel=0.05)


def test_what_a_task_and_a_cell_add_carries_over_to_what_was_not_tried_together():
    """Four times as long for a task, twice for a cell; the fourth pair is seen by its parts."""
    pace = Pace()
    for _ in range(50):
        for task, cell, times in (("a", "x", 1), ("b", "x", 4), ("a", "y", 2)):
            pace.learn(work(task, cell), 0.001 * times, trials=1, interval=0.0)
    base, both = pace.seconds([work("a", "x"), work("b", "y")])
    assert 4 < both / base < 9  # 8 as they multiply, less what belongs to the pairs alone


def test_paces_from_elsewhere_tell_kinds_apart_on_a_machine_of_any_speed():
    """A machine ten times as slow as the one that trained what is known."""
    known = [(work(task), seconds) for task, seconds in (("a", 0.001), ("b", 0.008))] * 10
    pace = Pace(known)
    pace.learn(work("a"), 0.01, trials=1, interval=1.0)
    assert pace.seconds([work("b")])[0] == pytest.approx(0.08, rel=0.25)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_clock_that_is_wrong_teaches_nothing(seconds):
    pace = Pace()
    pace.learn(work(), 0.01, trials=20, interval=1.0)
    before = pace.seconds([work()])
    pace.learn(work(), seconds, trials=20, interval=1.0)
    assert pace.seconds([work()]) == before


def test_the_trials_that_ship_tell_of_every_task():
    paces = shipped_paces()
    assert len(paces) > 100 and all(0 < seconds < 10 for _, seconds in paces)
    assert {work.task_type for work, _ in paces} >= {"per_cap", "mem_thru", "text8", "rcf"}


def test_without_the_file_that_ships_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setattr("rnnkit.places.TRIALS", tmp_path / "none.parquet")
    assert shipped_paces() == []


def test_a_machine_that_changes_its_speed_in_mid_run_is_noticed(monkeypatch):
    """Forty studies of six tasks and two cells whose pace is up to four times off, on a machine
    that becomes three times as fast after a third of the run, as when a neighbour ends. From then
    on the time left is right to a factor of two, and to a half from the middle on.
    """
    now = [0.0]
    rng = np.random.default_rng(5)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    base = Study("per_cap", "rnn", 1, 1_000, n_in=20, train_steps=(20, 60))
    tasks = {task: rng.uniform(0.5, 2) for task in ("per_cap", "a", "b", "c", "d", "e")}
    jobs = []
    truth = {}
    for place in range(40):
        task = list(tasks)[place % 6]
        cell = ("rnn", "gru")[place % 2]
        study = dataclasses.replace(base, architecture=cell, max_params=1_200 - 20 * place)
        key = f"{task}/{study.key}"
        fake = dataclasses.make_dataclass(
            "S",
            ["key", "task_type", "architecture", "n_layers", "num_params", "unroll", "mean_steps"],
        )(key, task, cell, 1, study.num_params, 5, 100.0)
        jobs.append((fake, 20, 0))
        truth[key] = 1e-3 * study.num_params * tasks[task] * rng.uniform(0.9, 1.1)
    known = [
        (Work(task, cell, 1, 1_000, 5), 1e-6 * times)
        for task, times in tasks.items()
        for cell in ("rnn", "gru")
    ]
    ended = dataclasses.make_dataclass("T", ["study", "seconds"])
    whole = sum(20 * seconds for seconds in truth.values())
    progress = Progress(jobs, quiet=True, paces=known)
    clock = 0.0
    marks = []
    for study, count, _ in jobs:
        for _ in range(count):
            speed = 1.0 if clock < whole / 3 else 3.0
            clock += truth[study.key]
            now[0] += truth[study.key] / speed
            progress.trial(ended(study.key, truth[study.key] / speed))
            progress.line()
            marks.append((now[0], progress.seconds_left))
    end = now[0]
    errors = [
        (t / end, left / (end - t)) for t, left in marks if left is not None and t < 0.9 * end
    ]
    changed = next(t for t, _ in marks if t > whole / 3) / end
    assert all(0.5 < error < 2 for share, error in errors if share > changed + 0.15)
    assert all(0.67 < error < 1.5 for share, error in errors if share > changed + 0.25)
