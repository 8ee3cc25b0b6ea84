"""The budget behind a number: how many studies, trials and steps, and which versions trained them.

All of it is read from the columns of the trials.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from rnnkit import paper
from rnnkit.markup import table, text


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
    units: tuple[int, ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        n_trials = f"{self.least:,}" if self.least == self.most else f"{self.least:,}-{self.most:,}"
        steps = (
            f"{self.steps[0]:,}"
            if self.steps[0] == self.steps[1]
            else f"{self.steps[0]:,}-{self.steps[1]:,}"
        )
        studies = f"{self.studies} {'study' if self.studies == 1 else 'studies'}"
        return (
            f"{studies} of {n_trials} {'trial' if self.most == 1 else 'trials'}, {steps} training steps"
            " each"
        )

    def _repr_html_(self) -> str:
        """A line for each number, as a notebook shows it."""
        least, most = map(text, (self.least, self.most))
        lines = {
            "studies": self.studies,
            "trials": self.trials,
            "trials per study": least if least == most else f"{least} to {most}",
            "diverged": self.infeasible,
            "training steps": " to ".join(map(text, sorted(set(self.steps)))),
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
    bad = frame.infeasible.astype(bool)
    sizes = frame.groupby("study").size()
    steps = frame.steps[~bad] if (~bad).any() else frame.steps
    values = {
        name: tuple(sorted(frame[name].dropna().unique().tolist()))
        for name in ("max_params", "n_layers", "unroll", "seed", "scale")
    }
    units = (
        tuple(sorted(set(frame.n_units[frame.n_units > 0].tolist()))) if "n_units" in frame else ()
    )
    forms = frame.form if "form" in frame else [""] * len(frame)
    return Budget(
        len(sizes),
        len(frame),
        int(bad.sum()),
        int(sizes.min()),
        int(sizes.max()),
        (int(steps.min()), int(steps.max())),
        float(frame.seconds.sum()),
        values["max_params"],
        values["n_layers"],
        values["unroll"],
        values["seed"],
        values["scale"],
        units,
        tuple(
            sorted(
                set(zip(frame.task_type, forms)),
                key=lambda task: ([*paper.TASKS, task[0]].index(task[0]), task[1]),
            )
        ),
    )


def origin(frame: pd.DataFrame) -> str:
    """The versions of rnnkit and torch, the commits, devices and days of a frame of trials, in one
    sentence; and a digest of the source files where the commits do not identify them.
    """
    if not len(frame):
        return "Of no trials."
    days = sorted({timestamp[:10] for timestamp in frame.created})
    parts = [f"rnnkit {_values(frame.version)}"]
    commits = set(frame.commit) if "commit" in frame else {""}
    parts.append(
        f"commit{'s' * (len(commits) > 1)} {_values(commits)}"
        if commits != {""}
        else "commit not noted"
    )
    if "source" in frame and any(not text or text.endswith("-dirty") for text in commits):
        sources = set(frame.source) - {""}
        parts += [f"source {_values(sources)}"] if sources else []
    if "torch" in frame and set(frame.torch) != {""}:
        parts.append(f"torch {_values(frame.torch)}")
    parts.append(_values(frame.device))
    parts.append(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    return f"Trained by {', '.join(parts)}."


def short_origin(frame: pd.DataFrame) -> str:
    """The versions in so few words that they fit on a figure: rnnkit 0.1.0 at 4590c9d0a1b2."""
    commits = sorted(set(frame.commit) - {""}) if "commit" in frame else []
    return f"rnnkit {_values(frame.version)}" + (f" at {_values(commits, 1)}" if commits else "")


def _values(values: Iterable, most: int = 3) -> str:
    """The different values in order, at most `most` of them; "unknown" for an empty one."""
    values = sorted({str(value) or "unknown" for value in values})
    return ", ".join(values[:most]) + (
        f" and {len(values) - most} more" if len(values) > most else ""
    )
