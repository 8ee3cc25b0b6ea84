"""The plain step as a graph: what is recorded once is run again, on slots that change."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rnnkit import training
from rnnkit.studies import Study
from rnnkit.training import engine, engines, train
from rnnkit.training.graphs import Graph, NoGraph

STUDIES = [
    Study("per_cap", "rnn", 1, 100, n_in=8, unroll=3, train_steps=(5, 40)),
    Study("arithmetic", "gru", 1, 300, form="tiny", train_steps=(5, 40)),
    Study("mem_thru", "lstm", 1, 400, form="tiny", train_steps=(5, 40)),
    Study("parens_counting", "mgu", 2, 500, form="tiny", train_steps=(5, 40)),
]


class Capturing(TorchDispatchMode):
    """Refuses what a GPU refuses while it records: numbers of the host, which would have to be
    copied, and numbers of the device that the host looks at.
    """

    REFUSED = ("lift_fresh", "_local_scalar_dense", "nonzero")

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if any(name in str(operation) for name in self.REFUSED):
            raise RuntimeError(f"{operation} is not permitted when a stream is capturing")
        return operation(*args, **(kwargs or {}))


class Recorder:
    """Stands for a GPU: does the work some times, as graphs.capture does, and gives it back."""

    def __init__(self):
        self.count = self.replays = 0

    def __call__(self, work):
        self.count += 1
        for _ in range(3):
            work()
        with Capturing():
            work()

        def replay():
            self.replays += 1
            work()

        return replay


@pytest.fixture
def graphs(monkeypatch):
    """Lets every plain engine on this processor train by a graph."""
    recorder = Recorder()

    class Graphed(engines.Eager):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.graph = Graph(self.step_of, recorder)

    monkeypatch.setattr(engines, "Eager", Graphed)
    return recorder


def trials(study, count=7, **settings):
    hparams = [study.space.sample(np.random.default_rng(i)) for i in range(count)]
    outcomes = train(study, hparams, range(count), engine="eager", dtype=torch.float64, **settings)
    return [(o.steps, o.infeasible, o.train_loss, o.eval_loss) for o in outcomes]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.task_type)
def test_trials_by_a_graph_are_those_of_the_plain_step(study, request):
    expected = trials(study, slots=3)
    recorder = request.getfixturevalue("graphs")
    found = trials(study, slots=3)
    for a, b in zip(found, expected):
        assert a[:2] == b[:2] and a[2:] == pytest.approx(b[2:], abs=1e-10, nan_ok=True)
    # arithmetic records again where an answer is due earlier than before
    assert 1 <= recorder.count <= 1 + 6 and recorder.replays >= max(steps for steps, *_ in found)


def test_a_model_that_diverged_ends_and_leaves_the_others_as_they_are(graphs):
    study = STUDIES[0]
    sets = [study.space.usual_point() | {"train_steps": 30} for _ in range(3)]
    sets[1] |= {"lr_init": 1e30, "lr_decay_rate": 1.0, "optimizer": "SGD", "nonlinearity": "relu"}
    together = train(study, sets, range(3), engine="eager", slots=3)
    alone = [train(study, [sets[n]], [n], engine="eager", slots=1)[0] for n in (0, 2)]
    assert together[1].infeasible and together[1].steps < 30
    losses = [together[0].train_loss, together[2].train_loss]
    assert losses == pytest.approx([o.train_loss for o in alone], rel=1e-5)


def test_what_cannot_be_recorded_trains_without_and_says_so_once(monkeypatch):
    study = STUDIES[1]
    expected = trials(study)

    def refuse(work):
        raise NoGraph("operation not permitted when stream is capturing")

    class Graphed(engines.Eager):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.graph = Graph(self.step_of, refuse)

    monkeypatch.setattr(engines, "Eager", Graphed)
    engine._past_warnings.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert trials(study) == expected
        trials(study)
    assert [str(w.message) for w in told] == [
        "gru trains without a CUDA graph: operation not permitted when stream is capturing."
    ]


def test_a_study_on_a_gpu_without_a_kernel_is_said_to_take_the_plain_step_in_a_graph():
    training.engine._past_warnings.clear()
    with pytest.warns(UserWarning, match="plain torch step in a CUDA graph, .*: NVRTC is missing"):
        engines.warn_plain_step(STUDIES[0], "NVRTC is missing", "cuda:0")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.task_type)
def test_on_a_gpu_the_graph_trains_as_the_processor_does(study):
    hparams = [study.space.sample(np.random.default_rng(i)) for i in range(5)]
    settings = dict(engine="eager", dtype=torch.float64, slots=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that it could not be recorded
        ours = train(study, hparams, range(5), device="cuda", **settings)
    theirs = train(study, hparams, range(5), **settings)
    assert [o.train_loss for o in ours] == pytest.approx(
        [o.train_loss for o in theirs], abs=1e-8, nan_ok=True
    )
