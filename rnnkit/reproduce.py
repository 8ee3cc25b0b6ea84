"""From nothing to figures: trains what the store lacks, executes the notebooks, writes the gallery
and the table of claims.
"""

import os
from pathlib import Path

from rnnkit import places
from rnnkit.names import matching, nearest, resolve_name
from rnnkit.notebooks import NotebookError, parameters_of, run_notebook
from rnnkit.trials import StoreError, TrialStore, paths
from rnnkit.trials import export as exporting

TRIALS = places.TRIALS.name  # in the folder of figures: the trials behind them
EVIDENCE = places.FIGURES

NOTEBOOKS = {  # the experiments that each notebook draws; none: it draws no trials
    "0_start_here": ("start",),
    "1_architectures": (),
    "2_1_parameter_capacity": ("calibration", "inputs", "fig1", "fig2a", "fig2b", "figapp1"),
    "2_2_unit_capacity": ("fig2c",),
    "3_similar_loss": ("fig3",),
    "4_trainability": ("fig4", "fig5"),
    "A_tuner": ("tuner", "fig1", "fig5"),
    "B_tasks": (),
    "C_robustness": ("tableapp1",),
    "your_own_cell": ("more_cells",),
    "5_discussion": ("quantised",),  # last: its table of claims has what all others trained
}


def reproduce(
    scale="quick",
    only=(),
    store="trials.sqlite",
    out="results",
    seed=0,
    trials=None,
    workers=None,
    device=None,
    scheduler=None,
    notebooks=None,
    say=print,
):
    """Trains what the store lacks, executes the notebooks into `out`/notebooks, writes
    `out`/README.md and trials.parquet.

    `only` names notebooks or experiments (default: all). A notebook of which all experiments are
    chosen is executed, from the folder `notebooks` if one is named; else the chosen figures are
    drawn without it. What stands in `out` is
    replaced only where the kit wrote it, and drawn again only where its trials or the code have
    changed; trials that its trials.parquet has are taken over and stay in it. Returns the table of
    claims, one row a claim. Errors as in `studies.run`, and NotebookError. Everything that can be
    checked is checked before the first trial is trained.
    """
    from rnnkit.studies import SCALES, jobs_of, run

    chosen, scale = choose(only), resolve_name("scale", scale, SCALES)
    for name in [name for names in chosen.values() for name in names]:
        jobs_of(name, scale, seed, trials)  # ValueError now for what cannot be trained
    out = writable_folder(out)
    whole = [notebook for notebook, names in chosen.items() if names == NOTEBOOKS[notebook]]
    folder = notebooks_folder(notebooks, whole) if whole else None
    with TrialStore(store) as opened:
        take_over(opened, out / TRIALS, say)
        training = dict(
            seed=seed, trials=trials, workers=workers, device=device, scheduler=scheduler
        )
        settings = dict(scale=scale, seed=seed, trials=trials or 0, workers=workers or 0)
        settings |= dict(store=str(opened.path.resolve()), out=str(out.resolve()))
        for k, (notebook, names) in enumerate(chosen.items(), 1):
            label = f"notebook {k} of {len(chosen)}, {notebook}"
            say(f"{label}: {', '.join(names) or 'no trials'}")
            for name in names:
                run(name, scale, opened, label=f"{label}, {name}", **training)
                draw(stored_frames(opened, scale, seed, trials, [name]), out)
            if notebook in whole:
                say(f"{label}: executing")
                execute(folder / f"{notebook}.ipynb", out, settings)
        if opened.persistent:
            opened.export(out / TRIALS)
        frames = stored_frames(opened, scale, seed, trials)
    claims = finish(chosen, frames, out, say)
    if out.resolve() == EVIDENCE and (out / "claims.csv").exists():
        tell_in_readme(say)
    return claims


def tell_in_readme(say=print):
    """Writes the verdicts of the evidence that ships into the checkout's README, between their
    marks. StoreError.
    """
    import pandas as pd

    from rnnkit.exhibits import verdicts

    with TrialStore(EVIDENCE / TRIALS) as shipped:
        count = len(shipped)
    readme = EVIDENCE.parent / "README.md"
    if verdicts.write_block(
        readme, pd.read_csv(EVIDENCE / "claims.csv", dtype={"paper": str}), count
    ):
        say(f"{readme} has their verdicts.")


def take_over(store, parquet, say):
    """Adds to a store what the trials.parquet of the folder has: it stays there, so it is what the
    folder shows. StoreError.
    """
    if (
        not parquet.exists()
        or not store.persistent
        or (store.path.exists() and parquet.samefile(store.path))
    ):
        return
    from rnnkit.studies.foreign import Checker

    new = exporting.import_new(store, parquet, Checker(parquet))
    if new:
        say(
            f"{parquet} has {new:,} trials that {store.path} lacked; they are taken over. To train"
            " them anew, name another folder with --out."
        )


def execute(source, out, settings):
    """Executes a notebook into `out`/notebooks, with those settings that it has. NotebookError."""
    from rnnkit.exhibits import account

    place = out / "notebooks" / source.name
    known = parameters_of(source)
    run_notebook(source, place, {name: value for name, value in settings.items() if name in known})
    account.note(place.parent, source.stem, [place])


def finish(chosen, frames, out, say):
    """The gallery of all frames, and the claims of the chosen experiments, which are also told."""
    from rnnkit import analysis, figures
    from rnnkit.exhibits.base import exhibits

    drawn = {name: frame for name, frame in frames.items() if name in exhibits()}
    if drawn:
        figures.gallery(out, drawn)
    wanted = figures.companions(
        {name: frames[name] for names in chosen.values() for name in names if name in drawn}
    )
    claims = figures.claims_of(
        {name: figures.draw_into(out, name, frame) for name, frame in wanted.items()}
    )
    if len(claims):
        say(f"{claims_text(claims)}\nClaims of the paper: {analysis.tally(claims)}.")
    say(
        f"The figures are in {out}"
        + (f"; {out / 'README.md'} shows them all, with captions and verdicts." if drawn else ".")
    )
    return claims


def draw(frames, out):
    """Writes the figures that can be drawn from `frames` (experiment -> trials) into `out`: each
    appears as its studies end.
    """
    from rnnkit import figures
    from rnnkit.exhibits.base import exhibits

    for name, frame in figures.companions(
        {name: frame for name, frame in frames.items() if name in exhibits()}
    ).items():
        figures.draw_into(out, name, frame)


def stored_frames(store, scale, seed=0, trials=None, names=None) -> dict:
    """Experiment -> its trials, for those that the store has whole, also from earlier runs: the
    gallery shows all of them.

    Trials of larger scales are among them as `trials_in` says. The search of `start` is drawn as
    best_so_far; where Figure 1's is there, that comes of it. `names`: of these experiments alone.
    """
    from rnnkit.studies import EXPERIMENTS, SCALES, is_whole, trials_in

    scales, scale = list(SCALES), resolve_name("scale", scale, SCALES)
    sizes, frames = scales[scales.index(scale) :], {}
    for name in EXPERIMENTS if names is None else names:
        if any(is_whole(store, name, size, seed, trials) for size in sizes):
            frames[name] = trials_in(store, name, scale, seed, trials)
    if "start" in frames and "fig1" not in frames:
        frames["best_so_far"] = frames["start"]
    return frames


def verdicts(store, scale="quick", seed=0, trials=None):
    """The table of all claims of the paper, a row each: what the stored trials of a scale (or of a
    larger one) say of it.

    `figure` is the figure that decides it; a claim without trials in the store says so. StoreError.
    """
    import pandas as pd

    from rnnkit import analysis, figures, paper
    from rnnkit.exhibits.base import exhibits

    with TrialStore(store, create=False) as opened:
        frames = stored_frames(opened, scale, seed, trials)
    drawn = figures.companions(
        {name: frame for name, frame in frames.items() if name in exhibits()}
    )
    found = [analysis.compare(name, frame).assign(figure=name) for name, frame in drawn.items()]
    decided = (
        pd.concat(found, ignore_index=True).drop_duplicates("id").set_index("id")
        if found
        else pd.DataFrame()
    )
    rows = []
    for id, claim in paper.CLAIMS.items():
        lacking = {"claim": claim.text, "paper": claim.paper, "verdict": "no trials here"}
        rows.append(
            {
                "id": id,
                "where": claim.where,
                **(decided.loc[id] if id in decided.index else lacking),
            }
        )
    return analysis.Verdicts(
        rows,
        columns=[
            "id",
            "where",
            "claim",
            "paper",
            "ours",
            "low",
            "high",
            "verdict",
            "figure",
            "evidence",
        ],
    )


def choose(only=()) -> dict:
    """Notebook -> its chosen experiments, in order. ValueError for a name that is neither a
    notebook nor an experiment.
    """
    experiments = dict.fromkeys(name for names in NOTEBOOKS.values() for name in names)
    choices = [*experiments, *NOTEBOOKS]
    asked = [only] if isinstance(only, str) else list(only or ())
    only = [matching(name, choices) for name in asked]
    for name, meant in zip(asked, only):
        if meant is None:
            raise ValueError(
                f"only must name an experiment ({', '.join(experiments)}) or a notebook"
                f" ({', '.join(NOTEBOOKS)}), got {name!r}."
                f" {nearest(name, choices) or 'Check the spelling.'}"
            )
    chosen = {}
    for notebook, names in NOTEBOOKS.items():
        whole = not only or notebook in only
        before = {
            name for names in chosen.values() for name in names
        }  # two notebooks may draw the same trials
        wanted = tuple(name for name in names if whole or (name in only and name not in before))
        if whole or wanted:
            chosen[notebook] = wanted
    return chosen


def notebooks_folder(named=None, names=tuple(NOTEBOOKS)) -> Path:
    """The folder of the notebooks that are executed: the kit's own, or the one that is named.

    Nothing is executed for merely lying in a folder `notebooks` that the kit is run beside.
    NotebookError, with what to do, where a notebook is missing.
    """
    folder = places.NOTEBOOKS if named is None else paths.expand_home(named)
    missing = [f"{name}.ipynb" for name in names if not (folder / f"{name}.ipynb").is_file()]
    if missing:
        raise NotebookError(
            f"The notebooks must be in {folder}, and {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} not. Install rnnkit again, name the folder"
            " that has them with --notebooks, or choose experiments with --only."
        )
    return folder


def writable_folder(out) -> Path:
    """The folder for figures, made if need be and tried out before hours are spent.

    StoreError if nothing can be written there, or if something would be replaced that the kit did
    not write.
    """
    from rnnkit.exhibits import account
    from rnnkit.exhibits.base import exhibits, illustrations

    if not str(out).strip():
        raise StoreError("The folder for figures has no name. Give one, or leave --out away.")
    out = paths.expand_home(out)
    pictures = [
        f"{name}.{kind}"
        for name in (*exhibits(), *illustrations())
        for kind in ("png", "svg", "csv")
    ]
    account.check_free(out, ["README.md", "claims.csv", *pictures])
    account.check_free(out / "notebooks", [f"{name}.ipynb" for name in NOTEBOOKS])
    try:
        (out / "notebooks").mkdir(parents=True, exist_ok=True)
        probe = out / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"Figures cannot be written to {out} ({error.strerror}). Give another folder."
        ) from error
    return out


def claims_text(claims) -> str:
    """The table of claims for a terminal: id, claim, paper, ours with its interval, verdict."""

    def number(x):
        return x if isinstance(x, str) else "" if x is None or x != x else f"{x:.3g}"

    rows = [("", "claim", "paper", "ours", "verdict")]
    for _, row in claims.iterrows():
        interval = (
            f" [{number(row.low)}, {number(row.high)}]"
            if number(row.low) and number(row.high)
            else ""
        )
        claim = str(row.claim) if len(str(row.claim)) <= 70 else f"{str(row.claim)[:67]}..."
        rows.append(
            (str(row.id), claim, number(row.paper), number(row.ours) + interval, str(row.verdict))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows
    )
