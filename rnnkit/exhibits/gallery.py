"""Figures and tables on disk and in notebooks: PNG, SVG, the plotted points as CSV, and the gallery
with captions and verdicts.
"""

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import pandas as pd

from rnnkit import places
from rnnkit.exhibits.account import (
    account_in,
    check_free,
    current_entry,
    digest_of_code,
    digest_of_trials,
    note,
)
from rnnkit.exhibits.base import (
    exhibit,
    exhibits,
    illustrations,
    points,
    shared_tables,
    shown_by,
    trials_of_exhibit,
)
from rnnkit.exhibits.budget import budget, origin
from rnnkit.exhibits.captions import alternative_text, caption
from rnnkit.exhibits.style import Drawing, dark_picture, look
from rnnkit.exhibits.verdicts import claims_of, compare, tally, verdict_rows
from rnnkit.markup import SmallTable, markdown
from rnnkit.names import resolve_name
from rnnkit.trials.paths import write_atomically
from rnnkit.trials.trial import StoreError, StorePathError
from rnnkit.wording import duration


def save(
    figure: Drawing | SmallTable,
    name: str,
    out: str | Path,
    data: pd.DataFrame | dict[str, pd.DataFrame],
    alt: str,
) -> list[Path]:
    """Writes `name`.png, .svg and the plotted points as CSV into the folder `out`, and a picture
    for dark pages into its folder dark/, each file whole or not at all; the same figure gives the
    same bytes. Of a table only the CSV is written.

    `data` is a frame, or a dict file name -> frame where a figure is drawn from more than one
    table. Returns the paths.
    """
    tables = data if isinstance(data, dict) else {name: data}
    contents = {} if isinstance(figure, SmallTable) else _pictures(figure, name, alt)
    for stem, table in tables.items():
        contents[f"{stem}.csv"] = table.to_csv(index=False, lineterminator="\n").encode()
    (Path(out) / "dark").mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        write_atomically(Path(out) / file, content)
    return [Path(out) / file for file in contents]


def _pictures(figure: Drawing, name: str, alt: str) -> dict[str, bytes]:
    """File -> content of the pictures of a figure: PNG, SVG, and PNG for dark pages."""
    about = {"Software": None, "Description": alt}
    svg_metadata = {"Date": None, "Creator": "rnnkit", "Title": name, "Description": alt}
    light = io.BytesIO()
    vector = io.BytesIO()
    dark = io.BytesIO()
    with matplotlib.rc_context(look()):
        figure.savefig(light, format="png", metadata=about)
        figure.savefig(vector, format="svg", metadata=svg_metadata)
        matplotlib.image.imsave(dark, dark_picture(figure), format="png", metadata=about)
    return {
        f"{name}.png": light.getvalue(),
        f"{name}.svg": _number_clips(vector.getvalue().decode(), name).encode(),
        f"dark/{name}.png": dark.getvalue(),
    }


def _number_clips(svg: str, name: str) -> str:
    """The SVG with its clipping paths numbered. matplotlib names them after their coordinates, whose
    last digits, which are not drawn, may differ from run to run.
    """
    for number, old in enumerate(re.findall('<clipPath id="(.*?)"', svg)):
        new = f"{name}-clip{number}"
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f"url(#{old})", f"url(#{new})")
    return svg


def _markup(figure: Drawing | SmallTable, name: str, alt: str) -> str:
    """Markdown that shows a table, or a figure, which has a picture of its own for dark pages."""
    if isinstance(figure, SmallTable):
        return figure.markdown()
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="dark/{name}.png">'
    return f"<picture>{dark}![{alt}]({name}.png)</picture>"


def _links(figure: Drawing | SmallTable, name: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """Links to the files of a figure: its tables, and the picture that can be enlarged."""
    data = ", ".join(f"[{stem}.csv]({stem}.csv)" for stem in tables)
    vector = "" if isinstance(figure, SmallTable) else f"; vector: [{name}.svg]({name}.svg)"
    return f"Data: {data}{vector}."


def keep(
    figure: Drawing | SmallTable,
    name: str,
    out: str | Path,
    tables: Mapping[str, pd.DataFrame],
    alt: str,
    trials: str,
    **entry: Any,
) -> None:
    """Saves a figure into a folder in which only the kit's own files may be replaced, and notes it in
    the account.

    `trials` is the digest of what it was drawn from, and `entry` is whatever else the account shall
    say about it. StoreError if a file of somebody else is in the way.
    """
    pictures = [f"{name}.png", f"{name}.svg", f"dark/{name}.png"]
    files = [*([] if isinstance(figure, SmallTable) else pictures), *map("{}.csv".format, tables)]
    check_free(out, files)
    paths = save(figure, name, out, dict(tables), alt)
    note(out, name, paths, trials=trials, code=digest_of_code(), **entry)


def draw_into(out: str | Path, name: str, frame: pd.DataFrame) -> dict:
    """Writes figure `name` of a frame into a folder, unless this code has already drawn it there from
    these very trials.

    Returns its entry in the account, which has its section of the gallery (`text`) and a row for each
    verdict (`claims`). StoreError if a file of somebody else is in the way.
    """
    trials = digest_of_trials(trials_of_exhibit(name, frame))
    entry = current_entry(out, name, trials)
    if entry is None or "text" not in entry:
        with shared_tables():
            alt = alternative_text(name, frame)
            tables = points(name, frame)
            claims = compare(name, frame)
            figure = exhibit(name).draw(frame)
            text = _section(figure, name, frame, alt, tables, claims)
            records = claims.astype(object).where(claims.notna(), None).to_dict("records")
            entry = {"text": text, "claims": records}
            keep(figure, name, out, tables, alt, trials, **entry)
        entry = account_in(out)[name]
    return entry


def show(figure: Drawing | SmallTable, alt: str) -> None:
    """Displays a figure in a notebook, with `alt` as its text for those who cannot see it."""
    from IPython.display import display

    figure.alt = alt
    display(figure)


def publish(name: str, frame: pd.DataFrame, out: str | Path = "") -> None:
    """Draws figure `name` of a frame in a notebook, with its caption below, and also writes it into
    the folder `out` if one is given.

    An experiment that is not itself a figure ("start") is drawn by the exhibit that shows it. For an
    illustration, `frame` is whatever its function takes. ValueError for any other name, StoreError
    where the folder cannot be written.
    """
    from IPython.display import Markdown, display

    without_trials = illustrations()
    name = resolve_name("figure", name, (*exhibits(), *shown_by(), *without_trials))
    with shared_tables():
        if name in without_trials:
            figure = without_trials[name](frame)
            trials = ""
            text = figure.alt
            tables = figure.tables
            caption_text = figure.caption
        else:
            name = shown_by().get(name, name)
            figure = exhibit(name).draw(frame)
            text = alternative_text(name, frame)
            tables = points(name, frame)
            caption_text = caption(name, frame)
            trials = digest_of_trials(trials_of_exhibit(name, frame))
    show(figure, text)
    display(Markdown(caption_text))
    if out and (name in without_trials or current_entry(out, name, trials) is None):
        with places.writing(Path(out), f"{name} cannot be written", StorePathError, StoreError):
            keep(figure, name, out, tables, text, trials)


OF_THE_PAPER_ALONE = ("audit",)  # figures made of the paper alone, at the end of every gallery


def companions(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """`frames` (experiment -> trials), together with the other figures that are drawn from the same
    trials, in the order of the paper.
    """
    by_name = exhibits()
    candidates = frames | {
        name: frames[about.experiment]
        for name, about in by_name.items()
        if about.experiment in frames
    }
    return {name: candidates[name] for name in (*by_name, *candidates) if name in candidates}


def gallery(out: str | Path, frames: dict[str, pd.DataFrame]) -> Path:
    """Draws and writes all figures that `frames` (figure name -> trials) allow, with their
    `companions`, then claims.csv, and a README.md that shows them all in the order of the paper.

    ValueError for a name that is not a figure, or if there are no frames.
    """
    unknown = [name for name in frames if name not in exhibits()]
    if unknown or not frames:
        raise ValueError(
            f"A gallery is made of {', '.join(exhibits())}, got {', '.join(unknown) or 'none of them'}."
            " Name the frames so."
        )
    check_free(out, ["claims.csv", "README.md"])
    entries = {name: draw_into(out, name, frame) for name, frame in companions(frames).items()}
    sections = [entry["text"] for entry in entries.values()]
    sections += [_illustration(name, illustrations()[name], out) for name in OF_THE_PAPER_ALONE]
    claims = claims_of(entries)
    table = Path(out) / "claims.csv"
    path = Path(out) / "README.md"
    claims.to_csv(table, index=False, lineterminator="\n")
    head = HEAD.format(
        origin=_origin_of_all(frames), counts=tally(claims), index=_index(sections, claims)
    )
    path.write_text("\n".join([head, *sections]), encoding="utf-8")
    note(out, "gallery", [table, path])
    return path


def _origin_of_all(frames: dict[str, pd.DataFrame]) -> str:
    """Which versions trained the trials of all frames, and when, in one sentence."""
    different = {id(frame): frame for frame in frames.values()}
    columns = ["version", "commit", "source", "torch", "device", "created"]
    return origin(pd.concat([frame.filter(columns) for frame in different.values()]).fillna(""))


def _index(sections: list[str], claims: pd.DataFrame) -> str:
    """A table of the gallery's sections and the claims that each of them decides, by verdict."""
    titles = {exhibit(name).title: name for name in exhibits()}
    records = []
    for section in sections:
        title = section.removeprefix("## ").split("\n", 1)[0]
        ids = claims[claims.figure == titles.get(title)].groupby("verdict", sort=False).id.agg(list)
        verdicts = "; ".join(f"{verdict}: {', '.join(members)}" for verdict, members in ids.items())
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        records.append((f"[{title}](#{anchor})", verdicts))
    return markdown(("figure or table", "claims, by verdict"), records)


HEAD = """# Figures

The figures and tables of Collins, Sohl-Dickstein & Sussillo (2017), redrawn from our own trials, in the order of the paper, and some
of ours. Each figure is here as PNG and SVG, with the plotted points as CSV beside it. {origin}

Claims of the paper: {counts} ([claims.csv](claims.csv)). The best of a search is a lower bound on what a network can do, so a claim *fails* only where
the search has come to its end: where halving its trials and halving its training steps each change the best by less than a twentieth. What
a lower bound decides may hold after any search. Intervals hold 95 % over studies, or over trials where the number is of trials, and are
Student's where they are of a mean; for A01, C03, G03, H01, H02, P02 and P06 they are the least and the most, for C08 they run from what half
the search would have found to the best. Named pairs are tested with Holm's correction.

{index}
"""


def _illustration(name: str, draw: Callable, out: str | Path) -> str:
    """A section of the gallery whose figure is not made of trials: image and caption."""
    entry = current_entry(out, name, "")
    if entry is None or "text" not in entry:
        figure = draw()
        title, text_below = figure.caption.split(". ", 1)
        picture = _markup(figure, name, figure.alt)
        links = _links(figure, name, figure.tables)
        text = f"## {title}\n\n{picture}\n\n{text_below}\n\n{links}\n"
        keep(figure, name, out, figure.tables, figure.alt, "", text=text)
        entry = account_in(out)[name]
    return entry["text"]


def _section(
    figure: Drawing | SmallTable,
    name: str,
    frame: pd.DataFrame,
    alt: str,
    tables: Mapping[str, pd.DataFrame],
    claims: pd.DataFrame,
) -> str:
    """A section of the gallery: image or table, caption, budget, verdicts."""
    spent = budget(trials_of_exhibit(name, frame))
    parts = [
        f"## {exhibit(name).title}",
        _markup(figure, name, alt),
        caption(name, frame),
        f"Budget: {spent.trials:,} trials, {spent.infeasible:,} infeasible;"
        f" {duration(spent.seconds)} of training, summed over trials."
        f" {_links(figure, name, tables)}",
    ]
    if len(claims):
        head = ("claim", "paper", "ours [interval]", "verdict", "evidence")
        records = [
            (*row, f"**{verdict}**", evidence)
            for (*row, verdict), evidence in zip(verdict_rows(claims), claims.evidence)
        ]
        parts.append(markdown(head, records))
    return "\n\n".join(parts) + "\n"
