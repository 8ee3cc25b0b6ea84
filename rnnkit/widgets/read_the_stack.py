"""Read the stack: a stored network reads parentheses or a sum that the reader types, and answers
symbol by symbol (section 4).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch.nn.functional import one_hot

from rnnkit.tasks.arithmetic import SPACE, SYMBOLS, spell
from rnnkit.tasks.parentheses import NOISE, PAIRS, open_in
from rnnkit.trials import StoreError
from rnnkit.widgets.controls import choice, text
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.stored import StoredNetwork, best_networks, open_store
from rnnkit.widgets.theme import Theme
from rnnkit.wording import label_of, layers

MARGINS = {"left": 0.09, "right": 0.985, "bottom": 0.1, "top": 0.9}
MONOSPACE = "DejaVu Sans Mono"
ERROR_COLOR = "#D55E00"


def widget(store: str | Path | None = None, task: str = "", seed: int = 0, form: str = "") -> Panel:
    """The best network of each study on parentheses and on arithmetic, best first; `task` is the
    task to begin with. Raises StoreError for a store that has neither.
    """
    trial_store = open_store(store)
    networks: dict[str, StoredNetwork] = {}
    for name in sorted(READERS, key=lambda name: name != task):
        try:
            of_task = best_networks(trial_store, name, seed, form)
        except StoreError as error:
            missing = error
            continue
        for network in sorted(of_task, key=lambda network: network.trial.valid_loss):
            study = network.study
            label = (
                f"{READERS[name].subject}: {label_of(study.architecture)}, {layers(study.n_layers)},"
                f" {study.max_params:,} parameters"
            )
            networks.setdefault(label, network)  # the first is the best
    if not networks:
        raise missing

    example = reader_of(next(iter(networks.values()))).example
    controls = {
        "label": choice(
            "network",
            networks,
            tip="Which stored network reads; the best networks of each task come first",
        ),
        "entry": text(
            "type", example, "Parentheses and letters, or two numbers to add; answered at every key"
        ),
    }
    return Panel(draw, controls, {"networks": networks}, size=(10, 4.6), changed=_offer_example)


@lru_cache(maxsize=200)
def reading_of(network: StoredNetwork, entry: str) -> Any:
    """What there is to draw of a text that a network reads, or a sentence if it is none to read."""
    return reader_of(network).read(network, entry)


def draw(
    figure: Figure,
    theme: Theme,
    *,
    label: str,
    entry: str,
    networks: dict[str, StoredNetwork],
) -> str:
    """What the network believes after each symbol, and the truth."""
    try:
        reading = reading_of(networks[label], entry)
    except StoreError as error:
        return str(error)
    if isinstance(reading, str):
        figure.text(0.5, 0.5, reading, ha="center", va="center", fontsize=15, color=theme.grey)
        return reading
    return reader_of(networks[label]).draw(figure, theme, *reading)


def _draw_beliefs(
    ax: Axes,
    theme: Theme,
    truth_T: np.ndarray,
    p_TxC: np.ndarray,
    ring: tuple[float, float],
    cross: float,
    origin: str = "upper",
) -> np.ndarray:
    """Shades for what the network believes, rings for the truth and crosses for its mistakes; `ring`
    is the size and the width of a ring. Returns where it errs.
    """
    steps = np.arange(len(truth_T))
    answer_T = p_TxC.argmax(-1)
    wrong = answer_T != truth_T
    grid = {"origin": origin, "aspect": "auto", "interpolation": "nearest"}
    ax.imshow(p_TxC.T, cmap=theme.shades, vmin=0, vmax=1, **grid)
    ax.plot(steps, truth_T, **theme.ring(*ring))
    ax.plot(steps[wrong], answer_T[wrong], **_crosses(theme, cross))
    return wrong


def _crosses(theme: Theme, size: float) -> dict[str, Any]:
    color = theme.visible(ERROR_COLOR)
    return {"marker": "X", "linestyle": "none", "color": color, "markersize": size}


def _draw_legend(ax: Axes, theme: Theme) -> None:
    """What rings, crosses and shades mean, above the picture."""
    keys = {
        "truth": Line2D([], [], **theme.ring(11, 1.8)),
        "the network, where it errs": Line2D([], [], **_crosses(theme, 10)),
        "how sure it is": Patch(color=theme.shades(0.8)),
    }
    position = {"loc": "lower right", "bbox_to_anchor": (1, 1.0), "ncols": 3}
    ax.legend(keys.values(), keys, borderaxespad=0.1, handletextpad=0.3, **position)


# --- parentheses ----------------------------------------------------------------------------------


def read_parentheses(
    network: StoredNetwork, entry: str
) -> tuple[list[str], np.ndarray, np.ndarray, str] | str:
    """The symbols as text, the true counts_TxJ, the network's p_TxJxC after each symbol, and remarks
    on the text; a sentence if there is no text.

    The network answers at its last step alone, so each prefix of the text is read as the end of a
    whole stream, after noise.
    """
    task: Any = network.study.task
    line = entry[-task.steps :]
    if not line:
        return f"Type some of {' '.join(PAIRS[: task.types])} and letters."
    letters = [_symbol_for(task, letter) for letter in line]
    codes = [task.letters.index(letter) for letter in letters]
    streams_TxK = torch.full((task.steps, len(codes)), 2 * task.types, dtype=torch.int32)
    for k in range(len(codes)):
        streams_TxK[task.steps - k - 1 :, k] = torch.tensor(codes[: k + 1])
    # every stream gets the same text and counts its own type
    streams_TxJxK = streams_TxK[:, None].repeat(1, task.types, 1)
    truth_KxJ = task.count_open(streams_TxJxK[None])[0].T
    inputs_TxKxI = one_hot(streams_TxJxK.transpose(1, 2).long(), task.symbols).flatten(2).float()
    z = network.answers(inputs_TxKxI.unbind(0), task.steps - 1)[-1]
    p_KxJxC = z.reshape(len(codes), task.types, -1).softmax(-1)
    return letters, truth_KxJ.numpy(), p_KxJxC.numpy(), remarks(task, entry)


def _symbol_for(task: Any, letter: str) -> str:
    """The letter itself if it is one of the task's, and otherwise the noise it is read as."""
    return letter if letter in task.letters else NOISE[ord(letter) % task.types]


def remarks(task: Any, entry: str) -> str:
    """How the task reads a text that it cannot take literally: one that is too long, has unknown
    symbols, or has more open parentheses than the task counts.
    """
    line = entry[-task.steps :]
    sentences = []
    if len(entry) > len(line):
        sentences.append(
            f"The network reads {task.steps} symbols, so the first {len(entry) - len(line)} of"
            " yours are left out."
        )
    unknown = dict.fromkeys(c for c in line if c not in task.letters)
    if unknown:
        read_as = ", ".join(f"{c} as {_symbol_for(task, c)}" for c in unknown)
        sentences.append(f"It knows {' '.join(task.letters)} alone, so it reads {read_as}.")
    for pair in PAIRS[: task.types]:
        n_open = open_in(line, pair)
        if n_open > task.cap:
            sentences.append(
                f"Of {pair[0]}, {n_open} are open, but the task counts to {task.cap} and ignores"
                " further ones."
            )
    return " ".join(sentences)


def draw_parentheses(
    figure: Figure,
    theme: Theme,
    symbols: list[str],
    truth_TxJ: np.ndarray,
    p_TxJxC: np.ndarray,
    remark: str,
) -> str:
    """One strip per type of parenthesis."""
    types, n_counts = p_TxJxC.shape[1:]
    axes = figure.subplots(types, 1, squeeze=False, gridspec_kw=MARGINS | {"hspace": 0.2})[:, 0]
    answer_TxJ = p_TxJxC.argmax(-1)
    most = n_counts - 1
    for k, ax in enumerate(axes):
        _draw_beliefs(ax, theme, truth_TxJ[:, k], p_TxJxC[:, k], (13, 1.8), 10, "lower")
        ax.set(xlim=(-0.6, max(12, len(symbols)) - 0.4), ylim=(-0.6, most + 0.6))
        # few labels, since they take most of the time of a redraw
        ax.set(
            xticks=(), yticks=(0, most), yticklabels=("0", f"{most}+"), ylabel=f"{PAIRS[k]} open"
        )
    axes[-1].set_xticks(range(len(symbols)), symbols, family=MONOSPACE, fontsize=13)
    _draw_legend(axes[0], theme)
    right = int((answer_TxJ == truth_TxJ).sum())
    counts = ", ".join(
        f"{PAIRS[k]} {truth_TxJ[-1, k]} (it says {answer_TxJ[-1, k]})" for k in range(types)
    )
    return (
        f"Open at the end, by the rule of the task: {counts}. It is right at {right} of"
        f" {answer_TxJ.size} places. {remark}"
    ).rstrip()


# --- arithmetic -----------------------------------------------------------------------------------


def read_sum(network: StoredNetwork, entry: str) -> tuple[str, np.ndarray, np.ndarray] | str:
    """The problem as text, the right answer in symbols, and the network's p_SxC for each symbol of
    the answer; a sentence if the text is no problem.
    """
    task: Any = network.study.task
    match = re.fullmatch(r"\s*(-?\d{1,8})\s*\+\s*(-?\d{1,8})\s*=?\s*", entry)
    numbers = [int(number) for number in match.groups()] if match else []
    if not match or max(map(abs, numbers)) > task.most:
        return f"Type two whole numbers from -{task.most:,} to {task.most:,}, as 12+34= or 5+-7=."
    inputs, answer = task.encode(*(torch.full((1, 1), n, dtype=torch.int32) for n in numbers))
    symbols_T = inputs[0, :, 0, 0]
    first = task.first_scored(network.trial.hparams)
    x_TxBxI = one_hot(symbols_T[: first + task.scored].long(), task.n_in).float()[:, None]
    z = network.answers(x_TxBxI.unbind(0), first)[:, 0]
    return spell(symbols_T[: task.problem]), answer[0, :, 0, 0].numpy(), z.softmax(-1).numpy()


def draw_sum(
    figure: Figure, theme: Theme, problem: str, answer_S: np.ndarray, p_SxC: np.ndarray
) -> str:
    """One column per symbol of the answer."""
    ax = figure.subplots(gridspec_kw=MARGINS | {"top": 0.85})
    wrong = _draw_beliefs(ax, theme, answer_S, p_SxC, (15, 2), 11)
    n_symbols = len(answer_S)
    names = [f"{symbol}\nis due" for symbol in spell(answer_S).replace(SYMBOLS[SPACE], "␣")]
    ax.set_xticks(range(n_symbols), names, fontsize=12)
    symbols = SYMBOLS.replace(SYMBOLS[SPACE], "␣")
    ax.set_yticks(range(len(symbols)), symbols, family=MONOSPACE, fontsize=10)
    ax.set(ylabel="symbol", xlim=(-0.5, n_symbols - 0.5))
    problem = problem.strip()
    network_answer = spell(p_SxC.argmax(-1)).strip()
    ax.set_title(f"{problem} {network_answer}", loc="left", fontsize=20, family=MONOSPACE, pad=10)
    _draw_legend(ax, theme)
    verdict = (
        f"wrong: {spell(answer_S).strip()} it is, and {(~wrong).sum()} of {n_symbols} symbols are"
        " right"
        if wrong.any()
        else "right"
    )
    return f"{problem} the network answers {network_answer or 'nothing'}, which is {verdict}."


class Reader(NamedTuple):
    """How networks of a task read what is typed."""

    subject: str
    example: str
    read: Callable[[StoredNetwork, str], Any]  # what there is to draw, or a sentence
    draw: Callable[..., str]


READERS = {
    "parens_counting": Reader("parentheses", "(a[b(c)[{]a", read_parentheses, draw_parentheses),
    "arithmetic": Reader("addition", "37+45=", read_sum, draw_sum),
}


def reader_of(network: StoredNetwork) -> Reader:
    return READERS[network.study.task_type]


def _offer_example(panel: Panel, name: str) -> None:
    """Offers another task's example, unless the text suits that task."""
    if name == "label":
        example = reader_of(panel.state["networks"][panel.values["label"]]).example
        entry = panel.live["entry"]
        has_digits, needs_digits = (re.search(r"\d", line) for line in (entry.value, example))
        if bool(has_digits) != bool(needs_digits):
            entry.value = example
