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
from rnnkit.exhibits.selection import HARD
from rnnkit.exhibits.style import (
    GREY,
    Drawing,
    color_of,
    house_style,
    letter,
    new_figure,
    reference,
)
from rnnkit.wording import capital, count

# what a network is shown is blue, and what it is asked is orange
SHOWN = color_of("rnn")
ASKED = color_of("gru")
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
    text = _is_text(example)
    if text:  # a line of text takes the whole width
        lines = 1.2 + 0.3 * len(example["input"])
        figure = new_figure(lines + 1.9)
        ax, below = figure.subplots(2, 1, height_ratios=(lines, 1.9))
    else:
        figure = new_figure(3.2)
        figure.get_layout_engine().set(wspace=0.06)
        ax, below = figure.subplots(1, 2, width_ratios=(2.3, 1))
    (_text if text else _vector)(ax, example)
    _curve(below, example)
    curve = example["curve"]
    letter(ax, "a", title(example))
    letter(below, "b", curve["title"])
    figure.alt = alt(example)
    figure.caption = (
        f"Ours: not in the paper. {title(example)}: (a) {A[text]}, (b) {curve['title']}:"
        f" {curve['about']}. {costs(example)}"
    )
    figure.tables = {f"task_{example['task']}": table(example)}
    return figure


def _is_text(example: dict) -> bool:
    """Whether the input is lines of symbols; otherwise it is a vector over time."""
    return isinstance(example["input"], list)


def title(example: dict) -> str:
    """The task's name and form."""
    form = example["form"].split(" ")[0]
    name = task_name(example["task"], example["form"])
    return capital(name) + (f" ({form} form)" if form else "")


def costs(example: dict) -> str:
    """What chance and perfection cost, as a sentence."""
    perfect = (
        f"a perfect one {example['perfect']:g}" if math.isfinite(example["perfect"]) else UNKNOWN
    )
    return f"An answer that ignores the input costs {example['chance']:.4g} ({example['unit']}), {perfect}."


def alt(example: dict) -> str:
    """A sentence for those who cannot see the figure."""
    number = len(example["input"])
    steps = len(example["input"][0])
    shape = (
        f"{count(number, 'line')} of text" if _is_text(example) else f"{number} numbers per step"
    )
    return (
        f"{title(example)}: {shape} over {steps} steps, the answer from step {example['first'] + 1} on."
        f" {costs(example)}"
    )


def table(example: dict) -> pd.DataFrame:
    """What the figure draws: the part (input, target or curve), the row (which number of a vector, or
    which stream), x (the step, or the position on the axis) and the value.
    """
    curve = example["curve"]
    start = example["first"] + 1
    over_time = isinstance(example["target"], str)
    records = [
        *(
            ("input", row, t, value)
            for row, line in enumerate(example["input"])
            for t, value in enumerate(line, 1)
        ),
        *(
            ("target", 0, start + k, value) if over_time else ("target", k, start, value)
            for k, value in enumerate(example["target"])
        ),
        *(("curve", 0, x, y) for x, y in zip(curve["x"], curve["y"])),
    ]
    return pd.DataFrame(records, columns=["part", "row", "x", "value"])


def _vector(ax: Axes, example: dict) -> None:
    """Draws a vector over time as an image, with the answer beside its last step."""
    x = np.asarray(example["input"], float)
    y = np.asarray(example["target"], float)
    height, steps = x.shape
    span = max(np.abs(x).max(), np.abs(y).max())
    binary = set(np.unique(x)) <= {0.0, 1.0}
    look = {"cmap": "Greys", "vmin": 0, "vmax": 1.4}
    if not binary:
        look = {"cmap": "PuOr_r", "vmin": -span, "vmax": span}
    look |= {"aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(x, extent=(0.5, steps + 0.5, height + 0.5, 0.5), **look)
    right = steps + 0.5 + max(0.35, 0.04 * steps)
    end = right + max(0.5, 0.07 * steps)
    label_style = {"va": "center", "color": ASKED, "fontsize": 9}
    if len(y) > 1:
        ax.imshow(y[:, None], extent=(right, end, height + 0.5, 0.5), **look)
        x_text = right + 1.15 * (end - right)
        ax.text(x_text, height / 2, "asked at the\nlast step", **label_style)
    else:
        ax.text(right, height / 2, f"asked at the\nlast step:\n{y[0]:.3g}", **label_style)
    ax.set_xlim(0.5, end)
    ax.set_xticks([t for t in range(1, steps + 1) if steps <= 12 or t == 1 or t % 10 == 0])
    ax.set(xlabel="time step", ylabel="input", yticks=[1, height])
    ax.spines[:].set_visible(False)
    if binary:
        ax.text(right, height * 0.98, "black: 1\nwhite: 0", va="bottom", color=GREY, fontsize=8)
    else:
        ax.figure.colorbar(image, ax=ax, label="value", fraction=0.04, pad=0.12)


LETTER = {"ha": "center", "va": "center", "family": "DejaVu Sans Mono", "fontsize": 11}


def _text(ax: Axes, example: dict) -> None:
    """Draws lines of symbols over time, with the answers below or, for counts, on their right. A symbol
    is in colour if it counts for the answer.
    """
    lines = example["input"]
    steps = len(lines[0])
    first_step = max(0, steps - MOST)
    counts = not isinstance(example["target"], str)
    for row, line in enumerate(lines):
        for t in range(first_step, steps):
            text = _visible(line[t], example)
            if counts:
                is_strong = line[t] in example["pairs"][row]
            else:
                is_strong = text != "·" and (t >= example["first"] or example["task"] != "text8")
            weight = "bold" if is_strong and counts else "normal"
            color = SHOWN if is_strong else GREY
            ax.text(t + 1, row, text, color=color, fontweight=weight, **LETTER)
    if counts:
        for row, (pair, number) in enumerate(zip(example["pairs"], example["target"])):
            form = LETTER | {"ha": "left", "fontsize": 9}
            ax.text(steps + 1.5, row, f"{pair} open: {number}", color=ASKED, **form)
    else:
        _answer(ax, example, steps)
    names = [f"stream {j + 1}" for j in range(len(lines))] if counts else ["shown", "asked"]
    ax.set_xlim(first_step + 0.3, steps + 0.7)
    ax.set_ylim(len(names) - 0.4, -0.6 if counts else -1.1)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time step" + (f" (the last {MOST} of {steps})" if first_step else ""))
    sns.despine(ax=ax, left=True)


def _visible(symbol: str, example: dict) -> str:
    """The symbol, or a visible sign for a blank, which is a symbol of text8 and a pause elsewhere."""
    return {" ": "␣" if example["task"] == "text8" else "·"}.get(symbol, symbol)


def _answer(ax: Axes, example: dict, steps: int) -> None:
    """Writes the answers below the steps at which they are due, and names the parts of the line."""
    for step, symbol in enumerate(example["target"], example["first"] + 1):
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
    task = example["task"]
    x = curve["x"]
    y = curve["y"]
    ax.set(xlabel=curve["xlabel"], ylabel=curve["ylabel"])
    if task in ("text8", *HARD):
        ax.bar(range(len(x)), y, color=BAR, edgecolor=GREY, linewidth=0.6)
        ax.set_xticks(range(len(x)), x, fontsize=8.5)
        if task == "arithmetic":
            reference(ax, example["chance"], f"mean:\n{example['chance']:.2f}")
    else:
        ax.plot(x, y, color=GREY)
        ax.set(xlim=(min(x), max(x)), ylim=(0, 1.05 * max(y)))
        if task == "rcf":
            ax.set_xscale("symlog", linthresh=max(1, x[1]))
            ax.set_xlim(0, max(x))
