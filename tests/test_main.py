"""The command line: help that waits for nothing, and one sentence with a non-zero exit for whatever
cannot be done.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import rnnkit
from rnnkit import __main__ as command_line
from rnnkit.__main__ import main
from rnnkit.reproduce import NOTEBOOKS
from rnnkit.studies import EXPERIMENTS, SCALES, run
from rnnkit.studies.planning import scale_text
from rnnkit.trials import TrialStore

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
COMMANDS = [
    words.split()
    for words in (
        "reproduce",
        "plan",
        "notebooks",
        "trials",
        "trials export",
        "trials import",
        "trials show",
        "trials verify",
        "bench",
        "bench speed",
        "bench tuner",
        "bench gpu",
        "completion",
    )
]


def rnnkit_(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def refused(*words, code=1):
    """The one sentence with which a command is refused."""
    done = rnnkit_(*words)
    assert done.exit_code == code, done.output
    (error,) = done.stderr.strip().splitlines()
    assert error.startswith("Error: ") and error.endswith(".") and "Traceback" not in done.output
    return error


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "trials.sqlite"
    run("start", "smoke", path, progress=False)
    return path


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_every_command_has_help(command):
    done = rnnkit_(*command, "--help")
    assert done.exit_code == 0 and done.output.startswith("Usage: ") and len(done.output) > 150


def test_help_waits_for_nothing_heavy():
    code = f"""
import sys
from rnnkit.__main__ import main
for command in {[[], *COMMANDS]!r}:
    main([*command, "--help"], standalone_mode=False)
print([name for name in ("torch", "pandas", "numpy", "matplotlib", "papermill") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


@pytest.mark.parametrize("group", [[], ["trials"], ["bench"]])
def test_help_says_what_each_command_does_in_a_whole_sentence(group):
    lines = rnnkit_(*group, "--help").output.partition("Commands:\n")[2].splitlines()
    assert len(lines) >= 3 and all(line.endswith(".") and "..." not in line for line in lines)


@pytest.mark.parametrize("command", ["reproduce", "plan"])
def test_help_names_every_scale_and_every_experiment(command):
    text = " ".join(rnnkit_(command, "--help").output.split())
    assert all(name in text for name in (*SCALES, *EXPERIMENTS))


def test_it_runs_as_a_module_and_tells_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", "--version"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.stdout == f"rnnkit {rnnkit.__version__}\n"


def test_without_a_command_it_shows_what_there_is():
    done = rnnkit_()
    assert "reproduce" in done.output and "plan" in done.output


# --- completion -----------------------------------------------------------------------------------


def completed(*words):
    """What Tab offers after these words, the last of which is being typed."""
    from click.shell_completion import ShellComplete

    *before, typed = words
    complete = ShellComplete(main, {}, "rnnkit", "_RNNKIT_COMPLETE")
    return [item.value for item in complete.get_completions(list(before), typed)]


@pytest.mark.parametrize(
    "words, offered",
    [
        (["re"], ["reproduce"]),
        (["reproduce", "--sca"], ["--scale"]),
        (["reproduce", "--scale", "o"], ["overnight"]),
        (["plan", "--scale", "Q"], ["quick"]),
        (["plan", "--only", "fig2"], ["fig2a", "fig2b", "fig2c"]),
        (["reproduce", "--only", "5"], ["5_discussion"]),
        (["reproduce", "--device", "cu"], ["cuda"]),
        (["bench", "speed", "--cell", "+"], ["+rnn"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_values_complete_with_tab(words, offered):
    assert completed(*words) == offered


def test_files_are_left_to_the_shell():
    assert completed("trials", "import", "fig") == ["fig"]


def test_names_that_are_completed_are_all_there_are():
    assert command_line.SCALES == tuple(SCALES)
    assert sorted(command_line.EXPERIMENTS) == sorted(EXPERIMENTS)


@pytest.mark.parametrize("shell", command_line.SHELLS)
def test_completion_prints_the_script_of_a_shell(shell):
    done = rnnkit_("completion", shell)
    assert done.exit_code == 0 and f"_RNNKIT_COMPLETE={shell}_complete" in done.output


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, said",
    [
        (["--scale", "huge"], "scale must be one of smoke, quick, overnight, paper, got 'huge'"),
        (["--only", "fig9"], "got 'fig9'. Check the spelling"),
        (["--only", "fig1,fig2a"], "got 'fig1,fig2a'. Give 'fig1' and 'fig2a' one at a time."),
        (["--seed", "-1"], "seed must be a whole number of at least 0, got -1"),
        (["--trials", "-3"], "trials must be a whole number of at least 0, got -3"),
        (["--workers", "-2"], "workers must be a whole number of at least 0, got -2"),
        (["--device", "tpu"], "device must be cpu or cuda, got 'tpu'"),
    ],
)
@pytest.mark.parametrize("command", ["reproduce", "plan"])
def test_a_bad_setting_is_refused_in_one_sentence(command, words, said, tmp_path):
    where = ["--out", tmp_path / "figures"] if command == "reproduce" else []
    only = [] if "--only" in words else ["--only", "fig1"]
    scale = [] if "--scale" in words else ["--scale", "smoke"]
    assert said in refused(
        command, *where, *only, *scale, "--store", tmp_path / "trials.sqlite", *words, code=2
    )


@pytest.mark.parametrize(
    "words, said",
    [
        (["--cell", "grue"], "architecture must be one of rnn, irnn, ugrnn, gru, lstm, +rnn"),
        (["--size", "-300"], "max_params must be a whole number of at least 1, got -300"),
        (["--size", "20"], "max_params must leave room for one unit per layer"),
        (["--seconds", "0"], "seconds must be positive"),
    ],
)
def test_a_bench_of_what_cannot_exist_is_refused_in_one_sentence(words, said):
    assert said in refused("bench", "speed", *words, code=2)


@pytest.mark.parametrize("bench", ["speed", "tuner", "gpu"])
@pytest.mark.parametrize(
    "path, said",
    [("no/such/folder/x.json", "no/such/folder must exist"), (".", "got the folder .")],
)
def test_a_bench_that_cannot_write_says_so_beforehand(bench, path, said):
    done = rnnkit_("bench", bench, "--json", path)
    assert done.exit_code == 2 and said in done.stderr.splitlines()[-1]


def test_a_path_that_cannot_be_right_exits_2_as_any_bad_value_does(tmp_path, store):
    """And 1 is left for what goes wrong on the way."""
    text = tmp_path / "a.txt"
    nowhere = tmp_path / "no" / "x"
    other = tmp_path / "other.sqlite"
    text.write_text("no")
    with sqlite3.connect(other) as cakes:
        cakes.execute("CREATE TABLE recipes (cake TEXT)")
    commands = [
        ["trials", "show", "--store", nowhere],
        ["trials", "show", "--store", other],
        ["trials", "verify", "--store", text],
        ["trials", "import", nowhere, "--store", store],
        ["trials", "import", tmp_path, "--store", store],
        ["trials", "import", "--store", ":memory:"],
        ["trials", "export", tmp_path / "no" / "x.parquet", "--store", store],
        ["plan", "--scale", "smoke", "--store", nowhere],
        ["notebooks", text / "x"],
        ["reproduce", "--scale", "smoke", "--store", store, "--out", text / "x"],
        ["reproduce", "--scale", "smoke", "--store", store, "--notebooks", tmp_path],
    ]
    for words in commands:
        assert "Error: " in refused(*words, code=2)


def test_a_folder_of_notebooks_that_does_not_exist_is_refused_even_where_none_is_executed(tmp_path):
    words = ["--scale", "smoke", "--only", "fig1", "--notebooks", tmp_path / "no"]
    done = rnnkit_("reproduce", *words)
    assert done.exit_code == 2 and "does not exist" in done.stderr


@pytest.mark.parametrize(
    "words", [["--trials", "many"], ["--seed", "1.5"], ["--unknown", "3"], ["--scale"]]
)
def test_what_is_no_setting_is_refused_by_name(words):
    done = rnnkit_("reproduce", *words)
    assert (
        done.exit_code == 2
        and done.stderr.splitlines()[-1].startswith("Error: ")
        and words[0] in done.stderr
    )


def test_a_wrong_number_of_workers_is_refused_before_anything_is_begun(tmp_path):
    done = rnnkit_("reproduce", "--workers", "-1", "--out", tmp_path / "out")
    assert done.exit_code == 2 and done.stdout == "" and not (tmp_path / "out").exists()
    assert done.stderr == "Error: workers must be a whole number of at least 0, got -1.\n"


@pytest.mark.parametrize(
    "words, said",
    [
        ("reproduce smoke", "reproduce takes --scale NAME, --only NAME, .*, got smoke besides"),
        ("plan --only fig1 fig2a fig2b", "plan takes .*--only NAME.*, got fig2a fig2b besides"),
        ("notebooks a b", "notebooks takes FOLDER, got b besides"),
        ("trials show a.sqlite", "trials show takes --store FILE, got a.sqlite besides"),
        ("trials export a b", "trials export takes PARQUET, --store FILE, got b besides"),
    ],
)
def test_a_word_that_belongs_to_no_option_is_refused_by_what_a_command_takes(words, said):
    done = rnnkit_(*words.split())
    assert done.exit_code == 2 and re.search(said, done.stderr.splitlines()[-1])
    assert done.stderr.endswith(
        "Write each value behind the name of its option, and leave out the rest.\n"
    )


def test_an_unknown_command_is_refused_by_name():
    done = rnnkit_("reproduc")
    assert done.exit_code == 2 and "No such command 'reproduc'" in done.stderr
    assert "reproduce" in done.stderr
    done = rnnkit_("trials", "list")
    assert done.exit_code == 2 and "The commands are export, import, show, verify." in done.stderr


def spoilt(tmp_path, how):
    path = tmp_path / "spoilt.sqlite"
    if how == "a letter":
        path.write_text("Dear store,")
    elif how == "a folder":
        path.mkdir()
    elif how == "somebody else's":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE recipes (cake TEXT)")
    elif how == "in no folder":
        path = tmp_path / "no" / "trials.sqlite"
    elif how == "under a file":
        path.write_text("")
        path = path / "trials.sqlite"
    elif how == "where nobody writes":
        path = Path("/proc/trials.sqlite")
    elif how == "corrupt":
        run("fig1", "smoke", path, trials=8, progress=False)
        data = bytearray(path.read_bytes())
        data[4096:-100] = bytes(len(data) - 4196)
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "how",
    [
        "a letter",
        "a folder",
        "somebody else's",
        "in no folder",
        "under a file",
        "corrupt",
        pytest.param(
            "where nobody writes",
            marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc"),
        ),
    ],
)
def test_a_bad_store_is_refused_in_one_sentence(tmp_path, how):
    path = spoilt(tmp_path, how)
    on_the_way = how in ("corrupt", "where nobody writes")
    said = refused(
        "reproduce",
        "--scale",
        "smoke",
        "--only",
        "fig1",
        "--store",
        path,
        "--out",
        tmp_path / "figures",
        code=1 if on_the_way else 2,
    )
    assert str(path) in said or str(path.parent) in said


def test_a_locked_store_is_refused_in_one_sentence(store, tmp_path, monkeypatch):
    monkeypatch.setattr(TrialStore.__init__, "__defaults__", (True, 0.1))
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    words = [
        "reproduce",
        "--scale",
        "smoke",
        "--only",
        "fig1",
        "--store",
        store,
        "--out",
        tmp_path / "figures",
    ]
    assert "is locked by another writer" in refused(*words)


def test_figures_that_cannot_be_written_are_reported_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    store = tmp_path / "trials.sqlite"
    assert "Figures cannot be written" in refused(
        "reproduce",
        "--scale",
        "smoke",
        "--store",
        store,
        "--out",
        tmp_path / "file" / "figures",
        code=2,
    )
    assert not store.exists()


@pytest.mark.parametrize("words", [["show"], ["export", "out.parquet"]])
def test_a_misspelt_store_is_not_made(tmp_path, words):
    path = tmp_path / "trails.sqlite"
    assert "There is no trial store" in refused("trials", *words, "--store", path, code=2)
    assert not path.exists()


def test_a_file_that_holds_no_trials_is_not_imported(tmp_path):
    file = tmp_path / "x.parquet"
    file.write_text("no")
    assert "cannot be read as a Parquet file" in refused(
        "trials", "import", file, "--store", tmp_path / "trials.sqlite", code=2
    )


def test_an_export_to_nowhere_is_reported(store, tmp_path):
    assert "cannot be written" in refused(
        "trials", "export", tmp_path / "no" / "x.parquet", "--store", store, code=2
    )


# --- what they do ---------------------------------------------------------------------------------


def test_trials_travel_by_export_and_import(store, tmp_path):
    file = tmp_path / "x.parquet"
    other = tmp_path / "other.sqlite"
    assert (
        rnnkit_("trials", "export", file, "--store", store).output
        == f"3 trials written to {file}.\n"
    )
    assert (
        rnnkit_("trials", "import", file, "--store", other).output
        == f"3 new trials; {other} now has 3.\n"
    )
    assert (
        rnnkit_("trials", "import", file, "--store", other).output
        == f"0 new trials; {other} now has 3.\n"
    )


def test_show_lists_the_studies(store):
    lines = rnnkit_("trials", "show", "--store", store).output.splitlines()
    assert lines[0].split() == ["study", "trials", "infeasible", "best", "loss", "minutes"]
    assert (
        lines[1].startswith("per_cap/rnn/layers=1/params=")
        and lines[1].split()[1] == "3"
        and lines[2] == "3 trials in 1 study"
    )


def test_plan_says_what_a_run_costs_on_this_machine(store):
    done = rnnkit_("plan", "--scale", "smoke", "--store", store)
    lines = done.output.splitlines()
    assert done.exit_code == 0 and lines[0] == scale_text("smoke").splitlines()[0]
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert (
        set(rows) == {*EXPERIMENTS, "notebooks", "all"}
        and rows["start"][3] == "0"
        and rows["fig1"][1] == "11"
    )
    assert rows["all"][-1] in ("s", "min")


def rows_of_plan(store, *only):
    names = [word for name in only for word in ("--only", name)]
    done = rnnkit_("plan", "--scale", "smoke", "--store", store, *names)
    return [line.split()[0] for line in done.output.splitlines()[2:]]


def test_plan_takes_the_names_that_reproduce_takes(store):
    """Those of notebooks, too: of a notebook, its experiments in NOTEBOOKS, each once."""
    assert rows_of_plan(store, "0_start_here", "start") == ["start", "all"]
    assert rows_of_plan(store, "A_tuner", "fig1") == ["fig1", "tuner", "fig5", "all"]
    assert rows_of_plan(store, "B_tasks") == ["What"]  # is chosen draws no trials
    assert rows_of_plan(store) == [*EXPERIMENTS, "notebooks", "all"]


def test_bench_measures_what_it_is_told_to(tmp_path):
    words = (
        "--cell",
        "rnn",
        "--size",
        "350",
        "--steps",
        "5",
        "--seconds",
        "0.01",
        "--no-jax",
        "--json",
        tmp_path / "speed.json",
    )
    done = rnnkit_("bench", "speed", *words)
    assert done.exit_code == 0 and [line.split()[0] for line in done.output.splitlines()] == [
        "cell",
        "rnn",
    ]
    (row,) = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert row["cell"] == "rnn" and row["parameters"] <= 350 and row["torch_ratio"] > 0


@pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX does")
def test_ctrl_c_ends_a_reproduction_with_a_sentence_and_the_next_goes_on(tmp_path):
    store = tmp_path / "trials.sqlite"
    words = [
        "reproduce",
        "--scale",
        "quick",
        "--only",
        "fig1",
        "--store",
        store,
        "--out",
        tmp_path / "figures",
        "--workers",
        "1",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnkit", *map(str, words)],
        env=ENVIRONMENT,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not (
        store.exists() and (tmp_path / "trials.sqlite-wal").exists() and len(TrialStore(store)) >= 1
    ):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors
    assert (
        errors.strip().splitlines()[-1].startswith("Stopped with ")
        and "Run the same command again to continue." in errors
    )
    assert int(rnnkit_("trials", "show", "--store", store).output.splitlines()[-1].split()[0]) >= 1


@pytest.mark.parametrize(
    "words", ["reproduce", "plan", "trials show", "trials import", "bench speed"]
)
def test_ctrl_c_while_a_command_loads_its_libraries_is_an_interruption_too(words, tmp_path):
    code = f"""
import sys

class Interruption:
    def find_spec(name, *_):
        if name == "numpy":
            raise KeyboardInterrupt

from rnnkit.__main__ import main
sys.meta_path.insert(0, Interruption)
main({words.split()!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("Stopped at once. ") and done.stderr.count("\n") == 1


def test_memory_that_torch_cannot_get_is_reported_in_one_sentence(monkeypatch):
    monkeypatch.setattr("rnnkit.bench.speed.run", lambda *_, **__: torch.empty(2**58))
    assert "Memory ran out." in refused("bench", "speed")


def test_the_chosen_notebooks_are_named_in_the_refusal_of_an_unknown_one():
    assert all(name in refused("reproduce", "--only", "0_start", code=2) for name in NOTEBOOKS)


LOST = {
    "closed": "os.close(2); sys.stderr.close()",
    "none": "os.close(2); sys.stderr = None",
    "full": "sys.stderr = open('/dev/full', 'w', buffering=1)",
    "of a terminal that is lost": "sys.stderr = Lost()",
}


@pytest.mark.parametrize("how", LOST)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_progress_that_cannot_be_written_does_not_end_training(tmp_path, how):
    code = f"""
import os, sys
from rnnkit.studies import run
from rnnkit.studies.progress import Progress

class Lost:
    closed = False
    def isatty(self): return True
    def write(self, text): raise OSError(5, "Input/output error")
    flush = write

if __name__ == "__main__":
    {LOST[how]}
    frame = run("start", "smoke", {str(tmp_path / "trials.sqlite")!r}, trials=3, workers=1)
    print(len(frame))
"""
    (tmp_path / "lost.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "lost.py"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=300,
    )
    assert done.stdout == "3\n", done.stderr
    with TrialStore(tmp_path / "trials.sqlite") as store:
        assert len(store) == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_run_whose_words_cannot_be_written_goes_to_its_end(tmp_path):
    words = [
        "reproduce",
        "--scale",
        "smoke",
        "--only",
        "calibration",
        "--trials",
        "2",
        "--store",
        "trials.sqlite",
        "--workers",
        "1",
    ]
    with open("/dev/full", "w") as full:
        subprocess.run(
            [sys.executable, "-m", "rnnkit", *words],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=full,
            stderr=full,
            timeout=300,
        )
    with TrialStore(tmp_path / "trials.sqlite", create=False) as store:
        assert len(store) == 2
    assert (tmp_path / "results" / "calibration.png").exists() and (
        tmp_path / "results" / "README.md"
    ).exists()


@pytest.mark.parametrize(
    "command",
    [
        ["reproduce", "--store", ""],
        ["reproduce", "--out", " "],
        ["trials", "import", ""],
        ["notebooks", ""],
    ],
)
def test_an_empty_name_of_a_file_or_folder_is_a_bad_value(command):
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2 and "the name must not be empty" in done.stderr


def test_a_processor_is_no_gpu_to_measure():
    done = CliRunner().invoke(main, ["bench", "gpu", "--device", "cpu"])
    assert done.exit_code == 2 and "device must be a GPU, got cpu." in done.stderr


def test_where_there_is_no_gpu_to_measure_a_processor_is_not_suggested(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused("bench", "gpu", code=2).endswith(
        "it sees none. Measure on a machine that has one."
    )
