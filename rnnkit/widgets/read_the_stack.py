"""Read the stack: a stored network reads parentheses or a sum that the reader types, and answers
symbol by symbol (section 4).
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from rnnkit.tasks.arithmetic import SPACE, SYMBOLS, spell
from rnnkit.tasks.examples import NOISE, PAIRS
from rnnkit.trials import StoreError
from rnnkit.widgets.controls import choice, text
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.stored import answers, best_trials, network, one_hot, open_store
from rnnkit.wording import label_of, layers

EXAMPLES = {"parens_counting": "(a[b(c)[{]a", "arithmetic": "37+45="}
MARGINS = {"left": 0.09, "right": 0.985, "bottom": 0.1, "top": 0.9}
NAMES = {"parens_counting": "parentheses", "arithmetic": "addition"}


def widget(store=None, task="", seed=0, form="") -> Panel:
    """The best network of each study on parentheses and on arithmetic, best first; `task` is the
    task to begin with. Raises StoreError for a store that has neither.
    """
    store = open_store(store)
    networks = {}
    for name in sorted(EXAMPLES, key=lambda name: name != task):
        try:
            for study, trial in sorted(
                best_trials(store, name, seed, form).items(), key=lambda pair: pair[1].valid_loss
            ):
                label = (
                    f"{NAMES[name]}: {label_of(study.architecture)}, {layers(study.n_layers)},"
                    f" {study.max_params:,} parameters"
                )
                networks.setdefault(label, (study, trial))  # the first is the best
        except StoreError as error:
            missing = error
    if not networks:
        raise missing
    first = next(iter(networks))

    @lru_cache(maxsize=200)
    def reading_of(label, entry):
        """What the task's function in READ returns for a network and a text."""
        study, trial = networks[label]
        return READ[study.task_type](study, trial, network(store, study, trial), entry)

    example = EXAMPLES[networks[first][0].task_type]
    controls = {
        "label": choice(
            "network",
            list(networks),
            first,
            "Which stored network reads; the best networks of each task come first",
        ),
        "entry": text(
            "type",
            example,
            "Parentheses and letters, or two numbers to add; answered at every key",
        ),
    }
    return Panel(
        draw,
        controls,
        {"networks": networks, "reading_of": reading_of},
        size=(10, 4.6),
        changed=_offer_example,
    )


def draw(figure, theme, *, label, entry, networks, reading_of) -> str:
    """What the network believes after each symbol, and the truth."""
    study, _ = networks[label]
    try:
        reading = reading_of(label, entry)
    except StoreError as error:
        return str(error)
    if isinstance(reading, str):
        figure.text(0.5, 0.5, reading, ha="center", va="center", fontsize=15, color=theme.grey)
        return reading
    return DRAW[study.task_type](figure, theme, study, *reading)


# --- parentheses ----------------------------------------------------------------------------------


def read_parentheses(study, trial, theta, line):
    """The symbols as text, the true counts_TxJ, the network's p_TxJxC after each symbol, and remarks
    on the text; a sentence if there is no text.

    The network answers at its last step alone, so each prefix of the text is read as the end of a
    whole stream, after noise.
    """
    task = study.task
    entry = line
    line = line[-task.steps :]
    if not line:
        return f"Type some of {' '.join(PAIRS[: task.types])} and letters."
    symbols = "".join(PAIRS[: task.types]) + NOISE[: task.types]
    codes = [
        symbols.find(c) if c in symbols else 2 * task.types + ord(c) % task.types for c in line
    ]
    streams_TxK = torch.full((task.steps, len(codes)), 2 * task.types, dtype=torch.int32)
    for k in range(len(codes)):
        streams_TxK[task.steps - k - 1 :, k] = torch.tensor(codes[: k + 1])
    streams = (
        streams_TxK[None, :, None].expand(1, -1, task.types, -1).contiguous()
    )  # every stream gets the same text and counts its own type
    truth = task.count_open(streams.clone())[0].T
    places = streams[0] + torch.arange(task.types)[:, None] * task.symbols
    inputs = torch.zeros(task.steps, len(codes), task.n_in).scatter_(
        2, places.transpose(1, 2).long(), 1.0
    )
    z = answers(study, trial, theta, list(inputs.unbind(0)), task.steps - 1)[-1]
    return (
        [symbols[code] for code in codes],
        truth.numpy(),
        z.reshape(len(codes), task.types, -1).softmax(-1).numpy(),
        remarks(task, entry, symbols),
    )


def remarks(task, entry, symbols) -> str:
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
    unknown = dict.fromkeys(c for c in line if c not in symbols)
    read_as = [f"{c} as {symbols[2 * task.types + ord(c) % task.types]}" for c in unknown]
    if read_as:
        sentences.append(f"It knows {' '.join(symbols)} alone, so it reads {', '.join(read_as)}.")
    for pair in PAIRS[: task.types]:
        still = open_in(line, pair)
        if still > task.cap:
            sentences.append(
                f"Of {pair[0]}, {still} are open, but the task counts to {task.cap} and ignores"
                " further ones."
            )
    return " ".join(sentences)


def open_in(line, pair) -> int:
    """How many parentheses of a pair are open at the end of a text, without the task's limit."""
    count = 0
    for symbol in line:
        count = max(0, count + (symbol == pair[0]) - (symbol == pair[1]))
    return count


def _draw_type(ax, theme, truth_T, p_TxC):
    """The strip of one type of parenthesis."""
    steps = np.arange(len(truth_T))
    answer_T = p_TxC.argmax(-1)
    most = p_TxC.shape[1] - 1
    ax.imshow(
        p_TxC.T,
        origin="lower",
        aspect="auto",
        cmap=theme.shades,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    ax.plot(
        steps,
        truth_T,
        "o",
        color="none",
        markeredgecolor=theme.ink,
        markersize=13,
        markeredgewidth=1.8,
        label="truth",
    )
    wrong = answer_T != truth_T
    ax.plot(
        steps[wrong],
        answer_T[wrong],
        "X",
        color=theme.visible("#D55E00"),
        markersize=10,
        label="the network, where it errs",
    )
    ax.set_ylim(-0.6, most + 0.6)
    # few labels, since they take most of the time of a redraw
    ax.set_yticks((0, most), ("0", f"{most}+"))
    ax.set_xticks(())


def draw_parentheses(figure, theme, study, symbols, truth_TxJ, p_TxJxC, remark) -> str:
    """One strip per type: shades are the network's beliefs, rings the truth, and crosses its
    mistakes.
    """
    types = truth_TxJ.shape[1]
    axes = figure.subplots(types, 1, squeeze=False, gridspec_kw=MARGINS | {"hspace": 0.2})[:, 0]
    steps = np.arange(len(symbols))
    answer_TxJ = p_TxJxC.argmax(-1)
    for k, ax in enumerate(axes):
        _draw_type(ax, theme, truth_TxJ[:, k], p_TxJxC[:, k])
        ax.set(xlim=(-0.6, max(12, len(symbols)) - 0.4), ylabel=f"{PAIRS[k]} open")
    axes[-1].set_xticks(steps, symbols, family="DejaVu Sans Mono", fontsize=13)
    axes[0].legend(
        *_keys(theme),
        loc="lower right",
        bbox_to_anchor=(1, 1.0),
        ncols=3,
        borderaxespad=0.1,
        handletextpad=0.3,
    )
    right = int((answer_TxJ == truth_TxJ).sum())
    counts = ", ".join(
        f"{PAIRS[k]} {truth_TxJ[-1, k]} (it says {answer_TxJ[-1, k]})" for k in range(types)
    )
    return (
        f"Open at the end, by the rule of the task: {counts}. It is right at {right} of {answer_TxJ.size}"
        f" places. {remark}"
    ).rstrip()


def _keys(theme):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    truth = Line2D(
        [],
        [],
        marker="o",
        linestyle="none",
        color="none",
        markeredgecolor=theme.ink,
        markersize=11,
        markeredgewidth=1.8,
    )
    wrong = Line2D(
        [], [], marker="X", linestyle="none", color=theme.visible("#D55E00"), markersize=10
    )
    return (truth, wrong, Patch(color=theme.shades(0.8))), (
        "truth",
        "the network, where it errs",
        "how sure it is",
    )


# --- arithmetic -----------------------------------------------------------------------------------


def read_sum(study, trial, theta, entry):
    """The problem as text, the right answer in symbols, and the network's p_SxC for each symbol of
    the answer; a sentence if the text is no problem.
    """
    task = study.task
    numbers = re.fullmatch(r"\s*(-?\d{1,8})\s*\+\s*(-?\d{1,8})\s*=?\s*", entry)
    if not numbers or any(abs(int(n)) > task.most for n in numbers.groups()):
        return f"Type two whole numbers from -{task.most:,} to {task.most:,}, as 12+34= or 5+-7=."
    a, b = (torch.full((1, 1), int(n), dtype=torch.int32) for n in numbers.groups())
    inputs, answer = task.encode(a, b)
    first = task.first_scored(trial.hparams)
    z = answers(
        study, trial, theta, one_hot(inputs[0, : first + task.scored, :, 0], task.n_in), first
    )[:, 0]
    return (
        spell(inputs[0, : task.problem, 0, 0]),
        answer[0, :, 0, 0].numpy(),
        z.softmax(-1).numpy(),
    )


def draw_sum(figure, theme, study, problem, answer_S, p_SxC) -> str:
    """One column per symbol of the answer: shades are the network's beliefs, rings the truth, and
    crosses its mistakes.
    """
    ax = figure.subplots(gridspec_kw=MARGINS | {"top": 0.85})
    network_S = p_SxC.argmax(-1)
    places = np.arange(len(answer_S))
    wrong = network_S != answer_S
    ax.imshow(p_SxC.T, aspect="auto", cmap=theme.shades, vmin=0, vmax=1, interpolation="nearest")
    ax.plot(
        places,
        answer_S,
        "o",
        color="none",
        markeredgecolor=theme.ink,
        markersize=15,
        markeredgewidth=2,
    )
    ax.plot(places[wrong], network_S[wrong], "X", color=theme.visible("#D55E00"), markersize=11)
    names = [f"{symbol}\nis due" for symbol in spell(answer_S).replace(SYMBOLS[SPACE], "␣")]
    ax.set_xticks(places, names, fontsize=12)
    ax.set_yticks(
        range(len(SYMBOLS)),
        SYMBOLS.replace(SYMBOLS[SPACE], "␣"),
        family="DejaVu Sans Mono",
        fontsize=10,
    )
    ax.set(ylabel="symbol", xlim=(-0.5, len(places) - 0.5))
    ax.set_title(
        f"{problem.strip()} {spell(network_S).strip()}",
        loc="left",
        fontsize=20,
        family="DejaVu Sans Mono",
        pad=10,
    )
    ax.legend(
        *_keys(theme),
        loc="lower right",
        bbox_to_anchor=(1, 1.0),
        ncols=3,
        borderaxespad=0.1,
        handletextpad=0.3,
    )
    verdict = (
        f"wrong: {spell(answer_S).strip()} it is, and {(~wrong).sum()} of {len(wrong)} symbols"
        " are right"
    )
    verdict = verdict if wrong.any() else "right"
    return (
        f"{problem.strip()} the network answers {spell(network_S).strip() or 'nothing'}, which is"
        f" {verdict}."
    )


READ = {"parens_counting": read_parentheses, "arithmetic": read_sum}
DRAW: dict[str, Any] = {"parens_counting": draw_parentheses, "arithmetic": draw_sum}


def _offer_example(panel, name):
    """Offers another task's example, unless the text suits that task."""
    if name == "label":
        task = panel.state["networks"][panel.live["label"].value][0].task_type
        entry = panel.live["entry"]
        fits = (
            re.search(r"\d", entry.value)
            if task == "arithmetic"
            else not re.search(r"\d", entry.value)
        )
        if not fits:
            entry.value = EXAMPLES[task]
