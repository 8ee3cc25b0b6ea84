"""A cell of one's own, put through the paper's battery beside the six: `rk.report(cell)`."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache

import pandas as pd
import torch

from rnnkit import cells, figures, places
from rnnkit.architectures import LATER_ROWS, formulas, space_table, units
from rnnkit.cells import CELLS, PAPER, Cell, cell_of, enter, register
from rnnkit.exhibits.account import digest_of_trials
from rnnkit.exhibits.cell_report import report as drawn
from rnnkit.exhibits.cell_report import report_tables
from rnnkit.hparams import cell_ranges, space_for
from rnnkit.names import resolve_name
from rnnkit.networks import blocks, forward, num_params
from rnnkit.studies import complete
from rnnkit.studies.experiments import battery
from rnnkit.studies.scales import SCALES, scale_of
from rnnkit.trials import TrialStore
from rnnkit.wording import label_of

SHIPPED = places.TRIALS
KIT = {
    cell.architecture: cell
    for cell in vars(cells).values()
    if isinstance(cell, type) and hasattr(cell, "architecture")
}


@dataclass(frozen=True)
class Report:
    """What the battery says of a cell. In a notebook it shows `figure` and tables; printed, the
    tables.

    `table` has a column for the cell and for each of the six, as text; `space` the cell's
    hyper-parameters (App. A); `frame` all trials.
    """

    architecture: str
    table: pd.DataFrame
    space: pd.DataFrame
    figure: object = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    reused: int  # trials of the cell that were in the store before

    @property
    def caption(self) -> str:
        note = (
            f" {self.reused:,} of its trials were in the store; trials go by a cell's name, so new"
            " equations want a new name."
        )
        return self.figure.caption + (note if self.reused else "")

    @property
    def _space_title(self) -> str:
        return (
            f"Hyper-parameters of {label_of(self.architecture)} itself (* for each of its maps);"
            " those of learning and the task come on top"
        )

    def _repr_markdown_(self) -> str:
        return "\n\n".join(
            [_markdown(self.table), f"**{self._space_title}**", _markdown(self.space), self.caption]
        )

    def _ipython_display_(self):
        from IPython.display import Markdown, display

        figures.show(self.figure, self.figure.alt)
        display(Markdown(self._repr_markdown_()))

    def __str__(self) -> str:
        return "\n\n".join(
            [self.table.to_string(), f"{self._space_title}\n{self.space.to_string()}", self.caption]
        )

    __repr__ = __str__


def report(
    cell,
    scale="quick",
    store="trials.sqlite",
    seed=0,
    trials=None,
    workers=None,
    progress=True,
    out="",
) -> Report:
    """Parameters, hyper-parameters, stored bits, unit capacity and infeasible share of a cell (a
    name or a class) beside the six.

    Trains what the store lacks of the cell's `battery`; of the six it shows what the store, or the
    trials that the kit ships, have of the same. Searches are compared at one length, the most that
    all have (`trials`, where given). Settings as in `run`; into the folder `out`, if one is named,
    go the figure and its points. ValueError as in `run`, and for a class that has the name of
    another cell of the kit.
    """
    architecture, new = _registered(cell)
    scale = resolve_name("scale", scale, SCALES)
    size = scale_of(scale)

    def jobs_for(a):
        return [(study, trials or count) for study, count in battery(a, size, seed)]

    jobs, six = (
        jobs_for(architecture),
        [job for a in PAPER if a != architecture for job in jobs_for(a)],
    )
    with nullcontext(store) if isinstance(store, TrialStore) else TrialStore(store) as opened:
        reused = sum(len(opened.numbers(study.key)) for study, _ in jobs)
        complete(
            [study for study, _ in jobs],
            [count for _, count in jobs],
            opened,
            scale,
            1 if new else workers,
            label=f"report on {architecture}",
            progress=progress,
        )
        frame = _at_one_length(_with_shipped(opened, jobs, six), trials)
    figure = drawn(architecture, frame)
    if out:
        figures.keep(
            figure,
            f"report_{architecture}",
            out,
            figure.tables,
            figure.alt,
            digest_of_trials(frame),
        )
    table = _table(architecture, report_tables(frame), size)
    return Report(architecture, table, _space(architecture), figure, frame, reused)


def _with_shipped(opened, jobs, six) -> pd.DataFrame:
    """The trials of a cell's studies and of the six's, of which the kit's own file may have what
    the store lacks.
    """
    frames = [_whole(opened, jobs), _whole(opened, six)]
    there = {key for part in frames if len(part) for key in part.study}
    lacking = [(study, count) for study, count in six if study.key not in there]
    if lacking and SHIPPED.is_file() and opened.path.absolute() != SHIPPED:
        frames.append(_whole(_shipped(SHIPPED.stat().st_mtime), lacking))
    return pd.concat([part for part in frames if len(part)], ignore_index=True)


def _at_one_length(frame, trials) -> pd.DataFrame:
    """The first `trials` of each study; without a number, as many as the shortest of its task."""
    sizes = frame.groupby("study").hyper_iter.transform("size")
    least = trials or sizes.groupby(frame.task_type).transform("min")
    return frame[frame.hyper_iter < least].reset_index(drop=True)


def _space(architecture) -> pd.DataFrame:
    """What is tuned of the cell itself on the capacity task, by hyper-parameter."""
    space = space_table("per_cap", (architecture,)).drop(columns=architecture)
    space = space.set_index("hyper-parameter")
    return space[[name not in {"all", *LATER_ROWS} for name in space.index]]


@lru_cache(maxsize=1)
def _shipped(changed: float) -> TrialStore:
    """The trials that the kit ships, read once."""
    return TrialStore(SHIPPED, create=False)


def _whole(store, jobs) -> pd.DataFrame:
    """The trials of those studies of which a store has as many as asked for, or more."""
    return store.frame(study.key for study, count in jobs if store.has(study.key, count))


def _registered(cell) -> tuple[str, bool]:
    """The architecture of a name or a class, which is registered if need be; and whether only this
    process knows it.
    """
    if isinstance(cell, str):
        architecture, new = cell_of(cell).architecture, False
    elif isinstance(cell, type) and issubclass(cell, Cell):
        name = getattr(cell, "architecture", "")
        new, kits = CELLS.get(name) is not cell, KIT.get(name)
        (register if kits is None else enter)(cell)
        architecture = cell.architecture
        if kits is not None and _answers(cell) != _answers(kits):
            raise ValueError(
                f"Trials are stored by the name of a cell, and {architecture!r} is one of the kit's"
                f" with other equations or hyper-parameters. Give {cell.__name__} another"
                " `architecture`."
            )
        enter(cell)
    else:
        raise ValueError(
            "A report is on a cell: a subclass of rnnkit.Cell or the name of an architecture, got"
            f" {cell!r}."
        )
    if not cell_of(architecture).maps:
        raise ValueError(
            f"A report is on a recurrent cell, got {architecture!r}, which has no state. Choose"
            " another."
        )
    return architecture, new


def _answers(cell) -> tuple:
    """What a cell makes of certain numbers, and its hyper-parameters: the same of two cells that
    are one. Leaves `cell` registered.
    """
    architecture, depth = enter(cell).architecture, max(1, cell.min_layers)
    P = num_params(architecture, depth, 3, 4, 2)
    theta, x = (
        torch.sin(3.0 * torch.arange(P, dtype=torch.float64)),
        torch.cos(torch.arange(24, dtype=torch.float64)).reshape(2, 1, 3, 4),
    )
    z = forward(
        architecture,
        depth,
        blocks(architecture, depth, 3, 4, 2),
        theta[None],
        list(x),
        torch.tensor([False]),
    )
    return tuple(map(str, cell_ranges(architecture))), tuple(
        round(number, 9) for number in z.flatten().tolist()
    )


def _table(architecture, tables, size) -> pd.DataFrame:
    """Numbers as text: a row for each, a column for the cell and for each of the six; - where one
    has no trials with this budget.
    """
    names = (architecture, *(a for a in PAPER if a != architecture))
    depths = {a: max(1, cell_of(a).min_layers) for a in names}
    rows = {"layers": depths}
    budgets = size.capacity.sizes[:2]
    n_in = size.capacity.inputs_for(budgets[0])
    count = formulas(n_in, architectures=names).iloc[:, 0]
    rows[f"parameters with N units ({n_in} inputs)"] = {a: count[a].split("  (")[0] for a in names}
    for budget in budgets:
        table = units(
            (budget,),
            tuple(sorted(set(depths.values()))),
            size.capacity.inputs_for(budget),
            architectures=names,
        )
        rows[f"units of {budget:,} parameters"] = {
            a: table.loc[a, (budget, depths[a])] for a in names
        }
    rows["hyper-parameters"] = {
        a: len(space_for(a, "per_cap", size.capacity.steps_for(budgets[0]))) for a in names
    }
    best, errors, random = tables
    for row in best.itertuples():
        name = f"bits per parameter, {row.max_params:,} parameters"
        rows.setdefault(name, {})[row.architecture] = (
            f"{row.bits_per_param:.2f} [{row.bits_per_param_low:.2f}]"
        )
    for row in errors.sort_values("n_units").itertuples():
        name = f"error, {row.n_units} units for {row.n_in} numbers (bound {row.bound:.3g})"
        rows.setdefault(name, {})[row.architecture] = f"{row.loss:.3g}"
    for row in random.itertuples():
        rows.setdefault("diverged, % of random sets", {})[row.architecture] = (
            f"{row.percent:.0f} [{row.low:.0f}, {row.high:.0f}]"
        )
    table = pd.DataFrame(
        [{a: str(row.get(a, "-")) for a in names} for row in rows.values()], index=list(rows)
    )
    return table.rename(columns=label_of)


def _markdown(table: pd.DataFrame) -> str:
    """A frame of text as a Markdown table."""
    lines = [
        "| | " + " | ".join(map(str, table.columns)) + " |",
        "|---" * (len(table.columns) + 1) + "|",
    ]
    return "\n".join(
        lines
        + [
            f"| {name} | " + " | ".join(map(str, row)) + " |"
            for name, row in zip(table.index, table.to_numpy())
        ]
    )
