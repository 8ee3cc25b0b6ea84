"""All tasks and engines of the kit fulfil their protocols."""

import inspect

import numpy as np
import pytest

from rnnkit import native
from rnnkit.cells import CELLS
from rnnkit.studies import Study
from rnnkit.tasks import TASKS, Batched, Stored, Task
from rnnkit.training import coefficients
from rnnkit.training.engines import Compiled, Data, Eager, Engine
from rnnkit.training.slots import slots_of

MADE = [
    task("tiny sample" if task.name == "text8" else "tiny") if task.forms else task()
    for task in TASKS.values()
]


@pytest.mark.parametrize("task", MADE, ids=lambda task: task.name)
def test_every_task_is_a_task(task):
    assert isinstance(task, Task)
    assert isinstance(task, Stored if task.input == "bits" else Batched)
    assert task.input in native.INPUTS and task.loss in native.LOSSES
    assert task.form in task.forms or not task.forms
    hparams = {"compute_steps": 6, "samples_per_param": 1.0}
    assert 0 <= task.first_scored(hparams) <= task.steps - task.scored
    assert task.batch % 16 == 0 and task.n_out % task.heads == 0


def methods(protocol):
    return {n: f for n, f in vars(protocol).items() if inspect.isfunction(f) and n[0] != "_"}


@pytest.mark.parametrize("task", MADE, ids=lambda task: task.name)
def test_and_takes_the_arguments_that_its_protocol_names(task):
    for protocol in (Task, Stored if task.input == "bits" else Batched):
        for name, method in methods(protocol).items():
            wanted = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(task, name)).parameters) == wanted, name


@pytest.mark.parametrize("kind", [Compiled, Eager])
def test_an_engine_has_the_attributes_of_engines(kind):
    if kind is Compiled and native.compiler() is None:
        pytest.skip("no C++ compiler")
    study = Study("mem_thru", "rnn", 1, 300, form="tiny")
    engine = kind(study, Data(study, [study.space.usual_point()]))
    assert all(hasattr(engine, name) for name in Engine.__annotations__)


def test_columns_are_known_by_name():
    study = Study("per_cap", "ugrnn", 1, 200, n_in=4, unroll=3)
    hparams = study.space.sample(np.random.default_rng(1)) | {"nonlinearity": "relu"}
    s = slots_of(study, [(0, hparams)])
    assert float(s.column("train_steps")) == hparams["train_steps"]
    assert float(s.column("clip")) == hparams["gradient_clip_val"]
    assert float(s.column("l2")) == hparams["l2_decay"]
    assert float(s.column("relu")) == 1 and float(s.column("first_scored")) == 2
    assert float(s.column("samples")) == study.task.samples(hparams, study.num_params)
    row = coefficients(CELLS["ugrnn"], hparams, 5, every=False, first_scored=2)
    by_name = dict(zip(native.COLUMNS, row, strict=True))
    assert (by_name["samples"], by_name["every"], by_name["first_scored"]) == (5, 0, 2)
