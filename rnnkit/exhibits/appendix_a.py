"""The search (Appendix A): how far it has come, against random search, and what matters."""

from rnnkit.analysis import search
from rnnkit.analysis.capacity import best_so_far
from rnnkit.analysis.rows import capacity, random_sets, twins
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.search import best_so_far as draw_best_so_far
from rnnkit.figures.tuner import convergence
from rnnkit.figures.tuner import importance as draw_importance
from rnnkit.figures.tuner import lost as draw_lost
from rnnkit.figures.words import each
from rnnkit.paper import SEARCH_BUDGET

SO_FAR = [
    "study",
    "architecture",
    "n_layers",
    "max_params",
    "num_params",
    "trial",
    "bits_per_param",
    "best",
]

Exhibit(
    name="best_so_far",
    title="The search",
    gist=(
        "Bits per parameter of each trial (dots) and of the best so far (lines) against the number"
        " of trials, a panel for each depth and size. A curve that still rises has not found its"
        " capacity."
    ),
    section="App. A",
    place=2,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    also=("start",),
    tables={"best_so_far": lambda of: best_so_far(of.rows).reset_index(drop=True)},
    columns={"best_so_far": SO_FAR},
    draw=draw_best_so_far,
    alt="bits per parameter of the best trial so far against trials.",
    facts=facts.best_so_far,
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="tuner",
    title="The search against random search (ours: not in the paper)",
    gist=(
        "One study under both tuners. Left: bits per parameter of the best trial so far, median"
        " (line) and range (band) over the seeds. Right: median and middle half of each 16 trials,"
        " all seeds together."
    ),
    section="App. A",
    place=3,
    select=twins,
    trials="capacity task under both tuners",
    tables={
        "tuner": lambda of: search.search_curves(of.rows),
        "tuner_typical": lambda of: search.typical_trials(of.rows),
    },
    draw=convergence,
    alt=(
        "bits per parameter of the best trial so far and of typical trials against trials, with the"
        " Gaussian process and at random."
    ),
    numbers=lambda tables: " ".join(
        each(
            f"Most bits per parameter, median of seeds, {title}",
            part.groupby("architecture")["median"].max(),
        )
        for title, part in zip(
            ("Gaussian process", "random search"),
            (tables["tuner"].query(f"tuner == '{t}'") for t in ("gp", "random")),
        )
    ),
    facts=facts.race,
)

Exhibit(
    name="importance",
    title="What matters (ours: not in the paper)",
    gist=(
        "Share of the variance of a study's ranks that a random forest loses on unseen trials when"
        " one hyper-parameter is dealt out anew, summed over the maps of a cell (*). Last row: a"
        " number that means nothing."
    ),
    section="App. A",
    place=4,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    tables={"importance": lambda of: search.importance(of.rows)},
    draw=draw_importance,
    alt="a table of hyper-parameters by architecture, coloured by how much each of them matters.",
    numbers=lambda tables: each(
        "Share explained", tables["importance"].groupby("architecture").explained.first()
    ),
    facts=facts.importance,
)

Exhibit(
    name="lost",
    title="Where trials are lost (ours: not in the paper)",
    gist=(
        "Share of trials with random hyper-parameters that diverged, and that ended more than a"
        " tenth above chance, by quarters of three hyper-parameters, all architectures and depths"
        " together; Wilson's 95 % interval."
    ),
    section="App. A",
    place=5,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"lost": lambda of: search.lost(of.rows)},
    draw=draw_lost,
    alt=(
        "share of trials that diverged, and that ended above chance, against learning rate,"
        " gradient clip and recurrent scale."
    ),
    numbers=lambda tables: (
        "Largest share of a quarter: "
        + ", ".join(
            f"{end} {100 * part.share.max():.0f} %"
            for end, part in tables["lost"].groupby("end", sort=False)
        )
        + "."
    ),
    facts=facts.lost,
)
