"""Facts that a reader can see in a figure's table, as sentences: a function for each figure, of its
trials and of the tables that it draws.

A function takes `rows` (the figure's trials) and `tables` (as `points` gives them), and gives two
or three sentences of plain text. It must have something to say of any trials: of few, of none that
was feasible, of architectures that the paper does not have.
"""

import numpy as np
import pandas as pd

from rnnkit import analysis, paper
from rnnkit.analysis.compression import LOSSLESS
from rnnkit.analysis.finding import SOLVED
from rnnkit.analysis.flow import BURST, LOST
from rnnkit.analysis.search import LOT, by_stem
from rnnkit.figures.words import task_name
from rnnkit.wording import and_list, count, label_of, layers

NOTHING = "No trial was feasible, so there is nothing to see."
NEAR = 0.01  # of the variance: an error this near its bound lies on it, to the eye
UNITS = {"text8": " bits per character"}  # of a loss; all others have none


def each(values: pd.Series, form: str = ".2f") -> str:
    """RNN 3.52, GRU 2.90 and LSTM 2.81: the numbers of some architectures, in the order that they
    are given in.
    """
    values = values.dropna()
    return (
        and_list(f"{label_of(a)} {value:{form}}" for a, value in values.items())
        if len(values)
        else "none"
    )


def in_paper_order(values: pd.Series) -> pd.Series:
    return values.reindex(analysis.in_order(values.index))


def network(row) -> str:
    """The RNN with 1 layer and 940 parameters."""
    return (
        f"the {label_of(row.architecture)} with {layers(row.n_layers)} and {int(row.num_params):,}"
        " parameters"
    )


# --- section 2.1 ---


def best_network(rows, tables) -> list[str]:
    """The network that stores most, and the order of the architectures at the largest size."""
    best = tables["fig1"].dropna(subset="bits_per_param")
    if best.empty:
        return [NOTHING]
    top = best.loc[best.bits_per_param.idxmax()]
    said = (
        f"The most bits per parameter are {top.bits_per_param:.2f}, of {network(top)}, which stores"
        f" {top.bits:,.0f} bits in all."
    )
    return [
        f"{said} Half of its search would have found {top.bits_per_param_low:.2f}.",
        *order_at_largest(best),
    ]


def order_at_largest(best: pd.DataFrame) -> list[str]:
    """The architectures in the order of their bits per parameter at the largest size, a sentence
    for each depth.
    """
    table = analysis.bits_per_param(best)
    if table.empty:
        return ["No network stored more than a coin would."]
    largest, said = table.index.get_level_values("max_params").max(), []
    for depth, bits in table.xs(largest, level="max_params").iterrows():
        order = each(bits.dropna().sort_values(ascending=False, kind="stable"))
        said.append(
            f"With {layers(depth)} and up to {largest:,} parameters the order is {order} bits per"
            " parameter."
        )
    return said


def calibration(rows, tables) -> list[str]:
    table = tables["calibration"]
    if table.empty:
        return [NOTHING]
    best = table.loc[table.groupby("max_params").bits_per_param.idxmax()]
    said = and_list(
        f"{row.bits_per_param:.2f} with {row.max_params:,} parameters" for row in best.itertuples()
    )
    load = and_list(f"{row.samples_per_param:.1f}" for row in best.itertuples())
    return [
        (
            f"The linear model stores at most {said}, in bits per parameter; a plane can separate"
            f" up to {paper.PERCEPTRON_BITS:g}."
        ),
        f"Its best data sets have {load} samples per parameter.",
    ]


def best_so_far(rows, tables) -> list[str]:
    table = tables["best_so_far"]
    table = table.assign(best=table.groupby("study").best.ffill().fillna(0.0))
    ends = table.groupby("study").agg(trials=("trial", "max"), most=("best", "max"))
    ends = ends[ends.most > 0]
    if ends.empty:
        return [NOTHING]
    table = table[table.study.isin(ends.index)]
    half = (
        table[table.trial <= np.ceil(table.study.map(ends.trials) / 2)].groupby("study").best.max()
        / ends.most
    )
    early = (
        table[table.trial <= np.floor(table.study.map(ends.trials) * 0.75)]
        .groupby("study")
        .best.max()
    )
    late = int((early.reindex(ends.index).fillna(0.0) < ends.most).sum())
    said = (
        f"Halfway through its trials the median search had found {half.median():.0%} of the bits"
        " that it ended with."
    )
    more = (
        "those would probably store more in a longer search"
        if late
        else "no curve was still rising at its end"
    )
    return [
        said,
        (
            f"{late} of {count(len(ends), 'search', 'searches')} found their best network in the"
            f" last quarter of their trials; {more}."
        ),
        *agreement(rows),
    ]


def agreement(rows, number: int = 5) -> list[str]:
    """What the best trials of one study have in common; nothing where there are several studies."""
    best = analysis.per_trial(rows).dropna(subset="bits").nlargest(number, "bits_per_param")
    if rows.study.nunique() > 1 or len(best) < 2:
        return []
    table = pd.DataFrame(best.hparams.tolist())
    words = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    same = [
        f"{name} ({table[name].iloc[0]})"
        for name in words
        if table[name].astype(str).nunique() == 1
    ]
    apart = [name for name in words if table[name].astype(str).nunique() > 1]
    said = (
        f"The best {len(best)} trials agree on {and_list(same)}"
        if same
        else f"The best {len(best)} trials agree on no choice"
    )
    said += f", and differ in {and_list(apart)}." if apart else "."
    if "lr_init" in table:
        said += (
            f" Their learning rates run from {table.lr_init.min():.2g} to"
            f" {table.lr_init.max():.2g}."
        )
    return [said]


def relu(rows, tables) -> list[str]:
    pairs = analysis.relu_ratio(rows).dropna(subset="ratio")
    if pairs.empty:
        return ["No network was trained with both nonlinearities."]
    ratios = in_paper_order(np.exp(np.log(pairs.ratio).groupby(pairs.architecture).mean()))
    return [
        (
            f"At equal numbers of trials, bits with tanh over bits with ReLU are {each(ratios)}, on"
            f" average over {count(len(pairs), 'network')}."
        ),
        (
            f"The best network with ReLU stores {pairs.relu_bits_per_param.max():.2f} bits per"
            " parameter."
        ),
    ]


def unrolled(rows, tables) -> list[str]:
    table = analysis.unroll_curve(tables["fig2b"])
    if table.empty:
        return [NOTHING]
    shared = table.dropna()
    means = (shared if len(shared) else table).mean()
    steps = and_list(f"{value:.2f} at {unroll}" for unroll, value in means.items())
    tops = {
        unroll: [label_of(a) for a in table.index if table.loc[a].idxmax() == unroll]
        for unroll in table.columns
    }
    most = and_list(f"{unroll} for {and_list(names)}" for unroll, names in tops.items() if names)
    return [
        f"Bits per parameter by time steps, averaged over architectures, are {steps}.",
        f"The number of steps that stores most is {most}.",
    ]


def samples(rows, tables) -> list[str]:
    table = tables["figapp1"].dropna(subset="bits")
    ratio = (table.samples / table.bits)[table.bits > 0]
    if ratio.empty:
        return [NOTHING]
    closest, farthest = table.loc[ratio.idxmin()], table.loc[ratio.idxmax()]
    return [
        (
            f"The best data set has {ratio.median():.2f} times as many samples as the network"
            f" stores bits, in the median of {len(ratio)} networks."
        ),
        (
            f"It is closest for {network(closest)} ({ratio.min():.2f} times) and farthest for"
            f" {network(farthest)} ({ratio.max():.2f} times)."
        ),
    ]


def later_cells(rows, tables) -> list[str]:
    table, said = tables["more_cells"].dropna(subset="bits_per_param"), []
    for depth, part in table.groupby("n_layers"):
        part = (
            part[part.max_params == part.max_params.max()]
            .set_index("architecture")
            .sort_values("bits_per_param", ascending=False)
        )
        theirs, others = (
            part[part.index.isin(paper.ARCHITECTURES)],
            part[~part.index.isin(paper.ARCHITECTURES)],
        )
        size = int(part.max_params.iloc[0])
        said.append(
            f"With {layers(depth)} and up to {size:,} parameters the order is"
            f" {each(part.bits_per_param)} bits per parameter."
        )
        if len(theirs) and len(others):
            top = theirs.iloc[0]
            ahead = [
                label_of(a) for a in others.index[others.bits_per_param_low > top.bits_per_param]
            ]
            behind = [
                label_of(a) for a in others.index[others.bits_per_param < top.bits_per_param_low]
            ]
            six = f"the best of the paper's six, the {label_of(theirs.index[0])}"
            said[-1] += (
                f" Ahead of {six}, with half of a search already:"
                f" {and_list(ahead or ['none of the later cells'])}."
            )
            said[-1] += (
                " Behind what half of that one's search would have found:"
                f" {and_list(behind or ['none of them'])}."
            )
    return said or [NOTHING]


# --- section 2.2 ---


def memory(rows, tables) -> list[str]:
    table = tables["fig2c"].dropna(subset="loss")
    if table.empty:
        return [NOTHING]
    near = (
        table.assign(near=table.excess <= NEAR)
        .groupby("architecture", sort=False)
        .near.agg(["sum", "size"])
    )
    counts = and_list(
        f"{label_of(a)} {near['sum'][a]} of {near['size'][a]}"
        for a in analysis.in_order(near.index)
    )
    worst = table.loc[table.excess.idxmax()]
    return [
        f"Networks within {NEAR:g} of the bound: {counts}.",
        (
            f"The farthest above it, by {worst.excess:.3g}, is {network(worst)}: {worst.n_units}"
            " units per layer."
        ),
    ]


def costs(rows, tables) -> list[str]:
    table = tables["g01"]
    if table.empty:
        return [NOTHING]
    low, high = table.loc[table.num_params.idxmin()], table.loc[table.num_params.idxmax()]
    more, longer = high.num_params / low.num_params, high.seconds / low.seconds
    smallest = f"{1e6 * low.seconds:,.0f} µs in the smallest network, {network(low)}"
    largest = f"{1e6 * high.seconds:,.0f} µs in the largest, {network(high)}"
    return [
        f"A training step takes {smallest}, and {largest}.",
        f"That is {longer:.2g} times as long for {more:.2g} times the parameters.",
    ]


# --- section 3 ---


def losses(rows, tables) -> list[str]:
    table, said = tables["fig3"].dropna(subset="loss"), []
    for (task, form), part in table.groupby(["task_type", "form"], sort=False):
        part = part[part.max_params == part.max_params.max()]
        name, unit = task_name(task, form), UNITS.get(task, "")
        for depth, networks in part.groupby("n_layers"):
            least, most = networks.loc[networks.loss.idxmin()], networks.loc[networks.loss.idxmax()]
            said.append(
                f"{name[0].upper() + name[1:]}, {layers(depth)}, up to {least.max_params:,}"
                f" parameters: losses run from {least.loss:.3g} ({label_of(least.architecture)}) to"
                f" {most.loss:.3g} ({label_of(most.architecture)}){unit}."
            )
    return said or [NOTHING]


# --- section 4 ---


def solved(rows, tables) -> list[str]:
    """By task and depth, which architectures solved it and how well."""
    said = []
    for (task, depth), part in tables["fig4_networks"].groupby(
        ["task_type", "n_layers"], sort=False
    ):
        part = part.dropna(subset="minimum").set_index("architecture").sort_values("minimum")
        if part.empty:
            continue
        there, chance = part[part.solved > 0], part.chance.iloc[0]
        name = {"parens_counting": "Parentheses"}.get(task, task[0].upper() + task[1:])
        head = (
            f"{name}, {layers(depth)}: {len(there)} of {len(part)} architectures came below"
            f" {SOLVED:g} of chance ({chance:.3g} nats)"
        )
        least = (
            f"least losses {each(there.minimum, '.2g')}"
            if len(there)
            else f"the least loss is {each(part.minimum[:1], '.3g')}"
        )
        said.append(f"{head}; {least}.")
    return said or [NOTHING]


def at_random(rows, tables) -> list[str]:
    said = []
    for depth, part in tables["fig5_networks"].groupby("n_layers"):
        part = part.set_index("architecture")
        shares = 100 * in_paper_order(part.solved_share)
        if shares.notna().any():
            least = part.minimum.dropna().nsmallest(1)
            said.append(
                f"With {layers(depth)}, per cent of feasible random sets that came below half of"
                f" chance: {each(shares, '.1f')}. The least loss, {least.iloc[0]:.3g} where chance"
                f" is {part.chance.iloc[0]:.3g}, is the {label_of(least.index[0])}'s."
            )
    return said or [NOTHING]


def diverged(rows, tables) -> list[str]:
    said = []
    for depth, part in tables["table1"].groupby("n_layers"):
        percent = part.set_index("architecture").percent.sort_values(ascending=False, kind="stable")
        said.append(
            f"With {layers(depth)}, per cent of random sets that diverged, most first:"
            f" {each(percent, '.1f')}."
        )
    return said


def welch(rows, tables) -> list[str]:
    said = []
    for depth, part in tables["tableapp2"].groupby("n_layers"):
        known, apart = part.dropna(subset="same_sign"), part[part.p < 0.05]
        both = apart.dropna(subset="same_sign")
        said.append(
            f"With {layers(depth)}, {int(known.same_sign.sum())} of {count(len(known), 'sign')} are"
            f" the paper's. Our trials tell {count(len(apart), 'pair')} of {len(part)} apart (p"
            f" below .05), {int(both.same_sign.sum())} of them with the paper's sign."
        )
    return said or ["No two architectures have trials to compare."]


def again(rows, tables) -> list[str]:
    table = tables["tableapp1"].set_index("architecture")
    ratios, reached = table.mean_over_original.dropna(), table.at_most_original.dropna()
    if ratios.empty:
        return ["No rerun stands beside the best trial of its search."]
    return [
        f"The mean of the reruns over the original loss is {each(ratios, '.3g')}.",
        f"Per cent of reruns that came down to the original: {each(100 * reached, '.0f')}.",
    ]


# --- section 5 ---


def rounded(rows, tables) -> list[str]:
    needed, kept = tables["quantised_needed"], tables["quantised"]
    if needed.empty:
        return ["No network stored bits that rounding could lose."]
    least = needed.groupby(["architecture", "study"]).needed.min().groupby("architecture").mean()
    five = (
        kept[kept.bits_per_weight == round(paper.BITS_PER_PARAMETER)]
        .groupby(["architecture", "study"])
        .share.max()
    )
    share = in_paper_order(100 * five.groupby("architecture").mean())
    return [
        (
            f"Bits per weight that leave {LOSSLESS:.0%} of what is stored, by the better way of"
            f" rounding: {each(in_paper_order(least), '.1f')}."
        ),
        (
            f"With {paper.BITS_PER_PARAMETER:g} bits per weight, this per cent is left:"
            f" {each(share, '.0f')}."
        ),
    ]


def elsewhere(rows, tables) -> list[str]:
    table = tables["later_numbers"]
    ours = table[table.architecture != ""]
    if ours.empty:
        return [NOTHING]
    size = int(rows.max_params.max())
    hard, soft = (
        ours[ours.counted == counted].set_index("architecture").bits for counted in ("hard", "soft")
    )
    said = [
        f"At up to {size:,} parameters our networks store, by the hard count,"
        f" {each(hard.sort_values(ascending=False))} bits per parameter."
    ]
    if len(soft):
        said.append(
            "By the soft count the same networks have"
            f" {each(soft.reindex(hard.sort_values(ascending=False).index))}."
        )
    return said


# --- the search ---


def race(rows, tables) -> list[str]:
    said = []
    for row in analysis.race(rows).itertuples():
        times = (
            f"{row.ratio:.2f} times as many, between {row.low:.2f} and {row.high:.2f}"
            if row.random and row.gp
            else "no ratio to take"
        )
        said.append(
            f"After {count(row.trials, 'trial')} the Gaussian process has {row.gp:.2f} bits per"
            f" parameter and random search {row.random:.2f}, in the median of"
            f" {count(row.seeds, 'seed')}: {times}."
        )
        there = (
            f"was there after {row.match:.0f} trials"
            if row.match == row.match
            else "never came there"
        )
        said.append(f"Where random search ends, the Gaussian process {there}.")
    typical = tables["tuner_typical"]
    last = typical[typical.trial == typical.trial.max()].groupby("tuner")["median"].mean()
    bits = and_list(
        f"{last[tuner]:.2f} ({name})" for tuner, name in TUNERS.items() if tuner in last
    )
    return [*said, f"In the last round a typical trial stores {bits} bits per parameter."]


TUNERS = {
    "gp": "Gaussian process",
    "gp-usual": "Gaussian process from usual values",
    "random": "random search",
}


def importance(rows, tables) -> list[str]:
    table = by_stem(tables["importance"])
    if table.empty:
        return ["No architecture has trials enough for a forest."]
    means, lot = table.mean(axis=1).drop(LOT), float(table.loc[LOT].max())
    below = int((means <= lot).sum())
    top = and_list(f"{name} ({value:.2f})" for name, value in means.nlargest(3).items())
    return [
        f"What matters most, on average over the columns, is {top}.",
        (
            f"{below} of {len(means)} hyper-parameters matter no more than one that is drawn by lot"
            f" (at most {lot:.2f})."
        ),
    ]


def lost(rows, tables) -> list[str]:
    table, said = tables["lost"], []
    for end, part in table.groupby("end", sort=False):
        ranges = part.groupby("hyperparameter").share.agg(lambda share: share.max() - share.min())
        if not len(ranges):
            continue
        name = ranges.idxmax()
        quarters = part[part.hyperparameter == name].sort_values("quarter")
        total = (quarters.share * quarters.trials).sum() / quarters.trials.sum()
        told = f"{end[0].upper() + end[1:]}: {100 * total:.0f} % of all."
        if total:
            shares = and_list(f"{100 * share:.0f} %" for share in quarters.share)
            told += f" It depends most on {name}, by quarters from low to high: {shares}."
        said.append(told)
    return said or [NOTHING]


# --- tables that are not of trials ---


def gradients(frame) -> list[str]:
    """Out of `flow.at_random`: how many gradients vanish and explode."""
    table = analysis.gradient_shares(frame).set_index("architecture")
    steps, draws = (
        int(frame.back.max()),
        int(frame.groupby("architecture").size().iloc[0] / frame.back.nunique()),
    )
    vanished, exploded = (100 * in_paper_order(table[name]) for name in ("vanished", "exploded"))
    return [
        (
            f"After {steps} steps the gradient is below {LOST:g} of itself in this per cent of"
            f" {draws} draws: {each(vanished, '.0f')}."
        ),
        f"It is above {BURST:g} times itself in this per cent: {each(exploded, '.0f')}.",
        (
            "The median draw keeps, in each step, this share of the gradient:"
            f" {each(in_paper_order(table.factor_a_step), '.3f')}."
        ),
    ]


def claims(table) -> list[str]:
    """Out of `verdicts`: what holds, what fails, and what is open."""
    said = [f"Claims of the paper: {analysis.tally(table)}."]
    for verdict in (analysis.HOLDS, analysis.FAILS):
        part = table[table.verdict == verdict].drop_duplicates("id")
        told = "; ".join(f"{row.claim} ({row.id})" for row in part.itertuples())
        said.append(f"What {verdict} here: {told or 'nothing'}.")
    return said


def advice(table) -> list[str]:
    """Out of `verdicts`: each piece of section 5's advice with what the claims under it came to."""
    said = []
    for text, part in analysis.advice(table).groupby("advice", sort=False):
        told = and_list(f"{row.id} {_short(row.verdict)}" for row in part.itertuples())
        both = set(part.verdict) & {analysis.HOLDS, analysis.FAILS}
        sums = {
            analysis.HOLDS: "nothing here speaks against it",
            analysis.FAILS: "our trials speak against it",
        }
        word = (
            "our trials are divided"
            if len(both) == 2
            else sums[both.pop()]
            if both
            else "our trials do not decide it"
        )
        said.append(f'"{text}": {word} ({told}).')
    return said


def _short(verdict: str) -> str:
    return (
        verdict
        if verdict in (analysis.HOLDS, analysis.FAILS)
        else f"is {verdict}"
        if verdict.startswith("not ")
        else f"has {verdict}"
    )


OF_TABLES = {"gradients": gradients, "claims": claims, "advice": advice}
