"""The fused step for a GPU, run as C++ threads: the source that NVRTC compiles, against the
processor's compiled step.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from functools import partial

import pytest
import torch
from emulated import Emulated, built

from rnnkit import native, optimizers, studies
from rnnkit.bench import gpu as gpu_bench
from rnnkit.cells import CELLS, LATER, PAPER, cell_of
from rnnkit.native import cuda
from rnnkit.studies import Study, complete
from rnnkit.studies.gpu_pool import OneGPU
from rnnkit.studies.provenance import device_name, provenance
from rnnkit.studies.rounds import Task
from rnnkit.tasks import TASKS
from rnnkit.training import agreement, train
from rnnkit.training.engines import Compiled, Data, Fused
from rnnkit.training.flights import Flight
from rnnkit.training.slots import slots_of
from rnnkit.trials import TrialStore

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="needs a C++ compiler")
RULES = (
    ("Adam", "every", "tanh"),
    ("RMSProp", "first", "relu"),
    ("momentum", "first", "tanh"),
    ("SGD", "every", "relu"),
)
OTHERS = [
    ("mem_thru", "gru", "tiny"),
    ("rcf", "+rnn", "tiny"),
    ("text8", "lstm", "tiny sample"),
    ("parens_counting", "ugrnn", "tiny"),
    ("arithmetic", "+rnn", "tiny"),
]


def capacity(cell, n_layers=1, size=250, **settings):
    return Study("per_cap", cell, n_layers, size, n_in=10, unroll=3, **settings)


def sets_of(study, count=2):
    """Hyper-parameters with the optimisers, presentations and nonlinearities in turns."""
    sets = []
    for optimizer, presentation, nonlinearity in RULES[:count]:
        hparams = study.space.usual_point() | {
            "optimizer": optimizer,
            "train_steps": 50,
            "l2_decay": 1e-3,
            "gradient_clip_val": 1.0,
            "lr_init": 1e-2,
        }
        hparams |= (
            {"input_presentation": presentation, "samples_per_param": 0.7}
            if study.task.input == "bits"
            else {}
        )
        if nonlinearity in cell_of(study.architecture).nonlinearities:
            hparams["nonlinearity"] = nonlinearity
        sets.append(hparams)
    return sets


def emulated(study, **chosen):
    """Two warps a block: enough for all that warps do together, and few enough threads for a
    processor.
    """
    return Emulated(cuda.kernel_for(study, **{"THREADS": 64, **chosen}))


def both(study, count=2, **chosen):
    """The emulated engine and the compiled one, each with its slots filled alike."""
    sets = sets_of(study, count)
    engines = (
        Fused(study, Data(study, sets), "cpu", emulated(study, **chosen)),
        Compiled(study, Data(study, sets)),
    )
    for engine in engines:
        s = slots_of(study, enumerate(sets))
        yield engine, s


def agree(study, steps=3, count=2, within=1e-5, **chosen):
    (ours, a), (theirs, b) = both(study, count, **chosen)
    assert ours.module.numbers[0] == study.num_params
    ours.train(a, steps)
    theirs.train(b, steps)
    assert a.step.tolist() == b.step.tolist() == [steps] * count
    for name in ("theta", "m", "v"):
        x = getattr(a, name)
        y = getattr(b, name)
        assert (x - y).norm() <= within * y.norm(), name
    part = "all" if study.task.input == "bits" else "valid"
    rows = list(range(count))
    loss_a, right_a = ours.evaluate(b, rows, part)
    loss_b, right_b = theirs.evaluate(b, rows, part)
    torch.testing.assert_close(loss_a, loss_b, rtol=1e-5, atol=1e-7)
    assert right_a.tolist() == right_b.tolist()


@pytest.mark.parametrize(
    "cell", [cell for cell in (*PAPER, *LATER) if cell_of(cell).min_layers < 2]
)
def test_it_trains_and_counts_as_the_processor_does_with_one_layer(cell):
    agree(capacity(cell), MEMORY=4)


@pytest.mark.parametrize("cell", PAPER)
def test_and_with_two_layers_mostly_in_global_memory(cell):
    agree(capacity(cell, 2, 400), MEMORY=3)


@pytest.mark.parametrize("cell", ["rnn", "+rnn", "lstm"])
def test_and_with_three_layers_of_which_one_is_in_shared_memory(cell):
    agree(capacity(cell, 3, 400), MEMORY=5)


@pytest.mark.parametrize("cell", [*PAPER, *LATER])
@pytest.mark.parametrize("layers", [1, 2])
def test_and_with_the_states_of_one_step_in_shared_memory(cell, layers):
    if layers >= cell_of(cell).min_layers:
        agree(capacity(cell, layers, 400), MEMORY=2)


@pytest.mark.parametrize("task, cell, form", OTHERS)
def test_and_so_on_every_task(task, cell, form):
    study = Study(task, cell, max(1, cell_of(cell).min_layers), 900, form=form)
    agree(study, steps=2, MEMORY=2, TILE=3)


@pytest.mark.parametrize(
    "cell, layers, memory, more",
    [
        ("ugrnn", 1, 2, {}),
        ("lstm", 2, 2, {"STAGE": 8}),
        ("+rnn", 2, 1, {"THREADS": 96}),
        ("gru", 1, 4, {}),
        ("rnn", 1, 5, {}),
        ("irnn", 1, 0, {"THREADS": 96}),
    ],
)
def test_streams_of_symbols_wherever_the_parameters_are(cell, layers, memory, more):
    """Levels 1 and 2 put the sums of the inputs' gradient in the parameters' place."""
    study = Study("parens_counting", cell, layers, 1_500, form="small")
    agree(study, steps=2, MEMORY=memory, **more)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_and_with_parts_of_its_gradients_staged(cell):
    agree(Study("text8", cell, 1, 6_000, form="tiny sample"), steps=2, MEMORY=2, STAGE=8)


def test_all_four_optimisers_and_shared_memory_alone():
    agree(capacity("rnn"), count=4, MEMORY=5)


def test_and_an_optimiser_of_ones_own(monkeypatch):
    """Lion (Chen et al. 2023): its equations are printed in CUDA, beside the others'."""

    def lion(g, m, v, c):
        step = torch.sign(c.m_keep * m + (1 - c.m_keep) * g)
        return c.rate * step, c.v_keep * m + c.v_take * g, v

    row = optimizers.Optimizer(lion, lambda mu: (mu, 1 - mu, 0.99))
    monkeypatch.setitem(optimizers.OPTIMIZERS, "momentum", row)
    agree(capacity("gru"), count=3, MEMORY=5)


def test_a_model_without_layers():
    agree(Study("per_cap", "linear", 0, 60, n_in=59, unroll=1), MEMORY=5)


def test_everything_in_global_memory_and_other_numbers_of_threads():
    agree(capacity("gru", 2, 400), MEMORY=0, THREADS=32, TILE=8)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_large_matrices_of_which_parts_are_staged(cell):
    agree(capacity(cell, 1, 3_000), steps=2, MEMORY=1, STAGE=16)


def test_staged_parts_that_do_not_divide_the_rows_and_the_units():
    agree(capacity("+rnn", 2, 8_000), steps=1, MEMORY=0, STAGE=32, THREADS=96)
    study = Study("text8", "ugrnn", 1, 6_000, form="small sample")
    agree(study, steps=1, within=1e-4, MEMORY=0, STAGE=32, THREADS=32)


@pytest.mark.parametrize("task, cell, form", OTHERS)
def test_every_task(task, cell, form):
    agree(Study(task, cell, max(1, cell_of(cell).min_layers), 900, form=form), steps=2, MEMORY=4)


def test_fifty_steps():
    agree(Study("text8", "lstm", 1, 1_500, form="small sample"), steps=1, within=1e-4)


def test_eight_layers():
    agree(capacity("lstm", 8, 900), steps=2, within=1e-4, MEMORY=5, THREADS=32)


def test_a_model_whose_gradient_is_not_finite_ends_there():
    (ours, a), (theirs, b) = both(capacity("rnn"), MEMORY=5)
    for s in (a, b):
        s.theta[1] = float("nan")
        s.hp[0, native.COLUMNS.index("train_steps")] = 2
    ours.train(a, 4)
    theirs.train(b, 4)
    assert a.step.tolist() == b.step.tolist() == [2, 0]
    assert a.dead.tolist() == b.dead.tolist() == [0, 1]


def landed(study, hparams, numbers, module, limit=10_000):
    flight = Flight(study, hparams, numbers, Data(study, hparams), "cpu", module)
    found = {}
    for _ in range(limit):
        found |= {number: outcome for number, _, outcome in flight.land()}
        if not flight.busy:
            return found
    raise AssertionError("the flight never lands")


@pytest.mark.parametrize(
    "study",
    [
        capacity("rnn", train_steps=(5, 9)),
        Study("text8", "lstm", 1, 900, form="tiny sample", train_steps=(2, 4)),
    ],
)
def test_a_flight_brings_the_trials_that_the_processor_trains(study):
    hparams = study.new_tuner().suggest(2)
    here = train(study, hparams, [4, 7])
    there = landed(
        study, hparams, [4, 7], emulated(study, MEMORY=5 if study.task.input == "bits" else 2)
    )
    for number, one in zip([4, 7], here):
        other = there[number]
        assert other.steps == one.steps and other.infeasible == one.infeasible and other.seconds > 0
        for name in ("train_loss", "valid_loss", "eval_loss", "accuracy"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-4, abs=1e-6), (
                name
            )


def test_a_flight_reports_a_trial_that_diverges():
    study = capacity("rnn")
    hparams = sets_of(study, 2)
    hparams[0]["train_steps"] = 3
    hparams[1]["input_scale_W"] = float("nan")
    hparams[1] = {
        name: float("nan") if name.startswith("input_scale") else value
        for name, value in hparams[1].items()
    }
    found = landed(study, hparams, [0, 1], emulated(study, MEMORY=5))
    assert not found[0].infeasible and found[0].steps == 3
    assert found[1].infeasible and found[1].steps == 0 and found[1].theta is None


@pytest.mark.parametrize("task, cell, form", [("per_cap", "gru", None), *OTHERS])
def test_a_kernel_is_checked_against_the_plain_step(task, cell, form):
    study = capacity(cell) if form is None else Study(task, cell, 2, 900, form=form)
    module = emulated(study)
    hparams = sets_of(study)[0]
    data = Data(study, [hparams])
    assert 0 < agreement.difference(module, study, data, hparams) < 1e-5


def test_it_is_checked_once_and_not_used_where_it_differs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    study = capacity("rnn")
    module = emulated(study, MEMORY=5)
    hparams = sets_of(study)
    right = agreement.difference
    asked = []
    monkeypatch.setattr(agreement, "difference", lambda *all: asked.append(1) or right(*all))
    for _ in range(2):
        landed(study, hparams, [0, 1], module)
    assert len(asked) == 1

    monkeypatch.setattr(module, "card", "another")
    real = module.train

    def train_wrongly(blocks, stream, theta, m, *others):
        real(blocks, stream, theta, m, *others)
        m *= 1.01

    monkeypatch.setattr(module, "train", train_wrongly)
    for _ in range(2):  # what does not agree is not remembered
        with pytest.raises(native.Unavailable, match="at most 0.001, got 0.01"):
            landed(study, hparams, [0, 1], module)
    assert len(asked) == 3


def test_what_has_no_kernel_is_said():
    with pytest.raises(native.Unavailable, match="without layers"):
        cuda.kernel_for(Study("text8", "linear", 0, 1_000, form="tiny sample"))
    assert all(
        cuda.kernel_for(Study("per_cap", cell, 2, 1_000)).equations
        for cell in CELLS
        if cell != "linear"
    )


@pytest.fixture
def one_gpu(monkeypatch):
    """`device="cuda"` trains on emulated kernels; gives what was asked of the device."""
    modules = {}
    asked = []

    def module(study, device):
        asked.append(study.key)
        kernel = cuda.kernel_for(study, THREADS=32, MEMORY=4)
        return (
            modules.setdefault(kernel, None)
            or modules.__setitem__(kernel, Emulated(kernel))
            or modules[kernel]
        )

    monkeypatch.setattr(cuda, "module_for", module)
    monkeypatch.setattr(cuda, "kind_of", lambda device: ())
    monkeypatch.setattr(studies, "check_device", lambda device: device)
    monkeypatch.setattr(studies, "OneGPU", lambda device, workers: OneGPU("cpu", 1))
    return asked


def test_many_studies_in_flight_bring_the_trials_of_one_after_another(one_gpu, tmp_path):
    some = [
        capacity(cell, train_steps=(2, 4), tuner=tuner)
        for cell, tuner in (("rnn", "gp"), ("irnn", "random"))
    ]
    with TrialStore(tmp_path / "here.sqlite") as here, TrialStore(tmp_path / "gpu.sqlite") as gpu:
        complete(some, [17, 18], here, workers=1, progress=False)
        complete(some, [17, 18], gpu, device="cuda", progress=False)
        a = here.frame()
        b = gpu.frame()
        assert (
            a.hyper_iter.tolist() == b.hyper_iter.tolist()
            and a.hparams.tolist() == b.hparams.tolist()
        )
        assert b.valid_loss.to_numpy() == pytest.approx(
            a.valid_loss.to_numpy(), rel=1e-5, nan_ok=True
        )
        assert [gpu.weights(study.key)[0] for study in some] == [
            here.weights(study.key)[0] for study in some
        ]
    assert len(set(one_gpu)) == 2


def test_what_follows_a_study_is_begun_once_that_is_whole(one_gpu, tmp_path):
    first, later = (
        capacity("rnn", train_steps=(2, 4), tuner="random", seed=seed) for seed in (0, 1)
    )
    asked = []

    def following(study):
        asked.append((study.key, store.numbers(study.key)))
        return [(later, 2)] if study == first else []

    with TrialStore(tmp_path / "trials.sqlite") as store:
        complete([first], 3, store, device="cuda", progress=False, following=following)
        assert store.numbers(later.key) == {0, 1}
    assert asked == [(first.key, {0, 1, 2}), (later.key, {0, 1})]


def test_the_round_with_the_longest_training_starts_first(one_gpu):
    pool = OneGPU("cpu", 1)
    study = capacity("rnn")
    for urgency, most_steps in ((3, 20), (2, 90), (1, 40)):
        hparams = [{"train_steps": most_steps}, {"train_steps": 5}]
        pool.give(Task(study, [0, 1], hparams, urgency), {})
    begun = [task.hparams[0]["train_steps"] for task, _ in pool.to_train]
    assert begun == [90, 40, 20]


def test_a_study_without_a_kernel_is_trained_by_the_plain_step_and_a_sentence_says_so(
    one_gpu, tmp_path, monkeypatch
):
    def none(study, device):
        raise native.Unavailable("there is no such kernel today")

    monkeypatch.setattr(cuda, "module_for", none)
    study = capacity("rnn", train_steps=(2, 4), tuner="random")
    with (
        TrialStore(tmp_path / "trials.sqlite") as store,
        pytest.warns(UserWarning, match="no such kernel today"),
    ):
        complete([study], 2, store, device="cuda", progress=False)
        assert store.numbers(study.key) == {0, 1}


def test_a_failing_flight_names_its_study_and_leaves_the_others(one_gpu, tmp_path, monkeypatch):
    good, bad = (capacity("rnn", train_steps=(2, 4), tuner="random", seed=seed) for seed in (0, 1))
    land = Flight.land

    def broken(flight, n_flights=1):
        if flight.study == bad:
            raise RuntimeError("the card is on fire")
        return land(flight, n_flights)

    monkeypatch.setattr(Flight, "land", broken)
    with TrialStore(tmp_path / "trials.sqlite") as store:
        with pytest.raises(studies.StudyError, match="on fire"):
            complete([good, bad], 2, store, device="cuda", progress=False)
        assert store.numbers(good.key) == {0, 1} and not store.numbers(bad.key)


# ---- races ---------------------------------------------------------------------------------------
BITS = dict(num_params=0, NI=6, NO=1, NT=2, NB=16, INPUT=0, STREAMS=1, LOSS=0, HEADS=1, NS=1)
SYMBOLS = dict(
    num_params=0,
    NI=12,
    NO=6,
    NT=2,
    NB=16,
    INPUT=2,
    STREAMS=2,
    LOSS=2,
    HEADS=2,
    NS=1,
    DRAW=cuda.KINDS.index("parens_counting"),
)
TEXT = SYMBOLS | dict(STREAMS=1, HEADS=1, DRAW=cuda.KINDS.index("text8"))


def races(kernel, more=()) -> str:
    """What a thread sanitizer says of two steps and an evaluation; "" where it has nothing to say."""
    try:
        program = built(kernel, "race.cpp", ("-g", "-fsanitize=thread"), more)
    except subprocess.CalledProcessError:
        pytest.skip("this compiler has no thread sanitizer")
    done = subprocess.run(
        [str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer does not run on this system")
    assert done.returncode == 0 or "data race" in done.stderr, done.stdout + done.stderr
    return done.stderr if "data race" in done.stderr else ""


@pytest.mark.parametrize(
    "kernel",
    [
        cuda.Kernel("gru", NU=3, NL=2, **BITS, TILE=2, MEMORY=5),
        cuda.Kernel("+rnn", NU=3, NL=2, **SYMBOLS, TILE=2, MEMORY=3),
        cuda.Kernel("rnn", NU=32, NL=1, **BITS, TILE=2, MEMORY=1, STAGE=8),
        cuda.Kernel("+rnn", NU=3, NL=2, **SYMBOLS, TILE=2, MEMORY=2),
        cuda.Kernel("gru", NU=40, NL=1, **BITS, TILE=2, MEMORY=0, STAGE=4),
        cuda.Kernel("lstm", NU=24, NL=2, **SYMBOLS, TILE=2, MEMORY=2, STAGE=8),
        cuda.Kernel("rnn", NU=40, NL=1, **SYMBOLS, TILE=2, MEMORY=1),
        cuda.Kernel("gru", NU=3, NL=1, **SYMBOLS, TILE=2, MEMORY=5),
        cuda.Kernel("rnn", NU=3, NL=1, **TEXT, MEMORY=2),
    ],
    ids=[
        "bits",
        "symbols",
        "staged",
        "one-step",
        "copied",
        "one-step-staged",
        "parameters-only",
        "streams-in-shared-memory",
        "text",
    ],
)
def test_no_two_threads_meet_without_a_barrier(kernel):
    assert races(kernel) == ""


def test_a_missing_barrier_is_found():
    text = next(path for path in cuda.HEADERS if path.name == "block.cuh").read_text()
    product = text.index("DEVICE void product_of(")
    at = text.index("    __syncthreads();\n}", product)  # its last
    less = text[:at] + text[at:].replace("    __syncthreads();\n", "", 1)
    found = races(cuda.Kernel("rnn", NU=3, NL=1, **BITS, MEMORY=5), {"block.cuh": less})
    assert "data race" in found and "block.cuh" in found


# ---- NVRTC, which needs no GPU -------------------------------------------------------------------
def used(log) -> dict:
    """Registers, and bytes that are spilled, of each kernel in an assembler's log."""
    found = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers",
        log,
        re.S,
    )
    return {name: (int(registers), int(spilled)) for name, spilled, registers in found}


@pytest.mark.skipif(sys.platform != "linux", reason="the package nvidia-cuda-nvrtc is for Linux")
@pytest.mark.parametrize(
    "arch, study",
    [
        ("sm_90", capacity("rnn", 1, 1_000)),
        ("sm_90", Study("per_cap", "lstm", 4, 3_000)),
        ("sm_80", Study("parens_counting", "+rnn", 2, 2_000)),
        ("sm_80", Study("rcf", "gru", 1, 2_000)),
        ("sm_90", Study("text8", "ugrnn", 2, 6_000, form="small sample")),
        ("sm_90", Study("arithmetic", "irnn", 1, 2_000)),
        ("sm_80", Study("mem_thru", "lstm", 2, 6_000)),
        ("sm_90", Study("parens_counting", "rnn", 1, 10_000, form="paper")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.task_type,
)
def test_nvrtc_compiles_the_kernels_and_keeps_their_numbers_in_registers(arch, study):
    made = cuda.compile(cuda.kernel_for(study), arch)
    assert made.cubin[:4] == b"\x7fELF" and b"numbers" in made.cubin
    kernels = used(made.log)
    assert set(kernels) == {"train", "evaluate"}
    for registers, spilled in kernels.values():
        assert 0 < registers <= 255 and spilled <= 256


@pytest.mark.skipif(sys.platform != "linux", reason="the package nvidia-cuda-nvrtc is for Linux")
def test_a_cubin_is_kept_and_one_that_cannot_be_made_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel = cuda.kernel_for(Study("per_cap", "linear", 0, 60, n_in=59, unroll=1))
    code = cuda.cubin(kernel, "sm_80")
    monkeypatch.setattr(cuda, "compile", None)
    assert (
        cuda.cubin(kernel, "sm_80") == code
        and len(list((tmp_path / "rnnkit").glob("*.cubin"))) == 1
    )
    monkeypatch.undo()
    with pytest.raises(native.Unavailable, match="sm_1"):
        cuda.compile(kernel, "sm_1")


# ---- the driver ----------------------------------------------------------------------------------
class Driver:
    """Stands for the driver's library: notes what it is asked, and answers with `code`."""

    def __init__(self, code=0):
        self.code = code
        self.asked = []

    def __getattr__(self, name):
        def answer(*arguments):
            self.asked.append((name, arguments))
            return self.code

        return answer

    def cuGetErrorString(self, code, place):
        ctypes.cast(place, ctypes.POINTER(ctypes.c_char_p))[0] = b"out of luck"


def test_a_function_is_launched_with_the_addresses_and_numbers_that_it_is_given(monkeypatch):
    driver = Driver()
    kernel = cuda.kernel_for(capacity("rnn", 1, 1_000), MEMORY=4, THREADS=128)
    monkeypatch.setattr(cuda, "_driver", lambda: driver)
    function = cuda.Function(None, "train", kernel)
    tensor = torch.zeros(3)
    assert (
        kernel.shared > 48 * 1024
        and ("cuFuncSetAttribute", (function.handle, cuda.MAX_DYNAMIC_SHARED, kernel.shared))
        in driver.asked
    )
    function(5, 77, tensor, None, ctypes.c_int(-2), ctypes.c_int64(2**40))
    name, (_, *grid, stream, packed, _) = driver.asked[-1]
    assert (
        name == "cuLaunchKernel"
        and grid == [5, 1, 1, 128, 1, 1, kernel.shared]
        and stream.value == 77
    )
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
    found = [
        ctypes.cast(place, ctypes.POINTER(kind)).contents.value
        for place, kind in zip(packed, kinds, strict=True)
    ]
    assert found == [tensor.data_ptr(), None, -2, 2**40]


def test_a_trial_names_the_card_that_trained_it(monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda device: {"cuda:1": "A Fast Card"}[device]
    )
    device_name.cache_clear()
    assert (
        provenance("cuda:1")["device"] == "cuda:1 (A Fast Card)"
        and provenance("cpu")["device"] == "cpu"
    )


def test_what_the_driver_refuses_is_said_in_its_words(monkeypatch):
    monkeypatch.setattr(cuda, "_driver", lambda: Driver(code=2))
    with pytest.raises(cuda.DriverError, match=r"cuModuleGetFunction failed: out of luck \(2\)"):
        cuda.Function(None, "train", cuda.kernel_for(capacity("rnn")))


# ---- the bench -----------------------------------------------------------------------------------
@pytest.fixture
def small_bench(monkeypatch):
    monkeypatch.setattr(cuda, "kind_of", lambda device: ("sm_90", cuda.SHARED_BYTES))
    monkeypatch.setattr(cuda, "shared_bytes", lambda device: cuda.SHARED_BYTES)
    monkeypatch.setattr(cuda, "_module", lambda kernel, equations, device: Emulated(kernel))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "threads")
    monkeypatch.setattr(gpu_bench, "studies_to_check", lambda short: [capacity("rnn")])
    monkeypatch.setattr(gpu_bench, "studies_to_time", lambda short: [capacity("rnn")])
    monkeypatch.setattr(gpu_bench, "IN_FLIGHT", (1,))
    monkeypatch.setattr(gpu_bench, "difference", partial(gpu_bench.difference, steps=2))
    monkeypatch.setattr(gpu_bench, "rate", lambda run, slots, seconds=0, times=0: (run(1), 7.0)[1])
    monkeypatch.setattr(gpu_bench, "compile_all", lambda kernels, cells, arch: None)
    return gpu_bench


def test_the_bench_checks_measures_and_compares(small_bench, tmp_path, capsys):
    report = small_bench.main(path=tmp_path / "bench.json", device="cpu", jax=False)
    assert json.loads((tmp_path / "bench.json").read_text()) == report
    assert [row["agrees"] for row in report["checks"]] == [True] and report["checks"][0][
        "apart"
    ] < 1e-5
    assert [row["name"] for row in report["rates"]] == [
        "fused, 1 models",
        "plain torch step in a graph",
        "torch.nn loop",
    ]
    assert {row["rate"] for row in report["rates"]} == {
        7.0
    } and "threads, sm_90" in capsys.readouterr().out


def test_the_bench_times_the_experiments_of_a_scale(monkeypatch, capsys):
    monkeypatch.setattr(gpu_bench, "EXPERIMENTS", ("start", "calibration"))
    found = list(gpu_bench.time_scale("cpu", "smoke"))
    assert [row["experiment"] for row in found] == ["start", "calibration"]
    assert all(row["trials"] > 0 and row["seconds"] > 0 for row in found)
    assert "smoke calibration" in capsys.readouterr().out


def test_the_bench_fails_where_a_step_does_not_agree(small_bench, monkeypatch):
    monkeypatch.setattr(small_bench, "AGREE", 0)
    with pytest.raises(RuntimeError, match="1 of 1 checks"):
        small_bench.main(short=True, device="cpu", jax=False)


def forms_of(some):
    """How the blocks of some studies use shared memory."""
    kernels = [cuda.kernel_for(study) for study in some]
    return {(kernel.MEMORY, kernel.STAGE > 0, kernel._overlaid) for kernel in kernels}


def test_the_bench_checks_all_cells_and_tasks_and_times_all_steps():
    checked = list(gpu_bench.studies_to_check())
    timed = list(gpu_bench.studies_to_time())
    assert {study.task_type for study in checked} == set(TASKS) and {
        study.architecture for study in checked
    } == set(CELLS)
    assert {study.task.steps for study in timed} == {5, 50, 175} and {
        study.max_params for study in timed
    } == set(gpu_bench.SIZES)
    assert forms_of(timed) <= forms_of(checked)
    for study in gpu_bench.studies_to_sweep():
        kernels = gpu_bench.variants(study, cuda.SHARED_BYTES)
        assert len(set(kernels.values())) == len(kernels) and "large" in kernels
        assert all(kernel.shared <= cuda.SHARED_BYTES for kernel in kernels.values())
        assert all(kernel.STAGE == 0 or kernel.MEMORY <= 3 for kernel in kernels.values())


def test_the_bench_sweeps_the_variants_in_turns(small_bench, monkeypatch, capsys):
    study = capacity("rnn", 1, 1_000)
    timed = []
    kernels = small_bench.variants(study, cuda.SHARED_BYTES)
    monkeypatch.setattr(small_bench, "speed_of", lambda *_, **how: timed.append(how) or 7.0)
    found = list(small_bench.sweep("cpu", [study]))
    assert [row["variant"] for row in found] == [*kernels] and len(kernels) > 1
    assert timed == 2 * timed[: len(kernels)] and {row["rate"] for row in found} == {7.0}
    assert "small" in capsys.readouterr().out
