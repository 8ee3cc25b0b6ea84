"""The speed bench compares the same work: every competitor's loss and gradient norm are those of
the equations in float64.
"""

import json
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

from rnnkit import native, networks
from rnnkit.bench import batch as batch_of_a_task
from rnnkit.bench import speed, torch_loop
from rnnkit.cells import PAPER, cell_of
from rnnkit.studies import Study
from rnnkit.training import timing

B, T, N_IN, N, C = 6, 4, 5, 3, 4
DEPTHS = [(cell, depth) for cell in PAPER for depth in (1, 2) if depth >= cell_of(cell).min_layers]


def batch():
    draw = torch.Generator().manual_seed(1)
    return (
        torch.randint(0, 2, (B, N_IN), generator=draw).double(),
        torch.randint(0, 2, (B,), generator=draw).double(),
    )


def reset_after(W, h, x, s):
    """torch.nn.GRU as its documentation has it; its second bias, which the reset gate multiplies,
    is `W.c.b2`.
    """
    r = torch.sigmoid(W.r(h, x))
    u = torch.sigmoid(W.u(h, x))
    c = torch.tanh(W.c.of_x(x) + r * W.c.of_h(h))
    h = u * h + (1 - u) * c
    return h, h


class Maps:
    """The maps of a cell, each written out as W^uh h + W^ux x + b^u, in the precision of its
    blocks.
    """

    def __init__(self, cell, p, layer):
        for k, name in enumerate(cell.maps):
            Wx, Wh, b, b2 = (
                p[f"{block}{layer}"].chunk(len(cell.maps))[k] for block in ("Wx", "Wh", "b", "c")
            )

            def affine(h, x, Wx=Wx, Wh=Wh, b=b, b2=b2):
                return x @ Wx.T + h @ Wh.T + b + b2

            affine.of_x = lambda x, Wx=Wx, b=b: x @ Wx.T + b
            affine.of_h = lambda h, Wh=Wh, b2=b2: h @ Wh.T + b2
            setattr(self, name, affine)


def sequence():
    """One-hot symbols of two streams, x_TxBxI, and classes_SxBxG of two heads at the last S = 2
    steps.
    """
    draw = torch.Generator().manual_seed(3)
    x_TxBxI = torch.zeros(T, B, N_IN, dtype=torch.float64)
    x_TxBxI.scatter_(
        2,
        torch.stack(
            [
                torch.randint(0, 2, (T, B), generator=draw),
                torch.randint(2, N_IN, (T, B), generator=draw),
            ],
            2,
        ),
        1.0,
    )
    return x_TxBxI, torch.randint(0, C, (2, B, 2), generator=draw)


def reference(architecture, n_layers, p, step=None, l2=0.0, data=None):
    """Loss and gradient norm, step by step in float64, from the cell's own equations (held to numpy
    in their own tests).
    """
    cell = cell_of(architecture)
    x, y = data or batch()
    p = {
        name: torch.as_tensor(value).double().detach().clone().requires_grad_()
        for name, value in p.items()
    }
    leaves = dict(p)
    for layer in range(
        n_layers
    ):  # torch.nn's second bias a map; where there is none, it is zero and not trained
        p.setdefault(f"c{layer}", torch.zeros_like(p[f"b{layer}"]))
    s = torch.relu if architecture == "irnn" else torch.tanh
    states = [[h.expand(B, -1) for h in p[f"h{layer}"]] for layer in range(n_layers)]
    ups = []
    for x_BxI in x if x.ndim == 3 else [x] * T:
        up = x_BxI @ p["W_in"].T + p["b_in"] if "W_in" in p else x_BxI
        for layer in range(n_layers):
            old = states[layer]
            up, new = (step or cell.step)(
                Maps(cell, p, layer), tuple(old) if len(old) > 1 else old[0], up, s
            )
            states[layer] = new if isinstance(new, tuple) else (new,)
        ups.append(up)
    if x.ndim == 3:
        loss = sum(
            -softmax[b, answer] / (len(y) * B)
            for up, y_BxG in zip(ups[-len(y) :], y)
            for head, answers in enumerate(y_BxG.T)
            for softmax in [
                (up @ p["W_out"].T + p["b_out"])[:, head * C : (head + 1) * C].log_softmax(1)
            ]
            for b, answer in enumerate(answers)
        )
    else:
        z_B = (up @ p["W_out"].T + p["b_out"])[:, 0]
        loss = (torch.log1p(torch.exp(z_B)) - z_B * y).mean()
    (
        loss
        + 0.5 * l2 * sum((value**2).sum() for name, value in leaves.items() if name.startswith("W"))
    ).backward()
    return loss.item(), torch.cat([leaf.grad.flatten() for leaf in leaves.values()]).norm().item()


def blocks_of(model, architecture, n_layers):
    """The parameters of a torch.nn network by the names of `networks.blocks`, its second biases as
    c0, c1.
    """
    p = {"W_out": model.readout.weight, "b_out": model.readout.bias}
    layers = list(model.layers)
    if architecture == "+rnn":
        project = layers.pop(0)
        p |= {"W_in": project.weight, "b_in": project.bias}
    for layer in range(n_layers):
        if architecture in torch_loop.BUILTIN:
            for block, name in (
                ("Wx", "weight_ih"),
                ("Wh", "weight_hh"),
                ("b", "bias_ih"),
                ("c", "bias_hh"),
            ):
                p[f"{block}{layer}"] = getattr(layers[0].cells, f"{name}_l{layer}")
            p[f"h{layer}"] = torch.stack([h[layer, 0] for h in layers[0].initial])
        else:
            own = layers[layer]
            p |= {
                f"Wx{layer}": own.of_x.weight,
                f"Wh{layer}": own.of_h.weight,
                f"b{layer}": own.of_x.bias,
                f"h{layer}": own.initial[None],
            }
    return p


def some_network(architecture, n_layers, *outputs):
    torch.manual_seed(0)
    model = torch_loop.Network(architecture, n_layers, N_IN, N, *outputs).double()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.7 * torch.randn_like(value))  # the initial states too
    return model


@pytest.mark.parametrize("architecture, n_layers", DEPTHS)
def test_torch_loop_computes_the_loss_and_gradient_norm_of_the_equations(architecture, n_layers):
    model = some_network(architecture, n_layers)
    x_BxI, y_B = batch()
    loss, norm = torch_loop.loss_and_norm(model, x_BxI.expand(T, -1, -1), y_B, clip=10.0)
    own = reset_after if architecture == "gru" else None
    expected = reference(architecture, n_layers, blocks_of(model, architecture, n_layers), own)
    assert (loss.item(), norm.item()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("architecture, n_layers", DEPTHS)
def test_torch_loop_reads_sequences_and_sums_softmax_heads(architecture, n_layers):
    model = some_network(architecture, n_layers, 2 * C, 2)
    x_TxBxI, y = sequence()
    loss, norm = torch_loop.loss_and_norm(model, x_TxBxI, y, clip=1e9)
    own = reset_after if architecture == "gru" else None
    expected = reference(
        architecture, n_layers, blocks_of(model, architecture, n_layers), own, data=(x_TxBxI, y)
    )
    assert (loss.item(), norm.item()) == pytest.approx(expected, rel=1e-10)


def test_torch_loop_clips_the_gradient_by_its_norm():
    model = torch_loop.Network("rnn", 1, N_IN, N).double()
    x_BxI, y_B = batch()
    torch_loop.loss_and_norm(model, x_BxI.expand(T, -1, -1), y_B, clip=1e-3)
    assert torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item() == pytest.approx(
        1e-3, rel=1e-3
    )


def some(jax_vmap, architecture, n_layers, n_out=1):
    """Parameters of one model, the initial states and biases nontrivial too."""
    draw = torch.Generator().manual_seed(2)
    p = jax_vmap.initial(architecture, n_layers, N_IN, N, models=1, n_out=n_out)
    return {
        name: (0.7 * torch.randn(value.shape[1:], generator=draw)).numpy()
        for name, value in p.items()
    }


@pytest.mark.parametrize("architecture, n_layers", DEPTHS)
def test_jax_computes_the_loss_and_gradient_norm_of_the_equations(architecture, n_layers):
    jax = pytest.importorskip("jax")
    from rnnkit.bench import jax_vmap

    p = some(jax_vmap, architecture, n_layers)
    x_BxI, y_B = batch()
    gradient = jax.jit(
        partial(jax_vmap.gradient, architecture=architecture, n_layers=n_layers, unroll=T)
    )
    loss, _, norm = gradient(p, x_BxI.float().numpy(), y_B.float().numpy(), 0.01)
    assert (float(loss), float(norm)) == pytest.approx(
        reference(architecture, n_layers, p, l2=0.01), rel=2e-5
    )  # JAX has float32


@pytest.mark.parametrize(
    "architecture, n_layers, scored",
    [("rnn", 1, 1), ("ugrnn", 1, 2), ("gru", 2, 2), ("lstm", 1, 2), ("+rnn", 2, 1)],
)
def test_jax_reads_sequences_and_sums_softmax_heads(architecture, n_layers, scored):
    jax = pytest.importorskip("jax")
    from rnnkit.bench import jax_vmap

    p = some(jax_vmap, architecture, n_layers, 2 * C)
    x_TxBxI, y = sequence()
    y = y[-scored:]
    gradient = jax.jit(
        partial(jax_vmap.gradient, architecture=architecture, n_layers=n_layers, unroll=T)
    )
    loss, _, norm = gradient(p, x_TxBxI.float().numpy(), y.numpy(), 0.01)
    assert (float(loss), float(norm)) == pytest.approx(
        reference(architecture, n_layers, p, l2=0.01, data=(x_TxBxI, y)), rel=2e-5
    )


def test_jax_step_is_torchs_adam_after_clipping():
    jax = pytest.importorskip("jax")
    from rnnkit.bench import jax_vmap

    p = some(jax_vmap, "rnn", 1)
    x_BxI, y_B = batch()
    x = x_BxI.float().numpy()
    y = y_B.float().numpy()
    shape = dict(architecture="rnn", n_layers=1, unroll=T)
    hp = dict(lr=0.05, decay=0.5, momentum=0.8, clip=0.1, l2=0.0)
    gradient = jax.jit(partial(jax_vmap.gradient, **shape))
    step = jax.jit(partial(jax_vmap.step, train_steps=10, **shape))
    theirs = {name: torch.tensor(value).requires_grad_() for name, value in p.items()}
    adam = torch.optim.Adam(theirs.values(), lr=0.05, betas=(0.8, 0.999))
    m, v = ({name: 0 * value for name, value in p.items()} for _ in range(2))
    for t in range(3):
        for name, g in gradient(p, x, y, 0.0)[1].items():
            theirs[name].grad = torch.tensor(np.array(g))
        torch.nn.utils.clip_grad_norm_(theirs.values(), 0.1)
        adam.param_groups[0]["lr"] = 0.05 * 0.5 ** (t / 10)
        adam.step()
        p, m, v = step(p, m, v, float(t), hp, x, y)
    for name in p:
        torch.testing.assert_close(
            torch.tensor(np.array(p[name])), theirs[name].detach(), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("architecture", PAPER)
def test_jax_trains_as_many_parameters_as_the_paper_counts(architecture):
    pytest.importorskip("jax")
    from rnnkit.bench import jax_vmap
    from rnnkit.networks import num_params

    layers = max(1, cell_of(architecture).min_layers)
    counted = sum(
        value[0].size
        for value in jax_vmap.initial(architecture, layers, N_IN, N, models=2).values()
    )
    assert counted == num_params(architecture, layers, N, N_IN, 1)


def fake(cost, slots, clock):
    """A competitor whose every step of all its models takes `cost` seconds of a clock that only it
    moves.
    """

    def run(n):
        clock[0] += n * cost
        clock[1].append((slots, n))

    run.slots = slots
    return run


def test_time_is_counted_per_model_and_step():
    clock = [0.0, []]
    runs = {"one": fake(0.002, 1, clock), "eight": fake(0.004, 8, clock)}
    ms = speed.in_turns(runs, seconds=0.1, clock=lambda: clock[0])
    assert ms == pytest.approx({"one": 2.0, "eight": 0.5})


def test_competitors_take_turns():
    clock = [0.0, []]
    speed.in_turns(
        {"one": fake(0.002, 1, clock), "eight": fake(0.004, 8, clock)},
        seconds=0.1,
        clock=lambda: clock[0],
    )
    turns = [slots for slots, _ in clock[1][4:]]  # after two calls each to warm up
    assert (
        turns == [1, 1, 8, 8] * (len(turns) // 4) and len(turns) >= 12
    )  # a step to fill the caches, then the steps that are timed


def test_a_turn_begins_when_other_threads_are_at_rest():
    end = time.perf_counter() + 0.2

    def work():
        while time.perf_counter() < end:
            pass

    other = threading.Thread(target=work)
    other.start()
    speed.settle()
    assert not other.is_alive()


def test_no_turn_waits_for_a_thread_that_never_rests():
    stop = threading.Event()

    def work():
        while not stop.is_set():
            pass

    other = threading.Thread(target=work)
    other.start()
    speed.settle(patience=0.05)
    assert other.is_alive()
    stop.set()
    other.join()


def test_turns_of_a_slow_competitor_are_single_steps():
    clock = [0.0, []]
    speed.in_turns({"slow": fake(5.0, 1, clock)}, seconds=0.1, clock=lambda: clock[0])
    assert {n for _, n in clock[1][2:]} == {1}


ROW = dict(
    T=5,
    cell="gru",
    units=8,
    parameters=1017,
    ours_ms=0.0123,
    share_of_sgemm=0.617,
    torch_ms=1.43,
    torch_ratio=116.3,
    jax_ms=0.0921,
    jax_ratio=7.49,
)


def test_line_of_the_table():
    assert speed.line(ROW).split() == [
        "gru",
        "5",
        "8",
        "1,017",
        "0.0123",
        "0.617",
        "1.43",
        "116x",
        "0.0921",
        "7.49x",
    ]


def test_line_without_jax_has_dashes():
    assert speed.line(ROW | dict(jax_ms=None, jax_ratio=None)).split()[-2:] == ["-", "-"]


def test_line_of_a_network_that_diverged_has_no_rate_of_its_own():
    dead = dict(ours_ms=None, share_of_sgemm=None, torch_ratio=None, jax_ratio=None)
    assert speed.line(ROW | dead).split()[4:] == ["diverged", "-", "1.43", "-", "0.0921", "-"]


def test_lines_and_header_have_one_width():
    big = ROW | dict(
        T=175,
        cell="ugrnn",
        units=100,
        parameters=99_999,
        ours_ms=5.55,
        torch_ms=999.9,
        torch_ratio=180.2,
        jax_ms=77.7,
    )
    assert len({len(speed.header()), len(speed.line(ROW)), len(speed.line(big))}) == 1


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "speed.json"
    said = []
    returned = speed.run(
        cells=("rnn", "+rnn"),
        sizes=(350,),
        steps=(5,),
        seconds=0.01,
        json_path=path,
        jax=False,
        say=said.append,
    )
    return returned, json.loads(path.read_text()), said


def test_json_file_is_what_run_returns(report):
    assert report[0] == report[1]


def test_json_says_machine_versions_step_and_rows(report):
    written = report[1]
    assert set(written) == {"machine", "versions", "tasks", "seconds", "rows"}
    assert set(written["machine"]) == {"processor", "cores", "system", "compiler"}
    assert written["versions"]["torch"] == torch.__version__
    assert written["tasks"] == {
        "5": dict(task="per_cap", T=5, B=128, n_in=50, n_out=1, scored=1, input="bits")
    }


def test_a_row_of_a_sequence_is_measured():
    (row,) = speed.run(
        cells=("gru",), sizes=(1_500,), steps=(50,), seconds=1e-3, jax=False, say=lambda _: None
    )["rows"]
    # 3 N^2 + 112 N + 27 at N = 10
    assert (row["T"], row["cell"], row["parameters"]) == (50, "gru", 1_447)
    assert row["ours_ms"] > 0 and row["torch_ms"] > 0


def test_long_rows_are_the_papers_tasks():  # section 4 and Appendix B
    assert speed.about(50) == dict(
        task="text8", T=50, B=32, n_in=27, n_out=27, scored=37, input="index"
    )
    assert speed.about(175) == dict(
        task="parens_counting", T=175, B=32, n_in=300, n_out=100, scored=1, input="index"
    )


def test_batches_are_one_hot_symbols_and_classes():
    study = Study("parens_counting", "rnn", 1, 3_000, form="tiny")
    task = study.task
    x_TxBxI, y_SxBxG = batch_of_a_task.of(study.task)
    symbols, classes = task.batches(0, torch.tensor([0]))
    assert (
        x_TxBxI.sum() == task.steps * task.batch * task.streams
        and y_SxBxG.tolist() == classes[0].mT.tolist()
    )
    assert all(
        x_TxBxI[t, b, symbol] == 1
        for t in range(task.steps)
        for b in range(task.batch)
        for symbol in symbols[0, t, :, b]
    )


def test_each_row_has_medians_ratio_and_size(report):
    rnn, plus = report[1]["rows"]
    # N^2 + 53 N + 1 at N = 5
    assert (rnn["cell"], rnn["n_layers"], rnn["units"], rnn["parameters"]) == ("rnn", 1, 5, 291)
    assert (plus["cell"], plus["n_layers"]) == ("+rnn", 2)
    for row in (rnn, plus):
        assert row["torch_ratio"] == pytest.approx(row["torch_ms"] / row["ours_ms"])
        assert row["ours_ms"] > 0 and row["medians_ms"]["ours"] == row["ours_ms"]
        rate = row["flops"] / row["ours_ms"]
        sgemm = 2 * 768**3 / row["medians_ms"]["sgemm"]
        assert row["share_of_sgemm"] == pytest.approx(rate / sgemm)
        assert row["jax_ms"] is None


@pytest.mark.parametrize(
    "T, cell, n_layers, multiplications",
    [
        # of each sample, with N = 10 units: forward, adjoint and gradient of N^2 per step and
        # recurrent matrix, forward and gradient of the input's matrix once, and three readouts
        (5, "rnn", 1, 3 * 5 * 100 + 2 * 50 * 10 + 3 * 10),
        (5, "lstm", 2, 3 * 5 * (4 * 100 + 4 * 100 + 4 * 100) + 2 * 50 * 40 + 3 * 10),
        (5, "+rnn", 2, 3 * 5 * 4 * (4 * 100) + 2 * 50 * 10 + 3 * 10),
        # 37 scored steps of 27 answers, and per step a sum of one row of 3 N, forward and backward
        (50, "gru", 1, 3 * 50 * 3 * 100 + 3 * 37 * 27 * 10 + 50 * 30),
    ],
)
def test_operations_of_a_step_are_those_of_its_products(T, cell, n_layers, multiplications):
    choices = speed.ROWS[T][0]
    full = Study(architecture=cell, n_layers=n_layers, max_params=10**6, **choices)
    n_out = full.task.n_out
    size = networks.num_params(cell, n_layers, 10, full.task.n_in, n_out)
    study = Study(architecture=cell, n_layers=n_layers, max_params=size, **choices)
    assert study.n_units == 10
    assert speed.product_flops(study) == 2 * study.task.batch * multiplications


@pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")
def test_no_time_is_that_of_a_network_that_has_diverged():
    study = Study("per_cap", "irnn", 1, 350, n_in=50, unroll=5)
    wild, calm = (
        timing.benchmark_step(study, hparams={"input_scale_h": scale}) for scale in (1e38, 1.0)
    )
    wild(3)
    calm(3)
    assert calm.is_alive() and not wild.is_alive()


def test_usual_networks_live_while_they_are_timed():
    study = Study(architecture="irnn", n_layers=1, max_params=100_000, **speed.ROWS[175][0])
    run = timing.benchmark_step(study, hparams={"input_presentation": "every"})
    run(30)
    assert run.is_alive()


def test_table_is_a_header_and_a_line_a_row(report):
    assert report[2] == [speed.header(), *map(speed.line, report[0]["rows"])]


def test_without_jax_its_columns_stay_empty_and_it_is_said_how_to_fill_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "rnnkit.bench.jax_vmap", raising=False)
    monkeypatch.delattr("rnnkit.bench.jax_vmap", raising=False)
    monkeypatch.setattr(
        speed, "measure", lambda study, seconds, vmapped: ROW | dict(vmapped=vmapped)
    )
    said = []
    result = speed.run(cells=("gru",), sizes=(1000,), steps=(5,), say=said.append)
    assert result["rows"][0]["vmapped"] is None and "rnnkit[bench]" in said[0]


@pytest.mark.parametrize(
    "choices, says",
    [
        (dict(cells=("gruu",)), "architecture must be one of"),
        (dict(sizes=(10,)), "10"),
        (dict(steps=(7,)), "steps must be among 5, 50, 175, got 7"),
        (dict(seconds=0), "seconds must be positive, got 0"),
    ],
)
def test_bad_choices_are_refused_before_anything_is_measured(choices, says):
    with pytest.raises(ValueError, match=says):
        speed.run(**choices, say=pytest.fail)


def test_a_json_path_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(OSError, match="must be a file that can be written"):
        speed.run(json_path=tmp_path / "no folder" / "speed.json", say=pytest.fail)


def test_threads_are_as_before_after_a_run(report):
    before = torch.get_num_threads()
    with speed._one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
