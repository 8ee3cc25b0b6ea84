"""What training relies on in all tasks that come in named sizes."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnnkit import paper
from rnnkit.tasks import TASKS, example

ROOT = Path(__file__).parents[1]
FORMED = [task for task in TASKS.values() if task.forms]
HERE = [
    (task, form)
    for task in FORMED
    for form in task.forms
    if task.name != "text8" or "sample" in form
]  # text8 itself may be missing
each_form = pytest.mark.parametrize(
    ("task", "form"), HERE, ids=[f"{task.name}-{form}" for task, form in HERE]
)
TINY = [task("tiny sample" if task.name == "text8" else "tiny") for task in FORMED]
each_tiny = pytest.mark.parametrize("task", TINY, ids=lambda task: task.name)
STEPS = torch.tensor([7, 0, 123_456_789])


@each_form
def test_training_batches_have_the_shapes_that_training_asks_for(task, form):
    task = task(form)
    hparams = {"compute_steps": 6}
    inputs, targets = task.batches(0, STEPS)
    if task.input == "static":
        assert inputs.shape == (3, task.n_in, task.batch) and inputs.dtype == torch.float32
    else:
        assert (
            inputs.shape == (3, task.steps, task.streams, task.batch)
            and inputs.dtype == torch.int32
        )
        assert 0 <= int(inputs.min()) and int(inputs.max()) < task.n_in
    if task.loss == "squared":
        assert targets.shape == (3, task.n_out, task.batch) and targets.dtype == torch.float32
    else:
        assert (
            targets.shape == (3, task.scored, task.heads, task.batch)
            and targets.dtype == torch.int32
        )
        assert (
            task.n_out % task.heads == 0
            and 0 <= int(targets.min())
            and int(targets.max()) < task.n_out // task.heads
        )
    assert inputs.is_contiguous() and targets.is_contiguous()
    assert task.first_scored(hparams) + task.scored == task.steps and task.batch % 16 == 0


@each_tiny
def test_a_batch_depends_on_seed_and_step_alone(task):
    together = task.batches(4, STEPS)
    for k, step in enumerate(STEPS):
        alone = task.batches(4, step[None])
        assert torch.equal(alone[0][0], together[0][k]) and torch.equal(alone[1][0], together[1][k])


@each_tiny
def test_another_seed_or_step_gives_another_batch(task):
    one, two = task.batches(4, torch.tensor([1, 2]))[0]
    assert not torch.equal(one, two)
    assert not torch.equal(one, task.batches(5, torch.tensor([1]))[0][0])


@each_tiny
@pytest.mark.parametrize("part", ["train", "valid", "eval"])
def test_weights_of_held_out_data_add_to_one(task, part):
    inputs, targets, weights = task.held_out(0, part)
    assert (
        weights.shape == (len(inputs), task.batch)
        and weights.dtype == torch.float64
        and len(inputs) == len(targets)
    )
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12) and float(weights.min()) >= 0


@each_tiny
def test_held_out_data_are_fixed_and_parts_differ_but_for_the_table(task):
    assert torch.equal(task.held_out(0, "valid")[0], task.held_out(0, "valid")[0])
    same = torch.equal(task.held_out(0, "valid")[0], task.held_out(0, "eval")[0])
    assert same == (task.name == "rcf")  # a table that is to be memorised has no other data


def test_the_training_part_is_what_training_sees_first():
    for task in (
        TASKS["mem_thru"]("tiny"),
        TASKS["parens_counting"]("tiny"),
        TASKS["arithmetic"]("tiny"),
    ):
        inputs, targets, _ = task.held_out(2, "train")
        assert torch.equal(inputs, task.batches(2, torch.arange(len(inputs)))[0])


@each_tiny
def test_an_unknown_part_is_refused_with_the_known_ones(task):
    with pytest.raises(ValueError, match="split must be one of train, valid, eval"):
        task.held_out(0, "test")


@pytest.mark.parametrize("task", FORMED, ids=lambda task: task.name)
def test_an_unknown_form_is_refused_with_the_known_ones(task):
    with pytest.raises(ValueError, match=f"form must be one of {', '.join(task.forms)}"):
        task(form="huge")


WRONG = [
    (dict(batch=20), "multiple of 16"),
    (dict(types=0), "whole number"),
    (dict(steps=2.5), "whole number"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG)
def test_sizes_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TASKS["parens_counting"]("tiny", **wrong)


def test_a_field_that_is_given_replaces_the_form_s_own():
    assert TASKS["mem_thru"]("paper", steps=5).steps == 5 and TASKS["mem_thru"]("paper").steps == 12


def test_the_paper_s_forms_are_those_of_appendix_b():
    memory, table, text, parens, sums = (
        TASKS[name]("paper")
        for name in ("mem_thru", "rcf", "text8", "parens_counting", "arithmetic")
    )
    assert (memory.n_in, memory.n_out) == (64, 64)  # section 2.2
    assert (table.samples, table.tau, table.n_in, table.steps, table.n_out) == (
        10**6,
        5000,
        50,
        50,
        1,
    )
    assert (text.steps, text.unscored, text.scored, text.n_in, text.n_out) == (50, 13, 37, 27, 27)
    assert (parens.n_in, parens.steps, parens.heads, parens.n_out, parens.cap) == (
        300,
        175,
        10,
        100,
        9,
    )
    assert (
        sums.most,
        sums.steps,
        sums.first_scored({"compute_steps": 1}),
        sums.first_scored({"compute_steps": 6}),
    ) == (10**7, 36, 21, 26)


def test_only_text8_is_told_in_other_units_than_it_is_trained_in():
    assert {name: TASKS[name].per_nat for name in paper.TASKS if name != "per_cap"} == {
        "mem_thru": 1,
        "rcf": 1,
        "text8": 1 / math.log(2),
        "parens_counting": 1,
        "arithmetic": 1,
    }


def test_two_processes_draw_the_same_batch():
    code = (
        "import torch; from rnnkit.tasks import TASKS; print(TASKS['mem_thru']('tiny').batches(1,"
        " torch.tensor([5]))[0].sum().item())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    ).stdout
    assert float(other) == float(TASKS["mem_thru"]("tiny").batches(1, torch.tensor([5]))[0].sum())


@pytest.mark.parametrize("name", TASKS)
def test_an_example_is_plain_numbers_and_text(name):
    made = example(name, "tiny sample" if name == "text8" else "tiny")
    assert not [key for key, value in made.items() if isinstance(value, torch.Tensor)]
    lines = made["input"] if isinstance(made["input"], list) else list(made["input"])
    assert len({len(line) for line in lines}) == 1 and len(lines[0]) >= made["first"] + 1
    assert made["chance"] > 0 and (made["perfect"] == 0) == (name != "text8")
    assert len(made["curve"]["x"]) == len(made["curve"]["y"]) > 1
