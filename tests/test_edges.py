"""Where the engines could differ: an output of exactly 0, answers that tie, gradients whose norm
overflows, and columns that no trial has. One definition each, for all of them.
"""

import math

import pytest
import torch
from emulated import Emulated

from rnnkit import native
from rnnkit.native import cuda
from rnnkit.studies import Study
from rnnkit.training.engines import Compiled, Data, Eager, Fused
from rnnkit.training.slots import slot_rows, slots_of

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="needs a C++ compiler")
pytestmark = needs_compiler
CAPACITY = Study("per_cap", "rnn", 1, 60, n_in=4, unroll=2)
LETTERS = Study("text8", "rnn", 1, 200, form="tiny sample")
FLOAT_MAX = float(torch.finfo(torch.float32).max)


def engines(study, hparams):
    data = Data(study, hparams)
    yield "compiled", Compiled(study, data)
    yield "plain", Eager(study, data)
    yield "fused", Fused(study, data, "cpu", Emulated(cuda.kernel_for(study, THREADS=64)))


def hparams_of(study, **fixed):
    return study.space.usual_point() | {"train_steps": 50} | fixed


@pytest.mark.parametrize("study", [CAPACITY, LETTERS], ids=["binary", "softmax"])
def test_an_output_of_exactly_zero_is_never_right(study):
    """For a binary label it is on neither side; among classes all tie. The loss is chance's."""
    hparams = [hparams_of(study)]
    found = {}
    for name, engine in engines(study, hparams):
        s = slots_of(study, enumerate(hparams))
        s.theta.zero_()
        (loss,), (right,) = engine.evaluate(s, [0], "all" if study is CAPACITY else "eval")
        found[name] = float(loss), float(right)
    samples = study.task.samples(hparams[0], study.num_params) if study is CAPACITY else 1
    nats = math.log(2 if study is CAPACITY else study.task.n_out)
    for name, (loss, right) in found.items():
        assert right == 0, name
        assert loss == pytest.approx(samples * nats, rel=1e-6), name


def test_two_classes_that_tie_above_the_others_are_not_right():
    hparams = [hparams_of(LETTERS)]
    for name, engine in engines(LETTERS, hparams):
        s = slots_of(LETTERS, enumerate(hparams))
        s.theta.zero_()
        s.theta[0, -27:-25] = 3.0  # the bias of a blank and of a
        (_,), (right,) = engine.evaluate(s, [0], "eval")
        assert float(right) == 0, name


@pytest.mark.parametrize(
    ("share", "dies"), [(0.98, False), (1.02, True), (1.5, True), (60.0, True), (1e6, True)]
)
@pytest.mark.parametrize("size", [20, 60, 400])
def test_a_gradient_is_finite_if_its_sum_of_squares_is_in_float(share, dies, size):
    """l2 decay of `l2` times weights of 1 is all of the gradient that counts here."""
    study = Study("per_cap", "rnn", 1, size, n_in=4, unroll=2)
    hparams = [hparams_of(study)]
    ends = {}
    for name, engine in engines(study, hparams):
        s = slots_of(study, enumerate(hparams))
        weights = Eager(study, engine.data).matrices
        s.theta[0, :weights] = 1.0
        s.hp[0, native.COLUMNS.index("l2")] = math.sqrt(share * FLOAT_MAX / weights)
        engine.train(s, 1)
        ends[name] = int(s.dead[0]), int(s.step[0])
        assert torch.isfinite(s.theta).all(), name
    assert set(ends.values()) == {(1, 0) if dies else (0, 1)}, ends


@pytest.mark.parametrize("value", [math.nan, -1.0, 7.0, 1e300, -math.inf, 2.0**31])
def test_no_first_scored_step_makes_the_compiled_steps_read_what_is_not_theirs(value):
    """Bounded to the steps that there are; trials with such a step are refused before."""
    study = Study("arithmetic", "rnn", 1, 300, form="tiny")
    hparams = [hparams_of(study, compute_steps=6)]
    for name, engine in engines(study, hparams):
        if name == "plain":
            continue
        s = slots_of(study, enumerate(hparams))
        last = slots_of(study, enumerate(hparams))
        s.hp[0, native.COLUMNS.index("first_scored")] = value
        engine.train(s, 2)
        engine.train(last, 2)
        if not 0 <= value <= study.task.steps - study.task.scored:
            assert torch.equal(s.theta, last.theta), name
        assert math.isfinite(engine.evaluate(s, [0], "valid")[0][0])


@pytest.mark.parametrize("value", [math.nan, 0.0, -3.0, 1e300, math.inf])
def test_nor_does_a_number_of_samples_that_cannot_be(value):
    hparams = [hparams_of(CAPACITY)]
    for name, engine in engines(CAPACITY, hparams):
        if name == "plain":
            continue
        s = slots_of(CAPACITY, enumerate(hparams))
        s.hp[0, native.COLUMNS.index("samples")] = value
        engine.train(s, 2)
        (loss,), (right,) = engine.evaluate(s, [0], "all")
        assert s.step.tolist() == [2] and math.isfinite(loss), name
        assert 0 <= right <= engine.data.inputs.shape[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("compute_steps", 7), ("train_steps", 20.5), ("train_steps", 0), ("train_steps", math.nan)],
)
def test_a_trial_that_cannot_be_run_is_refused_before_it_trains(name, value):
    study = Study("arithmetic", "rnn", 1, 300, form="tiny")
    hparams = hparams_of(study, compute_steps=6) | {name: value}
    with pytest.raises(ValueError, match="must "):
        next(slot_rows(study, [(0, hparams)], torch.float32))
