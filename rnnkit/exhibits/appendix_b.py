"""One example of each task, drawn from plain numbers and text: what a network is shown, what it is
asked, and what chance costs (Appendix B).
"""

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from rnnkit import paper
from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.captions import task_name
from rnnkit.exhibits.style import (
    GREY,
    PAPER_STYLE,
    Drawing,
    house_style,
    letter,
    new_figure,
    reference,
)

# what a network is shown is blue, and what it is asked is orange
SHOWN = PAPER_STYLE["rnn"].color
ASKED = PAPER_STYLE["gru"].color
BAR = "#cfd8e3"
MOST = 60  # steps of a line of text that can still be read
A = {  # what panel a shows; True is for text, and False for numbers
    True: "blue counts for the answer, grey is noise, a blank or not scored, orange is asked",
    False: "what is shown at each step, and what is asked at the last",
}
UNKNOWN = (
    "and nobody knows what a perfect one would (Shannon 1951 put printed English between 0.6 and"
    " 1.3 bits a letter)"
)


@illustration(*(f"task_{task}" for task in paper.TASKS))
@house_style
def task_example(example: dict) -> Drawing:
    """Draws one example of a task, as rnnkit.tasks.example gives it: (a) the input and the answer over
    time, (b) what the cost of chance comes from.
    """
    text = isinstance(example["input"], list)
    if text:  # a line of text takes the whole width
        lines = 1.2 + 0.3 * len(example["input"])
        figure = new_figure(lines + 1.9)
        ax, curve = figure.subplots(2, 1, height_ratios=(lines, 1.9))
    else:
        figure = new_figure(3.2)
        figure.get_layout_engine().set(wspace=0.06)
        ax, curve = figure.subplots(1, 2, width_ratios=(2.3, 1))
    (_text if text else _vector)(ax, example)
    _curve(curve, example)
    letter(ax, "a", title(example))
    letter(curve, "b", example["curve"]["title"])
    figure.alt = alt(example)
    b = f"{example['curve']['title']}: {example['curve']['about']}"
    figure.caption = (
        f"Ours: not in the paper. {title(example)}: (a) {A[text]}, (b) {b}. {costs(example)}"
    )
    figure.tables = {f"task_{example['task']}": table(example)}
    return figure


def title(example: dict) -> str:
    """The task's name and form."""
    form = example["form"].split(" ")[0]
    name = task_name(example["task"], example["form"])
    return name[0].upper() + name[1:] + (f" ({form} form)" if form else "")


def costs(example: dict) -> str:
    """What chance and perfection cost, as a sentence."""
    perfect = (
        f"a perfect one {example['perfect']:g}" if math.isfinite(example["perfect"]) else UNKNOWN
    )
    return f"An answer that ignores the input costs {example['chance']:.4g} ({example['unit']}), {perfect}."


def alt(example: dict) -> str:
    """A sentence for those who cannot see the figure."""
    count = len(example["input"])
    steps = len(example["input"][0])
    shape = (
        f"{count} line{'s' * (count > 1)} of text"
        if isinstance(example["input"], list)
        else f"{count} numbers per step"
    )
    return (
        f"{title(example)}: {shape} over {steps} steps, the answer from step {example['first'] + 1} on."
        f" {costs(example)}"
    )


def table(example: dict) -> pd.DataFrame:
    """What the figure draws: the part (input, target or curve), the row (which number of a vector, or
    which stream), x (the step, or the position on the axis) and the value.
    """
    records = [
        ("input", i, t + 1, value)
        for i, line in enumerate(example["input"])
        for t, value in enumerate(line)
    ]
    if isinstance(example["target"], str):
        records += [
            ("target", 0, example["first"] + 1 + k, symbol)
            for k, symbol in enumerate(example["target"])
        ]
    else:
        records += [
            ("target", k, example["first"] + 1, value) for k, value in enumerate(example["target"])
        ]
    records += [("curve", 0, x, y) for x, y in zip(example["curve"]["x"], example["curve"]["y"])]
    return pd.DataFrame(records, columns=["part", "row", "x", "value"])


def _vector(ax: Axes, example: dict) -> None:
    """Draws a vector over time as an image, with the answer beside its last step."""
    x = np.asarray(example["input"], float)
    y = np.asarray(example["target"], float)
    steps = x.shape[1]
    span = max(np.abs(x).max(), np.abs(y).max())
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
    x_text = right + width * 1.15 if len(y) > 1 else right
    ax.annotate(
        label, (x_text, len(x) / 2), va="center", color=ASKED, fontsize=9, annotation_clip=False
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


LETTER = {"ha": "center", "va": "center", "family": "DejaVu Sans Mono", "fontsize": 11}


def _text(ax: Axes, example: dict) -> None:
    """Draws lines of symbols over time, with the answers below or, for counts, on their right."""
    lines = example["input"]
    steps = len(example["input"][0])
    first_step = max(0, steps - MOST)
    counts = not isinstance(example["target"], str)
    for row, line in enumerate(lines):
        for t in range(first_step, steps):
            _symbol(ax, example, t, row, line[t], example["pairs"][row] if counts else None)
    (_counts if counts else _answer)(ax, example, steps)
    n_lines = len(lines) + (0 if counts else 1)
    ax.set_xlim(first_step + 0.3, steps + 0.7)
    ax.set_ylim(n_lines - 0.4, -0.6 if counts else -1.1)
    names = [f"stream {j + 1}" for j in range(len(lines))] if counts else ["shown", "asked"]
    ax.set_yticks(range(n_lines), names)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time step" + (f" (the last {MOST} of {steps})" if first_step else ""))
    sns.despine(ax=ax, left=True)


def _visible(symbol: str, example: dict) -> str:
    """The symbol, or a visible sign for a blank, which is a symbol of text8 and a pause elsewhere."""
    return {" ": "␣" if example["task"] == "text8" else "·"}.get(symbol, symbol)


def _symbol(ax: Axes, example: dict, t: int, row: int, symbol: str, pair: str | None) -> None:
    """Draws one symbol, in colour if it counts for the answer. In a stream with a `pair` of parentheses
    these count; elsewhere, everything that is scored and not a pause.
    """
    text = _visible(symbol, example)
    if pair is not None:
        strong = symbol in pair
    else:
        strong = text != "·" and (t >= example["first"] or example["task"] != "text8")
    weight = "bold" if strong and pair is not None else "normal"
    ax.text(t + 1, row, text, color=SHOWN if strong else GREY, fontweight=weight, **LETTER)


def _counts(ax: Axes, example: dict, steps: int) -> None:
    """Writes how many parentheses are open at the end of each stream."""
    for row, (pair, count) in enumerate(zip(example["pairs"], example["target"])):
        form = LETTER | {"ha": "left", "fontsize": 9}
        ax.text(steps + 1.5, row, f"{pair} open: {count}", color=ASKED, **form)


def _answer(ax: Axes, example: dict, steps: int) -> None:
    """Writes the answers below the steps at which they are due, and names the parts of the line."""
    for k, symbol in enumerate(example["target"]):
        step = example["first"] + 1 + k
        ax.text(step, len(example["input"]), _visible(symbol, example), color=ASKED, **LETTER)
    starts = [example[name] for name in ("problem", "first") if name in example]
    names = ("problem", "compute", "answer") if len(starts) > 1 else ("not scored", "scored")
    for start, end, name in zip([0, *starts], [*starts, steps], names):
        middle = (start + end + 1) / 2
        ax.text(middle, -0.8, name, ha="center", va="center", color=GREY, fontsize=8)
        if start:
            ax.axvline(start + 0.5, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))


def _curve(ax: Axes, example: dict) -> None:
    """Draws the curve behind the costs, with chance as a line if the curve is one of losses."""
    curve = example["curve"]
    x = curve["x"]
    y = curve["y"]
    ax.set(xlabel=curve["xlabel"], ylabel=curve["ylabel"])
    if example["task"] in ("text8", "parens_counting", "arithmetic"):
        ax.bar(range(len(x)), y, color=BAR, edgecolor=GREY, linewidth=0.6)
        ax.set_xticks(range(len(x)), x, fontsize=8.5)
        if example["task"] == "arithmetic":
            reference(ax, example["chance"], f"mean:\n{example['chance']:.2f}")
    else:
        ax.plot(x, y, color=GREY)
        ax.set_xlim(min(x), max(x))
        ax.set_ylim(0, 1.05 * max(y))
        if example["task"] == "rcf":
            ax.set_xscale("symlog", linthresh=max(1, x[1]))
            ax.set_xlim(0, max(x))
    sns.despine(ax=ax)
