"""Compares searches on real studies with equal numbers of training steps.

A search spends the training steps of its trials, whichever lengths it chooses, and all searches of a
study have the same steps to spend. Searches with the same seed share data and initial weights, so
they are compared in pairs.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rnnkit.bench.contenders import ROUND, CarriedTuner, TPETuner
from rnnkit.studies import Study
from rnnkit.tuner import GPTuner, RandomTuner, UsualGPTuner

TRIALS = 64  # of the studies' mean length: the steps of a search
SHARES = (1 / 3, 1.0)  # of these steps, after which the best losses so far are compared
CARRIED = 4  # how many of the best trials of a smaller network its successor receives
BASE = "gp"  # the tuner with which the others are compared
NAMES = {
    "gp": "Gaussian process, cold",
    "gp-usual": "with usual values",
    "gp-smaller": "and a smaller network's best",
    "random": "random",
    "tpe": "Optuna's TPE",
}


@dataclass(frozen=True)
class Contest:
    """A study to search, and the size of a smaller network, whose best trials one of the tuners
    receives.
    """

    title: str
    study: Study
    smaller: int  # parameters

    @property
    def steps(self) -> float:
        """Training steps that a search may spend."""
        return TRIALS * self.study.mean_steps

    def score(self, loss):
        """A validation loss in the units for readers: stored bits per parameter on the capacity
        task, otherwise the loss itself.
        """
        return -loss / self.study.num_params if self.study.task_type == "per_cap" else loss

    def gain(self, loss, base):
        """How much better the score of a loss is than that of the loss `base`."""
        direction = 1 if self.study.task_type == "per_cap" else -1
        return direction * (self.score(loss) - self.score(base))


CONTESTS = (
    Contest(
        "capacity, RNN, 300 parameters, bits per parameter",
        Study("per_cap", "rnn", 1, 300, n_in=20, train_steps=(8_000, 32_000)),
        smaller=100,
    ),
    Contest(
        "capacity, GRU, 1,000 parameters, bits per parameter",
        Study("per_cap", "gru", 1, 1_000, n_in=20, train_steps=(5_000, 20_000)),
        smaller=300,
    ),
    Contest(
        "parentheses, GRU, 2,000 parameters, loss",
        Study("parens_counting", "gru", 1, 2_000, train_steps=(750, 3_000)),
        smaller=700,
    ),
    Contest(
        "memory, RNN, 2,000 parameters, loss",
        Study("mem_thru", "rnn", 1, 2_000, train_steps=(2_000, 8_000)),
        smaller=700,
    ),
)


def contender(name: str, contest: Contest, seed: int):
    """The tuner of that name for a contest. The one that starts from a smaller network's trials
    searches that network first.
    """
    space = contest.study.space
    if name == "gp-smaller":
        small = replace(contest, study=replace(contest.study, max_params=contest.smaller))
        trials = run_search(small, UsualGPTuner(small.study.space, seed), seed)
        order = np.argsort(
            [math.inf if trial["loss"] is None else trial["loss"] for trial in trials],
            kind="stable",
        )
        return CarriedTuner(space, seed, [trials[i]["hparams"] for i in order[:CARRIED]])
    return {"gp": GPTuner, "gp-usual": UsualGPTuner, "random": RandomTuner, "tpe": TPETuner}[name](
        space, seed
    )


def run_search(contest: Contest, tuner, seed: int) -> list[dict]:
    """Runs one search in rounds until its steps are spent; returns its trials, each a dict of
    hparams, steps and loss (None if infeasible).
    """
    from rnnkit.training import train

    study = replace(contest.study, seed=seed)
    trials = []
    while sum(trial["steps"] for trial in trials) < contest.steps:
        numbers = list(range(len(trials), len(trials) + ROUND))
        points = tuner.suggest(ROUND, start=len(trials))
        outcomes = train(study, points, numbers)
        losses = [math.nan if outcome.infeasible else outcome.valid_loss for outcome in outcomes]
        tuner.observe(points, losses)
        for point, outcome, loss in zip(points, outcomes, losses):
            trials.append(
                {
                    "hparams": point,
                    "steps": outcome.steps,
                    "loss": None if math.isnan(loss) else loss,
                }
            )
    return trials


def best_after(trials: list[dict], steps: float) -> float:
    """The least loss of the trials that ended within so many steps, infinite if there is none."""
    in_time = np.cumsum([trial["steps"] for trial in trials]) <= steps
    return min(
        (t["loss"] for t, inside in zip(trials, in_time) if inside and t["loss"] is not None),
        default=math.inf,
    )


def search_all(
    path, seeds=range(5), names=tuple(NAMES), contests=CONTESTS, say=print
) -> list[dict]:
    """Runs every search that the file of JSON lines at `path` lacks, appends each as it ends, and
    returns all searches of the file.

    A search is a dict of contest (the study's key), tuner, seed and trials. Seeds come one after
    another, so that an interrupted file compares the same searches for fewer seeds.
    """
    runs = load_runs(path)
    past = {(run["contest"], run["tuner"], run["seed"]) for run in runs}
    for seed in seeds:
        for contest in contests:
            for name in names:
                if (contest.study.key, name, seed) in past:
                    continue
                trials = run_search(contest, contender(name, contest, seed), seed)
                run = {"contest": contest.study.key, "tuner": name, "seed": seed, "trials": trials}
                _append(path, run)
                runs.append(run)
                best = contest.score(best_after(trials, contest.steps))
                say(
                    f"{contest.title}, {NAMES.get(name, name)}, seed {seed}: {best:.3f} in"
                    f" {len(trials)} trials"
                )
    return runs


def load_runs(path) -> list[dict]:
    """The searches in a file of JSON lines; none if there is no file. A truncated last line is left
    out.
    """
    path = Path(path)
    runs = []
    if not path.exists():
        return runs
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            runs.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return runs


def _append(path, run):
    """Appends a line to the file, which starts a new line even if the last one was truncated."""
    path = Path(path)
    is_cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_cut + json.dumps(run) + "\n")


def table(runs: list[dict], contests=CONTESTS, base=BASE) -> pd.DataFrame:
    """One row per contest and tuner: the number of seeds, and, after each share of the steps, the
    median score and the gain over `base`.

    A gain is the median difference between searches with the same seed, and is positive if the tuner
    is better than `base`. Its interval is the range of the differences, which contains the true
    median with probability 1 - 2 ** (1 - seeds): 94 % for five seeds.
    """
    entries = []
    for contest in contests:
        losses = {}
        for run in runs:
            if run["contest"] == contest.study.key:
                losses_at = [best_after(run["trials"], share * contest.steps) for share in SHARES]
                losses.setdefault(run["tuner"], {})[run["seed"]] = losses_at
        for name in losses:
            row = {"contest": contest.title, "tuner": name, "seeds": len(losses[name])}
            pairs = sorted(set(losses[name]) & set(losses.get(base, {})))
            for i, share in enumerate(SHARES):
                gains = [
                    contest.gain(losses[name][seed][i], losses[base][seed][i]) for seed in pairs
                ]
                scores = [contest.score(losses_at[i]) for losses_at in losses[name].values()]
                row[f"median at {share:.0%}"] = float(np.median(scores))
                if name != base and pairs:
                    row |= {
                        f"gain at {share:.0%}": float(np.median(gains)),
                        f"low at {share:.0%}": min(gains),
                    }
                    row[f"high at {share:.0%}"] = max(gains)
            entries.append(row)
    return pd.DataFrame(entries)


def wins(runs: list[dict], contests=CONTESTS) -> pd.DataFrame:
    """How many pairs of searches, over all contests, each tuner won against BASE at the end, and
    the p-value of the two-sided sign test.
    """
    from scipy.stats import binomtest

    by_name = {}
    for contest in contests:
        mine = {
            (r["tuner"], r["seed"]): best_after(r["trials"], contest.steps)
            for r in runs
            if r["contest"] == contest.study.key
        }
        for (name, seed), loss in mine.items():
            base_loss = mine.get((BASE, seed), loss)
            if name != BASE and loss != base_loss:
                by_name.setdefault(name, []).append(loss < base_loss)
    entries = [
        (name, sum(won), len(won), float(binomtest(sum(won), len(won)).pvalue))
        for name, won in by_name.items()
    ]
    return pd.DataFrame(entries, columns=["tuner", "won", "pairs", "p"])


def print_tables(runs: list[dict], contests=CONTESTS, say=print) -> None:
    """Prints the tables in lines that fit a terminal."""
    frame = table(runs, contests)
    shares = [f"{share:.0%}" for share in SHARES]
    heads = "".join(
        f"{f'at {end} of the steps':>23}{'gain over the cold start':>27}" for end in shares
    )
    for title, entries in frame.groupby("contest", sort=False):
        say(f"\n{title}\n{'':30}{heads}")
        for row in entries.to_dict("records"):
            line = f"{NAMES.get(row['tuner'], row['tuner']):30}"
            for end in shares:
                gain = row.get(f"gain at {end}", math.nan)
                interval = (
                    f"{gain:.3f} [{row[f'low at {end}']:.3f}, {row[f'high at {end}']:.3f}]"
                    if not math.isnan(gain)
                    else ""
                )
                line += f"{row[f'median at {end}']:23.3f}{interval:>27}"
            say(f"{line}   {row['seeds']} seeds")
    say("")
    for row in wins(runs, contests).to_dict("records"):
        say(
            f"{NAMES.get(row['tuner'], row['tuner'])}: better than the cold start in {row['won']}"
            f" of {row['pairs']} pairs, p = {row['p']:.3g}"
        )
