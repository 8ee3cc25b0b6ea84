"""One example of a task, drawn from plain numbers and text: what is shown, what is asked, and what
chance costs (Appendix B).
"""

import math

import numpy as np
import pandas as pd
import seaborn as sns

from rnnkit.figures.style import GREY, PAPER_STYLE, letter, new_figure, reference, styled
from rnnkit.figures.words import task_name

SHOWN, ASKED, BAR = (
    PAPER_STYLE["rnn"].color,
    PAPER_STYLE["gru"].color,
    "#cfd8e3",
)  # blue is shown to the network, orange asked of it
MOST = 60  # steps of a line of text that are legible
A = {  # what panel a shows, of text or of numbers
    True: "blue counts for the answer, grey is noise, a blank or not scored, orange is asked",
    False: "what is shown at each step, and what is asked at the last",
}
UNKNOWN = (
    "and nobody knows what a perfect one would (Shannon 1951 put printed English between 0.6 and"
    " 1.3 bits a letter)"
)


@styled
def task_example(made: dict):
    """Figure of one example of a task, as rnnkit.tasks.example gives it: (a) input and answer over
    time, (b) what is behind the costs.
    """
    text = isinstance(made["input"], list)
    lines = len(made["input"]) if text else 0
    figure = new_figure(11, 2.9 if not text else 2.1 + 0.25 * max(0, lines - 2))
    figure.get_layout_engine().set(wspace=0.06)
    ax, curve = figure.subplots(1, 2, width_ratios=(3.2, 1))
    (_text if text else _vector)(ax, made)
    _curve(curve, made)
    letter(ax, "a", f"{title(made)}: one example")
    letter(curve, "b", made["curve"]["title"])
    figure.alt = alt(made)
    b = f"{made['curve']['title']}: {made['curve']['about']}"
    figure.caption = f"Ours: not in the paper. {title(made)}: (a) {A[text]}, (b) {b}. {costs(made)}"
    figure.tables = {f"task_{made['task']}": table(made)}
    return figure


def title(made: dict) -> str:
    """The task's name and form."""
    form = made["form"].split(" ")[0]
    name = task_name(made["task"], made["form"])
    return name[0].upper() + name[1:] + (f" ({form} form)" if form else "")


def costs(made: dict) -> str:
    """What chance and perfection cost, as a sentence."""
    perfect = f"a perfect one {made['perfect']:g}" if math.isfinite(made["perfect"]) else UNKNOWN
    return (
        f"An answer that ignores the input costs {made['chance']:.4g} ({made['unit']}), {perfect}."
    )


def alt(made: dict) -> str:
    """A sentence for those who cannot see the figure."""
    count, steps = len(made["input"]), len(made["input"][0])
    shape = (
        f"{count} line{'s' * (count > 1)} of text"
        if isinstance(made["input"], list)
        else f"{count} numbers a step"
    )
    return (
        f"{title(made)}: {shape} over {steps} steps, the answer from step {made['first'] + 1} on."
        f" {costs(made)}"
    )


def table(made: dict) -> pd.DataFrame:
    """What the figure draws: part (input, target or curve), row (a number of the vector, a stream),
    x (step or axis) and value.
    """
    rows = [
        ("input", i, t + 1, value)
        for i, line in enumerate(made["input"])
        for t, value in enumerate(line)
    ]
    if isinstance(made["target"], str):
        rows += [
            ("target", 0, made["first"] + 1 + k, symbol) for k, symbol in enumerate(made["target"])
        ]
    else:
        rows += [("target", k, made["first"] + 1, value) for k, value in enumerate(made["target"])]
    rows += [("curve", 0, x, y) for x, y in zip(made["curve"]["x"], made["curve"]["y"])]
    return pd.DataFrame(rows, columns=["part", "row", "x", "value"])


def _vector(ax, made):
    """A vector over time as an image, with the answer beside its last step."""
    x, y = np.asarray(made["input"], float), np.asarray(made["target"], float)
    steps, span = x.shape[1], max(np.abs(x).max(), np.abs(y).max())
    binary = set(np.unique(x)) <= {0.0, 1.0}
    colors = (
        dict(cmap="Greys", vmin=0, vmax=1.4)
        if binary
        else dict(cmap="PuOr_r", vmin=-span, vmax=span)
    )
    image = ax.imshow(
        x,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, steps + 0.5, len(x) + 0.5, 0.5),
        **colors,
    )
    gap = max(0.35, 0.04 * steps)
    right = steps + 0.5 + gap
    width = max(0.5, 0.07 * steps)
    if len(y) > 1:
        ax.imshow(
            y[:, None],
            aspect="auto",
            interpolation="nearest",
            extent=(right, right + width, len(x) + 0.5, 0.5),
            **colors,
        )
    label = "asked at the\nlast step" if len(y) > 1 else f"asked at the\nlast step:\n{y[0]:.3g}"
    place = right + width * 1.15 if len(y) > 1 else right
    ax.annotate(
        label, (place, len(x) / 2), va="center", color=ASKED, fontsize=9, annotation_clip=False
    )
    ax.set_xlim(0.5, right + width)
    ax.set_xticks(
        range(1, steps + 1)
        if steps <= 12
        else [t for t in range(1, steps + 1) if t == 1 or t % 10 == 0]
    )
    ax.set(xlabel="time step", ylabel="input")
    ax.set_yticks([1, len(x)])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if binary:
        ax.annotate(
            "black: 1\nwhite: 0",
            (right, len(x) * 0.98),
            va="bottom",
            color=GREY,
            fontsize=8,
            annotation_clip=False,
        )
    else:
        ax.figure.colorbar(image, ax=ax, label="value", fraction=0.04, pad=0.12)


def _text(ax, made):
    """Lines of symbols over time, with the answers below or, for counts, at their right."""
    lines, asked = made["input"], made["target"]
    steps = len(lines[0])
    skipped = max(0, steps - MOST)
    counts = not isinstance(asked, str)
    rows = len(lines) + (0 if counts else 1)
    letters = dict(
        ha="center",
        va="center",
        family="DejaVu Sans Mono",
        fontsize=11 if min(steps, MOST) <= 40 else 9.5,
    )
    for row, line in enumerate(lines):
        kind = made["pairs"][row] if counts else ""
        for t in range(skipped, steps):
            symbol = "␣" if line[t] == " " and not counts and made["task"] == "text8" else line[t]
            strong = symbol in kind if counts else t >= made["first"] or made["task"] != "text8"
            color = (SHOWN if strong else GREY) if symbol != " " else GREY
            weight = "bold" if counts and strong else "normal"
            ax.text(
                t + 1,
                row,
                symbol if symbol != " " else "·",
                color=color,
                fontweight=weight,
                **letters,
            )
        if counts:
            ax.text(
                steps + 1.5,
                row,
                f"{kind} open: {asked[row]}",
                va="center",
                color=ASKED,
                fontsize=9,
                family="DejaVu Sans Mono",
            )
    if not counts:
        for k, symbol in enumerate(asked):
            shown = {" ": "␣" if made["task"] == "text8" else "·"}.get(symbol, symbol)
            ax.text(made["first"] + 1 + k, len(lines), shown, color=ASKED, **letters)
        starts = [made[name] for name in ("problem", "first") if name in made]
        names = ("problem", "compute", "answer") if len(starts) > 1 else ("not scored", "scored")
        for start, end, name in zip([0, *starts], [*starts, steps], names):
            ax.text(
                (start + end + 1) / 2, -0.75, name, ha="center", va="center", color=GREY, fontsize=8
            )
            if start:
                ax.axvline(start + 0.5, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set_xlim(skipped + 0.3, steps + 0.7)
    ax.set_ylim(rows - 0.4, -0.6 if counts else -1.1)
    ax.set_yticks(
        range(rows),
        ([f"stream {j + 1}" for j in range(len(lines))] if counts else ["shown", "asked"]),
    )
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time step" + (f" (the last {MOST} of {steps})" if skipped else ""))
    sns.despine(ax=ax, left=True)


def _curve(ax, made):
    """The curve behind the costs, with chance as a line where it is a loss."""
    curve = made["curve"]
    x, y = curve["x"], curve["y"]
    ax.set(xlabel=curve["xlabel"], ylabel=curve["ylabel"])
    if made["task"] in ("text8", "parens_counting", "arithmetic"):
        ax.bar(range(len(x)), y, color=BAR, edgecolor=GREY, linewidth=0.6)
        ax.set_xticks(range(len(x)), x, fontsize=6.5 if len(x) > 12 else 8.5)
        if made["task"] == "arithmetic":
            reference(ax, made["chance"], f"mean:\n{made['chance']:.2f}")
    else:
        ax.plot(x, y, color=GREY)
        ax.set_xlim(min(x), max(x))
        ax.set_ylim(0, 1.05 * max(y))
        if made["task"] == "rcf":
            ax.set_xscale("symlog", linthresh=max(1, x[1]))
            ax.set_xlim(0, max(x))
    sns.despine(ax=ax)
