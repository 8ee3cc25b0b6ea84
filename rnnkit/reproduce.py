"""Trains the trials that the store lacks, executes the notebooks, and writes the gallery and the
table of claims.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from rnnkit import places
from rnnkit.checks import whole_number
from rnnkit.names import matching, nearest, resolve_name
from rnnkit.notebooks import NOTEBOOKS, NotebookError, NotebookPathError, run_notebook, types_of
from rnnkit.trials import StoreError, TrialStore, opened, paths
from rnnkit.trials.trial import StorePathError

TRIALS = places.TRIALS.name  # the trials behind the figures, in their folder
EVIDENCE = places.FIGURES


def reproduce(
    scale: str = "quick",
    only: str | Iterable[str] = (),
    store: str | os.PathLike = "trials.sqlite",
    out: str | os.PathLike = "results",
    seed: int = 0,
    trials: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    scheduler: str | None = None,
    notebooks: str | os.PathLike | None = None,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Trains the trials that the store lacks, executes the notebooks into `out`/notebooks, and
    writes `out`/README.md and trials.parquet.

    `only` names notebooks or experiments (default: all). A notebook is executed, from the folder
    `notebooks` if one is named, when all of its experiments are chosen; otherwise the chosen
    figures are drawn without it. A file in `out` is replaced only if the kit wrote it, and a figure
    is drawn again only if its trials or the code have changed; the trials in the folder's
    trials.parquet are added to the store and stay in the file. Returns the table of claims, one row
    per claim.

    Errors are those of `studies.run`, and NotebookError. Everything that can be checked is checked
    before the first trial is trained.
    """
    from rnnkit.studies import SCALES, jobs_of, run

    plan = choose(only)
    whole_number("workers", workers or 0, 0, 1_024)
    scale = resolve_name("scale", scale, SCALES)
    for name in [name for names in plan.values() for name in names]:
        jobs_of(name, scale, seed, trials)  # ValueError now, for what cannot be trained
    out = writable_folder(out)
    complete = [notebook for notebook, names in plan.items() if names == NOTEBOOKS[notebook]]
    folder = notebooks_folder(notebooks, complete)
    with TrialStore(store) as trial_store:
        take_over(trial_store, out / TRIALS, say)
        training: dict[str, Any] = dict(
            seed=seed, trials=trials, workers=workers, device=device, scheduler=scheduler
        )
        settings = dict(scale=scale, seed=seed, trials=trials or 0, workers=workers or 0)
        settings |= dict(store=str(trial_store.path.resolve()), out=str(out.resolve()))
        for k, (notebook, names) in enumerate(plan.items(), 1):
            label = f"notebook {k} of {len(plan)}, {notebook}"
            say(f"{label}: {', '.join(names) or 'no trials'}")
            for name in names:
                run(name, scale, trial_store, label=f"{label}, {name}", **training)
                draw(stored_frames(trial_store, scale, seed, trials, [name]), out)
            if notebook in complete:
                say(f"{label}: executing")
                execute(folder / f"{notebook}.ipynb", out, settings)
        if trial_store.persistent:
            trial_store.export(out / TRIALS)
        frames = stored_frames(trial_store, scale, seed, trials)
    claims = finish(plan, frames, out, say)
    if out.resolve() == EVIDENCE and (out / "claims.csv").exists():
        tell_in_readme(say)
    return claims


def tell_in_readme(say: Callable[[str], object] = print) -> None:
    """Writes the verdicts on the evidence that ships into the checkout's README, between the marks
    for them. StoreError.
    """
    from rnnkit.exhibits import verdicts

    with TrialStore(EVIDENCE / TRIALS) as evidence:
        count = len(evidence)
    readme = EVIDENCE.parent / "README.md"
    claims = pd.read_csv(EVIDENCE / "claims.csv", dtype={"paper": str})
    if verdicts.write_block(readme, claims, count):
        say(f"{readme} has the verdicts.")


def take_over(store: TrialStore, parquet: Path, say: Callable[[str], object]) -> None:
    """Adds the trials of the folder's trials.parquet to a store: they stay in the file, so the
    folder's figures show them, too. StoreError.
    """
    if (
        not parquet.exists()
        or not store.persistent
        or (store.path.exists() and parquet.samefile(store.path))
    ):
        return
    from rnnkit.studies.import_check import ImportCheck

    new = store.import_new(parquet, ImportCheck(parquet))
    if new:
        say(
            f"{parquet} has {new:,} trials that {store.path} lacked; they have been added to it. To train"
            " them again, name another folder with --out."
        )


def execute(source: Path, out: Path, settings: dict[str, Any]) -> None:
    """Executes a notebook into `out`/notebooks, with those of the settings that are its parameters.
    NotebookError.
    """
    from rnnkit.exhibits import account

    target = out / "notebooks" / source.name
    types = types_of(source)
    run_notebook(source, target, {name: value for name, value in settings.items() if name in types})
    account.note(target.parent, source.stem, [target])


def finish(
    plan: dict[str, tuple[str, ...]],
    frames: dict[str, pd.DataFrame],
    out: Path,
    say: Callable[[str], object],
) -> pd.DataFrame:
    """Writes the gallery of all frames; returns the claims of the planned experiments, and reports
    them by `say`.
    """
    from rnnkit import analysis, figures

    gallery = _drawable(frames)
    if gallery:
        figures.gallery(out, gallery)
    decisive = figures.companions(
        {name: frames[name] for names in plan.values() for name in names if name in gallery}
    )
    claims = figures.claims_of(
        {name: figures.draw_into(out, name, frame) for name, frame in decisive.items()}
    )
    if len(claims):
        say(f"{claims_text(claims)}\nClaims of the paper: {analysis.tally(claims)}.")
    shows = f"; {out / 'README.md'} shows them all, with captions and verdicts" if gallery else ""
    say(f"The figures are in {out}{shows}.")
    return claims


def draw(frames: dict[str, pd.DataFrame], out: Path) -> None:
    """Writes the figures that can be drawn from `frames` (experiment -> trials) into `out`, so that
    each appears as soon as its studies end.
    """
    from rnnkit import figures

    for name, frame in figures.companions(_drawable(frames)).items():
        figures.draw_into(out, name, frame)


def _drawable(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames of those experiments that have a figure of their own."""
    from rnnkit.exhibits.base import exhibits

    return {name: frame for name, frame in frames.items() if name in exhibits()}


def stored_frames(
    store: TrialStore,
    scale: str,
    seed: int = 0,
    trials: int | None = None,
    names: Iterable[str] | None = None,
) -> dict:
    """Experiment -> its trials, for each experiment that the store has complete, also from earlier
    runs: the gallery shows all of them. `names` restricts the experiments.

    Trials of larger scales are included as in `trials_in`. The search of `start` is drawn as
    best_so_far, unless Figure 1's trials are there to draw it from.
    """
    from rnnkit.studies import EXPERIMENTS, SCALES, is_whole, trials_in

    scales = list(SCALES)
    scale = resolve_name("scale", scale, SCALES)
    sizes = scales[scales.index(scale) :]
    frames = {}
    for name in EXPERIMENTS if names is None else names:
        if any(is_whole(store, name, size, seed, trials) for size in sizes):
            frames[name] = trials_in(store, name, scale, seed, trials)
    if "start" in frames and "fig1" not in frames:
        frames["best_so_far"] = frames["start"]
    return frames


def verdicts(
    store: TrialStore | str | os.PathLike,
    scale: str = "quick",
    seed: int = 0,
    trials: int | None = None,
) -> pd.DataFrame:
    """The table of all claims of the paper, one row per claim: what the stored trials of a scale,
    or of a larger one, say about it. `store` is a TrialStore or the path of one.

    `figure` is the figure that decides the claim; a claim without trials in the store says so.
    StoreError.
    """
    from rnnkit import analysis, figures, paper

    with opened(store, create=False) as trial_store:
        frames = stored_frames(trial_store, scale, seed, trials)
    frames = figures.companions(_drawable(frames))
    tables = [analysis.compare(name, frame).assign(figure=name) for name, frame in frames.items()]
    # of two figures that decide a claim, the first counts
    verdict_of = {row["id"]: row for table in reversed(tables) for row in table.to_dict("records")}
    claims = []
    for id, claim in paper.CLAIMS.items():
        row = {"id": id, "where": claim.where, "claim": claim.text, "paper": claim.paper}
        claims.append(row | {"verdict": "no trials here"} | verdict_of.get(id, {}))
    columns = "id where claim paper ours low high verdict figure evidence".split()
    return analysis.Verdicts(claims, columns=columns)


def choose(only: str | Iterable[str] | None = ()) -> dict:
    """Notebook -> its chosen experiments, in order. ValueError for a name that is neither a
    notebook nor an experiment.
    """
    experiments = dict.fromkeys(name for names in NOTEBOOKS.values() for name in names)
    choices = [*experiments, *NOTEBOOKS]
    only = () if only is None else only
    inputs = list(only) if isinstance(only, Iterable) and not isinstance(only, str) else [only]
    matches = [matching(name, choices) for name in inputs]
    for name, match in zip(inputs, matches):
        if match is None:
            raise ValueError(
                f"only must name an experiment ({', '.join(experiments)}) or a notebook"
                f" ({', '.join(NOTEBOOKS)}), got {name!r}."
                f" {nearest(name, choices) or 'Check the spelling.'}"
            )
    plan: dict[str, tuple[str, ...]] = {}
    single = [name for name in experiments if name in matches]
    for notebook, names in NOTEBOOKS.items():
        if not matches or notebook in matches:
            plan[notebook] = names
        elif selection := tuple(name for name in names if name in single):
            plan[notebook] = selection
        # another notebook may draw the same trials
        single = [name for name in single if name not in plan.get(notebook, ())]
    return plan


def notebooks_folder(
    path: str | os.PathLike | None = None, names: Iterable[str] = tuple(NOTEBOOKS)
) -> Path:
    """The folder of the notebooks that are executed: `path`, or the kit's own without one.

    A folder `notebooks` in the working directory is not taken unless it is named. NotebookError,
    with what to do, if a notebook is missing.
    """
    folder = places.NOTEBOOKS if path is None else paths.expand_home(path)
    missing = [f"{name}.ipynb" for name in names if not (folder / f"{name}.ipynb").is_file()]
    if missing:
        raise (NotebookError if path is None else NotebookPathError)(
            f"The notebooks must be in {folder}, and {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} not. Install rnnkit again, name the folder"
            " that has them with --notebooks, or choose experiments with --only."
        )
    return folder


def writable_folder(out: str | os.PathLike) -> Path:
    """The folder for figures, created if needed and tested before hours are spent.

    StoreError if it cannot be written, or if a file would be replaced that the kit did not write.
    """
    from rnnkit.exhibits import account
    from rnnkit.exhibits.base import exhibits, illustrations

    if not str(out).strip():
        raise StorePathError("The folder for figures has no name. Give one, or leave out --out.")
    out = paths.expand_home(out)
    pictures = [
        f"{name}.{kind}"
        for name in (*exhibits(), *illustrations())
        for kind in ("png", "svg", "csv")
    ]
    account.check_free(out, ["README.md", "claims.csv", *pictures])
    account.check_free(out / "notebooks", [f"{name}.ipynb" for name in NOTEBOOKS])
    for folder in (out, out / "notebooks"):
        places.make_writable(folder, "Figures cannot be written", StorePathError, StoreError)
    return out


def claims_text(claims: pd.DataFrame) -> str:
    """The table of claims for a terminal: id, claim, paper, ours with its interval, verdict."""
    from rnnkit import analysis

    lines = [("", "claim", "paper", "ours", "verdict")]
    for row in claims.itertuples():
        claim = row.claim if len(row.claim) <= 70 else f"{row.claim[:67]}..."
        ours = analysis.with_interval(row.ours, row.low, row.high)
        lines.append((row.id, claim, row.paper, ours, row.verdict))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines
    )
