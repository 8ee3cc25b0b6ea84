"""One example of each task as plain numbers and text, with the loss of a network that ignores its
input and the loss of one that makes no mistake.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from .. import theory
from .arithmetic import Arithmetic, spell
from .corpus import ALPHABET
from .forms import Endless
from .memory import Memory
from .parentheses import Parentheses
from .perceptron import Perceptron
from .random_function import RandomFunction
from .text8 import Text8

# how the types of parentheses are written; the paper names two of its ten
PAIRS = ("()", "[]", "{}", "<>", "«»", "‹›", "⟨⟩", "⟦⟧", "⌈⌉", "⌊⌋")
NOISE = "abcdefghij"


def of(task: Any, seed: int = 0) -> dict:
    """The first training sample of a task, the losses of chance and of perfection, and a curve that
    explains them.

    input     numbers_IxT, or one line of text per stream
    target    numbers_O, or a line of text
    first     the step at which the first answer is due, counted from 0
    chance    the least loss of an answer that ignores the input, in `unit`
    perfect   the least loss of all, in `unit`; NaN where it is unknown
    curve     x, y, their labels, a title and a sentence

    Raises OSError or ValueError where the task's text cannot be read.
    """
    example = EXAMPLES[task.name](task, seed)
    return {"task": task.name, "form": task.form, "perfect": 0.0, **example}


def _per_cap(task: Perceptron, seed: int) -> dict:
    packed, labels = task.data(seed, 1)
    x = task.unpack(packed, torch.tensor([0]))[0].numpy()
    share = np.linspace(0.5, 1, 51)
    bits = np.array([theory.mutual_information(p, 1) for p in share])
    return dict(
        input=np.repeat(x[:, None], task.unroll, 1),
        target=labels.numpy(),
        first=task.unroll - 1,
        unit="nats per label",
        chance=math.log(2),
        curve=dict(
            x=share,
            y=bits,
            xlabel="share of labels that are right",
            ylabel="bits stored per label",
            title="equation 22",
            about="how many bits it takes to know a share of the labels",
        ),
    )


def _mem_thru(task: Memory, seed: int) -> dict:
    x, y = _first(task, seed)
    units = np.arange(0, task.n_in * 3 // 2 + 1)
    return dict(
        input=np.concatenate((x[:, None], np.zeros((task.n_in, task.steps - 1))), 1),
        target=y,
        first=task.steps - 1,
        unit="squared error per number",
        chance=task.chance(),
        curve=dict(
            x=units,
            y=np.array([task.bound(int(n)) for n in units]),
            xlabel="units per layer",
            ylabel="least loss",
            title="the bound",
            about="the least loss that a linear readout from so many units can reach",
        ),
    )


def _rcf(task: RandomFunction, seed: int) -> dict:
    x, y = _first(task, seed)
    count = np.concatenate(([0], np.unique(np.geomspace(1, task.samples, 60).astype(int))))
    return dict(
        input=np.repeat(x[:, None], task.steps, 1),
        target=y,
        first=task.steps - 1,
        unit="weighted squared error",
        chance=task.chance(),
        curve=dict(
            x=count,
            y=np.array([task.memorised_loss(m) for m in count]),
            xlabel="heaviest samples known",
            ylabel="loss left",
            title="a perfect memory",
            about="the loss of a network that knows so many of the heaviest samples",
        ),
    )


def _text8(task: Text8, seed: int) -> dict:
    x, y = _first(task, seed)
    p = task.marginal()
    order = np.argsort(-p)
    return dict(
        input=["".join(ALPHABET[s] for s in x[:, 0])],
        target="".join(ALPHABET[s] for s in y[:, 0]),
        first=task.unscored,
        unit="bits per character",
        chance=task.chance(),
        perfect=math.nan,
        curve=dict(
            x=["␣" if s == 0 else ALPHABET[s] for s in order],
            y=p[order],
            xlabel="symbol",
            ylabel="share of the text",
            title="the letters",
            about="how frequent each symbol is in the training split",
        ),
    )


def _parens_counting(task: Parentheses, seed: int) -> dict:
    x, y = _first(task, seed)
    symbols = "".join(PAIRS[: task.types]) + NOISE[: task.types]
    streams = ["".join(symbols[s - j * task.symbols] for s in x[:, j]) for j in range(task.types)]
    return dict(
        input=streams,
        pairs=list(PAIRS[: task.types]),
        target=y[0],
        first=task.steps - 1,
        unit=f"nats, summed over {task.types} answers",
        chance=task.chance(),
        curve=dict(
            x=np.arange(task.cap + 1),
            y=task.marginal(),
            xlabel="open at the end",
            ylabel="probability",
            title="the answers",
            about="how frequent each count is",
        ),
    )


def _arithmetic(task: Arithmetic, seed: int) -> dict:
    x, y = _first(task, seed)
    p = task.marginal()
    entropy = (p * -np.log(np.where(p > 0, p, 1))).sum(1)
    compute = 3  # blanks before the answer, of the 1 to 6 that a trial may choose
    return dict(
        input=[spell(x[:, 0])[: task.problem + compute + task.scored]],
        target=spell(y[:, 0]),
        problem=task.problem,
        first=task.first_scored({"compute_steps": compute}),
        unit="nats per symbol",
        chance=task.chance(),
        curve=dict(
            x=np.arange(1, task.scored + 1),
            y=entropy,
            xlabel="position in the answer",
            ylabel="loss of chance, nats",
            title="position by position",
            about="the entropy of each symbol of the answer",
        ),
    )


def _first(task: Endless | RandomFunction | Text8, seed: int) -> Iterator[np.ndarray]:
    """Input and target of the first example of the first batch."""
    return (tensor[0, ..., 0].numpy() for tensor in task.batches(seed, torch.tensor([0])))


EXAMPLES: dict[str, Callable[[Any, int], dict]] = {
    "per_cap": _per_cap,
    "mem_thru": _mem_thru,
    "rcf": _rcf,
    "text8": _text8,
    "parens_counting": _parens_counting,
    "arithmetic": _arithmetic,
}
