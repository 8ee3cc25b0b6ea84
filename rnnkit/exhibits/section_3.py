"""Similar losses at equal parameters (section 3): Figure 3."""

from rnnkit.analysis import loss
from rnnkit.analysis.finding import LEARNED, SMALL_FACTOR
from rnnkit.analysis.judge import ALWAYS, Limit, Rule, above, below
from rnnkit.analysis.loss import best_losses
from rnnkit.analysis.rows import NETWORK, searched
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.loss import FOUND, fig3
from rnnkit.figures.style import HALF_SEARCH
from rnnkit.figures.words import each, task_name

SMALL = below(SMALL_FACTOR, of="factor", tell=False)
LOSSES = {
    "T01": Rule(loss.equal_at_equal_size("text8", "bits per character"), SMALL),
    "T02": Rule(loss.units_mislead, above(0, tell=False), refutes=ALWAYS, trials=0),
    "R01": Rule(loss.equal_at_equal_size("rcf", "of the variance"), SMALL),
    "R02": Rule(
        loss.never_perfect,
        Limit(
            lambda m: m.more["least"] > LEARNED and m.high < 0,
            fails=lambda m: m.more["least"] <= LEARNED or m.low > 0,
        ),
    ),
}


Exhibit(
    name="fig3",
    title="Figure 3",
    gist=(
        "Least losses of a search: (a-c) text, bits per character against parameters at depths 1, 2"
        " and 4, (d) against units at depth 1; (e-g) random continuous functions. Dashed: chance;"
        " dotted: the error left if each parameter held one of the heaviest samples." + HALF_SEARCH
    ),
    section="3",
    place=10,
    select=searched("text8", "rcf"),
    trials="text or the random function task",
    tables={"fig3": lambda of: best_losses(of.rows)},
    columns={"fig3": [*NETWORK, *FOUND]},
    draw=fig3,
    panels=tuple("abcdefg"),
    alt=(
        "bits per character and squared error against parameters at three depths, and bits per"
        " character against units."
    ),
    numbers=lambda tables: " ".join(
        each(
            f"Least loss on {task_name(task, form)}", part.groupby("architecture").loss.min(), ".3g"
        )
        for (task, form), part in tables["fig3"].groupby(["task_type", "form"], sort=False)
    ),
    note=lambda spent: (
        ""
        if not any(task == "text8" and "sample" not in form for task, form in spent.tasks)
        else (
            "Crosses: 1 layer as recalled from Foerster et al. (2017), unchecked; 4 layers the"
            " authors' best LSTM."
        )
    ),
    facts=facts.losses,
    claims=LOSSES,
    budget="hundreds to thousands of trials a point, text8, 50 time steps, up to 1,280,000 parameters",
)
