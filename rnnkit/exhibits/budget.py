"""The budget behind a number: how many studies, trials and steps, and which versions trained them.

All of it is read from the columns of the trials.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import with_defaults
from rnnkit.markup import first_few, table, text
from rnnkit.wording import count, size_range


@dataclass(frozen=True)
class Budget:
    """The budget behind a number.

    `least` and `most` are trials per study, `steps` is their range over feasible trials, and `seconds`
    is the sum over all trials. `tasks` are pairs of task and form; `units` are units per layer, as far
    as they are known.
    """

    studies: int
    trials: int
    infeasible: int
    least: int
    most: int
    steps: tuple[int, int]
    seconds: float
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    unrolls: tuple[int, ...]
    seeds: tuple[int, ...]
    scales: tuple[str, ...]
    units: tuple[int, ...]
    tasks: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        n_trials = size_range((self.least, self.most))
        return (
            f"{count(self.studies, 'study', 'studies')} of {n_trials}"
            f" {'trial' if self.most == 1 else 'trials'}, {size_range(self.steps)} training steps each"
        )

    def _repr_html_(self) -> str:
        """A line for each number, as a notebook shows it."""

        def from_to(numbers: tuple[int, int]) -> str:
            return " to ".join(map(text, sorted(set(numbers))))

        lines = {
            "studies": self.studies,
            "trials": self.trials,
            "trials per study": from_to((self.least, self.most)),
            "diverged": self.infeasible,
            "training steps": from_to(self.steps),
            "seconds of training": self.seconds,
            "parameters, at most": self.sizes,
            "layers": self.depths,
            "units per layer": self.units,
            "time steps": self.unrolls,
            "tasks": tuple(" ".join(filter(None, task)) for task in self.tasks),
            "scales": self.scales,
            "seeds": self.seeds,
        }
        return table([], [(name, value) for name, value in lines.items() if value != ()])


def budget(frame: pd.DataFrame) -> Budget:
    """The budget behind a frame of trials of any task."""
    frame = with_defaults(frame)
    bad = frame.infeasible.astype(bool)
    sizes = frame.groupby("study").size()
    steps = frame.steps[~bad] if (~bad).any() else frame.steps

    def different(values: pd.Series) -> tuple:
        return tuple(sorted(values.dropna().unique().tolist()))

    def order(task: tuple[str, str]) -> tuple[int, str]:
        name, form = task
        return [*paper.TASKS, name].index(name), form

    return Budget(
        studies=len(sizes),
        trials=len(frame),
        infeasible=int(bad.sum()),
        least=int(sizes.min()),
        most=int(sizes.max()),
        steps=(int(steps.min()), int(steps.max())),
        seconds=float(frame.seconds.sum()),
        sizes=different(frame.max_params),
        depths=different(frame.n_layers),
        unrolls=different(frame.unroll),
        seeds=different(frame.seed),
        scales=different(frame.scale),
        units=different(frame.n_units[frame.n_units > 0]),
        tasks=tuple(sorted(set(zip(frame.task_type, frame.form)), key=order)),
    )


def origin(frame: pd.DataFrame) -> str:
    """The versions of rnnkit and torch, the commits, devices and days of a frame of trials, in one
    sentence; and a digest of the source files where the commits do not identify them.
    """
    if not len(frame):
        return "Of no trials."
    frame = with_defaults(frame)
    commits, sources, torches = (set(frame[name]) - {""} for name in ("commit", "source", "torch"))
    unclear = "" in set(frame.commit) or any(commit.endswith("-dirty") for commit in commits)
    days = sorted({timestamp[:10] for timestamp in frame.created})
    parts = [
        f"rnnkit {_values(frame.version)}",
        f"commit{'s' * (frame.commit.nunique() > 1)} {_values(frame.commit)}"
        if commits
        else "commit not noted",
        f"source {_values(sources)}" if unclear and sources else "",
        f"torch {_values(frame.torch)}" if torches else "",
        _values(frame.device),
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
    ]
    return f"Trained by {', '.join(filter(None, parts))}."


def short_origin(frame: pd.DataFrame) -> str:
    """The versions in so few words that they fit on a figure: rnnkit 0.1.0 at 4590c9d0a1b2."""
    commits = set(with_defaults(frame).commit) - {""}
    return f"rnnkit {_values(frame.version)}" + (f" at {_values(commits, 1)}" if commits else "")


def _values(values: Iterable, most: int = 3) -> str:
    """The different values in order, at most `most` of them; "unknown" for an empty one."""
    return first_few(sorted({str(value) or "unknown" for value in values}), most)
