"""Batches made in C++: those of the tasks in Python, bit for bit, and training on them is training
on those.
"""

import numpy as np
import pytest
import torch

from rnnkit import native
from rnnkit.native import batches
from rnnkit.native.batches import batches_of
from rnnkit.studies import Study
from rnnkit.tasks import TASKS
from rnnkit.tasks.arithmetic import Arithmetic
from rnnkit.tasks.parentheses import Parentheses
from rnnkit.training import train

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")
HERE = [
    (name, form)
    for name in batches.KINDS
    for form in TASKS[name].forms
    if name != "text8" or "sample" in form
]  # text8 itself may be missing
ODD = [
    Parentheses("tiny", types=1, steps=7, cap=1),
    Parentheses("tiny", types=15, batch=48),
    Arithmetic("tiny", most=1),
    Arithmetic("tiny", most=10),
]
MADE = [TASKS[name](form) for name, form in HERE] + ODD
NUMBERS = torch.tensor([0, 1, 77, 2**32 - 1, 2**32 + 1, 2**61 + 5])
SEED = 2**35 + 3
each_task = pytest.mark.parametrize(
    "task", MADE, ids=lambda task: f"{task.name}-{task.form}-{task.batch}"
)


def assert_the_same(made, expected):
    for one, other in zip(made, expected, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@needs_compiler
@each_task
def test_training_batches_are_those_of_the_task(task):
    assert_the_same(batches_of(task, SEED).make(NUMBERS), task.batches(SEED, NUMBERS))


@needs_compiler
@each_task
@pytest.mark.parametrize("part", ["train", "valid", "eval"])
def test_held_out_parts_are_those_of_the_task_or_are_left_to_it(task, part):
    made = batches_of(task, SEED, part)
    if task.name in ("rcf", "text8"):  # their held-out data are not drawn
        assert made is None
    else:
        inputs, targets, _ = task.held_out(SEED, part)
        assert_the_same(made.make(torch.arange(len(inputs))), (inputs, targets))


@needs_compiler
@pytest.mark.parametrize("name", ["mem_thru", "rcf"])
def test_numbers_in_double_are_the_same_floats(name):
    task = TASKS[name]("tiny")
    x, y = task.batches(SEED, NUMBERS)
    assert_the_same(batches_of(task, SEED, real="double").make(NUMBERS), (x.double(), y.double()))


@needs_compiler
@pytest.mark.parametrize("name", batches.KINDS)
def test_training_is_the_same_as_on_the_task_s_own_batches(name, monkeypatch):
    """To the last bit of the trained parameters, across several chunks of steps, and of the losses
    on the held-out data.
    """
    study = Study(
        name,
        "gru",
        1,
        900,
        form="tiny sample" if name == "text8" else "tiny",
        train_steps=(150, 150),
        tuner="random",
    )
    hparams = [study.space.sample(np.random.default_rng(i)) for i in range(2)]
    fast = train(study, hparams, range(2))
    for module in ("data", "compiled"):
        monkeypatch.setattr(f"rnnkit.training.{module}.batches_of", lambda *_, **__: None)
    slow = train(study, hparams, range(2))
    for one, other in zip(fast, slow):
        assert one.steps == other.steps == 150 and (one.theta == other.theta).all()
        assert (one.train_loss, one.valid_loss, one.eval_loss) == (
            other.train_loss,
            other.valid_loss,
            other.eval_loss,
        )


@needs_compiler
def test_the_compiled_step_asks_for_no_batches_of_python(monkeypatch):
    def refuse(*_):
        raise AssertionError("a batch was made in Python")

    study = Study("parens_counting", "gru", 1, 900, form="tiny", train_steps=(9, 9), tuner="random")
    monkeypatch.setattr(Parentheses, "batches", refuse)
    (outcome,) = train(
        study, [study.space.sample(np.random.default_rng(0))], [0], engine="compiled"
    )
    assert outcome.steps == 9


def test_without_a_compiler_the_task_s_own_batches_are_taken(monkeypatch):
    monkeypatch.setattr(native, "compiler", lambda: None)
    batches.library.cache_clear()
    with pytest.raises(native.Unavailable, match="no C.. compiler was found"):
        batches_of(TASKS["mem_thru"]("tiny"), 0)
    study = Study("mem_thru", "gru", 1, 900, form="tiny", train_steps=(3, 3), tuner="random")
    with pytest.warns(UserWarning, match="plain torch step"):
        (outcome,) = train(study, [study.space.sample(np.random.default_rng(0))], [0])
    assert outcome.steps == 3


def test_a_task_that_is_not_known_keeps_its_own_batches():
    class Own(Parentheses):
        name = "own"

    assert batches_of(Own("tiny"), 0) is None
