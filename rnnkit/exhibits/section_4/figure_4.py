"""Figure 4: how soon and how well searches solve the hard tasks.

If a network solved a task, that is a fact at any scale. If it did not, that says something about the
network only if its search has come to its end (`convergence`). Whether one architecture does better
than another is decided by tests of the pairs that the claim names, with Holm's correction. Intervals
resample tasks and depths, or trials where it is said.

In what follows, `networks` is the table of `hard_trials.by_network`: a row for each task, depth and
architecture.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import (
    NOTHING_TO_SEE,
    by_architecture,
    numbers_of,
    task_name,
    write_budget,
)
from rnnkit.exhibits.finding import (
    DEEP,
    FAILS,
    HOLDS,
    MIN_CELLS,
    NO_DEPTH,
    RARELY,
    SOLVED,
    STILL,
    SURELY,
    UNTESTED,
    Pair,
    mean,
    pairs_verdict,
)
from rnnkit.exhibits.judge import ALWAYS, Limit, Measured, Rule, all_limits, unlikely
from rnnkit.exhibits.overlays import overlay_search
from rnnkit.exhibits.section_4.hard_trials import (
    TASK_AND_DEPTH,
    LossAxis,
    by_network,
    forms_of,
    hard_trials,
    in_paper_order_of,
)
from rnnkit.exhibits.selection import GP, HARD, by_gaussian_process, one_size
from rnnkit.exhibits.statistics import (
    DRAWS,
    bootstrap_samples,
    mann_whitney,
    running_median,
    running_minimum,
    share_beyond,
    shuffle_labels,
    student,
    wilson,
)
from rnnkit.exhibits.style import (
    GREY,
    PALE,
    Drawing,
    Style,
    architecture_keys,
    draw_search,
    house_style,
    legend,
    letter,
    line_key,
    new_figure,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.markup import SmallTable
from rnnkit.wording import and_list, count, label_of, layers


def searches(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the searches on the hard tasks (Figure 4), each task in one form and size."""
    return one_size(by_gaussian_process(*HARD)(frame))


def running_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """The running median and minimum of the loss over the trials of each study, with their bands
    (Figure 4): a row for each trial.
    """
    parts = []
    for _, study in (
        hard_trials(trials).sort_values(["study", "hyper_iter"]).groupby("study", sort=False)
    ):
        middle = running_median(study.loss)
        least = running_minimum(study.loss)
        values = {
            "median": middle.center,
            "median_low": middle.low,
            "median_high": middle.high,
            "minimum": least.center,
            "minimum_high": least.high,
        }
        parts.append(study.assign(**{name: column.to_numpy() for name, column in values.items()}))
    return in_paper_order_of(
        pd.concat(parts, ignore_index=True), [*TASK_AND_DEPTH, "architecture", "study", "trial"]
    )


@house_style
def draw(frame: pd.DataFrame) -> Drawing:
    """Figure 4: running median (a-d) and minimum (e-h) of the loss over trials on parentheses,
    (i-p) on arithmetic; a row for each depth. ValueError without trials.
    """
    table = points("fig4", frame)["fig4"]
    forms = forms_of("fig4", frame)
    style = style_of(table.architecture)
    figure = new_figure(14.5)
    tasks = ("parens_counting", "arithmetic")
    halves = zip(figure.subfigures(len(tasks), 1), tasks, ("abcdefgh", "ijklmnop"))
    authors_key = []
    for half, task, letters in halves:
        subset = table[table.task_type == task]
        half.suptitle(task_name(task), fontsize=10)
        axes = half.subplots(len(paper.HARD_DEPTHS), 2, sharex=True)
        for index, (row, depth) in enumerate(zip(axes, paper.HARD_DEPTHS)):
            names = letters[index], letters[index + len(paper.HARD_DEPTHS)]
            authors_key = _draw_depth(row, names, subset, task, depth, style, forms) or authors_key
        axes[-1, 0].set_xlim(0, max(10, subset.trial.max() * 1.02 if len(subset) else 10))
        axes[-1, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for ax in axes[-1]:
            ax.set_xlabel("trials")
    sns.despine(figure)
    legend(figure, [*architecture_keys(table.architecture), *_search_keys(), *authors_key])
    write_budget(figure, "fig4", frame)
    return figure


def _draw_depth(
    axes: Sequence[Axes],
    names: Sequence[str],
    subset: pd.DataFrame,
    task: str,
    depth: int,
    style: Mapping[str, Style],
    forms: Mapping[str, str],
) -> list:
    """Draws the median and the minimum of a task at one depth, with one axis of losses. Returns the
    legend's entry of the authors' trials.
    """
    own = subset[subset.n_layers == depth]
    authors_key = []
    axes[0].set_ylabel("nats per symbol" if task == "arithmetic" else "nats")
    trained = own if len(own) else subset
    scale = LossAxis(trained.loss, trained.chance.iloc[0]) if len(trained) else None
    for ax, name, statistic in zip(axes, names, ("median", "minimum")):
        letter(ax, name, f"{statistic} loss so far, {layers(depth)}")
        if scale is None:
            ax.set_yticks([])
        else:
            _draw_search(ax, own, statistic, style, scale)
            authors_key = overlay_search(
                ax, "fig4", task, depth, statistic, scale.heights, forms[task]
            )
        if own.empty:
            write_note(ax, _why_empty(subset, task, depth))
    if scale is not None:
        off = (own.loss > scale.high).any()
        write_at_right(axes[-1], scale.chance, f"chance {scale.chance:.3g}")
        write_at_right(axes[-1], scale.top, f"> {scale.high:.2g}" if off else "diverged")
    return authors_key


def _why_empty(subset: pd.DataFrame, task: str, depth: int) -> str:
    """Why a panel of Figure 4 is empty."""
    if subset.empty:
        return f"{task_name(task)}:\nnot trained"
    return f"depth {depth}: not trained\nat this scale"


def _search_keys() -> list:
    """Entries of Figure 4's legend that hold for all architectures."""
    return [
        line_key("chance"),
        Patch(color=GREY, alpha=0.2, label="95 % interval"),
        line_key("a trial", "none", marker="o", markersize=2.5),
        Patch(color=PALE, label="diverged, or off the axis"),
    ]


def _draw_search(
    ax: Axes, subset: pd.DataFrame, statistic: str, style: Mapping[str, Style], scale: LossAxis
) -> None:
    """Draws one panel: a curve with its band for each study, and under medians a dot for each trial."""
    scale.dress(ax)
    running = statistic == "median"
    for (architecture, _), study in subset.groupby(["architecture", "study"], sort=False):
        s = style[architecture]
        low, high = (study.get(f"{statistic}_{end}", study[statistic]) for end in ("low", "high"))
        ax.fill_between(
            study.trial,
            scale.heights(low),
            scale.heights(high),
            where=(low.notna() & high.notna()).to_numpy(),
            color=s.color,
            alpha=0.08,
            linewidth=0,
            step=None if running else "post",
            zorder=1,
        )
        losses = scale.heights(study.loss) if running else None
        curve = scale.heights(study[statistic])
        draw_search(ax, study.trial, losses, curve, s, not running, architecture)


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """By task and depth, which architectures solved it and how well."""
    sentences = []
    for (task, depth), group in tables["fig4_networks"].groupby(
        ["task_type", "n_layers"], sort=False
    ):
        group = group.dropna(subset="minimum").set_index("architecture").sort_values("minimum")
        if group.empty:
            continue
        solvers = group[group.solved > 0]
        chance = group.chance.iloc[0]
        name = {"parens_counting": "Parentheses"}.get(task, task[0].upper() + task[1:])
        head = (
            f"{name}, {layers(depth)}: {len(solvers)} of {len(group)} architectures came below"
            f" {SOLVED:g} of chance ({chance:.3g} nats)"
        )
        least = (
            f"least losses {numbers_of(solvers.minimum, '.2g')}"
            if len(solvers)
            else f"the least loss is {numbers_of(group.minimum[:1], '.3g')}"
        )
        sentences.append(f"{head}; {least}.")
    return sentences or [NOTHING_TO_SEE]


PLAIN = tuple(a for a in paper.ARCHITECTURES if not paper.GATES[a])  # RNN and IRNN
GATED = tuple(a for a in paper.ARCHITECTURES if paper.GATES[a])
VERDICT_WORDS = {HOLDS: "holds", FAILS: "fails", UNTESTED: "is undecided"}


def plain_are_last(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """P01: the share of the pairs of a plain cell (RNN, IRNN) and a gated one in which the plain cell
    comes below the threshold later, over the tasks and depths that any network solved.

    `odds` holds p-values for that share and for the share of pairs in which the plain cell ends at a
    higher loss: how often shuffled labels give as much, and how often as little.
    """
    tables, plain = _solved_tables(networks)
    number = len(tables[0])
    if not number:
        reason_lacking = f"no network reached a loss below {SOLVED:g} of chance beside others"
        return Measured(lacks=reason_lacking)
    shares = [_share_later(table, plain) for table in tables]
    slower, worse = (float(share.mean()) for share in shares)
    reason = (
        f"{slower:.0%}, and they end at a higher loss in {worse:.0%}, over"
        f" {count(number, 'task and depth', 'tasks and depths')} that any network solved"
    )
    odds = []
    for table, share in zip(tables, (slower, worse)) if number >= MIN_CELLS else ():
        shuffles = shuffle_labels(table, lambda draw: _share_later(draw, plain).mean(-1))
        odds.append((share_beyond(share, shuffles), share_beyond(-share, -shuffles)))
    return Measured(
        slower,
        *student(shares[0], 0, 1),
        reason,
        has={"tasks and depths": number},
        lacks=f"{reason}; it takes {MIN_CELLS}",
        more={"odds": odds},
    )


def _solved_tables(networks: pd.DataFrame) -> tuple[list[np.ndarray], np.ndarray]:
    """Two arrays, tasks and depths that any network solved x architectures, of the first trial that
    solved the task and of the least loss; and which of the columns are plain cells.
    """
    solvable = networks[networks.groupby(TASK_AND_DEPTH).solved.transform("sum") > 0]
    values = [
        solvable.assign(**{name: solvable[name].fillna(math.inf)}).pivot(
            index=TASK_AND_DEPTH, columns="architecture", values=name
        )
        for name in ("first_solved", "minimum")
    ]
    names = [a for a in (*PLAIN, *GATED) if a in values[1]]
    tables = [table[names].to_numpy(float) for table in values]
    plain = np.array([a in PLAIN for a in names], bool)
    comparable = ~np.isnan(_share_later(tables[0], plain))
    return [table[comparable] for table in tables], plain


def _share_later(table: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """The share of the pairs of a plain and a gated cell in which the plain one has the higher value;
    a tie counts as half. ... x columns -> ...
    """
    plain_values = table[..., plain, None]
    gated_values = table[..., None, ~plain]
    later = (plain_values > gated_values) + 0.5 * (plain_values == gated_values)
    present = ~(np.isnan(plain_values) | np.isnan(gated_values))
    pairs = present.sum((-1, -2))
    return np.divide(
        (later * present).sum((-1, -2)), pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0
    )


def only_gated_when_deep(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """P03: the share of RNN's and IRNN's trials at the greatest depth that solve their task, over the
    tasks that any network solved there. `gated` is the lower end of the gated cells' share.
    """
    depth = networks.n_layers.max()
    deep = networks[networks.n_layers == depth]
    # a task that none solves tells nothing
    deep = deep[deep.task_type.isin(deep.task_type[deep.solved > 0])]
    if depth < DEEP:
        return Measured(lacks=NO_DEPTH.format(depth, DEEP))
    if deep.empty:
        return Measured(lacks=f"no network solved a task at depth {depth}")
    (n_solved, n_feasible), (gated_solved, gated_feasible) = (
        (int(group.solved.sum()), int((group.trials - group.infeasible).sum()))
        for group in (deep[deep.architecture.isin(names)] for names in (PLAIN, GATED))
    )
    interval = wilson(n_solved, n_feasible)
    gated_low = wilson(gated_solved, gated_feasible)[0]
    least = (deep.minimum / deep.chance).groupby(deep.architecture).min().dropna().sort_values()
    best = ", ".join(f"{label_of(architecture)} {loss:.2g}" for architecture, loss in least.items())
    return Measured(
        n_solved / n_feasible if n_feasible else math.nan,
        *interval,
        f"at depth {depth} RNN and IRNN solved in {n_solved} of {n_feasible} trials, gated cells in"
        f" {gated_low:.0%} or more; least loss over chance: {best}",
        more={"solved": n_solved, "gated": gated_low},
        if_open="; too few solved to tell",
    )


def easiest(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """P04, H04: whether the GRU at depth 1, and +RNN at the greatest depth, are easier to train than
    every other architecture.

    The named pairs are tested trial against trial (Mann & Whitney, with Holm's correction over all of
    them), so the verdict is about these trials and not about other searches. The number shown is the
    largest ratio of medians, the named architecture over another, with an interval that resamples
    their trials. `lowest` is the share of tasks and depths at which the named architecture also has
    the lowest minimum.
    """
    deepest = trials.n_layers.max()
    pairs = []
    ratios = []
    halves = []
    first = []
    for champion, depth in (("gru", 1), ("+rnn", deepest)) if deepest >= DEEP else (("gru", 1),):
        for task, sample in _samples(trials, depth):
            if champion not in sample or len(sample) < 3:
                continue
            mine = _against_each(champion, sample)
            pairs += mine
            verdict, phrase = pairs_verdict(mine)
            halves.append(
                f"{label_of(champion)} at depth {depth} on {_task_word(task)} {VERDICT_WORDS[verdict]}, {phrase}"
            )
            first.append(min(sample, key=lambda a: sample[a].min()) == champion)
            ratios += [
                (float(_ratio(sample[champion], sample[a])), sample[champion], sample[a])
                for a in sample
                if a != champion
            ]
    if not pairs:
        reason_lacking = "neither GRU at depth 1 nor +RNN at depth was trained beside others"
        return Measured(lacks=reason_lacking)
    ratio, *samples = max(ratios, key=lambda item: item[0])
    verdict, phrase = pairs_verdict(pairs)
    reason = (
        f"lower than every other: {'; '.join(halves)}; all together {phrase}; theirs is the lowest"
        f" minimum in {sum(first)} of {len(first)}"
    )
    return Measured(
        ratio,
        *bootstrap_samples(samples, lambda draws: _ratio(*draws)),
        reason,
        has={"layers": deepest},
        lacks=f"{reason}; {NO_DEPTH.format(deepest, DEEP)}",
        doubt=_too_short(networks, {1, deepest}),
        more={"order": verdict, "lowest": sum(first) / len(first)},
    )


def _too_short(networks: pd.DataFrame, depths: set[int]) -> str:
    """The doubt about trainings that ended before any network had solved a task at one of these depths;
    empty if some did at each.
    """
    solved = networks.groupby("n_layers").solved.sum()
    unsolved = sorted(depth for depth in depths if not solved.get(depth, 0))
    if not unsolved:
        return ""
    return f"no trial solved a task at depth {and_list(unsolved)}, so none was trained for long enough to compare"


def _against_each(champion: str, sample: dict) -> list[Pair]:
    """Mann & Whitney's test of one architecture's losses against those of each other."""
    return [
        Pair(champion, a, *mann_whitney(sample[champion], sample[a]))
        for a in sample
        if a != champion
    ]


def _samples(trials: pd.DataFrame, depth: int) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """For each task at this depth: the task, and the losses by architecture. In a search, a diverged
    trial counts as worse than any.
    """
    hard = hard_trials(
        trials[(trials.n_layers == depth) & trials.architecture.isin(paper.ARCHITECTURES)]
    )
    if trials.tuner.isin(GP).all():  # as in the curves; Figure 5 leaves diverged ones out
        hard = hard.assign(loss=hard.loss.fillna(math.inf))
    for task, group in hard.dropna(subset="loss").groupby("task_type", sort=False):
        names = [a for a in paper.ARCHITECTURES if a in set(group.architecture)]
        yield task, {a: group.loss[group.architecture == a].to_numpy() for a in names}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Median over median, along the last axis; inf where the first is not finite."""
    numerator = np.median(numerator, -1)
    denominator = np.median(denominator, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isinf(numerator), np.inf, numerator / denominator)[()]


def arithmetic_is_harder(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """P05: by how many decades RNN's and IRNN's best loss on arithmetic falls over the last third of a
    search, on average.

    `harder` is the interval of a ratio: the best loss over chance on arithmetic, over that on
    parentheses. The best of any search falls, one time in three in its last third. The fall is
    therefore compared with that of the same trials in another order: `odds` holds the p-values of
    falling as much, and as little.
    """
    table = (
        (networks.minimum / networks.chance)
        .groupby([networks.n_layers, networks.architecture, networks.task_type])
        .min()
        .unstack()
    )
    if "arithmetic" not in table:
        return Measured(lacks="arithmetic was not trained")
    falls = _falls(trials)
    slope = mean([fall for fall, _ in falls])
    interval = student([fall for fall, _ in falls])
    still = (
        f"{sum(fall < 0 for fall, _ in falls)} of {len(falls)} searches of RNN and IRNN improved in"
        " their last third"
    )
    if "parens_counting" not in table or len(table.dropna()) < MIN_CELLS or len(falls) < MIN_CELLS:
        few = "too few networks were trained on both tasks"
        return Measured(slope, *interval, lacks=f"{still}; {few}")
    rng = np.random.default_rng(0)
    luck = np.mean([_falls_by_luck(losses, rng) for _, losses in falls], 0)
    more = share_beyond(-slope, -luck)
    less = share_beyond(slope, luck)
    ratios = np.log(table.dropna().arithmetic / table.dropna().parens_counting)
    harder = math.exp(ratios.mean())
    harder_interval = np.exp(student(ratios))
    return Measured(
        slope,
        *interval,
        f"best loss over chance is {harder:.2f} [{harder_interval[0]:.2f}, {harder_interval[1]:.2f}] times that of"
        f" parentheses; {still}, and the same trials in another order fall as much in {more:.2g} of"
        " cases",
        more={"odds": [(more, less)], "harder": tuple(harder_interval)},
    )


def _falls(trials: pd.DataFrame) -> list:
    """The `_fall` and the losses of each search of a plain cell on arithmetic, where there is a fall."""
    plain = hard_trials(
        trials[(trials.task_type == "arithmetic") & trials.architecture.isin(PLAIN)]
    ).sort_values("hyper_iter")
    searches = [study.loss.fillna(math.inf).to_numpy() for _, study in plain.groupby("study")]
    falls = [(_fall(losses), losses) for losses in searches]
    return [(fall, losses) for fall, losses in falls if not math.isnan(fall)]


def _fall(losses: np.ndarray) -> float:
    """log10 of the best loss of a search over the best of its first two thirds; nan where these have
    no feasible trial.
    """
    before = np.min(losses[: math.ceil(2 * len(losses) / 3)])
    last = np.min(losses)
    return math.log10(last / before) if math.isfinite(before) and last > 0 else math.nan


def _falls_by_luck(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The `_fall` of these trials in `DRAWS` random orders. No order has to be drawn, since the chance
    that the first two thirds miss the r best trials is known.
    """
    n = len(losses)
    m = math.ceil(2 * len(losses) / 3)
    ascending = np.sort(losses)
    # entry r: the chance that none of the best r + 1 is among m of n
    p_missing = np.cumprod((n - m - np.arange(n - m)) / (n - np.arange(n - m)))
    best_seen = (rng.random(DRAWS)[:, None] < p_missing).sum(1)
    return np.log10(ascending[0] / ascending[best_seen])


def advice_wins(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """G04: how often the architecture that section 5 advises (GRU at depths 1 and 2, +RNN at 4 and 8)
    has the lowest median or minimum.

    `beaten` is the share of tasks and depths at which another architecture does significantly better,
    by the tests of `easiest`: wins by luck alone do not refute the advice. `lstm` is the lower end of
    the LSTM's share of wins.
    """
    wins = winners(networks)
    if wins.empty:
        reason_lacking = "no task and depth had a network that solved it and three architectures"
        return Measured(lacks=reason_lacking)
    table = wins.groupby(TASK_AND_DEPTH)["advised"].mean()
    tally = ", ".join(f"{a} {n}" for a, n in wins.winner.map(label_of).value_counts().items())
    places = count(len(table), "task and depth", "tasks and depths")
    reason = f"lowest median or minimum: {tally}, of {len(wins)} at {places}"
    against = _times_beaten(trials, table.index)
    return Measured(
        wins["advised"].mean(),
        *student(table, 0, 1),
        f"{reason}; the advised one is surely beaten at {against}",
        has={"tasks and depths": len(table), "layers": trials.n_layers.max()},
        lacks=f"{reason}; it takes {MIN_CELLS}, and a depth of {DEEP}",
        more={
            "beaten": against / len(table),
            "lstm": wilson(int((wins.winner == "lstm").sum()), len(wins))[0],
        },
    )


def _times_beaten(trials: pd.DataFrame, places: pd.MultiIndex) -> int:
    """At how many tasks and depths another architecture has significantly lower losses than the advised
    one.
    """
    beaten = 0
    for depth in sorted({depth for _, depth in places}):
        choice = "gru" if depth < DEEP else "+rnn"
        for task, sample in _samples(trials, depth):
            if (task, depth) in places and choice in sample:
                beaten += pairs_verdict(_against_each(choice, sample))[0] == FAILS
    return beaten


def winners(networks: pd.DataFrame) -> pd.DataFrame:
    """Which architecture has the lowest median, and which the lowest minimum, at each task and depth
    that any network solved, and whether section 5 advises it.
    """
    table = []
    for (task, depth), group in networks.groupby(TASK_AND_DEPTH):
        if len(group) < 3 or not group["solved"].any():
            continue
        for metric in ("median", "minimum"):
            if np.isfinite(group[metric]).any():
                winner = group.loc[group[metric].idxmin()]
                follows_advice = winner.architecture == ("gru" if depth < DEEP else "+rnn")
                table.append(
                    [task, depth, metric, winner.architecture, winner[metric], follows_advice]
                )
    return SmallTable(table, columns=[*TASK_AND_DEPTH, "metric", "winner", "loss", "advised"])


def _task_word(task_type: str) -> str:
    return {"parens_counting": "parentheses"}.get(task_type, task_type)


CURVES = [
    "task_type",
    "architecture",
    "n_layers",
    "study",
    "trial",
    "loss",
    "median",
    "median_low",
    "median_high",
    "minimum",
    "minimum_high",
    "chance",
]


# the lowest in all named pairs, and in every minimum
LOWEST = Limit(
    lambda m: m.more["order"] == HOLDS and m.more["lowest"] == 1,
    fails=lambda m: m.more["order"] == FAILS,
)


def _is_beaten(m: Measured) -> bool:
    return m.more["beaten"] > 0.5 or m.more["lstm"] > RARELY


CLAIMS = {
    "P01": Rule(
        plain_are_last,
        unlikely("odds", more=SURELY, less=SURELY / 2),  # either of the two may fail
        needs={"tasks and depths": MIN_CELLS},
        refutes=ALWAYS,
    ),
    "P03": Rule(
        only_gated_when_deep,
        Limit(
            lambda m: m.more["solved"] == 0 and m.high < m.more["gated"],
            fails=lambda m: m.more["solved"] > 0,
        ),
        refutes=ALWAYS,
    ),
    "P04": Rule(easiest, LOWEST, needs={"layers": DEEP}, refutes=ALWAYS),
    "P05": Rule(
        arithmetic_is_harder,
        all_limits(
            Limit(
                lambda m: m.more["harder"][0] > 1 + STILL,
                fails=lambda m: m.more["harder"][1] < 1 - STILL,
            ),
            unlikely("odds", more=SURELY, less=SURELY),
        ),
        refutes=ALWAYS,
    ),
    "G04": Rule(
        advice_wins,
        Limit(
            lambda m: m.low > 0.5 and not _is_beaten(m),
            fails=_is_beaten,
        ),
        needs={"tasks and depths": MIN_CELLS, "layers": DEEP},
        refutes=ALWAYS,
    ),
}


Exhibit(
    name="fig4",
    title="Figure 4",
    gist=(
        "Searches on the hard tasks: (a-d) parentheses, median loss of all trials so far, depths 1,"
        " 2, 4, 8; dots are single trials. (e-h) The least loss so far. (i-p) The same for"
        " arithmetic. A diverged trial counts as worse than any. Grey line: chance, the loss of the"
        " best answer that ignores the input. Bands: 95 % of the median, and for the least loss"
        " what half of the trials would have found in 39 of 40 cases."
    ),
    section="4",
    position=11,
    select=searches,
    trials="parentheses or the arithmetic task",
    tables={
        "fig4": lambda of: running_curves(of.trials),
        "fig4_networks": lambda of: by_network(of.trials),
    },
    columns={"fig4": CURVES},
    draw=draw,
    panels=tuple("abcdefghijklmnop"),
    alt=(
        "sixteen panels of the median and of the least loss so far against trials, for two tasks"
        " and four depths, beside chance."
    ),
    numbers=lambda tables: " ".join(
        by_architecture(
            f"Least loss on {task_name(task)}",
            group.groupby("architecture", sort=False).minimum.min(),
            ".3g",
        )
        for task, group in tables["fig4_networks"].groupby("task_type", sort=False)
    ),
    facts=facts,
    claims=CLAIMS,
    claims_table="fig4_networks",
    budget=(
        "1,500-2,500 and more trials per curve; parentheses in ten streams of 175 steps, integers to"
        " ten million"
    ),
)
