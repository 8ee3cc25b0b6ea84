"""Similar losses at equal parameters (section 3): Figure 3."""

from rnnkit.analysis import loss
from rnnkit.analysis.loss import best_losses
from rnnkit.analysis.rows import NETWORK, searched
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.loss import FOUND, fig3
from rnnkit.figures.words import each, task_name

Exhibit(
    name="fig3",
    title="Figure 3",
    gist=(
        "Least losses of a search: (a-c) text, bits per character against parameters at depths 1, 2"
        " and 4, (d) against units at depth 1; (e-g) random continuous functions. Dashed: chance;"
        " dotted: the error left if each parameter held one of the heaviest samples."
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
    claims={
        "T01": loss.equal_at_equal_size("text8", "bits per character"),
        "T02": loss.units_mislead,
        "R01": loss.equal_at_equal_size("rcf", "of the variance"),
        "R02": loss.never_perfect,
    },
    budget="hundreds to thousands of trials a point, text8, 50 time steps, up to 1,280,000 parameters",
)
