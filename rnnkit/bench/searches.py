"""Compares searches on real studies with equal numbers of training steps.

A search spends the training steps of its trials, whichever lengths it chooses, and all searches of a
study have the same steps to spend. Searches with the same seed share data and initial weights, so
they are compared in pairs.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from rnnkit.bench.contenders import ROUND, CarriedTuner, TPETuner
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import GPTuner, RandomTuner, Tuner, UsualGPTuner
from rnnkit.wording import estimate

TRIALS = 64  # of the studies' mean length: the steps of a search
SHARES = {"33%": 1 / 3, "100%": 1.0}  # of these steps, after which the best losses are compared
CARRIED = 4  # how many of the best trials of a smaller network its successor receives
BASE = "gp"  # the tuner with which the others are compared
COLD = "the cold start"  # what it is called
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

    @property
    def direction(self) -> int:
        """1 if a greater score is better, -1 if a smaller one is."""
        return 1 if self.study.task_type == "per_cap" else -1

    def score(self, loss: float) -> float:
        """A validation loss in the units for readers: stored bits per parameter on the capacity
        task, otherwise the loss itself.
        """
        return -loss / self.study.num_params if self.study.task_type == "per_cap" else loss


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


def contender(name: str, contest: Contest, seed: int) -> Tuner:
    """The tuner of that name for a contest. The one that starts from a smaller network's trials
    searches that network first.
    """
    space = contest.study.space
    if name == "gp-smaller":
        small = replace(contest, study=replace(contest.study, max_params=contest.smaller))
        trials = run_search(small, UsualGPTuner(small.study.space, seed), seed)
        trials.sort(key=lambda trial: math.inf if trial["loss"] is None else trial["loss"])
        return CarriedTuner(space, seed, [trial["hparams"] for trial in trials[:CARRIED]])
    return {"gp": GPTuner, "gp-usual": UsualGPTuner, "random": RandomTuner, "tpe": TPETuner}[name](
        space, seed
    )


def run_search(contest: Contest, tuner: Tuner, seed: int) -> list[dict]:
    """Runs one search in rounds until its steps are spent; returns its trials, each a dict of
    hparams, steps and loss (None if infeasible).
    """
    study = replace(contest.study, seed=seed)
    trials: list[dict] = []
    while sum(trial["steps"] for trial in trials) < contest.steps:
        numbers = range(len(trials), len(trials) + ROUND)
        points = tuner.suggest(ROUND, start=len(trials))
        losses = []
        for point, outcome in zip(points, train(study, points, numbers)):
            loss = None if outcome.infeasible else outcome.valid_loss
            losses.append(math.nan if loss is None else loss)
            trials.append({"hparams": point, "steps": outcome.steps, "loss": loss})
        tuner.observe(points, losses)
    return trials


def best_after(trials: list[dict], steps: float) -> float:
    """The least loss of the trials that ended within so many steps, infinite if there is none."""
    in_time = np.cumsum([trial["steps"] for trial in trials]) <= steps
    return min(
        (t["loss"] for t, inside in zip(trials, in_time) if inside and t["loss"] is not None),
        default=math.inf,
    )


def search_all(
    path: str | Path,
    seeds: Iterable[int] = range(5),
    names: Sequence[str] = tuple(NAMES),
    contests: Sequence[Contest] = CONTESTS,
    say: Callable[[str], object] = print,
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


def load_runs(path: str | Path) -> list[dict]:
    """The searches in a file of JSON lines; none if there is no file. A truncated last line is left
    out.
    """
    runs = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                runs.append(json.loads(line))
    return runs


def _append(path: str | Path, run: dict) -> None:
    """Appends a line to the file, which starts a new line even if the last one was truncated."""
    path = Path(path)
    is_cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_cut + json.dumps(run) + "\n")


def in_pairs(runs: list[dict], contests: Sequence[Contest]) -> pd.DataFrame:
    """One row per search of these contests: its score after each share of the steps, as "at 33%",
    and its gain over the search by BASE with the same seed, as "gain at 33%", which is positive if
    it is better, and NaN if there is no such search.
    """
    records = []
    for contest in contests:
        for run in runs:
            if run["contest"] == contest.study.key:
                row = {"contest": contest.title, "tuner": run["tuner"], "seed": run["seed"]}
                for name, share in SHARES.items():
                    best = best_after(run["trials"], share * contest.steps)
                    row[f"at {name}"] = contest.score(best)
                records.append(row | {"direction": contest.direction})
    searches = pd.DataFrame(records)
    base = searches[searches.tuner == BASE]
    pairs = searches.merge(base, "left", ["contest", "seed"], suffixes=("", " of base"))
    for name in SHARES:
        gain = pairs.direction * (pairs[f"at {name}"] - pairs[f"at {name} of base"])
        pairs[f"gain at {name}"] = gain.where(pairs.tuner != BASE)
    return pairs


def table(runs: list[dict], contests: Sequence[Contest] = CONTESTS) -> pd.DataFrame:
    """One row per contest and tuner: the number of seeds, and, after each share of the steps, the
    median score and the median gain over BASE.

    The interval of a gain is its range over seeds, which contains the true median with probability
    1 - 2 ** (1 - seeds): 94 % for five seeds.
    """
    columns = {"seeds": ("seed", "nunique")}
    for name in SHARES:
        columns[f"median at {name}"] = (f"at {name}", "median")
        for label, statistic in (("gain", "median"), ("low", "min"), ("high", "max")):
            columns[f"{label} at {name}"] = (f"gain at {name}", statistic)
    groups = in_pairs(runs, contests).groupby(["contest", "tuner"], sort=False)
    return groups.agg(**columns).reset_index()


def wins(runs: list[dict], contests: Sequence[Contest] = CONTESTS) -> pd.DataFrame:
    """How many pairs of searches, over all contests, each tuner won against BASE at the end, and
    the p-value of the two-sided sign test.
    """
    pairs = in_pairs(runs, contests)
    won = pairs[pairs["gain at 100%"].fillna(0) != 0].groupby("tuner", sort=False)["gain at 100%"]
    counts = won.agg(won=lambda gains: (gains > 0).sum(), pairs="size").reset_index()
    counts["p"] = [binomtest(int(n), int(of)).pvalue for n, of in zip(counts.won, counts.pairs)]
    return counts


def print_tables(
    runs: list[dict],
    contests: Sequence[Contest] = CONTESTS,
    say: Callable[[str], object] = print,
) -> None:
    """Prints the tables in lines that fit a terminal."""
    heads = [head for name in SHARES for head in (f"at {name} of the steps", f"gain over {COLD}")]
    for title, group in table(runs, contests).groupby("contest", sort=False):
        lines = [[*_cells(row), row["seeds"]] for row in group.to_dict("records")]
        tuners = [NAMES.get(name, name) for name in group.tuner]
        summary = pd.DataFrame(lines, tuners, [*heads, "seeds"])
        say(f"\n{title}\n{summary.to_string()}")
    say("")
    for row in wins(runs, contests).to_dict("records"):
        say(
            f"{NAMES.get(row['tuner'], row['tuner'])}: better than {COLD} in {row['won']}"
            f" of {row['pairs']} pairs, p = {row['p']:.3g}"
        )


def _cells(row: dict) -> Iterator[str]:
    """The median score and the gain, with its interval, after each share of the steps."""
    for name in SHARES:
        gain, low, high = (row[f"{label} at {name}"] for label in ("gain", "low", "high"))
        yield f"{row[f'median at {name}']:.3f}"
        yield "" if math.isnan(gain) else estimate(gain, low, high, ".3f")
