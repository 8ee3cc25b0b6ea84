"""The command line. Modules that take long to import are imported inside the commands, so that help
and completion respond at once. For the same reason, the names of the scales are repeated here.

Exit codes: 0 for success; 1 for a failure during the run; 2 for an invalid command, option or
value, such as a path to a missing folder; 130 for a run that was interrupted.
"""

import errno
import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import click

import rnnkit
from rnnkit.notebooks import NOTEBOOKS
from rnnkit.paper import ARCHITECTURES
from rnnkit.places import WrongPath

SCALES = ("smoke", "quick", "overnight", "paper")
EXPERIMENTS = tuple(dict.fromkeys(chain(*NOTEBOOKS.values())))
MAX_REFUSALS = 5  # trials whose refusals `verify` lists
SHELLS = ("bash", "zsh", "fish")


def one_of(*names: str) -> Callable[[Any, Any, str], list[str]]:
    """A function for `shell_complete` that gives those of `names` which begin with the text typed
    so far.
    """
    return lambda context, option, prefix: [
        name for name in names if name.casefold().startswith(prefix.casefold())
    ]


class Place(click.Path):
    """A path option that refuses an empty name. The code that reads the path checks the rest."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not str(value).strip():
            self.fail("the name must not be empty. Name a file or folder.", param, ctx)
        return str(super().convert(value, param, ctx))


class Output(Place):
    """The path of a file that is written at the end; whether it can be written is checked at the
    start.
    """

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        path = Path(super().convert(value, param, ctx))
        if path.is_dir():
            self.fail(
                f"it must be the path of a file, got the folder {path}. Name a file.", param, ctx
            )
        if not path.parent.is_dir():
            self.fail(
                f"the folder {path.parent} must exist, but does not. Create it, or choose another.",
                param,
                ctx,
            )
        return str(path)


FILE = Place()
FOLDER = Place(file_okay=False)
OUTPUT = Output()
SCALE = click.option(
    "--scale",
    default="quick",
    show_default=True,
    metavar="NAME",
    shell_complete=one_of(*SCALES),
    help=(
        "How large: smoke (a few minutes, a test), quick (a quarter of an hour on two cores), overnight, or"
        " paper (as published)."
    ),
)
STORE = click.option(
    "--store",
    default="trials.sqlite",
    show_default=True,
    type=FILE,
    metavar="FILE",
    help="The SQLite file that keeps every trial. Trials that it has are not trained again.",
)
SEED = click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Fixes the initial weights, the data and the search; another seed is another run.",
)
TRIALS = click.option(
    "--trials",
    type=int,
    metavar="N",
    help="Trials per study.  [default: the scale's]",
)
WORKERS = click.option(
    "--workers",
    type=int,
    metavar="N",
    help=(
        "Processes that train in parallel; with --device cuda, processes that suggest trials while"
        " the GPU trains.  [default: one per core]"
    ),
)
DEVICE = click.option(
    "--device",
    metavar="NAME",
    shell_complete=one_of("cpu", "cuda"),
    help="Where to train: cpu or cuda.  [default: cpu; with --scheduler, what each worker has]",
)
SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help=(
        "The address of a Dask scheduler, such as tcp://host:8786, or its scheduler file. Its workers"
        " train instead of this machine."
    ),
)


ONLY = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(*EXPERIMENTS, *NOTEBOOKS),
    help=(
        f"An experiment ({', '.join(EXPERIMENTS)}) or a notebook; may be repeated.  [default: all]"
    ),
)
JAX = click.option(
    "--jax/--no-jax", default=True, help="Whether to compare with JAX, where it is installed."
)
JSON = click.option(
    "--json",
    "json_path",
    type=OUTPUT,
    metavar="FILE",
    help="Also write the numbers to this file.",
)


def plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command report an error in one sentence and exit with code 1, or 2 for an invalid
    value. An interrupted run says how to continue and exits with code 130.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            click.echo(
                str(stop)
                or "Stopped at once. Finished trials are kept; run the same command to continue.",
                err=True,
            )
            sys.exit(130)
        except Exception as error:
            if not has_sentence(error):
                raise
            with suppress(OSError, ValueError):  # the terminal may be gone
                click.echo(f"Error: {printable(sentence_of(error))}", err=True)
            invalid = type(error) is ValueError or isinstance(error, WrongPath)
            sys.exit(2 if invalid else 1)

    return run


def has_sentence(error: Exception) -> bool:
    """Whether an error is one that a user may meet, and not a mistake in the kit."""
    if isinstance(error, BrokenPipeError):
        return False
    # no error is of the store where its module, which takes a second to import, has not been needed
    of_the_store = getattr(sys.modules.get("rnnkit.trials"), "StoreError", ())
    known = (ValueError, OSError, RuntimeError, MemoryError, ImportError, of_the_store)
    return isinstance(error, known)


def printable(text: str) -> str:
    """A text without control characters, since a file from elsewhere may contain commands for the
    terminal.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def sentence_of(error: BaseException) -> str:
    """An error in one sentence. The kit's own errors already are one; for an error of the system,
    the sentence says what was refused and what to do.
    """
    if memory_ran_out(error):
        return (
            "Memory ran out. Finished trials are kept: take fewer --workers, or close other"
            " programs, and run the same command again."
        )
    if isinstance(error, ImportError):
        return (
            f"A library cannot be loaded ({' '.join(str(error).split())}). Free some memory, or"
            " install rnnkit again."
        )
    if isinstance(error, OSError) and error.errno:
        where = f": {str(error.filename)[:200]}" if error.filename else ""
        reason = f"{error.strerror}{where}"
        remedy = (
            "raise the limit with `ulimit -n`" if error.errno == errno.EMFILE else "correct that"
        )
        return (
            f"The system refused ({reason}). Finished trials are kept: {remedy}, and run the same"
            " command again."
        )
    return " ".join(str(error).split()) or type(error).__name__


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error says so; torch, where it is loaded, has errors of its own for it."""
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from rnnkit.studies.workers import out_of_memory

    return out_of_memory(error)


class Command(click.Command):
    """A command whose error for a word that belongs to no option says what it takes instead."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.allow_extra_args = True
        super().parse_args(context, args)
        if context.args and not context.resilient_parsing:
            takes = ", ".join(filter(None, map(notation, self.params)))
            raise click.UsageError(
                f"{context.command_path} takes {takes}, got {printable(' '.join(context.args))}"
                " besides. Write each value behind the name of its option, and leave out the rest.",
                context,
            )
        return context.args


def notation(parameter: click.Parameter) -> str:
    """How help writes an argument, as FOLDER, or an option with a value, as --scale NAME; empty for
    an option without a value.
    """
    if isinstance(parameter, click.Argument):
        return parameter.human_readable_name
    takes_value = isinstance(parameter, click.Option) and not parameter.is_flag
    return f"{parameter.opts[0]} {parameter.metavar}" if takes_value else ""


class Commands(click.Group):
    """A group whose error for an unknown command names the commands that it has."""

    command_class = Command
    group_class = type  # of groups within this one, too

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            commands = ", ".join(self.list_commands(context))
            message = f"{error.format_message()} The commands are {commands}."
            raise click.UsageError(message, context) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rnnkit.__version__, message="rnnkit %(version)s")
def main() -> None:
    """Reproduces "Capacity and Trainability in Recurrent Neural Networks" (Collins, Sohl-Dickstein
    & Sussillo, 2017).

    \b
    rnnkit plan --scale quick        what a run would cost on this machine
    rnnkit reproduce --scale quick   train, draw the figures, judge the claims

    A run may be interrupted at any moment: the same command continues it.
    """


@main.command()
@SCALE
@ONLY
@STORE
@click.option(
    "--out",
    default="results",
    show_default=True,
    type=FOLDER,
    metavar="FOLDER",
    help="Where figures and executed notebooks go.",
)
@click.option(
    "--notebooks",
    type=Place(exists=True, file_okay=False),
    metavar="FOLDER",
    help="Execute the notebooks of this folder.  [default: the kit's own]",
)
@SEED
@TRIALS
@WORKERS
@SCHEDULER
@DEVICE
@plainly
def reproduce(**settings: Any) -> None:
    """Train what the store lacks, and draw the figures.

    The trials of the chosen experiments are trained, their notebooks executed and their figures
    drawn. The run ends with a table of the paper's claims, our numbers and the verdicts;
    FOLDER/README.md is a gallery of all figures. Ctrl-C ends a run cleanly. The same command
    continues it, and trains only what is missing.
    """
    from rnnkit.reproduce import reproduce
    from rnnkit.studies.workers import ignore_hangup

    def say(text: str) -> None:
        # neither a lost terminal nor a closed pipe ends a run
        with suppress(OSError, ValueError):
            click.echo(text)

    with ignore_hangup():
        reproduce(**settings, say=say)


@main.command()
@SCALE
@ONLY
@STORE
@SEED
@TRIALS
@WORKERS
@DEVICE
@plainly
def plan(scale: str, only: tuple[str, ...], **settings: Any) -> None:
    """Print the cost of a run: trials, FLOPs, time.

    The time is estimated for this machine from a few short measurements. Trials that are in the
    store cost nothing, and a study that two experiments share is counted in the first.
    """
    from rnnkit.reproduce import choose
    from rnnkit.studies.planning import plan, scale_text
    from rnnkit.wording import duration

    experiments = list(dict.fromkeys(chain(*choose(only).values()))) if only else None
    table = plan(scale, experiments, **settings)
    click.echo(scale_text(scale))
    click.echo(f"{'experiment':<14}{'studies':>8}{'trials':>10}{'to train':>10}{'FLOPs':>10}  time")
    for row in table.itertuples():
        click.echo(
            f"{row.experiment:<14}{row.studies:>8,}{row.trials:>10,}{row.to_train:>10,}{row.flops:>10.1e}"
            f"  {duration(row.seconds)}"
        )
    if table.empty:
        click.echo("What is chosen draws no trials, so there is nothing to train.")


@main.command()
@click.argument("folder", type=FOLDER)
@plainly
def notebooks(folder: str) -> None:
    """Copy the notebooks and their trials into FOLDER.

    They go into FOLDER/notebooks and FOLDER/figures, to be opened with jupyter lab. Existing files
    are never replaced.
    """
    from rnnkit.notebooks import copy_into

    copies = copy_into(folder)
    click.echo(f"The notebooks are in {copies}; jupyter lab {copies} opens them.")


@main.group()
def trials() -> None:
    """Move trials to and from Parquet files, or list them."""


@trials.command("export")
@click.argument("parquet", type=FILE)
@STORE
@plainly
def export_(parquet: str, store: str) -> None:
    """Add all trials of a store to the file PARQUET.

    The file is created if needed. Trials that the file has stay in it. A file that does not hold
    trials is refused, and so is one whose record of a trial differs from the store's.
    """
    from rnnkit.trials import TrialStore

    with TrialStore(store, create=False) as trial_store:
        click.echo(f"{trial_store.export(parquet):,} trials written to {parquet}.")


@trials.command("import")
@click.argument("parquet", type=FILE, required=False)
@STORE
@plainly
def import_(parquet: str | None, store: str) -> None:
    """Add the trials of the file PARQUET to a store.

    Without a file, those that the kit ships are added. Trials that the store has stay as they are.
    Every value of the file is checked first, and nothing in it is executed.
    """
    from rnnkit import places
    from rnnkit.studies.import_check import ImportCheck
    from rnnkit.trials import TrialStore
    from rnnkit.trials.trial import StorePathError

    parquet = parquet or str(places.TRIALS)
    with TrialStore(store) as trial_store:
        if not trial_store.persistent:
            raise StorePathError(
                f"Trials imported into {store} would not be kept. Give the path of an SQLite file"
                " with --store."
            )
        new = trial_store.import_(parquet, ImportCheck(parquet))
        path = trial_store.path if trial_store.persistent else store
        click.echo(f"{new:,} new trials; {path} now has {len(trial_store):,}.")


@trials.command()
@STORE
@plainly
def show(store: str) -> None:
    """List the studies of a store.

    Of each: the numbers of trials and of infeasible ones, the best loss, and the minutes.
    """
    from rnnkit import wording
    from rnnkit.trials import TrialStore

    with TrialStore(store, create=False) as trial_store:
        studies = trial_store.summary()
    width = max([5, *(len(key) for key, *_ in studies)])
    click.echo(f"{'study':<{width}}{'trials':>8}{'infeasible':>12}{'best loss':>12}{'minutes':>9}")
    for key, count, infeasible, best, seconds in studies:
        click.echo(f"{key:<{width}}{count:>8,}{infeasible:>12,}{best:>12.5g}{seconds / 60:>9.1f}")
    total = sum(count for _, count, *_ in studies)
    trials_in_all = f"{total:,} trial{'' if total == 1 else 's'}"
    click.echo(f"{trials_in_all} in {wording.count(len(studies), 'study', 'studies')}")


@trials.command()
@STORE
@click.option(
    "--count", default=3, show_default=True, metavar="N", help="Number of trials to train again."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the random choice of trials.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where to train: cpu or cuda.",
)
@plainly
def verify(store: str, count: int, seed: int, device: str) -> None:
    """Train a few trials of a store again, and compare.

    Everything that a figure reads is compared: losses, accuracy, parameters, units, steps, and
    whether the trial diverged. On the machine and with the libraries that trained it, a trial comes
    out the same to the last digit. Elsewhere rounding differs, and long training magnifies the
    difference; by how much is measured by training the trial three times more, with learning rates
    that differ in the seventh digit. A number agrees if it is off by at most twice that difference,
    and by at most a twentieth of itself. A trial is refused if its key, its sizes and its
    hyper-parameters contradict each other, or if random search did not draw them. The exit code is
    1 if a trial does not agree or is refused. How long it took, and when and where, cannot be checked.
    """
    from rnnkit import wording
    from rnnkit.studies.verify import disagreements, verify
    from rnnkit.trials import StoreError, TrialStore
    from rnnkit.trials.trial import plain

    reruns = []
    refusals = []
    with TrialStore(store, create=False) as trial_store:
        for rerun in verify(trial_store, count, seed, device):
            if isinstance(rerun, StoreError):
                refusals.append(rerun)
                continue
            reruns.append(rerun)
            trial = rerun.trial
            outcome = rerun.outcome
            losses = (
                f"loss {trial.valid_loss:.6g} and {trial.eval_loss:.6g} stored,"
                f" {outcome.valid_loss:.6g} and {outcome.eval_loss:.6g} here"
            )
            click.echo(
                f"{plain(trial.study)} trial {trial.hyper_iter}, {trial.steps:,} steps: {losses};"
                f" {rerun.verdict}"
            )
    wrong = disagreements(reruns)
    exact = sum(rerun.exact for rerun in reruns)
    click.echo(
        f"{len(reruns) - len(wrong)} of {len(reruns)} trials agree, {exact} of them to the last"
        " digit."
    )
    for rerun in wrong:
        if rerun.agrees:
            click.echo(
                f"Trial {rerun.trial.hyper_iter} of {plain(rerun.trial.study)} DIFFERS: others of"
                " the same version, commit, source, torch and device come out the same to the last"
                " digit on this machine, so this one should, too."
            )
    if refusals:
        click.echo(f"{wording.count(len(refusals), 'trial is', 'trials are')} refused:")
        for refusal in refusals[:MAX_REFUSALS]:
            click.echo(f"  {printable(str(refusal))}")
        if len(refusals) > MAX_REFUSALS:
            click.echo(f"  ... and {len(refusals) - MAX_REFUSALS} more")
    if wrong or refusals:
        sys.exit(1)


@main.group(invoke_without_command=True)
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure this machine; without a command, its speed."""
    if context.invoked_subcommand is None:
        context.invoke(speed)


@bench.command()
@click.option(
    "--cell",
    "cells",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(*ARCHITECTURES),
    help=f"{', '.join(ARCHITECTURES[:-1])} or {ARCHITECTURES[-1]}; may be repeated.  [default: all]",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=int,
    metavar="N",
    help="Parameters of the network; may be repeated.  [default: 350 to 100,000]",
)
@click.option(
    "--steps",
    multiple=True,
    type=int,
    metavar="T",
    help="Time steps: 5, 50 or 175, each a task of its own; may be repeated.  [default: all]",
)
@click.option(
    "--seconds",
    default=0.5,
    show_default=True,
    metavar="S",
    help="How long each contender is measured at each size.",
)
@JAX
@JSON
@plainly
def speed(
    cells: tuple[str, ...], sizes: tuple[int, ...], steps: tuple[int, ...], **settings: Any
) -> None:
    """Time a training step, against torch.nn and JAX.

    In milliseconds, beside those of a loop over torch.nn and, if it is installed, of JAX.
    """
    from rnnkit.bench import speed

    speed.run(cells, sizes, steps, **settings)


@bench.command()
@JSON
@click.option(
    "--runs",
    "runs_path",
    type=OUTPUT,
    metavar="FILE",
    help=(
        "Also compare searches of real studies (half an hour): each is kept in this file, and only"
        " those that it lacks are run."
    ),
)
@plainly
def tuner(json_path: str | None = None, runs_path: str | None = None) -> None:
    """Time the tuner, and compare it with others.

    Seconds per suggestion, and best-so-far curves against random search and skopt's GP.
    """
    from rnnkit.bench import tuners

    tuners.main(json_path, runs_path)


@bench.command()
@click.option("--short", is_flag=True, help="Measure fewer networks, in about a minute.")
@JAX
@click.option(
    "--sweep", "sweeping", is_flag=True, help="Also compare few large blocks with many small ones."
)
@click.option(
    "--quick", is_flag=True, help="Also train all of the scale quick, from an empty store."
)
@JSON
@click.option("--device", default="cuda", show_default=True, metavar="NAME", help="Which GPU.")
@plainly
def gpu(json_path: str | None, **settings: Any) -> None:
    """Check the training step of the GPU, and time it.

    It is checked against the step of the processor.
    """
    from rnnkit.bench import gpu
    from rnnkit.training import check_device

    if settings["device"] == "cpu":
        raise ValueError("device must be a GPU, got cpu. Name one, such as cuda.")
    check_device(settings["device"], "Measure on a machine that has one.")
    gpu.main(path=json_path, **settings)


@main.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script by which SHELL completes with Tab.

    \b
    bash:  echo 'eval "$(rnnkit completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(rnnkit completion zsh)"' >> ~/.zshrc
    fish:  rnnkit completion fish > ~/.config/fish/completions/rnnkit.fish

    Commands, options, scales, experiments, notebooks, cells and files are completed.
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None, "click has all of SHELLS"
    click.echo(complete(main, {}, "rnnkit", "_RNNKIT_COMPLETE").source())


if __name__ == "__main__":
    main(prog_name="rnnkit")
