"""Whatever is typed, passed or imported: it works, or it is refused in one clear sentence. Never a
traceback, never a silent success.

Hypothesis makes the cases, always the same ones. Nothing is trained: what would train says so
instead.
"""

import contextlib
import json
import math
import os
import random
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import nbformat
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_trials import NAN, a_trial

from rnnkit import notebooks, studies
from rnnkit.__main__ import main
from rnnkit.cells import CELLS
from rnnkit.names import matching
from rnnkit.reproduce import NOTEBOOKS
from rnnkit.studies import EXPERIMENTS, SCALES, Stopped, Study, plan, run
from rnnkit.studies.rounds import StudyError
from rnnkit.trials import COLUMNS, StoreError, TrialStore

ROOT = Path(__file__).parents[1]
CASES = Counter()  # test -> cases tried
REFUSALS = (ValueError, StoreError, StudyError, notebooks.NotebookError)


def cases(count):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )


def tried(name):
    CASES[name] += 1


def clear(sentence):
    """One sentence, of a length that a person reads, with an end."""
    assert sentence and "\n" not in sentence and "Traceback" not in sentence, sentence
    assert sentence.endswith((".", "!")) and len(sentence) < 1500, sentence
    assert "Error(" not in sentence, sentence


def works_or_says(call):
    """Whether a call works; if not, it is refused in a sentence."""
    try:
        call()
    except REFUSALS as error:
        clear(str(error))
        return False
    except Stopped:  # it would have trained
        return True
    return True


@pytest.fixture(autouse=True, scope="module")
def nothing_trains():
    """All checks are real; what would train says so."""

    def would(*_, **__):
        raise Stopped("It would train now.")

    class Nobody:
        __init__ = lambda *_: None
        __enter__ = lambda self: self
        __exit__ = lambda *_: None

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(studies, "train_in_this_process", would)
        patch.setattr(studies, "train_in_rounds", would)
        patch.setattr(studies, "Processes", Nobody)
        patch.setattr("rnnkit.training.seconds_per_step", lambda study, device, seconds: 1e-6)
        patch.setattr("rnnkit.studies.verify.retrain", would)
        patch.setattr("rnnkit.bench.speed.measure", would)
        patch.setattr("rnnkit.studies.cluster.PATIENCE", 0.2)
        yield


# --- values, each with whether it is a good one ---------------------------------------------------


def good(*values):
    return st.sampled_from([(value, True) for value in values])


def bad(*values):
    return st.sampled_from([(value, False) for value in values])


def unlike(
    known,
    make=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
):
    """Text that is none of the known words, in whatever case."""
    return make.filter(lambda text: matching(text, known) is None and text[:1] != "-").map(
        lambda text: (text, False)
    )


def mostly(right, wrong):
    """Good ones more often than bad, so that several settings together are sometimes all good."""
    return st.one_of(right, right, right, wrong)


WHOLE = mostly(
    good("0", "1", "7", "123456"),
    bad("-1", "-99999999999", "1.5", "1e3", "zero", "", " ", "0x10", "NaN", "1_0_", "９.", "--1"),
)
NAMES = {**NOTEBOOKS, **{name: () for names in NOTEBOOKS.values() for name in names}}


def option(name, values):
    return values.map(lambda value: ([name, value[0]], value[1]))


def command(*words, required=(), optional=()):
    """Words of a command line, and whether they are all good."""

    def join(parts):
        return [*words, *(word for part, _ in parts for word in part)], all(ok for _, ok in parts)

    several = (
        st.lists(st.one_of(*optional), max_size=4, unique_by=lambda part: part[0][0])
        if optional
        else st.just([])
    )
    return st.tuples(st.tuples(*required), several).map(lambda parts: join([*parts[0], *parts[1]]))


SCALE = option("--scale", mostly(good(*SCALES), unlike(SCALES)))
SETTINGS = [
    option("--seed", WHOLE),
    option("--trials", WHOLE),
    option(
        "--workers",
        mostly(good("0", "1", "2", "1024"), bad("-1", "1025", "99999999999999999999", "many")),
    ),
    option("--device", mostly(good("cpu"), unlike(("cpu", "cuda")))),
    bad("--nothing", "--scales=1", "surplus", "-z").map(lambda value: ([value[0]], False)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files to point at, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    with TrialStore(folder / "store.sqlite") as store:
        store.add([a_trial(n) for n in range(3)])
        store.export(folder / "good.parquet")
    (folder / "letter.txt").write_text("Dear store,")
    (folder / "empty.parquet").touch()
    (folder / "folder").mkdir()
    (folder / "cut.parquet").write_bytes((folder / "good.parquet").read_bytes()[:-50])
    data = (folder / "store.sqlite").read_bytes()
    (folder / "cut.sqlite").write_bytes(data[:5000])
    return folder


def outcome(words, folder):
    """What a command line does in a fresh folder: its exit code, once all that it said is found to
    be in order.
    """
    with tempfile.TemporaryDirectory(dir=folder) as fresh, contextlib.chdir(fresh):
        for name in (
            "store.sqlite",
            "good.parquet",
            "letter.txt",
            "empty.parquet",
            "cut.parquet",
            "cut.sqlite",
        ):
            shutil.copy(folder / name, name)
        os.mkdir("folder")
        done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert "Traceback" not in done.output
    if done.exit_code == 1:
        (error,) = done.stderr.strip().splitlines()
        assert error.startswith("Error: "), error
        clear(error)
    elif done.exit_code == 2:
        assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
    elif done.exit_code == 130:
        assert done.stderr.strip().splitlines()[-1] == "It would train now."
    else:
        assert done.exit_code == 0
    return done.exit_code


# --- the command line -----------------------------------------------------------------------------


STORES = mostly(
    good("new.sqlite", "store.sqlite"),
    bad("letter.txt", "folder", "cut.sqlite", "no/such/store.sqlite", "empty.parquet", ""),
)
HERE = mostly(
    good("store.sqlite", "good.parquet"),
    bad("none.sqlite", "letter.txt", "folder", "cut.sqlite", "cut.parquet", "none.parquet"),
)
REPRODUCE = command(
    "reproduce",
    required=[option("--only", mostly(good("fig1", "start", "0_start_here"), unlike(NAMES)))],
    optional=[
        SCALE,
        option("--store", STORES),
        option("--out", mostly(good("figures", "folder"), bad("letter.txt", "letter.txt/x"))),
        *SETTINGS,
    ],
)
PLAN = command(
    "plan",
    required=[option("--only", mostly(good("fig1", "start", "calibration"), unlike(EXPERIMENTS)))],
    optional=[
        SCALE,
        *SETTINGS,
        option(
            "--store",
            mostly(good("store.sqlite", "none.sqlite"), bad("letter.txt", "cut.sqlite", "folder")),
        ),
    ],
)
FILES = mostly(
    good("good.parquet"),
    bad("letter.txt", "empty.parquet", "cut.parquet", "folder", "none.parquet", "store.sqlite"),
)
TRIALS = st.one_of(
    command(
        "trials",
        "import",
        required=[
            FILES.map(lambda f: ([f[0]], f[1])),
            option("--store", STORES.filter(lambda s: s[0] != "empty.parquet")),
        ],
    ),
    command(
        "trials",
        "export",
        required=[
            good("out.parquet", "x").map(lambda f: ([f[0]], True))
            | bad("no/such/out.parquet", "folder").map(lambda f: ([f[0]], False)),
            option("--store", HERE),
        ],
    ),
    command("trials", "show", required=[option("--store", HERE)], optional=[SETTINGS[-1]]),
    command(
        "trials",
        "verify",
        required=[option("--store", HERE)],
        optional=[
            option("--count", mostly(good("1", "2"), bad("0", "-1", "x", "1.0"))),
            option("--seed", WHOLE),
            SETTINGS[3],
        ],
    ),
    command(
        "trials", required=[bad("exprot", "delete", "--store").map(lambda word: ([word[0]], False))]
    ),
)
BENCH = st.one_of(
    command(
        "bench",
        "speed",
        required=[
            option("--cell", mostly(good("rnn", "+rnn", "gru"), unlike({"rnn", "gru", *CELLS})))
        ],
        optional=[
            option("--size", mostly(good("350", "3000"), bad("0", "-5", "12", "x", "1e3"))),
            option("--seconds", mostly(good("0.1", "1"), bad("0", "-1", "nan", "x", "-inf"))),
            option("--json", mostly(good("x.json"), bad("folder", "no/such/x.json"))),
            good("--no-jax").map(lambda word: ([word[0]], True)),
        ],
    ),
    command("bench", required=[bad("sped", "--tuner").map(lambda word: ([word[0]], False))]),
    command(
        required=[
            unlike({"reproduce", "plan", "trials", "bench", ""}).map(
                lambda word: ([word[0]], False)
            )
        ]
    ),
)


@cases(220)
@given(REPRODUCE)
def test_reproduce_would_train_or_says_what_is_wrong(folder, given_):
    tried("reproduce")
    words, ok = given_
    assert (outcome(words, folder) in (0, 130)) == ok, words


@cases(120)
@given(PLAN)
def test_plan_plans_or_says_what_is_wrong(folder, given_):
    tried("plan")
    words, ok = given_
    assert (outcome(words, folder) == 0) == ok, words


@cases(160)
@given(TRIALS)
def test_trials_move_or_it_is_said_what_is_wrong(folder, given_):
    tried("trials")
    words, ok = given_
    assert (outcome(words, folder) in (0, 130)) == ok, words


@cases(80)
@given(BENCH)
def test_bench_measures_or_says_what_is_wrong(folder, given_):
    tried("bench")
    words, ok = given_
    assert (outcome(words, folder) in (0, 130)) == ok, words


# --- studies and experiments ----------------------------------------------------------------------


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.integers(0, 9), max_size=3),
    st.just(object),
    st.complex_numbers(),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
FIELDS = {
    "task_type": st.sampled_from(
        ["per_cap", "mem_thru", "rcf", "text8", "parens_counting", "arithmetic"]
    ),
    "architecture": st.sampled_from(["rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn", "linear"]),
    "n_layers": st.integers(0, 9),
    "max_params": st.integers(1, 10**6),
    "seed": st.integers(0, 2**63),
    "n_in": st.integers(1, 60),
    "unroll": st.integers(1, 30),
    "tuner": st.sampled_from(["gp", "random", "rerun"]),
    "form": st.sampled_from(["", "tiny", "small", "huge"]),
    "train_steps": st.tuples(st.integers(1, 50), st.integers(40, 10**9)),
    "pinned": st.sampled_from(
        [
            (),
            {"nonlinearity": "relu"},
            (("optimizer", "Adam"),),
            {"lr_init": 0.01},
            {"lr_init": 5},
            {"x": 1},
        ]
    ),
}


@cases(260)
@given(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.dictionaries(st.sampled_from(sorted(FIELDS)), ANYTHING, max_size=2),
)
def test_a_study_is_one_that_can_be_trained_or_says_what_is_wrong(right, wrong):
    tried("Study")
    made = []
    base = dict(task_type="per_cap", architecture="rnn", n_layers=1, max_params=300)
    if works_or_says(lambda: made.append(Study(**{**base, **right, **wrong}))):
        (study,) = made
        assert (
            0 < study.num_params <= study.max_params
            and study.n_units >= (study.n_layers > 0)
            and math.isfinite(study.flops)
        )
        assert (
            study.key == Study(**{name: getattr(study, name) for name in FIELDS}).key
            and hash(study) is not None
        )
        assert set(study.space.names) is not None and study.mean_steps >= 1


EXPERIMENT = {
    "scale": st.sampled_from(list(SCALES)),
    "seed": st.integers(0, 99),
    "trials": st.integers(0, 9),
    "workers": st.integers(0, 3),
    "device": st.sampled_from([None, "cpu"]),
    "progress": st.just(False),
}


@cases(160)
@given(
    st.sampled_from(sorted(EXPERIMENTS)) | ANYTHING,
    st.fixed_dictionaries({}, optional=EXPERIMENT),
    st.dictionaries(
        st.sampled_from(["scale", "seed", "trials", "workers", "device", "scheduler"]),
        ANYTHING,
        max_size=1,
    )
    | st.fixed_dictionaries(
        {"store": ANYTHING.filter(lambda x: not isinstance(x, str)) | st.just("\0")}
    ),
)
def test_an_experiment_would_train_or_says_what_is_wrong(name, right, wrong):
    """No text for the store, which would be made in this folder."""
    tried("run")
    works_or_says(
        lambda: run(
            name, **{"store": ":memory:", "scale": "smoke", "progress": False, **right, **wrong}
        )
    )


@cases(60)
@given(
    st.sampled_from(sorted(EXPERIMENTS)) | ANYTHING,
    st.dictionaries(
        st.sampled_from(["scale", "seed", "trials", "workers", "device"]), ANYTHING, max_size=2
    ),
)
def test_a_plan_is_made_or_says_what_is_wrong(name, wrong):
    tried("plan()")
    works_or_says(
        lambda: plan(
            **{
                "scale": "smoke",
                "only": name,
                "store": None,
                "speed": lambda study, device: 1e-6,
                **wrong,
            }
        )
    )


# --- notebooks ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """The notebooks' parameters cells, which is all that is looked at before a notebook is
    executed; name -> (path, types).
    """
    folder = tmp_path_factory.mktemp("books")
    books = {}
    for name in NOTEBOOKS:
        book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
        book.cells = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
        for cell in book.cells:
            cell.outputs = []
        nbformat.write(book, folder / f"{name}.ipynb")
        books[name] = folder / f"{name}.ipynb", notebooks.types_of(folder / f"{name}.ipynb")
    return books


class Executed(Exception):
    pass


OF_TYPE = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "str": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
}


@pytest.mark.parametrize("name", ["\n", "a\nb", "\x1b[2J", "x" * 999, ""])
def test_a_parameter_whose_name_cannot_be_one_is_told_in_one_line(books, name):
    path, _ = books["0_start_here"]
    with pytest.raises(notebooks.NotebookError, match="has no parameter '") as caught:
        notebooks.run_notebook(path, path.parent / "out.ipynb", {name: None})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@cases(220)
@given(st.data())
def test_a_notebook_is_executed_with_parameters_of_its_own_types_or_says_what_is_wrong(books, data):
    tried("notebook")
    path, types = books[data.draw(st.sampled_from(sorted(books)))]
    right = {
        name: data.draw(OF_TYPE[types[name]])
        for name in data.draw(st.sets(st.sampled_from(sorted(types))))
    }
    wrong = data.draw(
        st.dictionaries(st.sampled_from(sorted(types)) | st.text(max_size=6), ANYTHING, max_size=1)
    )
    kinds = {"int": int, "float": (int, float), "str": str, "bool": bool}
    ok = all(
        name in types
        and isinstance(value, kinds[types[name]])
        and (types[name] == "bool" or not isinstance(value, bool))
        and not (isinstance(value, float) and not math.isfinite(value))
        for name, value in wrong.items()
    )

    def executed(*_, **__):
        raise Executed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papermill.execute_notebook", executed)
        try:
            reached = works_or_says(
                lambda: notebooks.run_notebook(path, path.parent / "out.ipynb", {**right, **wrong})
            )
        except Executed:
            reached = True
    assert reached == ok


# --- what is imported -----------------------------------------------------------------------------


CELLS = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=30),
    st.booleans(),
    st.just("x" * 30_000),
    st.just('{"a": NaN}'),
    st.just("[1]"),
    st.just("{" * 5000),
    st.just('{"a": {"b": 1}}'),
)


def table(trials):
    with TrialStore(":memory:") as store:
        store.add(trials)
        frame = store.frame()
    return frame.assign(hparams=[json.dumps(hparams) for hparams in frame.hparams])


def unharmed(path, import_):
    """Tries to import into a store that has a trial; whatever happens, the store can be read
    afterwards.
    """
    with TrialStore(":memory:") as store:
        store.add([a_trial(99, study="before")])
        ok = works_or_says(lambda: import_(store, path))
        frame = store.frame()
        assert (
            set(frame.columns) == set(COLUMNS)
            and "before" in set(frame.study)
            and (ok or len(frame) == 1)
        )
        for key in set(frame.study):
            store.trials(key)
    return ok, frame


@cases(220)
@given(
    st.sampled_from(sorted(COLUMNS)),
    CELLS,
    st.integers(0, 3),
    st.sampled_from(["cell", "column", "drop", "twice", "more"]),
)
def test_a_spoilt_table_is_not_imported_or_holds_only_what_a_trial_may_be(
    tmp_path, column, value, row, how
):
    tried("table")
    frame = table([a_trial(n, **(NAN if n == 2 else {})) for n in range(4)])
    if how == "drop":
        frame = frame.drop(columns=column)
    elif how == "twice":
        frame = pd.concat([frame, frame.iloc[[row]]])
    elif how == "more":
        frame["more"] = [value] * 4
    else:
        values = frame[column].astype(object).tolist()
        frame[column] = pd.Series(
            [value] * 4 if how == "column" else [*values[:row], value, *values[row + 1 :]],
            dtype=object,
        )
    path = tmp_path / "trials.parquet"
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame, preserve_index=False), path)
    except (pyarrow.ArrowException, OverflowError, ValueError):
        return  # no such table can be
    ok, kept = unharmed(path, TrialStore.import_)
    assert ok or how != "more"
    assert not (ok and how == "twice")
    if ok:
        assert len(kept) == 5 or column in ("study", "hyper_iter")
        losses = kept[["train_loss", "valid_loss", "eval_loss"]]
        assert (losses.isna().all(axis=1) == kept.infeasible).all() and (kept.hyper_iter >= 0).all()
        assert all(
            isinstance(value, (int, float, str))
            for hparams in kept.hparams
            for value in hparams.values()
        )


@cases(160)
@given(st.integers(0, 2**32), st.sampled_from(["flip", "cut", "zero", "insert", "noise"]))
def test_a_damaged_file_is_not_imported_or_holds_trials_still(tmp_path, seed, how):
    tried("file")
    source = tmp_path / "good.parquet"
    path = tmp_path / "damaged.parquet"
    if not source.exists():
        with TrialStore(":memory:") as store:
            store.add([a_trial(n) for n in range(50)])
            store.export(source)
    data = bytearray(source.read_bytes())
    chance = random.Random(seed)
    at = chance.randrange(len(data))
    if how == "flip":
        for _ in range(chance.randint(1, 30)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "zero":
        data[at : at + 200] = bytes(len(data[at : at + 200]))
    elif how == "insert":
        data[at:at] = chance.randbytes(chance.randint(1, 100))
    else:
        data = data[:at] if how == "cut" else bytearray(chance.randbytes(at))
    path.write_bytes(data)
    unharmed(path, TrialStore.import_)


def test_a_thousand_cases_were_tried():
    """Where the whole file was run."""
    if len(CASES) < 10:
        pytest.skip("only a part of this file was run")
    assert sum(CASES.values()) >= 1000, CASES
