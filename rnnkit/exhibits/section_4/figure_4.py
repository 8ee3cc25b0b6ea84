"""Figure 4: how soon and how well searches solve the hard tasks.

If a network solved a task, that is a fact at any scale. If it did not, that says something about the
network only if its search has come to its end (`convergence`). Whether one architecture does better
than another is decided by tests of the pairs that the claim names, with Holm's correction. Intervals
resample tasks and depths, or trials where it is said.

In what follows, `networks` is the table of `hard_trials.by_network`: a row for each task, depth and
architecture.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import in_paper_order_of
from rnnkit.exhibits.captions import (
    by_architecture,
    draws,
    named_numbers,
    numbers_of,
    task_name,
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
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, decide
from rnnkit.exhibits.overlays import key_if_drawn, overlay_search
from rnnkit.exhibits.section_4.hard_trials import (
    NETWORK,
    TASK_AND_DEPTH,
    LossAxis,
    by_network,
    hard_trials,
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
    legend,
    letter,
    line_key,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.markup import SmallTable
from rnnkit.theory import chance
from rnnkit.wording import and_list, count, estimate, label_of, layers, percent


def searches(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the searches on the hard tasks (Figure 4), each task in one form and size."""
    return one_size(by_gaussian_process(*HARD)(frame))


def running_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """The running median and minimum of the loss over the trials of each study, with their bands
    (Figure 4): a row for each trial.
    """
    parts = []
    hard = hard_trials(trials).sort_values(["study", "hyper_iter"])
    for _, study in hard.groupby("study", sort=False):
        middle = running_median(study.loss)
        middle.columns = ["median", "median_low", "median_high"]
        least = running_minimum(study.loss)
        least.columns = ["minimum", "minimum_high"]
        parts.append(pd.concat([study.reset_index(drop=True), middle, least], axis=1))
    return in_paper_order_of(pd.concat(parts), [*NETWORK, "study", "trial"])


STATISTICS = ("median", "minimum")
PANELS = {  # task -> the letters of both at each depth
    "parens_counting": ("ae", "bf", "cg", "dh"),
    "arithmetic": ("im", "jn", "ko", "lp"),
}


@draws("fig4", height=14.5)
def draw(figure: Drawing, table: pd.DataFrame, _networks: pd.DataFrame) -> None:
    """Figure 4: running median (a-d) and minimum (e-h) of the loss over trials on parentheses,
    (i-p) on arithmetic; a row for each depth. ValueError without trials.
    """
    style = style_of(table.architecture)
    for half, task in zip(figure.subfigures(len(PANELS), 1), PANELS):
        curves = table[table.task_type == task]
        half.suptitle(task_name(task), fontsize=10)
        axes = half.subplots(len(paper.HARD_DEPTHS), 2, sharex=True)
        for row, depth, letters in zip(axes, paper.HARD_DEPTHS, PANELS[task]):
            row[0].set_ylabel("nats per symbol" if task == "arithmetic" else "nats")
            for ax, name, statistic in zip(row, letters, STATISTICS):
                letter(ax, name, f"{statistic} loss so far, {layers(depth)}")
                if curves.empty:
                    ax.set_yticks([])
                    write_note(ax, f"{task_name(task)}:\nnot trained")
            if len(curves):
                _draw_depth(row, curves, task, depth, style)
        axes[-1, 0].set_xlim(0, np.fmax(10, 1.02 * curves.trial.max()))
        axes[-1, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for ax in axes[-1]:
            ax.set_xlabel("trials")
    keys = [
        *architecture_keys(table.architecture),
        line_key("chance"),
        Patch(color=GREY, alpha=0.2, label="95 % interval"),
        line_key("a trial", "none", marker="o", markersize=2.5),
        Patch(color=PALE, label="diverged, or off the axis"),
    ]
    legend(figure, keys + key_if_drawn(figure))


def _draw_depth(
    axes: Sequence[Axes], curves: pd.DataFrame, task: str, depth: int, style: Mapping[str, Style]
) -> None:
    """Draws the median and the minimum of a task's searches at one depth, with one axis of losses."""
    own = curves[curves.n_layers == depth]
    range_of_axis = own if len(own) else curves
    scale = LossAxis(range_of_axis.loss, range_of_axis.chance.iloc[0])
    for ax, statistic in zip(axes, STATISTICS):
        scale.dress(ax)
        for (architecture, _), study in own.groupby(["architecture", "study"], sort=False):
            _draw_curve(ax, study, statistic, architecture, style[architecture], scale)
        if scale.chance == chance(task, "paper"):
            overlay_search(ax, "fig4", task, depth, statistic, scale.heights)
        if own.empty:
            write_note(ax, f"depth {depth}: not trained\nat this scale")
    is_off = (own.loss > scale.high).any()
    write_at_right(axes[-1], scale.chance, f"chance {scale.chance:.3g}")
    write_at_right(axes[-1], scale.top, f"> {scale.high:.2g}" if is_off else "diverged")


def _draw_curve(
    ax: Axes, study: pd.DataFrame, statistic: str, architecture: str, s: Style, scale: LossAxis
) -> None:
    """Draws the curve of one study with its band, and under a median a dot for each trial."""
    is_median = statistic == "median"
    low = study.median_low if is_median else study.minimum
    high = study[f"{statistic}_high"]
    ax.fill_between(
        study.trial,
        scale.heights(low),
        scale.heights(high),
        where=(low.notna() & high.notna()).to_numpy(),
        color=s.color,
        alpha=0.08,
        linewidth=0,
        step=None if is_median else "post",
        zorder=1,
    )
    losses = scale.heights(study.loss) if is_median else None
    curve = scale.heights(study[statistic])
    draw_search(ax, study.trial, losses, curve, s, not is_median, architecture)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    """By task and depth, which architectures solved it and how well."""
    sentences = []
    networks = tables["fig4_networks"].dropna(subset="minimum")
    for (task, depth), group in networks.groupby(TASK_AND_DEPTH, sort=False):
        group = group.set_index("architecture").sort_values("minimum")
        solvers = group.minimum[group.solved > 0]
        head = (
            f"{TASK_WORDS[task].capitalize()}, {layers(depth)}: {len(solvers)} of {len(group)}"
            f" architectures came below {SOLVED:g} of chance ({group.chance.iloc[0]:.3g} nats)"
        )
        least = (
            f"least losses {numbers_of(solvers, '.2g')}"
            if len(solvers)
            else f"the least loss is {numbers_of(group.minimum[:1], '.3g')}"
        )
        sentences.append(f"{head}; {least}.")
    return sentences


TASK_WORDS = {"parens_counting": "parentheses", "arithmetic": "arithmetic"}
PLAIN = tuple(a for a in paper.ARCHITECTURES if not paper.GATES[a])  # RNN and IRNN
GATED = tuple(a for a in paper.ARCHITECTURES if paper.GATES[a])


def plain_are_last(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P01: the share of the pairs of a plain cell (RNN, IRNN) and a gated one in which the plain cell
    comes below the threshold later, over the tasks and depths that any network solved.

    Two shares decide, that one and the share of pairs in which the plain cell ends at a higher loss, by
    their `odds`: how often shuffled labels give as much, and how often as little.
    """
    tables = [_ranks(networks, column) for column in ("first_solved", "minimum")]
    number = len(tables[0])
    if not number:
        return Measured(lacks=f"no network reached a loss below {SOLVED:g} of chance beside others")
    shares = [_share_later(table) for table in tables]
    slower, worse = (float(share.mean()) for share in shares)
    reason = (
        f"{percent(slower)}, and they end at a higher loss in {percent(worse)}, over"
        f" {count(number, 'task and depth', 'tasks and depths')} that any network solved"
    )
    odds = []
    for table, share in zip(tables, (slower, worse)):
        shuffles = shuffle_labels(table, lambda draw: _share_later(draw).mean(-1))
        odds.append((share_beyond(share, shuffles), share_beyond(-share, -shuffles)))
    return Measured(
        slower,
        *student(shares[0], 0, 1),
        reason,
        has={"tasks and depths": number},
        lacks=f"{reason}; it takes {MIN_CELLS}",
        verdict=decide(
            holds=all(as_much <= SURELY for as_much, _ in odds),
            # either of the two may fail
            fails=any(more > SURELY and less <= SURELY / 2 for more, less in odds),
        ),
    )


def _ranks(networks: pd.DataFrame, column: str) -> np.ndarray:
    """How the plain cells, and after them the gated ones, rank by a column: a row for each task and
    depth that any network solved, with cells of both kinds; nan for a cell that was not trained.
    """
    solvable = networks[networks.groupby(TASK_AND_DEPTH).solved.transform("sum") > 0]
    values = solvable.assign(value=solvable[column].fillna(math.inf))
    table = values.pivot(index=TASK_AND_DEPTH, columns="architecture", values="value")
    ranks = table.reindex(columns=[*PLAIN, *GATED]).rank(axis=1)
    return ranks.dropna(how="all", subset=PLAIN).dropna(how="all", subset=GATED).to_numpy()


def _share_later(ranks: np.ndarray) -> np.ndarray:
    """The share of the pairs of a plain and a gated cell in which the plain one ranks later; a tie
    counts as half. ... x cells -> ...
    """
    of_plain = ranks[..., : len(PLAIN), None]
    of_gated = ranks[..., None, len(PLAIN) :]
    return np.nanmean((1 + np.sign(of_plain - of_gated)) / 2, (-1, -2))


def only_gated_when_deep(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P03: the share of RNN's and IRNN's trials at the greatest depth that solve their task, over the
    tasks that any network solved there, beside the lower end of the gated cells' share.
    """
    depth = networks.n_layers.max()
    deep = networks[networks.n_layers == depth]
    # a task that none solves tells nothing
    deep = deep[deep.task_type.isin(deep.task_type[deep.solved > 0])]
    if depth < DEEP:
        return Measured(lacks=NO_DEPTH.format(depth, DEEP))
    if deep.empty:
        return Measured(lacks=f"no network solved a task at depth {depth}")
    n_solved, n_feasible = _counts(deep, PLAIN)
    gated_low = wilson(*_counts(deep, GATED))[0]
    least = (deep.minimum / deep.chance).groupby(deep.architecture).min().sort_values()
    losses = ", ".join(named_numbers(least.dropna(), ".2g"))
    low, high = wilson(n_solved, n_feasible)
    return Measured(
        n_solved / n_feasible if n_feasible else math.nan,
        low,
        high,
        f"at depth {depth} RNN and IRNN solved in {n_solved} of {n_feasible} trials, gated cells in"
        f" {percent(gated_low)} or more; least loss over chance: {losses}",
        verdict=decide(holds=n_solved == 0 and high < gated_low, fails=n_solved > 0),
        if_open="; too few solved to tell",
    )


def _counts(networks: pd.DataFrame, architectures: Sequence[str]) -> tuple[int, int]:
    """How many trials of some architectures solved their task, and how many were feasible."""
    own = networks[networks.architecture.isin(architectures)]
    return int(own.solved.sum()), int((own.trials - own.infeasible).sum())


def easiest(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P04, H04: whether the GRU at depth 1, and +RNN at the greatest depth, are easier to train than
    every other architecture.

    The named pairs are tested trial against trial (Mann & Whitney, with Holm's correction over all of
    them), so the verdict is about these trials and not about other searches. The number shown is the
    largest ratio of medians, the named architecture over another, with an interval that resamples
    their trials. The named architecture must also have the lowest minimum at each task and depth.
    """
    deepest = trials.n_layers.max()
    pairs = []
    samples = []
    phrases = []
    is_lowest = []
    for champion, depth in (("gru", 1), ("+rnn", deepest)) if deepest >= DEEP else (("gru", 1),):
        for task in trials.task_type.unique():
            losses = _losses(trials, task, depth)
            if champion not in losses or len(losses) < 3:
                continue
            is_lowest.append(min(losses, key=lambda a: losses[a].min()) == champion)
            samples += [(losses[champion], losses[a]) for a in losses if a != champion]
            tests = _against_each(champion, losses)
            pairs += tests
            verdict, phrase = pairs_verdict(tests)
            verdict = "is undecided" if verdict == UNTESTED else verdict
            phrases.append(
                f"{label_of(champion)} at depth {depth} on {TASK_WORDS[task]} {verdict}, {phrase}"
            )
    if not pairs:
        return Measured(lacks="neither GRU at depth 1 nor +RNN at depth was trained beside others")
    worst = max(samples, key=lambda pair: _ratio(*pair))
    verdict, phrase = pairs_verdict(pairs)
    reason = (
        f"lower than every other: {'; '.join(phrases)}; all together {phrase}; theirs is the lowest"
        f" minimum in {sum(is_lowest)} of {len(is_lowest)}"
    )
    return Measured(
        float(_ratio(*worst)),
        *bootstrap_samples(worst, lambda draws: _ratio(*draws)),
        reason,
        has={"layers": deepest},
        lacks=f"{reason}; {NO_DEPTH.format(deepest, DEEP)}",
        doubt=_too_short(networks, {1, deepest}),
        verdict=decide(holds=verdict == HOLDS and all(is_lowest), fails=verdict == FAILS),
    )


def _too_short(networks: pd.DataFrame, depths: set[int]) -> str:
    """The doubt about trainings that ended before any network had solved a task at one of these depths;
    empty if some did at each.
    """
    failures = sorted(depths - set(networks.n_layers[networks.solved > 0]))
    if not failures:
        return ""
    return (
        f"no trial solved a task at depth {and_list(failures)}, so none was trained for long enough to"
        " compare"
    )


def _against_each(champion: str, losses: Mapping[str, np.ndarray]) -> list[Pair]:
    """Mann & Whitney's test of one architecture's losses against those of each other."""
    return [
        Pair(champion, a, *mann_whitney(losses[champion], losses[a]))
        for a in losses
        if a != champion
    ]


def _losses(trials: pd.DataFrame, task: str, depth: int) -> dict[str, np.ndarray]:
    """Architecture of the paper -> its losses on a task at a depth. In a search, a diverged trial
    counts as worse than any.
    """
    hard = hard_trials(trials[(trials.task_type == task) & (trials.n_layers == depth)])
    if trials.tuner.isin(GP).all():  # as in the curves; Figure 5 leaves diverged ones out
        hard["loss"] = hard.loss.fillna(math.inf)
    losses = {a: hard.loss[hard.architecture == a].dropna() for a in paper.ARCHITECTURES}
    return {a: own.to_numpy() for a, own in losses.items() if len(own)}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Median over median, along the last axis; inf where the first is not finite."""
    numerator = np.median(numerator, -1)
    denominator = np.median(denominator, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isinf(numerator), np.inf, numerator / denominator)[()]


def arithmetic_is_harder(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P05: by how many decades RNN's and IRNN's best loss on arithmetic falls over the last third of a
    search, on average.

    Arithmetic is harder by a ratio: the best loss over chance on arithmetic, over that on parentheses.
    The best of any search falls, one time in three in its last third. The fall is therefore compared
    with that of the same trials in another order, which may fall as much (`more`), or as little
    (`less`).
    """
    if "arithmetic" not in set(networks.task_type):
        return Measured(lacks="arithmetic was not trained")
    best = networks.assign(level=networks.minimum / networks.chance).pivot(
        index=["n_layers", "architecture"], columns="task_type", values="level"
    )
    on_both = best.reindex(columns=HARD).dropna()
    plain_searches = _plain_searches(trials)
    falls = np.array([_fall(losses) for losses in plain_searches])
    slope = mean(falls)
    interval = student(falls)
    still = (
        f"{(falls < 0).sum()} of {len(falls)} searches of RNN and IRNN improved in their last third"
    )
    if min(len(on_both), len(falls)) < MIN_CELLS:
        few = "too few networks were trained on both tasks"
        return Measured(slope, *interval, lacks=f"{still}; {few}")
    rng = np.random.default_rng(0)
    luck = np.mean([_falls_by_luck(losses, rng) for losses in plain_searches], 0)
    more = share_beyond(-slope, -luck)
    less = share_beyond(slope, luck)
    ratios = np.log(on_both.arithmetic / on_both.parens_counting)
    low, high = np.exp(student(ratios))
    return Measured(
        slope,
        *interval,
        f"best loss over chance is {estimate(math.exp(ratios.mean()), low, high)} times that of"
        f" parentheses; {still}, and the same trials in another order fall as much in {more:.2g} of"
        " cases",
        verdict=decide(
            holds=low > 1 + STILL and more <= SURELY,
            fails=high < 1 - STILL or more > SURELY and less <= SURELY,
        ),
    )


def _plain_searches(trials: pd.DataFrame) -> list[np.ndarray]:
    """The losses of each search of a plain cell on arithmetic, where it has a `_fall`."""
    plain = trials[(trials.task_type == "arithmetic") & trials.architecture.isin(PLAIN)]
    studies = hard_trials(plain).sort_values("hyper_iter").groupby("study").loss
    per_search = [losses.fillna(math.inf).to_numpy() for _, losses in studies]
    return [losses for losses in per_search if not math.isnan(_fall(losses))]


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
    later = np.arange(n - math.ceil(2 * n / 3))
    ascending = np.sort(losses)
    # entry r: the chance that the best r + 1 are all among the later ones
    p_missing = np.cumprod((len(later) - later) / (n - later))
    best_seen = (rng.random(DRAWS)[:, None] < p_missing).sum(1)
    return np.log10(ascending[0] / ascending[best_seen])


def advice_wins(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """G04: how often the architecture that section 5 advises (GRU at depths 1 and 2, +RNN at 4 and 8)
    has the lowest median or minimum.

    The advice is beaten at the tasks and depths at which another architecture does significantly
    better, by the tests of `easiest`: wins by luck alone do not refute it. Of the LSTM's share of wins
    the lower end counts.
    """
    wins = winners(networks)
    if wins.empty:
        return Measured(
            lacks="no task and depth had a network that solved it and three architectures"
        )
    shares = wins.groupby(TASK_AND_DEPTH).advised.mean()
    beaten = [_advised_is_beaten(trials, task, depth) for task, depth in shares.index]
    tally = ", ".join(f"{a} {n}" for a, n in wins.winner.map(label_of).value_counts().items())
    places = count(len(shares), "task and depth", "tasks and depths")
    reason = f"lowest median or minimum: {tally}, of {len(wins)} at {places}"
    low, high = student(shares, 0, 1)
    lstm_low, _ = wilson(int((wins.winner == "lstm").sum()), len(wins))
    is_refuted = mean(beaten) > 0.5 or lstm_low > RARELY
    return Measured(
        wins.advised.mean(),
        low,
        high,
        f"{reason}; the advised one is surely beaten at {sum(beaten)}",
        has={"tasks and depths": len(shares), "layers": trials.n_layers.max()},
        lacks=f"{reason}; it takes {MIN_CELLS}, and a depth of {DEEP}",
        verdict=decide(holds=low > 0.5 and not is_refuted, fails=is_refuted),
    )


def _advice(depth: int) -> str:
    """The architecture that section 5 advises."""
    return "gru" if depth < DEEP else "+rnn"


def _advised_is_beaten(trials: pd.DataFrame, task: str, depth: int) -> bool:
    """Whether another architecture has significantly lower losses than the advised one."""
    losses = _losses(trials, task, depth)
    choice = _advice(depth)
    return choice in losses and pairs_verdict(_against_each(choice, losses))[0] == FAILS


def winners(networks: pd.DataFrame) -> pd.DataFrame:
    """Which architecture has the lowest median, and which the lowest minimum, at each task and depth
    that any network solved, and whether section 5 advises it.
    """
    table = []
    for (task, depth), group in networks.groupby(TASK_AND_DEPTH):
        for metric in ("median", "minimum"):
            losses = group.set_index("architecture")[metric]
            if len(group) >= 3 and group.solved.any() and np.isfinite(losses).any():
                best = losses.idxmin()
                table.append([task, depth, metric, best, losses[best], best == _advice(depth)])
    return SmallTable(table, columns=[*TASK_AND_DEPTH, "metric", "winner", "loss", "advised"])


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


CLAIMS = {
    "P01": Rule(plain_are_last, needs={"tasks and depths": MIN_CELLS}, refutes=ALWAYS),
    "P03": Rule(only_gated_when_deep, refutes=ALWAYS),
    "P04": Rule(easiest, needs={"layers": DEEP}, refutes=ALWAYS),
    "P05": Rule(arithmetic_is_harder, refutes=ALWAYS),
    "G04": Rule(advice_wins, needs={"tasks and depths": MIN_CELLS, "layers": DEEP}, refutes=ALWAYS),
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
    position=11,
    select=searches,
    trials="parentheses or the arithmetic task",
    tables={
        "fig4": running_curves,
        "fig4_networks": by_network,
    },
    columns={"fig4": CURVES},
    draw=draw,
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
