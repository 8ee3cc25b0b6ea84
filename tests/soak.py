"""A long run that is killed again and again must end with the trials of an undisturbed one: none
lost, none doubled.

    python tests/soak.py --minutes 60 --every 180                 an hour at quick, killed every
    three minutes or so python tests/soak.py --minutes 0 --scale smoke --every 5      once through,
    at the smallest scale

Each pass takes a seed of its own: once undisturbed, once with kill -9 at random moments of the run,
of one of its workers, or of all at once, or Ctrl-C; then the two stores are compared row by row.
Ends with one line of JSON, and with exit code 1 where rows differ.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAME = (
    "study, hyper_iter, hparams, train_loss, valid_loss, eval_loss, infeasible, steps, num_params,"
    " seed, accuracy"
)
HOW = ("run", "worker", "all", "ctrl-c")
RUN = """
import sys
from rnnkit.studies import run
for experiment in sys.argv[6].split(","):
    run(experiment, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
"""


def start(store, scale, seed, trials, workers, experiments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [
        sys.executable,
        "-c",
        RUN,
        scale,
        str(store),
        str(seed),
        str(trials),
        str(workers),
        experiments,
    ]
    return subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def rows(store):
    if not Path(store).exists():
        return []
    with closing(sqlite3.connect(store, timeout=60)) as reader:
        try:
            return reader.execute(
                f"SELECT {SAME} FROM trials ORDER BY study, hyper_iter"
            ).fetchall()
        except sqlite3.OperationalError:  # the table is being made
            return []


def family(group):
    """The processes of a group but for its leader."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group
                and int(folder.name) != group
            ):
                yield int(folder.name)
        except (OSError, IndexError):
            pass


def kill(process, chance):
    """Kills in one of four ways; says which, and whether the run itself goes on."""
    how = chance.choice(HOW)
    workers = list(family(process.pid))
    if how == "worker" and workers:
        os.kill(chance.choice(workers), signal.SIGKILL)
        return how, True
    if how == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif how == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    return how, False


def disturbed(store, every, chance, *settings):
    """Runs to the end in spite of kills, each `every` seconds or so after the run has stored
    something; how often and how it was killed.
    """
    killed = dict.fromkeys(HOW, 0)
    while True:
        process = start(store, *settings)
        before = len(rows(store))
        due = None
        while process.poll() is None:
            time.sleep(0.02)
            if due is None and len(rows(store)) > before:
                due = time.monotonic() + every * chance.uniform(0.3, 1.7)
            if due and time.monotonic() >= due:
                how, goes_on = kill(process, chance)
                killed[how] += 1
                if not goes_on:
                    break
                before = len(rows(store))
                due = None
        errors = process.communicate()[1].decode()
        if process.returncode == 0:
            return killed
        if "Traceback" in errors and "Stopped with" not in errors and "StudyError" not in errors:
            raise SystemExit(f"The run ended in a way of its own:\n{errors[-2000:]}")


def soak(
    minutes, every, scale="quick", trials=0, workers=2, experiments="fig1", seed=0, say=print
) -> dict:
    """Passes until the time is over, at least one; what came of them."""
    end = time.monotonic() + 60 * minutes
    chance = random.Random(seed)
    total = {
        "passes": 0,
        "trials": 0,
        "lost": 0,
        "doubled": 0,
        "different": 0,
        "killed": dict.fromkeys(HOW, 0),
        "seconds": 0.0,
    }
    begun = time.monotonic()
    while not total["passes"] or time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            calm = Path(folder, "calm.sqlite")
            wild = Path(folder, "wild.sqlite")
            settings = (scale, seed, trials, workers, experiments)
            process = start(calm, *settings)
            errors = process.communicate()[1].decode()
            if process.returncode:
                raise SystemExit(f"The undisturbed run failed:\n{errors[-2000:]}")
            killed = disturbed(wild, every, chance, *settings)
            ours = rows(wild)
            theirs = rows(calm)
            here = [row[:2] for row in ours]
            there = [row[:2] for row in theirs]
            total["passes"] += 1
            total["trials"] += len(theirs)
            total["lost"] += len(set(there) - set(here))
            total["doubled"] += len(here) - len(set(here)) + len(set(here) - set(there))
            total["different"] += len(set(theirs) - set(ours))
            total["killed"] = {how: n + killed[how] for how, n in total["killed"].items()}
        total["seconds"] = round(time.monotonic() - begun, 1)
        say(json.dumps(total))
        seed += 1
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=180, help="seconds between kills, about")
    parser.add_argument("--scale", default="quick")
    parser.add_argument("--trials", type=int, default=0, help="a study; 0: as the scale says")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--experiments", default="fig1", help="names with commas between")
    parser.add_argument("--seed", type=int, default=0)
    done = soak(**vars(parser.parse_args()), say=lambda line: print(line, flush=True))
    sys.exit(bool(done["lost"] or done["doubled"] or done["different"]))
