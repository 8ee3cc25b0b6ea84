"""A large frame keeps hyper-parameters packed: it must be the same frame as without packing, and be
small.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from test_trials import NAN, a_trial
from test_workers import ENVIRONMENT

from rnnkit.trials import COLUMNS, TrialStore, frames
from rnnkit.trials.frames import Packed
from rnnkit.trials.sql import NAMES

DICTS = [
    {"a": 1.5, "b": 3, "c": "relu"},
    {"a": 2.5, "b": 4, "c": "tanh"},
    {"a": 1, "b": 3, "c": "relu"},
    None,
    {},
    {"c": "relu", "a": 0.1},
]


@pytest.fixture
def store():
    with TrialStore(":memory:") as store:
        store.add([a_trial(n, f"per_cap/{n % 3}", **(NAN if n == 4 else {})) for n in range(20)])
        store.add([a_trial(30, hparams={}), a_trial(31, hparams={"lr_init": 1, "x": "y"})])
        yield store


def test_dicts_come_out_as_they_went_in():
    packed = Packed.of(DICTS)
    assert list(packed) == [packed[k] for k in range(len(DICTS))] == DICTS
    assert [type(one["a"]) for one in packed[:3]] == [float, float, int]
    assert list(packed.isna()) == [one is None for one in DICTS]
    assert list(packed[[5, 0]]) == [DICTS[5], DICTS[0]]
    assert list(packed[np.array([True] + 5 * [False])]) == DICTS[:1]
    assert list(packed.take([1, -1], allow_fill=True)) == [DICTS[1], None]
    assert list(packed.take([1, -1])) == [DICTS[1], DICTS[5]]
    both = pd.concat([pd.Series(packed[2:]), pd.Series(Packed.of(DICTS[:2]))])
    assert both.tolist() == DICTS[2:] + DICTS[:2] and isinstance(both.array, Packed)


def test_a_packed_frame_does_what_a_frame_does(store, monkeypatch):
    plain = store.frame()
    monkeypatch.setattr(frames, "BATCH", 3)
    monkeypatch.setattr(frames, "PACKED_FROM", 6)
    packed = store.frame()
    assert isinstance(packed.hparams.array, Packed) and list(packed.columns) == list(COLUMNS)
    assert packed.astype({"hparams": object}).equals(plain)
    assert packed.equals(store.frame()) and repr(packed) and packed.to_html()
    assert packed.hparams.map(len).tolist() == [len(one) for one in plain.hparams]
    assert [row.hparams for row in packed.itertuples()] == plain.hparams.tolist()
    assert [row.hparams for _, row in packed.iterrows()] == plain.hparams.tolist()
    assert packed.sort_values("seconds").hparams.iloc[0] == plain.hparams.iloc[0]
    assert packed[packed.infeasible].hparams.tolist() == [plain.hparams[0]]
    assert packed.loc[packed.groupby("study").hyper_iter.idxmin()].hparams.notna().all()
    assert packed.to_dict("records")[3]["hparams"] == plain.hparams[3]
    assert packed.drop(columns="hparams").dtypes.equals(plain.drop(columns="hparams").dtypes)


def test_a_frame_of_batches_is_that_of_one(store, monkeypatch):
    whole = store.frame()
    monkeypatch.setattr(frames, "BATCH", 7)
    assert store.frame().equals(whole)
    with TrialStore(":memory:") as empty:
        assert list(empty.frame().columns) == list(COLUMNS) and len(empty.frame()) == 0


MEASURE = """
import re, sys
from rnnkit.trials import TrialStore
def peak(): return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024
with TrialStore(sys.argv[1]) as store:
    store.summary(), store.numbers("study 3"), store.trial_at(50_000)
    import rnnkit.trials.frames
    asked = peak()
    assert len(store.frame()) == 100_001
    print(asked, peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux gives it")
def test_a_hundred_thousand_trials_take_a_tenth_of_what_a_million_may(tmp_path):
    """In MiB: what is asked needs no more than the libraries, and a frame less than 170 more."""
    path = tmp_path / "trials.sqlite"
    trial = a_trial()
    with TrialStore(path) as store:
        store.add([trial])
    value = "(abs(random()) / 1e18)"
    values = " || ', ' || ".join(f"'\"hparam_{k}\": ' || {value}" for k in range(20))
    with closing(sqlite3.connect(path)) as sql, sql:
        names = NAMES.replace('"study"', "'study ' || (n / 500)").replace('"hyper_iter"', "n % 500")
        names = names.replace('"hparams"', f"'{{' || {values} || ', \"train_steps\": 500}}'")
        sql.execute(
            "WITH RECURSIVE up(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n < 99999)"
            f" INSERT INTO trials ({NAMES}) SELECT {names} FROM trials, up"
        )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    asked, framed = map(float, done.stdout.split())
    assert path.stat().st_size > 50e6
    assert asked < 150 and framed - asked < 170, (asked, framed)
