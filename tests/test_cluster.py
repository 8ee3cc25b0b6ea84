"""This process, two processes and a Dask cluster of two workers train the same trials, and none of
them is lost.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_workers import ENVIRONMENT, POSIX, ROOT, N, count, rows, some_studies, wait_for

from rnnkit.studies import StudyError, complete
from rnnkit.studies.cluster import cluster_at
from rnnkit.studies.rounds import Rounds, Task, perform, steps_of
from rnnkit.trials import TrialStore

distributed = pytest.importorskip("distributed")

SCRIPT = """
import sys
from rnnkit.studies import complete
from rnnkit.trials import TrialStore
sys.path.insert(0, {tests!r})
from test_workers import N, some_studies
with TrialStore(sys.argv[1]) as store:
    complete(some_studies(), N, store, scheduler=sys.argv[2])
"""


class Machines:
    """A scheduler and its workers as processes of their own, as on machines of their own; `path`
    says where these find the kit.
    """

    def __init__(self, workers, path=ROOT):
        self.path = path
        self.environment = {**ENVIRONMENT, "PYTHONPATH": str(path)}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.scheduler = self._start(
            "scheduler", "--host", self.address, "--no-dashboard", "--no-show"
        )
        self.workers = []
        for _ in range(workers):
            self.join()

    def _start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            env=self.environment,
            cwd=self.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def join(self):
        words = [
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--memory-limit",
            "0",
            "--death-timeout",
            "60",
        ]
        self.workers.append(self._start("worker", self.address, *words))

    def ready(self, workers):
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def end(self):
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def machines():
    machines = Machines(2)
    machines.ready(2)
    yield machines
    machines.end()


def trained(studies, path=":memory:", n_trials=N, **settings):
    with TrialStore(path) as store:
        complete(studies, n_trials, store, progress=False, **settings)
        return rows(store)


@pytest.fixture(scope="module")
def undisturbed():
    return trained(some_studies(), workers=1)


# --- the same trials ------------------------------------------------------------------------------


def test_one_process_two_processes_and_a_cluster_give_the_same_rows_of_a_gaussian_process(
    machines, undisturbed
):
    """Three rounds: the suggestions of the second and third are of the losses before them."""
    assert trained(some_studies(), workers=2) == undisturbed
    assert trained(some_studies(), scheduler=machines.address) == undisturbed


def test_one_process_two_processes_and_a_cluster_give_the_same_rows_of_random_search(machines):
    studies = some_studies("random", (200, 400))
    alone = trained(studies, workers=1)
    assert (
        trained(studies, workers=2) == alone
        and trained(studies, scheduler=machines.address) == alone
    )


def test_the_weights_of_the_best_trial_come_home_from_two_processes_and_from_a_cluster(
    machines, tmp_path
):
    study = some_studies("random", (200, 400))[1]
    found = []
    for name, settings in (
        ("one", {"workers": 1}),
        ("two", {"workers": 2}),
        ("cluster", {"scheduler": machines.address}),
    ):
        with TrialStore(tmp_path / f"{name}.sqlite") as store:
            complete([study], 20, store, progress=False, **settings)
            number, blocks = store.weights(study.key)
            best = min(store.trials(study.key), key=lambda trial: trial.valid_loss).hyper_iter
            found.append((number, {name: block.tolist() for name, block in blocks.items()}))
            assert number == best
    assert found[0] == found[1] == found[2]


def test_one_study_uses_both_workers_of_a_cluster(machines):
    study = some_studies(train_steps=(20_000, 40_000))[1]
    seen = set()
    with distributed.Client(machines.address, set_as_default=False) as client:
        thread = threading.Thread(
            target=trained, args=([study],), kwargs={"n_trials": 16, "scheduler": machines.address}
        )
        thread.start()
        while thread.is_alive():
            seen |= {worker for worker, tasks in client.processing().items() if tasks}
            time.sleep(0.02)
        thread.join()
    assert len(seen) == 2


# --- how the work is cut --------------------------------------------------------------------------


def rounds_of(study, n_trials, store=None):
    return Rounds(
        study, n_trials, TrialStore(":memory:") if store is None else store, lambda trial: None
    )


def test_shares_of_a_round_are_about_equally_long_and_lack_nothing():
    study = some_studies()[0]
    hparams = [{"train_steps": steps} for steps in (100, 90, 50, 50, 40, 30, 20, 20)]
    shares = rounds_of(study, 16).shares(list(range(8)), hparams, 3)
    assert sorted(number for share in shares for number in share.numbers) == list(range(8))
    # by hand, the longest first to the lightest: 100 30, 90 40, 50 50 20 20
    assert [steps_of(share.hparams) for share in shares] == [130, 130, 140]


def test_a_study_that_listens_asks_for_one_round_at_a_time_and_one_that_does_not_for_all():
    gp = some_studies()[0]
    random = some_studies("random")[0]
    assert [task.numbers[0] for task in rounds_of(gp, 40).ready()] == [0]
    assert [task.numbers[0] for task in rounds_of(random, 40).ready()] == [0, 16, 32]


def test_a_round_that_another_run_has_trained_meanwhile_is_not_asked_for():
    study = some_studies("random", (5, 9))[0]
    with TrialStore(":memory:") as store:
        mine = rounds_of(replace(study, tuner="gp"), 32, store)
        mine.ready()
        complete([replace(study, tuner="gp")], 32, store, workers=1, progress=False)
        for trial in store.trials(mine.study.key)[:16]:
            mine.add(trial)
        assert mine.ready() == [] and mine.parallel_rounds == 0


def test_a_worker_with_another_version_says_so():
    job = Task(some_studies()[0], [0]).job("cpu", "")
    with pytest.raises(
        ValueError,
        match=(
            "This run is of rnnkit 0.0.0 .*, and a worker has rnnkit .*Install one version everywhere."
        ),
    ):
        perform({**job, "version": "0.0.0"}, send=print, stop=lambda: False)


@pytest.mark.parametrize("there, device", [(True, "cuda"), (False, "cpu")])
def test_a_worker_takes_its_gpu_where_it_has_one(there, device, monkeypatch):
    seen = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("rnnkit.studies.rounds.train", lambda *_, device, **__: seen.append(device))
    study = some_studies("random")[0]
    job = Task(study, [0], [{"train_steps": 5}]).job(None, "")
    perform(job, send=print, stop=lambda: False)
    assert seen == [device]


# --- what goes wrong ------------------------------------------------------------------------------


def refused(**settings):
    with pytest.raises(ValueError) as caught:
        trained(some_studies()[:1], n_trials=1, **settings)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.mark.parametrize(
    "address",
    [
        "nowhere",
        "tcp://127.0.0.1:1",
        "tcp://256.0.0.1:8786",
        "http://",
        "tcp://localhost:port",
        "::",
    ],
)
def test_an_address_where_no_scheduler_answers_is_reported(address, monkeypatch):
    monkeypatch.setattr("rnnkit.studies.cluster.PATIENCE", 1)
    assert f"No Dask scheduler answers at {address} (" in refused(scheduler=address)


def test_where_no_scheduler_answers_nothing_complains_when_the_program_ends(tmp_path):
    words = ["--scale", "smoke", "--only", "start", "--scheduler", "tcp://127.0.0.1:1"]
    command = [sys.executable, "-m", "rnnkit", "reproduce", *words]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert "No Dask scheduler answers" in ended.stderr.strip().splitlines()[-1]


def test_without_dask_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refused(scheduler="tcp://127.0.0.1:8786").endswith(
        "Install it with `pip install 'rnnkit[cluster]'`."
    )


def test_workers_and_a_scheduler_do_not_go_together():
    assert "workers must be left out" in refused(scheduler="tcp://127.0.0.1:8786", workers=2)


def test_a_device_that_no_worker_can_have_is_refused():
    assert "device must be cpu or cuda" in refused(scheduler="tcp://127.0.0.1:8786", device="tpu")


def test_a_study_that_fails_on_a_cluster_is_named(machines, monkeypatch):
    study = some_studies("random", (5, 9))[0]
    good = some_studies("random", (5, 9))[1]
    job = Task.job
    monkeypatch.setattr(
        Task,
        "job",
        lambda task, *rest: {
            **job(task, *rest),
            **({"version": "9"} if task.study == study else {}),
        },
    )
    with TrialStore(":memory:") as store:
        with pytest.raises(
            StudyError,
            match=(
                r"per_cap/rnn/.* failed: This run is of rnnkit 9 .* All finished trials are kept"
            ),
        ):
            complete([study, good], 3, store, scheduler=machines.address, progress=False)
        assert store.numbers(good.key) == {0, 1, 2} and len(store) == 3


def test_a_worker_whose_draws_were_edited_is_refused_and_trains_nothing(tmp_path):
    """The version is the same; one line of one file is another."""
    away = ["__pycache__", "*.sqlite*"]
    shutil.copytree(Path(ROOT, "rnnkit"), tmp_path / "rnnkit", ignore=shutil.ignore_patterns(*away))
    draws = tmp_path / "rnnkit" / "draws.py"
    draws.write_text(draws.read_text() + "\nCHANGED = True\n")
    machines = Machines(1, tmp_path)
    try:
        machines.ready(1)
        with TrialStore(":memory:") as store:
            said = r"This run is of rnnkit .* \(source .*\), and a worker has .* \(source .*\)"
            with pytest.raises(StudyError, match=said):
                complete(some_studies(), 3, store, scheduler=machines.address, progress=False)
            assert len(store) == 0
    finally:
        machines.end()


def start(tmp_path, path, machines):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, str(script), str(path), machines.address],
        env=ENVIRONMENT,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@POSIX
def test_a_dask_worker_killed_in_mid_study_costs_nothing_but_time(
    machines, undisturbed, tmp_path, capfd
):
    def kill_one():
        wait_for(lambda: count(path) >= 20)
        machines.workers.pop().kill()

    path = tmp_path / "trials.sqlite"
    thread = threading.Thread(target=kill_one)
    thread.start()
    assert trained(some_studies(), path, scheduler=machines.address) == undisturbed
    thread.join()
    assert "Traceback" not in capfd.readouterr().err
    machines.join()
    machines.ready(2)


@POSIX
def test_a_run_killed_on_a_cluster_frees_its_workers_and_resumes_as_if_undisturbed(
    machines, undisturbed, tmp_path
):
    path = tmp_path / "trials.sqlite"
    process = start(tmp_path, path, machines)
    wait_for(lambda: count(path) >= 10, process)
    process.kill()
    process.communicate()
    with TrialStore(path) as store:
        kept = rows(store)
        assert 10 <= len(kept) < 2 * N and all(row in undisturbed for row in kept)
    with distributed.Client(machines.address, set_as_default=False) as client:
        wait_for(lambda: not any(client.processing().values()), seconds=60)
    assert trained(some_studies(), path, scheduler=machines.address) == undisturbed


@POSIX
def test_ctrl_c_takes_the_work_back_from_a_cluster_and_says_how_to_go_on(
    machines, undisturbed, tmp_path
):
    path = tmp_path / "trials.sqlite"
    process = start(tmp_path, path, machines)
    wait_for(lambda: count(path) >= 5, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "Stopped with " in errors and "Run the same command again to continue." in errors
    assert errors.count("Traceback") == 1  # the script's own, of Stopped
    assert trained(some_studies(), path, workers=1) == undisturbed


def test_a_scheduler_without_workers_is_reported_and_waited_for(undisturbed, monkeypatch):
    said = []
    lonely = Machines(0)

    def say(self, sentence):
        said.append(sentence)
        lonely.join()

    monkeypatch.setattr("rnnkit.studies.progress.Progress.say", say)
    try:
        with cluster_at(lonely.address, print):  # it is up
            monkeypatch.setattr("rnnkit.studies.cluster.PATIENCE", 1)
        assert trained(some_studies(), scheduler=lonely.address) == undisturbed
    finally:
        lonely.end()
    assert said == [f"The Dask scheduler at {lonely.address} has no workers; waiting for some."]


@POSIX
def test_a_scheduler_that_dies_ends_the_run_with_a_sentence_and_the_store_goes_on_without_it(
    machines, undisturbed, tmp_path, monkeypatch
):
    """The last of this file: there is no cluster after it."""
    monkeypatch.setattr("rnnkit.studies.cluster.PATIENCE", 3)
    path = tmp_path / "trials.sqlite"

    def kill_it():
        wait_for(lambda: count(path) >= 5)
        machines.scheduler.kill()

    thread = threading.Thread(target=kill_it)
    thread.start()
    with pytest.raises(
        StudyError, match="is gone. All finished trials are kept; run again to go on."
    ):
        trained(some_studies(), path, scheduler=machines.address)
    thread.join()
    assert trained(some_studies(), path, workers=1) == undisturbed
