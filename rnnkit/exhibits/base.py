"""An exhibit is a figure or table with all that belongs to it, in one object in one file.

To add a figure of one's own, write a file in this folder or in that of its section, and nothing
else:

    from rnnkit.exhibits.base import Exhibit, points
    from rnnkit.exhibits.best_trials import stored_bits
    from rnnkit.exhibits.captions import write_budget
    from rnnkit.exhibits.selection import capacity
    from rnnkit.exhibits.style import new_figure, styled

    @styled
    def draw(frame):
        best = points("bits_by_units", frame)["bits_by_units"]
        figure = new_figure(4)
        ax = figure.subplots()
        ax.plot(best.n_units, best.bits_per_param, "o")
        ax.set(xlabel="units per layer", ylabel="bits per parameter")
        write_budget(figure, "bits_by_units", frame)
        return figure

    Exhibit(
        name="bits_by_units",
        title="Bits by units (ours: not in the paper)",
        gist="Most bits per parameter against the units of a layer.",
        section="2.1",
        select=capacity,
        trials="capacity task",
        experiment="fig1",
        tables={"bits_by_units": lambda of: stored_bits(of.rows)},
        draw=draw,
        alt="bits per parameter against units per layer.",
        facts=lambda rows, tables: ["A sentence of what is to be seen."],
    )

and show it in a notebook with one cell:

    rk.figures.publish("bits_by_units", frame)

The file is found by itself. From then on `rk.figures.bits_by_units(frame)` draws the figure,
`rk.compare` judges its claims, `rk.conclude` says its facts, and the gallery shows it with its
caption, its CSV and its verdicts, from the trials of the experiment that it names. An exhibit with
trials of its own also needs a row of `EXPERIMENTS` in studies/experiments.py that bears its name.
Written in a notebook instead of a file, the same lines make an exhibit of that notebook.

`section_2_1/inputs.py` is a complete example: its trials, its table, its drawing and its facts
stand beside their exhibit. Nothing is computed or drawn in the present module, so that any other
may ask what belongs to a name.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from rnnkit.names import resolve_name
from rnnkit.trials.trial import DEFAULTS

# what a frame of trials must have; DEFAULTS are columns that an older frame may lack, with what they
# then hold
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


LAST = 99.0  # the place of an exhibit that names none


_registered: dict[str, "Exhibit"] = {}
_illustrations: dict[str, Callable] = {}


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the paper, or of ours. Making one registers it under its name.

    `name` is that of its files, `section` the paper's, and `place` where it stands in the gallery.
    `select` takes a frame of any trials and gives those that it is made of, which `trials` names if
    there are none; `experiment` is whose they are, where no experiment bears its own name, and
    `also` are experiments without an exhibit of their own that are shown by this one.

    `tables` is a function for each table, by file name: of a `Tables` with the trials as `rows` and
    with the tables before it. Each is computed once and then drawn, written as CSV (`columns`: which
    of its columns, if not all), described and judged. One whose name begins with _ is not written.

    `draw` takes a frame of trials and gives a matplotlib Figure with `panels`. `title` and `gist`
    are its caption, with a `note` on the budget behind it; `alt` says what is on its axes, and
    `numbers` of its tables what they come to (if it is left out, the most bits per parameter).
    `facts` takes rows and tables and gives sentences of what is to be seen. `budget` is what the
    paper spent on it.

    `claims` are the claims that it decides, id -> rule, on the table `judged` (the first, if it is
    left out).
    """

    name: str
    title: str
    gist: str
    section: str
    select: Callable
    trials: str
    tables: Mapping[str, Callable]
    draw: Callable
    alt: str
    facts: Callable
    numbers: Callable | None = None
    note: Callable | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    judged: str = ""
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    experiment: str = ""
    also: tuple[str, ...] = ()
    panels: tuple[str, ...] = ("",)
    budget: str = ""
    place: float = LAST

    def __post_init__(self):
        taken = _registered.get(self.name)
        if taken is not None and taken.draw.__module__ != self.draw.__module__:
            raise ValueError(
                f"An exhibit must have a name of its own, got {self.name!r}, which"
                f" {taken.draw.__module__} draws. Choose another."
            )
        _registered[self.name] = self


def exhibits() -> dict[str, Exhibit]:
    """Name -> exhibit, in the order of the paper, ours where they belong; the gallery shows them
    so.
    """
    _discover()
    return dict(sorted(_registered.items(), key=lambda item: item[1].place))


def exhibit(name: str) -> Exhibit:
    """The exhibit of a name, however it is spelled. ValueError for an unknown one."""
    found = exhibits()
    return found[resolve_name("figure", name, found)]


def illustration(*names: str):
    """Decorates a function that draws a figure from something else than trials, so that it is known
    by these names. The figure carries its own `alt`, `caption` and `tables`; a notebook shows it,
    and the gallery does not.
    """

    def register(draw):
        _illustrations.update(dict.fromkeys(names, draw))
        return draw

    return register


def illustrations() -> dict[str, Callable]:
    """Name -> function of the figures that are drawn from something else than trials."""
    _discover()
    return dict(_illustrations)


def shown_by() -> dict[str, str]:
    """Experiment without an exhibit of its name -> the exhibit that shows it."""
    return {experiment: name for name, about in exhibits().items() for experiment in about.also}


@cache
def _discover():
    """Loads the modules of this folder, each of which registers its exhibits and illustrations."""
    folder = importlib.import_module(__package__)
    for module in pkgutil.walk_packages(folder.__path__, f"{__package__}."):
        importlib.import_module(module.name)


class Tables(Mapping):
    """The tables of an exhibit, each computed when it is first asked for and then kept; `rows` are
    the trials that they are made of.
    """

    def __init__(self, of: Exhibit, rows: pd.DataFrame):
        self.exhibit, self.rows, self._made = of, rows, {}

    def __getitem__(self, stem: str) -> pd.DataFrame:
        if stem not in self._made:
            self._made[stem] = self.exhibit.tables[stem](self)
        return self._made[stem]

    def __iter__(self):
        return iter(self.exhibit.tables)

    def __len__(self):
        return len(self.exhibit.tables)

    @property
    def judged(self) -> pd.DataFrame:
        """The table on which claims are judged."""
        return self[self.exhibit.judged or next(iter(self))]

    def written(self) -> dict[str, pd.DataFrame]:
        """Copies of the tables that are drawn and written, with the columns that are."""
        written = {}
        for stem in self:
            if not stem.startswith("_"):
                columns = self.exhibit.columns.get(stem)
                written[stem] = (self[stem][columns] if columns else self[stem]).copy()
        return written


def rows_of(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that figure `name` is made of, out of any frame of trials. ValueError for an
    unknown figure or a frame without them.
    """
    about = exhibit(name)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(
            "A frame of trials must have the columns of the store, got one without"
            f" {', '.join(missing)}. Take it from run()."
        )
    older = {column: value for column, value in DEFAULTS.items() if column not in frame.columns}
    rows = about.select(frame.assign(**older))
    if rows.empty:
        raise ValueError(
            f"{about.name} needs trials of the {about.trials}, got {len(frame)} trials and none for"
            f" it. Run {about.name!r} first."
        )
    return rows


def tables_of(name: str, frame: pd.DataFrame) -> Tables:
    """The tables of figure `name` of any frame of trials: the same ones to all who ask, while they
    are `remembered`.
    """
    about = exhibit(name)
    if _remembered is None:
        return Tables(about, rows_of(name, frame))
    key = about.name, id(frame)
    if key not in _remembered:
        # the frame is held, so that no other gets its id
        _remembered[key] = frame, Tables(about, rows_of(name, frame))
    return _remembered[key][1]


def points(name: str, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that figure `name` draws, by file name: what stands in the CSVs beside it.
    Parameters and steps are counts, `bits` is equation 22.
    """
    return tables_of(name, frame).written()


_remembered: dict | None = None  # (figure, id of a frame) -> the frame and its tables


@contextmanager
def remembered():
    """Computes each table once in here, however often it is asked for: figure, caption, CSV and
    claims take the same one.

    The frames that are drawn in here must not be changed meanwhile.
    """
    global _remembered
    before, _remembered = _remembered, {} if _remembered is None else _remembered
    try:
        yield
    finally:
        _remembered = before
