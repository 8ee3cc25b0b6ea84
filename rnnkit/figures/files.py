"""Figures on disk and in notebooks: PNG, SVG, the plotted points as CSV, and the gallery with captions and verdicts."""

import math
from pathlib import Path

import matplotlib
import pandas as pd

from rnnkit import analysis, paper
from rnnkit.figures.points import points
from rnnkit.figures.style import look
from rnnkit.figures.words import alt as alt_of
from rnnkit.figures.words import caption, duration


def save(figure, name: str, out, data, alt: str) -> list[Path]:
    """Writes `name`.png, .svg and the plotted points as CSV into the folder `out`; the same figure gives the same bytes.

    `data` is a frame, or a dict file name -> frame where a figure is drawn from more than one table. Returns the paths.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    with matplotlib.rc_context(look()):
        figure.savefig(paths[0], metadata={"Software": None, "Description": alt})
        figure.savefig(paths[1], metadata={"Date": None, "Creator": "rnnkit", "Title": name, "Description": alt})
    for stem, table in (data if isinstance(data, dict) else {name: data}).items():
        paths.append(out / f"{stem}.csv")
        table.to_csv(paths[-1], index=False, lineterminator="\n")
    return paths


def show(figure, alt: str):
    """Displays a figure in a notebook, with `alt` as its text for those who cannot see it."""
    from IPython.display import display

    figure.alt = alt
    display(figure)


def publish(name: str, frame: pd.DataFrame, out=""):
    """Draws figure `name` of a frame in a notebook, with its caption below; writes it into the folder `out` as well, if one is named.

    The search of an experiment that is no figure of the paper's ("start") is drawn as best_so_far. One of EXHIBITS is drawn of what its
    function takes.
    """
    from IPython.display import Markdown, display

    from rnnkit.figures import DRAW, EXHIBITS

    if name in EXHIBITS:
        figure = EXHIBITS[name](frame)
        text, tables, words = figure.alt, figure.tables, figure.caption
    else:
        name = name if name in DRAW else "best_so_far"
        figure, text, tables, words = DRAW[name](frame), alt_of(name, frame), points(name, frame), caption(name, frame)
    if out:
        save(figure, name, out, tables, text)
    show(figure, text)
    display(Markdown(words))


SAME_TRIALS = {  # figure -> the experiment whose trials it is drawn from, having none of its own
    "best_so_far": "fig1", "g01": "fig2c", "importance": "fig1", "lost": "fig5", "table1": "fig5", "tableapp2": "fig5",
    "later_numbers": "fig1",
}  # fmt: skip


OF_THE_PAPER_ALONE = ("audit",)  # exhibits that take no trials, at the end of every gallery


def companions(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """`frames` (experiment -> trials) with the figures that are drawn from the same trials, in the order of the paper."""
    more = {name: frames[source] for name, source in SAME_TRIALS.items() if source in frames}
    both = {**frames, **more}
    return {name: both[name] for name in [*paper.FIGURES, *(name for name in both if name not in paper.FIGURES)] if name in both}


def gallery(out, frames: dict[str, pd.DataFrame]) -> Path:
    """Draws and writes every figure that `frames` (figure name -> trials) allows, claims.csv, and README.md that shows them all.

    They stand in the order of the paper, with their `companions`. ValueError for a name that is no figure, or without any.
    """
    from rnnkit.figures import DRAW, EXHIBITS

    unknown = [name for name in frames if name not in DRAW]
    if unknown or not frames:
        raise ValueError(f"A gallery is made of {', '.join(DRAW)}, got {', '.join(unknown) or 'none of them'}. Name the frames so.")
    sections, verdicts = [], []
    for name, frame in companions(frames).items():
        alt, claims = alt_of(name, frame), analysis.compare(name, frame)
        tables = points(name, frame)
        save(DRAW[name](frame), name, out, tables, alt)
        sections.append(_section(name, frame, alt, tables, claims))
        verdicts.append(claims.assign(figure=name))
    sections += [_exhibit(name, EXHIBITS[name](), out) for name in OF_THE_PAPER_ALONE]
    claims = pd.concat(verdicts, ignore_index=True)
    claims.to_csv(Path(out) / "claims.csv", index=False, lineterminator="\n")
    counts = ", ".join(f"{v} {(claims.verdict == v).sum()}" for v in (analysis.HOLDS, analysis.FAILS, analysis.UNTESTED))
    path = Path(out) / "README.md"
    path.write_text("\n".join([HEAD.format(counts=counts), *sections]), encoding="utf-8")
    return path


HEAD = """# Figures

The figures and tables of Collins, Sohl-Dickstein & Sussillo (2017), redrawn from our own trials, in the order of the paper, and some
of ours. Each is here as PNG and SVG, with the plotted points as CSV beside it.

Claims of the paper: {counts} ([claims.csv](claims.csv)). The best of a search is a lower bound on what a network can do; where a
search of this size cannot decide, the verdict says so. Intervals hold 95 % over studies, or over trials where the number is of trials;
for A01, C03, G03, H01, H02, P02 and P06 they are the least and the most, for C08 they run from what half the search would have found
to the best.
"""


def _exhibit(name, figure, out) -> str:
    """A figure of the gallery that no trials are behind: image and caption."""
    save(figure, name, out, figure.tables, figure.alt)
    data = ", ".join(f"[{stem}.csv]({stem}.csv)" for stem in figure.tables)
    title, text = figure.caption.split(". ", 1)
    return f"## {title}\n\n![{figure.alt}]({name}.png)\n\n{text}\n\nData: {data}; vector: [{name}.svg]({name}.svg).\n"


def _section(name, frame, alt, tables, claims) -> str:
    """One figure of the gallery: image, caption, budget, verdicts."""
    spent = analysis.budget(analysis.rows_of(name, frame))
    data = ", ".join(f"[{stem}.csv]({stem}.csv)" for stem in tables)
    budget = f"{spent.trials:,} trials, {spent.infeasible:,} infeasible; {duration(spent.seconds)} of training, summed over trials"
    parts = [
        f"## {paper.FIGURES[name].title}\n",
        f"![{alt}]({name}.png)\n",
        f"{caption(name, frame)}\n",
        f"Budget: {budget}. Data: {data}; vector: [{name}.svg]({name}.svg).\n",
    ]
    if len(claims):
        rows = ["| claim | paper | ours [interval] | verdict | evidence |", "|---|---|---|---|---|"]
        rows += [f"| {c.id}: {c.claim} | {c.paper} | {_interval(c)} | **{c.verdict}** | {c.evidence} |" for c in claims.itertuples()]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _interval(claim) -> str:
    if math.isnan(claim.ours):
        return "-"
    number = f"{claim.ours:#.3g}"
    return number if math.isnan(claim.low) else f"{number} [{claim.low:#.3g}, {claim.high:#.3g}]"
