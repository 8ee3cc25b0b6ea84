"""An exhibit is a figure or table together with everything that belongs to it: one object in one file.

To add a figure of one's own, write a file in this folder or in that of its section, and nothing
else:

    from rnnkit.exhibits.base import Exhibit
    from rnnkit.exhibits.best_trials import stored_bits
    from rnnkit.exhibits.captions import draws
    from rnnkit.exhibits.selection import capacity

    @draws("bits_by_units", height=4)
    def draw(figure, best):
        ax = figure.subplots()
        ax.plot(best.n_units, best.bits_per_param, "o")
        ax.set(xlabel="units per layer", ylabel="bits per parameter")

    Exhibit(
        name="bits_by_units",
        title="Bits by units (ours: not in the paper)",
        gist="Most bits per parameter against the units of a layer.",
        select=capacity,
        trials="capacity task",
        experiment="fig1",
        tables={"bits_by_units": stored_bits},
        draw=draw,
        alt="bits per parameter against units per layer.",
        facts=lambda trials, tables: ["A sentence on what the figure shows."],
    )

and show it in a notebook with one cell:

    rk.figures.publish("bits_by_units", frame)

The file needs no entry anywhere else. From then on `rk.figures.bits_by_units(frame)` draws the
figure, `rk.compare` judges its claims, `rk.conclude` states its facts, and the gallery shows it with
its caption, its CSV and its verdicts, from the trials of the experiment that it names. An exhibit
with trials of its own also needs a row of its name in `EXPERIMENTS` of studies/experiments.py, and
that name in `NOTEBOOKS` of notebooks.py. The same lines in a notebook, instead of a file, make an
exhibit for that notebook.

`section_2_1/inputs.py` is a complete example: it holds the trials, the table, the drawing and the
facts of one exhibit. This module itself computes and draws nothing, so any other module may ask it
what belongs to a name.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from rnnkit.names import resolve_name
from rnnkit.trials.trial import DEFAULTS

# the columns that a frame of trials must have; those that an older frame may lack stand in DEFAULTS
COLUMNS = (
    "study",
    "architecture",
    "task_type",
    "hparams",
    "n_layers",
    "hyper_iter",
    "max_params",
    "num_params",
    "train_loss",
    "valid_loss",
    "eval_loss",
    "infeasible",
    "steps",
    "seconds",
    "seed",
    "scale",
    "unroll",
)


NamedTables = Mapping[str, pd.DataFrame]  # file name -> table

LAST = 99.0  # the position of an exhibit that names none

_exhibits_by_name: dict[str, "Exhibit"] = {}
_illustrations: dict[str, Callable] = {}


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the paper, or one of ours. Creating an Exhibit registers it by its name.

    Trials: `select` takes a frame of any trials and returns those that the exhibit is made of;
    `trials` describes them, for the error message where there are none. They come from the
    `experiment` of that name, or from the experiment of the exhibit's own name if it is left out.
    `also` lists experiments without an exhibit of their own that this exhibit shows.

    Tables: `tables` maps a file name to a function, which takes the trials and returns the table. Each
    table is computed once; then it is drawn, written as CSV (with its `columns`, or with all of them),
    described and judged. A table whose name begins with _ is not written.

    Drawing and words: `draw` takes a frame of trials and returns a matplotlib Figure or, for a table,
    a SmallTable. `title` and `gist` open the caption, and `note` adds a sentence that depends on the
    budget. `alt` says what is on the axes, and `numbers` sums up the tables for those who cannot see
    the figure (if it is left out, by the most bits per parameter). `facts` takes trials and tables and
    returns sentences on what the figure shows, or none if no trial was feasible. `budget` is what the
    paper spent on it.

    Claims: `claims` maps the id of a claim to its rule, which is judged on the table named by
    `claims_table` (on the first table, if it is left out).

    `name` is also the name of the files, and `position` orders the gallery.
    """

    name: str
    title: str
    gist: str
    select: Callable
    trials: str
    tables: Mapping[str, Callable]
    draw: Callable
    alt: str
    facts: Callable
    numbers: Callable | None = None
    note: Callable | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    claims_table: str = ""
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    experiment: str = ""
    also: tuple[str, ...] = ()
    budget: str = ""
    position: float = LAST

    def __post_init__(self) -> None:
        namesake = _exhibits_by_name.get(self.name)
        if namesake is not None and namesake.draw.__module__ != self.draw.__module__:
            raise ValueError(
                f"An exhibit must have a name of its own, got {self.name!r}, which"
                f" {namesake.draw.__module__} draws. Choose another."
            )
        _exhibits_by_name[self.name] = self


def exhibits() -> dict[str, Exhibit]:
    """Name -> exhibit, in the order of the gallery, which is that of the paper; figures of ours stand
    where they belong.
    """
    _discover()
    return dict(sorted(_exhibits_by_name.items(), key=lambda item: item[1].position))


def exhibit(name: str) -> Exhibit:
    """The exhibit of a name, however it is spelled. ValueError for an unknown one."""
    by_name = exhibits()
    return by_name[resolve_name("figure", name, by_name)]


def illustration(*names: str) -> Callable[[Callable], Callable]:
    """Registers a function, under each of these names, that draws a figure from something other than
    trials. Its figure carries its own `alt`, `caption` and `tables`. Notebooks show such figures, and
    the gallery does not.
    """

    def register(draw: Callable) -> Callable:
        _illustrations.update(dict.fromkeys(names, draw))
        return draw

    return register


def illustrations() -> dict[str, Callable]:
    """Name -> drawing function, for all figures that are drawn from something other than trials."""
    _discover()
    return dict(_illustrations)


def shown_by() -> dict[str, str]:
    """Experiment that no exhibit is named after -> the exhibit that shows it."""
    return {experiment: name for name, about in exhibits().items() for experiment in about.also}


@cache
def _discover() -> None:
    """Loads the modules of this folder, each of which registers its exhibits and illustrations."""
    folder = importlib.import_module(__package__)
    for module in pkgutil.walk_packages(folder.__path__, f"{__package__}."):
        importlib.import_module(module.name)


class Tables(Mapping):
    """The tables of an exhibit and the `trials` that they are computed from. A table is computed when
    it is first used, and then remembered.
    """

    def __init__(self, of: Exhibit, trials: pd.DataFrame) -> None:
        self.exhibit = of
        self.trials = trials
        self._by_stem = {}

    def __getitem__(self, stem: str) -> pd.DataFrame:
        if stem not in self._by_stem:
            self._by_stem[stem] = self.exhibit.tables[stem](self.trials)
        return self._by_stem[stem]

    def __iter__(self) -> Iterator[str]:
        return iter(self.exhibit.tables)

    def __len__(self) -> int:
        return len(self.exhibit.tables)

    @property
    def claims_table(self) -> pd.DataFrame:
        """The table on which claims are judged."""
        return self[self.exhibit.claims_table or next(iter(self))]

    def csv_tables(self) -> dict[str, pd.DataFrame]:
        """Copies of the tables that are drawn and written, each with the columns of its CSV file."""
        tables = {}
        for stem in self:
            if not stem.startswith("_"):
                columns = self.exhibit.columns.get(stem)
                tables[stem] = (self[stem][columns] if columns else self[stem]).copy()
        return tables


def trials_of_exhibit(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that figure `name` is made of, selected from a frame of any trials. ValueError for
    an unknown figure or a frame that lacks its trials.
    """
    about = exhibit(name)
    if not isinstance(frame, pd.DataFrame):
        kind = type(frame).__name__
        raise ValueError(f"A frame of trials is needed, got {kind}. Take it from run().")
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(
            "A frame of trials must have the columns of the store, got one without"
            f" {', '.join(missing)}. Take it from run()."
        )
    trials = about.select(with_defaults(frame))
    if trials.empty:
        raise ValueError(
            f"{about.name} needs trials of the {about.trials}, got {len(frame)} trials and none for"
            f" it. Run {about.name!r} first."
        )
    return trials


def with_defaults(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of trials with the columns that an older kit did not write."""
    columns = DEFAULTS | {"n_in": 0}
    return frame.assign(**{name: value for name, value in columns.items() if name not in frame})


def tables_of(name: str, frame: pd.DataFrame) -> Tables:
    """The tables of figure `name`, computed from a frame of any trials. Within `shared_tables`, all
    callers get the same object.
    """
    about = exhibit(name)
    if _table_cache is None:
        return Tables(about, trials_of_exhibit(name, frame))
    key = about.name, id(frame)
    if key not in _table_cache:
        # the frame is held, so that no other gets its id
        _table_cache[key] = frame, Tables(about, trials_of_exhibit(name, frame))
    _, tables = _table_cache[key]
    return tables


def points(name: str, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """File name -> table that figure `name` draws, as in the CSV files beside the figure. Parameters
    and steps are counts, and `bits` are those of equation 22.
    """
    return tables_of(name, frame).csv_tables()


_table_cache: dict | None = None  # (figure, id of a frame) -> the frame and its tables


@contextmanager
def shared_tables() -> Iterator[None]:
    """A context in which each table is computed only once, so that figure, caption, CSV and claims
    share it. The frames of trials must not be changed within it.
    """
    global _table_cache
    before = _table_cache
    _table_cache = {} if _table_cache is None else _table_cache
    try:
        yield
    finally:
        _table_cache = before
