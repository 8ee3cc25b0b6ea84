"""Every task through both engines, over short trainings in float64: sequences, vectors shown once,
softmax heads, varying lengths.
"""

import math

import numpy as np
import pytest
import torch

from rnnkit import native, networks
from rnnkit.hparams import space_for
from rnnkit.studies import Study
from rnnkit.tasks import TASKS
from rnnkit.training import train
from rnnkit.training.engines import Compiled, Data, Eager
from rnnkit.training.slots import slots_of

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")
FORMS = {
    "mem_thru": "tiny",
    "rcf": "tiny",
    "text8": "tiny sample",
    "parens_counting": "tiny",
    "arithmetic": "tiny",
}
CELLS = [("gru", 1), ("lstm", 2), ("+rnn", 2)]


def a_study(task_type, architecture="gru", n_layers=1):
    return Study(
        task_type,
        architecture,
        n_layers,
        900,
        form=FORMS[task_type],
        train_steps=(6, 12),
        tuner="random",
    )


def some_hparams(study, count):
    return [
        space_for(study.architecture, study.task_type, study.train_steps).sample(
            np.random.default_rng(i)
        )
        for i in range(count)
    ]


def both(study):
    return (study, some_hparams(study, 3), range(3))


@needs_compiler
@pytest.mark.parametrize("architecture, n_layers", CELLS)
@pytest.mark.parametrize("task_type", FORMS)
def test_compiled_training_equals_plain_training(task_type, architecture, n_layers):
    study = a_study(task_type, architecture, n_layers)
    compiled, plain = (
        train(*both(study), engine=engine, dtype=torch.float64) for engine in ("compiled", "eager")
    )
    for a, b in zip(compiled, plain):
        assert (a.infeasible, a.steps) == (b.infeasible, b.steps)
        for name in ("train_loss", "valid_loss", "eval_loss", "accuracy"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-9, nan_ok=True)


def first_of(study, engine):
    """An engine, one slot that holds trial 0 at its initial weights, and its evaluation data."""
    data = Data(study, some_hparams(study, 1), torch.float64)
    made = (
        Compiled(study, data, torch.float64)
        if engine == "compiled"
        else Eager(study, data, torch.float64)
    )
    slots = slots_of(study, [(0, some_hparams(study, 1)[0])], torch.float64)
    return made, slots, data.split("eval")


@pytest.mark.parametrize("engine", [pytest.param("compiled", marks=needs_compiler), "eager"])
@pytest.mark.parametrize("task_type", FORMS)
def test_evaluation_is_the_loss_that_the_task_defines(task_type, engine):
    """Sample by sample in plain Python: one network, one sequence, the definitions of notes and
    appendix written out.
    """
    study = a_study(task_type)
    task = study.task
    (made, slots, (inputs, targets, weight)) = first_of(study, engine)
    (loss,), (right,) = made.evaluate(slots, [0], "eval")
    shapes = networks.blocks(study.architecture, 1, study.n_units, task.n_in, task.n_out)
    expected = answers = 0.0
    first = task.first_scored(slots.trials[0][1])
    for k in range(len(inputs)):
        for b in range(task.batch):
            if task.input == "index":
                x = torch.zeros(first + task.scored, task.n_in, dtype=torch.float64)
                for t in range(first + task.scored):
                    x[t, inputs[k, t, :, b].long()] = 1
            else:
                x = torch.zeros(task.steps, task.n_in, dtype=torch.float64)
                x[: task.steps if task.every else 1] = inputs[k, :, b]
            one = [v[None, None] for v in x]
            z = networks.forward(
                study.architecture,
                1,
                shapes,
                slots.theta,
                one,
                torch.zeros(1, dtype=torch.bool),
                since=first,
            )[0, :, 0]
            if task.loss == "squared":
                each = float(((z[-1] - targets[k, :, b]) ** 2).mean())
                is_right = False
            else:
                each = 0.0
                is_right = True
                for s in range(task.scored):
                    for g, head in enumerate(z[s].split(task.n_out // task.heads)):
                        answer = int(targets[k, s, g, b])
                        each += float(-torch.log_softmax(head, 0)[answer]) / task.scored
                        is_right &= int(head.argmax()) == answer
            expected += float(weight[k, b]) * each
            answers += float(weight[k, b]) * is_right
    assert float(loss) == pytest.approx(expected, rel=1e-9)
    assert float(right) == pytest.approx(answers, abs=1e-9)


def softmax_by_numpy(z_SxOxB, y_SxHxB):
    """Loss of each sample in double, by the definition, and whether all its answers beat all
    others.
    """
    S, heads, B = y_SxHxB.shape
    z = z_SxOxB.reshape(S, heads, -1, B).astype(np.float64)
    answer = np.take_along_axis(z, y_SxHxB[:, :, None].astype(int), 2)
    loss = np.log1p((np.exp(z - answer).sum(2) - 1).clip(0)).sum((0, 1)) / S
    with np.errstate(invalid="ignore"):
        return loss, ((z >= answer).sum(2) == 1).all((0, 1))


@needs_compiler
@pytest.mark.parametrize("task_type", ["text8", "parens_counting", "arithmetic"])
@pytest.mark.parametrize("scale", [0, 0.1, 1, 30])
@pytest.mark.parametrize("real", [torch.float32, torch.float64])
def test_losses_in_float_are_those_in_double_of_the_same_outputs(task_type, scale, real):
    """To a millionth, for networks that know nothing (at 0 all answers tie, and none is right), and
    for those that are nearly always right and sure.
    """
    study = a_study(task_type)
    task = study.task
    engine = Compiled(study, Data(study, some_hparams(study, 1), real), real)
    slots = slots_of(study, [(0, some_hparams(study, 1)[0])], real)
    networks.split(slots.theta, networks.blocks("gru", 1, study.n_units, task.n_in, task.n_out))[
        "W_out"
    ].mul_(scale)
    inputs, targets, weight = engine.data.split("eval")
    z = torch.zeros(len(inputs), task.scored, task.n_out, task.batch, dtype=real)
    for x, out in zip(inputs, z):
        engine.net.gradient(
            slots.theta[0],
            slots.hp[0],
            x.contiguous(),
            torch.zeros_like(out),
            out,
            torch.zeros_like(slots.theta[0]),
        )
    best = z.unflatten(2, (task.heads, -1)).argmax(3).int()
    for answers in (targets, best):
        loss = torch.zeros(1, dtype=torch.float64)
        right = torch.zeros(1, dtype=torch.float64)
        engine.net.evaluate(
            slots.theta, slots.hp, inputs, answers.contiguous(), weight, loss, right
        )
        each = [softmax_by_numpy(out.numpy(), y.numpy()) for out, y in zip(z, answers)]
        assert float(loss) == pytest.approx(
            sum((w.numpy() * one).sum() for w, (one, _) in zip(weight, each)),
            rel=1e-6 if real == torch.float32 else 1e-12,
        )
        assert float(right) == pytest.approx(
            sum((w.numpy() * one).sum() for w, (_, one) in zip(weight, each)), abs=1e-12
        )


@needs_compiler
@pytest.mark.parametrize(
    ("architecture", "expected", "near"),
    [("rnn", torch.tanh, 3.2e-7), ("gru", torch.sigmoid, 1.2e-7)],
)
def test_nonlinearities_in_float_are_as_near_as_they_are_said_to_be(architecture, expected, near):
    """One step of one unit for each input, which the readout passes on: h = tanh(x), or h = u of a
    state of 1 whose candidate is 0.
    """
    study = Study("mem_thru", architecture, 1, 10**4, form="tiny")
    task = TASKS["mem_thru"]("tiny", steps=1, batch=1024)
    n = study.task.n_in
    net = native.Network(architecture, 1, n, task)
    shapes = networks.blocks(architecture, 1, n, n, n)
    theta = torch.zeros(networks.num_params(architecture, 1, n, n, n))
    block = networks.split(theta, shapes)
    first = {"rnn": 0, "gru": n}[
        architecture
    ]  # rows of the map that reads the input; the GRU's are r, u, c
    block["Wx0"][first : first + n] = torch.eye(n)
    block["W_out"][:] = torch.eye(n)
    block["h0"][:] = 0 if architecture == "rnn" else 1
    x = torch.cat((torch.linspace(-20, 20, n * 1024 - 1000), torch.logspace(-6, 0, 1000))).view(
        n, 1024
    )
    hp = torch.zeros(1, len(native.COLUMNS), dtype=torch.float64)
    z = torch.zeros(n, 1024)
    net.gradient(theta, hp, x, torch.zeros_like(z), z, torch.zeros_like(theta))
    wanted = expected(x.double())
    scale = wanted.abs() if architecture == "rnn" else 1
    assert float(((z.double() - wanted).abs() / scale).max()) < near


@needs_compiler
@pytest.mark.parametrize("worst", [math.nan, math.inf])
def test_a_network_that_diverged_has_no_loss_and_is_never_right(worst):
    study = a_study("parens_counting")
    made, slots, (inputs, targets, weight) = first_of(study, "compiled")
    networks.split(
        slots.theta, networks.blocks("gru", 1, study.n_units, study.task.n_in, study.task.n_out)
    )["b_out"][0, :2] = worst
    (loss,), (right,) = made.evaluate(slots, [0], "eval")
    assert math.isnan(float(loss)) and float(right) == 0


def test_weights_of_a_part_sum_to_one():
    for task_type in FORMS:
        assert float(a_study(task_type).task.held_out(0, "valid")[2].sum()) == pytest.approx(1)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
@pytest.mark.parametrize(
    "task_type, distinct", [("rcf", {"train"}), ("mem_thru", {"train", "valid", "eval"})]
)
def test_a_table_is_evaluated_once_for_all_splits(task_type, distinct, dtype):
    study = a_study(task_type)
    assert set(Data(study, some_hparams(study, 1), dtype).splits.values()) == distinct


@needs_compiler
def test_a_trial_of_a_sequence_task_does_not_depend_on_its_company():
    study = a_study("parens_counting")
    hparams = some_hparams(study, 4)
    alone = [
        train(study, [h], [i], dtype=torch.float64)[0].valid_loss for i, h in enumerate(hparams)
    ]
    together = [o.valid_loss for o in train(study, hparams, range(4), slots=3, dtype=torch.float64)]
    assert together == pytest.approx(alone, abs=1e-12)


def test_an_outcome_carries_the_trained_parameters():
    study = a_study("arithmetic")
    (outcome,) = train(study, some_hparams(study, 1), [0])
    assert outcome.theta.shape == (study.num_params,) and math.isfinite(float(outcome.theta.sum()))
    assert 0 <= outcome.accuracy <= 1
