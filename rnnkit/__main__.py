"""The command line. Heavy imports wait inside the commands, so that help and completion are there
at once; so the names that can be completed stand here, too.

Exit codes: 0; 1 for what went wrong on the way; 2 for a command, an option or a value that cannot
be; 130 for a run that was interrupted.
"""

import errno
import functools
import sys
from contextlib import suppress

import click

import rnnkit

SCALES = ("smoke", "quick", "overnight", "paper")
EXPERIMENTS = (
    "start", "calibration", "inputs", "fig1", "fig2a", "fig2b", "fig2c", "fig3", "fig4", "fig5", "figapp1", "tableapp1",
    "tuner", "more_cells", "quantised",
)  # fmt: skip
NOTEBOOKS = (
    "0_start_here", "1_architectures", "2_1_parameter_capacity", "2_2_unit_capacity", "3_similar_loss", "4_trainability",
    "5_discussion", "A_tuner", "B_tasks", "C_robustness", "your_own_cell",
)  # fmt: skip
CELLS = ("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn")
SHELLS = ("bash", "zsh", "fish")


def one_of(*names):
    """For `shell_complete`: those of some names that begin as what is typed does."""
    return lambda context, option, typed: [
        name for name in names if name.casefold().startswith(typed.casefold())
    ]


FILE = click.Path()  # completed by the shell; checked by who reads it, in a better sentence
SCALE = click.option(
    "--scale",
    default="quick",
    show_default=True,
    metavar="NAME",
    shell_complete=one_of(*SCALES),
    help=(
        "How large: smoke (seconds, a test), quick (about half an hour on two cores), overnight, or"
        " paper (as published)."
    ),
)
STORE = click.option(
    "--store",
    default="trials.sqlite",
    show_default=True,
    type=FILE,
    metavar="FILE",
    help="The SQLite file that keeps every trial. What is in it is not trained again.",
)
SEED = click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Fixes initial weights, data and search; another seed is another run.",
)
TRIALS = click.option(
    "--trials",
    default=None,
    type=int,
    metavar="N",
    help="Trials a study, instead of what the scale says.",
)
WORKERS = click.option(
    "--workers",
    default=None,
    type=int,
    metavar="N",
    help=(
        "Processes that train side by side; with --device cuda, that suggest while the GPU trains. "
        " [default: one a core]"
    ),
)
DEVICE = click.option(
    "--device",
    default=None,
    metavar="NAME",
    shell_complete=one_of("cpu", "cuda"),
    help="Where to train: cpu or cuda.  [default: cpu; with --scheduler, what each worker has]",
)
SCHEDULER = click.option(
    "--scheduler",
    default=None,
    metavar="ADDRESS",
    help=(
        "A Dask scheduler, as tcp://host:8786 or its scheduler file, whose workers train instead of"
        " this machine."
    ),
)


def plainly(command):
    """Errors as one sentence and exit code 1, or 2 where a value cannot be; an interrupted run says
    how to go on and exits with 130.
    """

    @functools.wraps(command)
    def run(*args, **kwargs):
        from rnnkit.trials import StoreError

        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            click.echo(
                str(stop)
                or "Stopped at once. What was finished is kept; run the same again to go on from there.",
                err=True,
            )
            sys.exit(130)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, StoreError, RuntimeError, MemoryError, ImportError) as error:
            with suppress(OSError, ValueError):  # nobody may be there to hear it
                click.echo(f"Error: {printable(sentence_of(error))}", err=True)
            sys.exit(2 if type(error) is ValueError else 1)

    return run


def printable(text: str) -> str:
    """A text without commands to the terminal, which a file from elsewhere may have in its texts."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def sentence_of(error) -> str:
    """An error in one sentence: ours are; of the system's, what it refused and what to do."""
    if isinstance(error, MemoryError):
        return (
            "Memory ran out. What was finished is kept: take fewer --workers, or end other"
            " programs, and run the same again."
        )
    if isinstance(error, ImportError):
        return (
            f"A library cannot be loaded ({' '.join(str(error).split())}). Leave it more memory, or"
            " install rnnkit again."
        )
    if isinstance(error, OSError) and error.errno:
        where = f": {str(error.filename)[:200]}" if error.filename else ""
        what = f"{error.strerror}{where}"
        raised = "raise the limit with `ulimit -n`" if error.errno == errno.EMFILE else "mend that"
        return (
            f"The system refused ({what}). What was finished is kept: {raised}, and run the same"
            " again."
        )
    return " ".join(str(error).split()) or type(error).__name__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rnnkit.__version__, message="rnnkit %(version)s")
def main():
    """Reproduces "Capacity and Trainability in Recurrent Neural Networks" (Collins, Sohl-Dickstein
    & Sussillo, 2017).

    \b
    rnnkit plan --scale quick        what a run would cost on this machine
    rnnkit reproduce --scale quick   train, draw the figures, judge the claims

    A run may be interrupted at any moment: the same command goes on from where it was.
    """


@main.command()
@SCALE
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(*EXPERIMENTS, *NOTEBOOKS),
    help=(
        f"An experiment ({', '.join(EXPERIMENTS)}) or a notebook; may be given again. "
        " [default: all]"
    ),
)
@STORE
@click.option(
    "--out",
    default="results",
    show_default=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Where figures and executed notebooks go.",
)
@click.option(
    "--notebooks",
    default=None,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Execute the notebooks of this folder.  [default: the kit's own]",
)
@SEED
@TRIALS
@WORKERS
@SCHEDULER
@DEVICE
@plainly
def reproduce(**settings):
    """Train what the store lacks, execute the notebooks, draw the figures.

    At the end stands a table of the paper's claims with our numbers and verdicts; FOLDER/README.md
    is a gallery of all figures. Ctrl-C ends a run cleanly. The same command goes on from there, and
    only what is missing is trained.
    """
    from rnnkit.reproduce import reproduce
    from rnnkit.studies.workers import without_a_terminal

    def say(text):
        # a terminal that is lost or a pipe that is closed does not end a run
        with suppress(OSError, ValueError):
            click.echo(text)

    with without_a_terminal():
        reproduce(**settings, say=say)


@main.command()
@SCALE
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(*EXPERIMENTS),
    help="An experiment; may be given again.  [default: all]",
)
@STORE
@SEED
@TRIALS
@WORKERS
@DEVICE
@plainly
def plan(scale, only, **settings):
    """Print the cost of a run: trials, FLOPs, time.

    The time is for this machine, from a few short measurements. Trials that the store has cost
    nothing; studies that two experiments share are counted where they come first.
    """
    from rnnkit.studies.planning import plan, scale_text
    from rnnkit.wording import duration

    table = plan(scale, list(only) or None, **settings)
    click.echo(scale_text(scale))
    click.echo(f"{'experiment':<14}{'studies':>8}{'trials':>10}{'to train':>10}{'FLOPs':>10}  time")
    for row in table.itertuples():
        click.echo(
            f"{row.experiment:<14}{row.studies:>8,}{row.trials:>10,}{row.to_train:>10,}{row.flops:>10.1e}"
            f"  {duration(row.seconds)}"
        )


@main.command()
@click.argument("folder", type=click.Path(file_okay=False))
@plainly
def notebooks(folder):
    """Copy the notebooks, and the trials that they draw, into FOLDER.

    They go into FOLDER/notebooks and FOLDER/figures, to be opened with jupyter lab. Nothing that is
    there is replaced.
    """
    from rnnkit.notebooks import copy_into

    place = copy_into(folder)
    click.echo(f"The notebooks are in {place}; jupyter lab {place} opens them.")


@main.group()
def trials():
    """Move trials to and from Parquet files, or list them."""


@trials.command("export")
@click.argument("parquet", type=FILE)
@STORE
@plainly
def export_(parquet, store):
    """Add all trials of a store to the file PARQUET, which is made if need be.

    What the file has stays in it. A file that holds anything else than trials is refused, and so is
    one that has another record of the same trials.
    """
    from rnnkit.trials import TrialStore

    with TrialStore(store, create=False) as opened:
        click.echo(f"{opened.export(parquet):,} trials written to {parquet}.")


@trials.command("import")
@click.argument("parquet", type=FILE, required=False)
@STORE
@plainly
def import_(parquet, store):
    """Add the trials of the file PARQUET to a store, or else those that the kit ships.

    Trials that the store has stay as they are. The file is checked first, value by value, and
    nothing in it is run.
    """
    from rnnkit import places
    from rnnkit.studies.foreign import Checker
    from rnnkit.trials import StoreError, TrialStore

    parquet = parquet or str(places.TRIALS)
    with TrialStore(store) as opened:
        if not opened.persistent:
            raise StoreError(
                f"What is imported into {store} would not be kept. Give the path of an SQLite file"
                " with --store."
            )
        new = opened.import_(parquet, Checker(parquet))
        click.echo(
            f"{new:,} new trials; {opened.path if opened.persistent else store} now has {len(opened):,}."
        )


@trials.command()
@STORE
@plainly
def show(store):
    """List the studies of a store: trials, infeasible ones, best loss."""
    from rnnkit.trials import TrialStore

    with TrialStore(store, create=False) as opened:
        studies = opened.summary()
    width = max([5, *(len(key) for key, *_ in studies)])
    click.echo(f"{'study':<{width}}{'trials':>8}{'infeasible':>12}{'best loss':>12}{'minutes':>9}")
    for key, count, infeasible, best, seconds in studies:
        click.echo(f"{key:<{width}}{count:>8,}{infeasible:>12,}{best:>12.5g}{seconds / 60:>9.1f}")
    click.echo(f"{sum(count for _, count, *_ in studies):,} trials in {len(studies)} studies")


@trials.command()
@STORE
@click.option("--count", default=3, show_default=True, metavar="N", help="How many trials.")
@click.option(
    "--seed", default=0, show_default=True, help="Which trials: another seed draws others."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where to train: cpu or cuda.",
)
@plainly
def verify(store, count, seed, device):
    """Train a few trials of a store again on this machine, and say whether they agree.

    All that a figure reads is compared: losses, accuracy, parameters, units, steps, and whether the
    trial diverged. With the machine and libraries that trained it, a trial comes out the same to
    the last digit. Elsewhere rounding differs, and long training magnifies that; how much is
    measured by training the trial again with a learning rate that differs in the seventh digit. A
    number agrees if it is no further off than twice that, and never if it is off by more than a
    twentieth. The exit code is 1 where a trial does not agree.
    """
    from rnnkit.studies.verify import false_ones, verify
    from rnnkit.trials import TrialStore
    from rnnkit.trials.trial import plain

    done = []
    with TrialStore(store, create=False) as opened:
        for one in verify(opened, count, seed, device):
            done.append(one)
            trial, here = one.trial, one.outcome
            losses = (
                f"loss {trial.valid_loss:.6g} and {trial.eval_loss:.6g} stored,"
                f" {here.valid_loss:.6g} and {here.eval_loss:.6g} here"
            )
            click.echo(
                f"{plain(trial.study)} trial {trial.hyper_iter}, {trial.steps:,} steps: {losses};"
                f" {one.verdict}"
            )
    wrong, same = false_ones(done), sum(one.exact for one in done)
    click.echo(
        f"{len(done) - len(wrong)} of {len(done)} trials agree, {same} of them to the last digit."
    )
    for one in wrong:
        if one.agrees:
            click.echo(
                f"Trial {one.trial.hyper_iter} of {plain(one.trial.study)} DIFFERS: others of the"
                " same version, commit, source, torch and device come out the same to the last digit on"
                " this machine, so it should."
            )
    if wrong:
        sys.exit(1)


@main.group(invoke_without_command=True)
@click.pass_context
def bench(context):
    """Measure this machine: `speed` of training (the default), the `tuner`, or the `gpu`."""
    if context.invoked_subcommand is None:
        context.invoke(speed)


@bench.command()
@click.option(
    "--cell",
    "cells",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(*CELLS),
    help=f"{', '.join(CELLS[:-1])} or {CELLS[-1]}; may be given again.  [default: all]",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=int,
    metavar="N",
    help="Parameters of the network; may be given again.  [default: 350 to 100,000]",
)
@click.option(
    "--steps",
    multiple=True,
    type=int,
    metavar="T",
    help="Time steps, 5, 50 or 175; each is a task of its own; may be given again.  [default: all]",
)
@click.option(
    "--seconds",
    default=0.5,
    show_default=True,
    help="How long each of those compared is measured, at each size.",
)
@click.option(
    "--jax/--no-jax", default=True, help="Whether to compare with JAX, where it is installed."
)
@click.option(
    "--json", "json_path", default=None, metavar="FILE", help="Write the numbers to this file too."
)
@plainly
def speed(cells, sizes, steps, **settings):
    """Milliseconds a training step, against a loop over torch.nn and, if installed, JAX."""
    from rnnkit.bench import speed

    chosen = {
        name: values
        for name, values in (("cells", cells), ("sizes", sizes), ("steps", steps))
        if values
    }
    speed.main(**chosen, **settings)


@bench.command()
@click.option(
    "--json", "path", default=None, metavar="FILE", help="Write the numbers to this file too."
)
@click.option(
    "--runs",
    "runs_path",
    default=None,
    metavar="FILE",
    help=(
        "Compare searches of real studies too (half an hour): each is kept in this file, and only"
        " what it lacks is run."
    ),
)
@plainly
def tuner(path=None, runs_path=None):
    """Seconds per suggestion, and best-so-far curves against random search and skopt's GP."""
    from rnnkit.bench import tuner

    tuner.main(path, runs_path)


@bench.command()
@click.option("--short", is_flag=True, help="Fewer networks, in about a minute.")
@click.option(
    "--jax/--no-jax", default=True, help="Whether to compare with JAX, where it is installed."
)
@click.option(
    "--sweep", "sweeping", is_flag=True, help="Also compare few large blocks with many small ones."
)
@click.option(
    "--json", "path", default=None, metavar="FILE", help="Write the numbers to this file too."
)
@click.option("--device", default="cuda", show_default=True, metavar="NAME", help="Which GPU.")
@plainly
def gpu(**settings):
    """Check the GPU's training step against the processor's, and measure it."""
    from rnnkit.bench import gpu

    gpu.main(**settings)


@main.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion(shell):
    """Print a script with which SHELL (bash, zsh or fish) completes rnnkit's words with Tab.

    \b
    bash:  echo 'eval "$(rnnkit completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(rnnkit completion zsh)"' >> ~/.zshrc
    fish:  rnnkit completion fish > ~/.config/fish/completions/rnnkit.fish

    Commands, options, scales, experiments, notebooks, cells and files are completed.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)(main, {}, "rnnkit", "_RNNKIT_COMPLETE")
    click.echo(script.source())


if __name__ == "__main__":
    main(prog_name="rnnkit")
