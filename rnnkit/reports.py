"""The paper's battery of experiments for a cell of your own, next to the paper's six:
`rk.report(cell)`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from rnnkit import figures, places
from rnnkit.architectures import OTHER_RANGES, formulas, space_table, units
from rnnkit.cells import CELLS, KIT, PAPER, Cell, cell_of, enter, register
from rnnkit.checks import whole_number
from rnnkit.exhibits import cell_report
from rnnkit.exhibits.account import digest_of_trials
from rnnkit.hparams import cell_ranges, space_for
from rnnkit.markup import markdown
from rnnkit.names import resolve_name
from rnnkit.studies import complete
from rnnkit.studies.experiments import Job, battery
from rnnkit.studies.fingerprint import facts_of
from rnnkit.studies.scales import SCALES, Scale, scale_of
from rnnkit.trials import StoreError, TrialStore, opened
from rnnkit.trials.paths import expand_home
from rnnkit.trials.trial import StorePathError
from rnnkit.wording import label_of

SHIPPED = places.TRIALS

# the titles and the entries of a report's rows, from the columns of cell_report's three tables
ROWS = (
    (
        "bits per parameter, {max_params:,} parameters",
        "{bits_per_param:.2f} [{bits_per_param_low:.2f}]",
    ),
    ("error, {n_units} units for {n_in} numbers (bound {bound:.3g})", "{loss:.3g}"),
    ("diverged, % of random sets", "{percent:.0f} [{low:.0f}, {high:.0f}]"),
)


@dataclass(frozen=True)
class Report:
    """The results of the battery for one cell. In a notebook it shows `figure` and the tables;
    printed, the tables alone.

    `table` has a column for the cell and one for each of the six, as text; `space` has the cell's
    hyper-parameters (App. A); `frame` has all trials.
    """

    architecture: str
    table: pd.DataFrame
    space: pd.DataFrame
    figure: Any = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    reused: int  # trials of the cell that were in the store already

    @property
    def caption(self) -> str:
        note = f" {self.reused:,} of its trials were in the store already."
        return self.figure.caption + (note if self.reused else "")

    @property
    def _space_title(self) -> str:
        return (
            f"Hyper-parameters of {label_of(self.architecture)} itself (a star stands for each of its maps);"
            " those of learning and of the task are added"
        )

    def _repr_markdown_(self) -> str:
        numbers, space = (
            markdown(("", *table.columns), table.itertuples()) for table in (self.table, self.space)
        )
        return f"{numbers}\n\n**{self._space_title}**\n\n{space}\n\n{self.caption}"

    def _ipython_display_(self) -> None:
        from IPython.display import Markdown, display

        figures.show(self.figure, self.figure.alt)
        display(Markdown(self._repr_markdown_()))

    def __str__(self) -> str:
        space = f"{self._space_title}\n{self.space.to_string()}"
        return f"{self.table.to_string()}\n\n{space}\n\n{self.caption}"

    __repr__ = __str__


def report(
    cell: str | type[Cell],
    scale: str = "quick",
    store: str | os.PathLike | TrialStore = "trials.sqlite",
    seed: int = 0,
    trials: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    out: str | Path = "",
) -> Report:
    """Parameters, hyper-parameters, stored bits, unit capacity and infeasible share of a cell (a
    name or a class) next to those of the six.

    Trains the trials of the cell's `battery` that the store lacks; for the six it shows the same
    trials as far as the store, or the file that the kit ships, has them. Searches are compared at
    one length: `trials` if it is given, else the most that all have. The settings are those of
    `run`. The figure and its points are written into the folder `out`, if one is named. ValueError
    as in `run`, and for a class that has the name of another cell of the kit; StoreError where
    nothing can be written to `out`. Both come before anything is trained.
    """
    architecture, new = _enter(cell)
    scale = resolve_name("scale", scale, SCALES)
    size = scale_of(scale)
    whole_number("trials", 0 if trials is None else trials, 0, 1_000_000)
    if out:
        out = expand_home(out)
        places.make_writable(out, "The report cannot be written", StorePathError, StoreError)

    def jobs_for(a: str) -> list[Job]:
        return [(study, trials or count) for study, count in battery(a, size, seed)]

    jobs = jobs_for(architecture)
    jobs_of_six = [job for a in PAPER if a != architecture for job in jobs_for(a)]
    with opened(store) as trial_store:
        reused = sum(len(trial_store.numbers(study.key)) for study, _ in jobs)
        complete(
            [study for study, _ in jobs],
            [count for _, count in jobs],
            trial_store,
            scale,
            1 if new else workers,
            label=f"report on {architecture}",
            progress=progress,
        )
        frame = _at_one_length(_trials_of(trial_store, jobs, jobs_of_six), trials)
    figure = cell_report.report(architecture, frame)
    if out:
        name = f"report_{architecture}"
        figures.keep(figure, name, out, figure.tables, figure.alt, digest_of_trials(frame))
    table = _table(architecture, cell_report.report_tables(frame), size)
    return Report(architecture, table, _space(architecture), figure, frame, reused)


def _trials_of(store: TrialStore, jobs: list[Job], jobs_of_six: list[Job]) -> pd.DataFrame:
    """The trials of a cell's studies and of the six's; those of the six that the store lacks may be
    in the file that the kit ships.
    """
    frames = [_complete_studies(store, jobs), _complete_studies(store, jobs_of_six)]
    lacking = [(study, count) for study, count in jobs_of_six if not store.has(study.key, count)]
    if lacking and SHIPPED.is_file() and store.path.absolute() != SHIPPED:
        frames.append(_complete_studies(_shipped_store(SHIPPED.stat().st_mtime), lacking))
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _at_one_length(frame: pd.DataFrame, trials: int | None) -> pd.DataFrame:
    """The first `trials` of each study; without a number, as many as the shortest study of its task
    has.
    """
    sizes = frame.groupby("study").hyper_iter.transform("size")
    least = trials or sizes.groupby(frame.task_type).transform("min")
    return frame[frame.hyper_iter < least].reset_index(drop=True)


def _space(architecture: str) -> pd.DataFrame:
    """The hyper-parameters of the cell itself on the capacity task."""
    space = space_table("per_cap", (architecture,)).drop(columns=architecture)
    space = space.set_index("hyper-parameter")
    return space[[name not in {"all", *OTHER_RANGES} for name in space.index]]


@lru_cache(maxsize=1)
def _shipped_store(time_of_change: float) -> TrialStore:
    """The trials that the kit ships, read once for each version of the file."""
    return TrialStore(SHIPPED, create=False)


def _complete_studies(store: TrialStore, jobs: list[Job]) -> pd.DataFrame:
    """The trials of the studies of which a store has at least as many as the job asks for."""
    return store.frame(study.key for study, count in jobs if store.has(study.key, count))


def _enter(cell: str | type[Cell]) -> tuple[str, bool]:
    """The architecture of a name or of a class, which is registered if needed; and whether only
    this process knows it.
    """
    if isinstance(cell, str):
        architecture = cell_of(cell).architecture
        new = False
    elif isinstance(cell, type) and issubclass(cell, Cell):
        name = getattr(cell, "architecture", "")
        new = CELLS.get(name) is not cell
        kits = KIT.get(name)
        (register if kits is None else enter)(cell)
        architecture = cell.architecture
        if kits is not None and _fingerprint(cell) != _fingerprint(kits):
            raise ValueError(
                f"The kit has a cell {architecture!r} with other equations or hyper-parameters. Give"
                f" {cell.__name__} another `architecture`."
            )
        enter(cell)
    else:
        raise ValueError(
            "A report needs a cell: a subclass of rnnkit.Cell or the name of an architecture, got"
            f" {cell!r}."
        )
    if not cell_of(architecture).maps:
        raise ValueError(
            f"A report needs a recurrent cell, got {architecture!r}, which has no state. Choose"
            " another."
        )
    return architecture, new


def _fingerprint(cell: type[Cell]) -> tuple:
    """A cell's hyper-parameters and equations, in which two cells of one name must agree. Leaves
    `cell` registered.
    """
    return [*map(str, cell_ranges(enter(cell).architecture))], facts_of(cell)


def _table(architecture: str, tables: Iterable[pd.DataFrame], size: Scale) -> pd.DataFrame:
    """The numbers as text: a row for each, a column for the cell and for each of the six; "-"
    where there are no trials.
    """
    names = [architecture, *(a for a in PAPER if a != architecture)]
    depths = {a: max(1, cell_of(a).min_layers) for a in names}
    numbers: dict[str, dict] = {"layers": depths}  # title -> architecture -> number
    budgets = size.capacity.sizes[:2]
    n_in = size.capacity.inputs_for(budgets[0])
    count = formulas(n_in, architectures=names).iloc[:, 0]
    numbers[f"parameters with N units ({n_in} inputs)"] = {
        a: count[a].split("  (")[0] for a in names
    }
    for budget in budgets:
        inputs = size.capacity.inputs_for(budget)
        table = units((budget,), tuple(sorted(set(depths.values()))), inputs, architectures=names)
        numbers[f"units of {budget:,} parameters"] = {
            a: table.loc[a, (budget, depths[a])] for a in names
        }
    numbers["hyper-parameters"] = {
        a: len(space_for(a, "per_cap", size.capacity.steps_for(budgets[0]))) for a in names
    }
    best, errors, random = tables
    for table, (title, entry) in zip((best, errors.sort_values("n_units"), random), ROWS):
        for row in table.to_dict("records"):
            numbers.setdefault(title.format(**row), {})[row["architecture"]] = entry.format(**row)
    table = pd.DataFrame.from_dict(numbers, orient="index", columns=names, dtype=object)
    return table.where(table.notna(), "-").astype(str).rename(columns=label_of)
