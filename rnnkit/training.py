"""Trains a queue of trials through M slots of one shape; four optimisers are one update rule.

A slot whose trial has ended, by its own `train_steps` or by divergence, is given to the next trial in the queue, and slots that the
queue can no longer fill are dropped: no step is spent on a finished trial. On a processor the step is compiled (native/), and there a
single slot is best, since the whole step of one model then stays in the first two cache levels. The plain torch step serves GPUs,
machines without a compiler, and cells whose equations the compiler does not know; there, many slots share each operation.

A trial's numbers depend on the study's seed, the trial's number and its hyper-parameters alone, up to rounding.
"""

import math
import time
import warnings
from dataclasses import dataclass

import torch

from . import native, networks
from .cells import cell_of

CHUNK_SECONDS = 0.25  # how long the compiled step runs before someone may ask it to stop
EAGER_SLOTS = {"cpu": 32, "cuda": 512}
ADAM_BETA2, EPSILON = 0.999, 1e-8  # left at their defaults, as Appendix A says


@dataclass(frozen=True)
class Outcome:
    """What became of a trial. Diverged is a value, not an exception: then `infeasible` holds and the losses are NaN."""

    train_loss: float
    valid_loss: float  # what the tuner minimises; each task says what that is
    eval_loss: float
    infeasible: bool
    steps: int
    seconds: float
    num_params: int
    device: str


def coefficients(cell, hparams: dict, samples: int) -> list[float]:
    """One trial's row of hp_MxH (columns: native.COLUMNS): the update rule's coefficients and the data set's size.

    SGD, momentum, RMSProp and Adam are one rule (`update`), with these coefficients; the momentum-like parameter is a logit
    (Appendix A) and means momentum, RMSProp's decay rate or Adam's beta1.
    """
    mu = 1 / (1 + math.exp(-hparams["optimizer_logit_momentum"]))
    rules = {  # m_keep, m_take, v_keep, adaptive, correct
        "SGD": (0.0, 1.0, 1.0, 0.0, 0.0),
        "momentum": (mu, 1.0, 1.0, 0.0, 0.0),
        "RMSProp": (0.0, 1.0, mu, 1.0, 0.0),
        "Adam": (mu, 1 - mu, ADAM_BETA2, 1.0, 1.0),
    }
    if hparams["optimizer"] not in rules:
        raise ValueError(f"optimizer must be one of {', '.join(rules)}, got {hparams['optimizer']!r}.")
    nonlinearity = hparams.get("nonlinearity", cell.nonlinearities[0])
    m_keep, m_take, v_keep, adaptive, correct = rules[hparams["optimizer"]]
    return [
        hparams["lr_init"], hparams["lr_decay_rate"], float(hparams["train_steps"]), m_keep, m_take, v_keep, adaptive, correct,
        hparams["gradient_clip_val"], hparams["l2_decay"], float(nonlinearity == "relu"),
        float(hparams.get("input_presentation", "every") == "every"), float(samples),
    ]  # fmt: skip


def update(theta_MxP, m_MxP, v_MxP, grad_MxP, hp_MxH, step_M, matrices: int):
    """One step of all optimisers at once; returns (theta, m, v, finite_M). `grad` is of the mean loss, without the l2 term.

    l2 decay applies to the first `matrices` parameters and counts in the norm that is clipped; the learning rate at step t of T is
    lr_init * lr_decay_rate^(t/T). Models whose gradient is not finite are left as they are.
    """
    lr, decay, total, m_keep, m_take, v_keep, adaptive, correct, clip, l2 = hp_MxH.to(theta_MxP.dtype).unbind(1)[:10]
    grad_MxP = torch.cat([grad_MxP[:, :matrices] + l2[:, None] * theta_MxP[:, :matrices], grad_MxP[:, matrices:]], 1)
    norm_M = torch.linalg.vector_norm(grad_MxP, dim=1)
    finite_M = torch.isfinite(norm_M)
    grad_MxP = grad_MxP * torch.clamp(clip / norm_M, max=1.0)[:, None]
    step_M = step_M.to(theta_MxP.dtype)
    one = torch.ones_like(lr)
    m_scale = torch.where(correct > 0, 1 / (1 - m_keep ** (step_M + 1)), one)
    v_scale = torch.where(correct > 0, 1 / (1 - v_keep ** (step_M + 1)), one)
    rate = lr * decay ** (step_M / total) * m_scale
    m = m_keep[:, None] * m_MxP + m_take[:, None] * grad_MxP
    v = v_keep[:, None] * v_MxP + (1 - v_keep)[:, None] * grad_MxP**2
    divisor = torch.where(adaptive[:, None] > 0, torch.sqrt(v * v_scale[:, None]) + EPSILON, one[:, None])
    theta = theta_MxP - rate[:, None] * m / divisor
    keep = finite_M[:, None]
    return torch.where(keep, theta, theta_MxP), torch.where(keep, m, m_MxP), torch.where(keep, v, v_MxP), finite_M


class _Slots:
    """The state of the models in training: row i of everything belongs to slot i."""

    def __init__(self, num_params, dtype, device):
        self.theta, self.m, self.v = (torch.zeros(0, num_params, dtype=dtype, device=device) for _ in range(3))
        self.hp = torch.zeros(0, len(native.COLUMNS), dtype=torch.float64, device=device)
        self.step, self.dead = (torch.zeros(0, dtype=torch.int64, device=device) for _ in range(2))
        self.trials, self.seconds = [], []

    def fill(self, rows):
        """Appends trials: (number, hparams, hp row, theta row)."""
        new = torch.stack([row[3] for row in rows]).to(self.theta)
        self.theta = torch.cat([self.theta, new])
        self.m, self.v = (torch.cat([x, torch.zeros_like(new)]) for x in (self.m, self.v))
        self.hp = torch.cat([self.hp, torch.tensor([row[2] for row in rows], dtype=torch.float64, device=self.hp.device)])
        zeros = torch.zeros(len(rows), dtype=torch.int64, device=self.step.device)
        self.step, self.dead = torch.cat([self.step, zeros]), torch.cat([self.dead, zeros])
        self.trials += [row[:2] for row in rows]
        self.seconds += [0.0] * len(rows)

    def keep(self, rows):
        index = torch.tensor(rows, dtype=torch.int64, device=self.step.device)
        for name in ("theta", "m", "v", "hp", "step", "dead"):
            setattr(self, name, getattr(self, name)[index].contiguous())
        self.trials, self.seconds = [self.trials[i] for i in rows], [self.seconds[i] for i in rows]


class Compiled:
    """The compiled step (native/step.cpp) for one shape of network, on this processor."""

    slots = 1

    def __init__(self, study, data, dtype=torch.float32):
        task, self.dtype, self.device = study.task, dtype, "cpu"
        self.words, self.labels = data[0], data[1].to(dtype)
        real = {torch.float32: "float", torch.float64: "double"}[dtype]
        self.net = native.Network(study.architecture, study.n_layers, study.n_units, task.n_in, task.n_out, task.unroll, task.batch, real)
        self.seconds_per_step = None

    def train(self, s: _Slots, chunk=None):
        """Up to `chunk` steps of every slot; by default about CHUNK_SECONDS."""
        fixed, before, start = chunk, int(s.step.sum()), time.perf_counter()
        chunk = chunk or (8 if self.seconds_per_step is None else max(8, int(CHUNK_SECONDS / self.seconds_per_step / len(s.trials))))
        self.net.train(s.theta, s.m, s.v, s.hp, s.step, s.dead, chunk, self.words, self.labels)
        steps = int(s.step.sum()) - before
        if steps and not fixed:
            self.seconds_per_step = (time.perf_counter() - start) / steps

    def evaluate(self, s: _Slots, rows):
        loss, correct = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.int64)
        self.net.evaluate(s.theta[rows].contiguous(), s.hp[rows].contiguous(), self.words, self.labels, loss, correct)
        return loss, correct


class Eager:
    """The plain torch step, on any device: all slots in each operation."""

    def __init__(self, study, data, dtype=torch.float32, device="cpu"):
        self.study, self.task, self.dtype, self.device = study, study.task, dtype, device
        self.words, self.labels = data[0].to(device), data[1].to(device, dtype)
        self.slots = EAGER_SLOTS["cuda" if str(device).startswith("cuda") else "cpu"]
        self.shapes = networks.blocks(study.architecture, study.n_layers, study.n_units, self.task.n_in, self.task.n_out)
        self.matrices = sum(math.prod(s) for name, s in self.shapes.items() if name.startswith("W"))

    def _logits(self, theta, hp, index_MxB):
        x = self.task.unpack(self.words, index_MxB, self.dtype)
        every = hp[:, native.COLUMNS.index("every")].to(self.dtype)
        later = x * every[:, None, None]
        inputs = [x] + [later] * (self.task.unroll - 1)
        relu = hp[:, native.COLUMNS.index("relu")] > 0
        return networks.forward(self.study.architecture, self.study.n_layers, self.shapes, theta, inputs, relu)[..., 0]

    def train(self, s: _Slots, chunk=None):
        total, samples = s.hp[:, 2], s.hp[:, native.COLUMNS.index("samples")].long()
        offsets = torch.arange(self.task.batch, device=self.device)
        for _ in range(min(chunk or 16, int((total - s.step).max()))):
            live = (s.step < total) & (s.dead == 0)
            index = (s.step[:, None] * self.task.batch + offsets) % samples[:, None]
            theta = s.theta.detach().requires_grad_()
            z, y = self._logits(theta, s.hp, index), self.labels[index]
            loss_M = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)
            (grad,) = torch.autograd.grad(loss_M.sum(), theta)
            theta, m, v, finite = update(s.theta, s.m, s.v, grad, s.hp, s.step, self.matrices)
            keep = live[:, None]
            s.theta, s.m, s.v = torch.where(keep, theta, s.theta), torch.where(keep, m, s.m), torch.where(keep, v, s.v)
            s.dead |= (live & ~finite).long()
            s.step += (live & finite).long()

    @torch.no_grad()
    def evaluate(self, s: _Slots, rows):
        loss, correct = [], []
        for row in rows:
            samples = int(s.hp[row, native.COLUMNS.index("samples")])
            total, right = 0.0, 0
            for index in torch.arange(samples, device=self.device).split(8 * self.task.batch):
                z, y = self._logits(s.theta[row : row + 1], s.hp[row : row + 1], index[None])[0], self.labels[index]
                total += float(torch.nn.functional.binary_cross_entropy_with_logits(z.double(), y.double(), reduction="sum"))
                right += int(((z > 0) == (y > 0.5)).sum())
            loss.append(total / samples), correct.append(right)
        return torch.tensor(loss, dtype=torch.float64), torch.tensor(correct)


def check_device(device: str) -> str:
    """`device` if it is here. Raises ValueError for one that is neither cpu nor a CUDA device, or that this machine lacks."""
    if device != "cpu" and not str(device).startswith("cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}.")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device} needs a GPU that torch can see, and it sees none. Use device cpu.")
    return device


_told = set()


def _engine(study, data, device, engine, dtype):
    if engine not in ("auto", "compiled", "eager"):
        raise ValueError(f"engine must be auto, compiled or eager, got {engine!r}.")
    if device == "cpu" and engine != "eager":
        try:
            return Compiled(study, data, dtype)
        except native.Unavailable as reason:
            if engine == "compiled":
                raise
            if str(reason) not in _told:
                _told.add(str(reason))
                warnings.warn(f"{study.architecture} trains with the plain torch step, several times slower: {reason}.", stacklevel=3)
    return Eager(study, data, dtype, device)


def _prepare(study, trials, dtype):
    """Rows for the slots, made one by one as slots become free."""
    cell, task = cell_of(study.architecture, study.n_layers), study.task
    for number, hparams in trials:
        row = coefficients(cell, hparams, task.samples(hparams, study.num_params))
        theta = networks.initial(study.architecture, study.n_layers, study.n_units, task.n_in, task.n_out, hparams, study.seed, number)
        yield number, hparams, row, theta.to(dtype)


def train(study, hparams, numbers, device="cpu", slots=None, on_outcome=None, stop=None, engine="auto", dtype=torch.float32, report=None):
    """Trains the trials `numbers` of a study with their hyper-parameters; returns one Outcome each, in their order.

    `on_outcome(number, hparams, outcome)` is called as each trial ends, in any order. `stop()` is asked several times a second; once it
    says True, training ends and unfinished trials are None. `slots` is how many models train at once (default: what is fastest for the
    engine). `report`, a dict, receives `busy`, the share of slot-steps spent on live trials.
    """
    check_device(device)
    if slots is not None and (isinstance(slots, bool) or not isinstance(slots, int) or slots < 1):
        raise ValueError(f"slots must be a whole number of at least 1, got {slots!r}.")
    hparams, numbers = list(hparams), list(numbers)
    if len(hparams) != len(numbers):
        raise ValueError(f"There must be a number for each set of hyper-parameters, got {len(hparams)} sets and {len(numbers)} numbers.")
    if not hparams:
        return []
    task = study.task
    most = max(task.samples(h, study.num_params) for h in hparams)
    engine = _engine(study, task.data(study.seed, most), device, engine, dtype)
    slots = slots or engine.slots
    waiting = _prepare(study, zip(numbers, hparams), dtype)
    s, outcomes, left = _Slots(study.num_params, dtype, engine.device), {}, len(hparams)
    live_steps = slot_steps = 0
    while left:
        if stop is not None and stop():
            break
        new = [row for _, row in zip(range(slots - len(s.trials)), waiting)]
        if new:
            s.fill(new)
        before, start = s.step.clone(), time.perf_counter()
        engine.train(s)
        taken = (s.step - before).tolist()
        elapsed = time.perf_counter() - start
        live_steps += sum(taken)
        slot_steps += max(taken) * len(taken) if isinstance(engine, Eager) else sum(taken)
        for i, steps in enumerate(taken):
            s.seconds[i] += elapsed * (steps / sum(taken) if sum(taken) else 1 / len(taken))
        ended = ((s.step >= s.hp[:, 2]) | (s.dead > 0)).nonzero()[:, 0].tolist()
        if not ended:
            continue
        start = time.perf_counter()
        loss, correct = engine.evaluate(s, ended)
        evaluation = (time.perf_counter() - start) / len(ended)
        for i, l, right in zip(ended, loss.tolist(), correct.tolist()):
            number, hp = s.trials[i]
            infeasible = bool(s.dead[i]) or not math.isfinite(l)
            nan = dict.fromkeys(("train_loss", "valid_loss", "eval_loss"), math.nan)
            losses = nan if infeasible else task.losses(l, right, int(s.hp[i, -1]))
            outcome = Outcome(**losses, infeasible=infeasible, steps=int(s.step[i]), seconds=s.seconds[i] + evaluation,
                              num_params=study.num_params, device=str(engine.device))  # fmt: skip
            outcomes[number] = outcome
            if on_outcome is not None:
                on_outcome(number, hp, outcome)
        left -= len(ended)
        s.keep([i for i in range(len(s.trials)) if i not in set(ended)])
    if report is not None:
        report["busy"] = live_steps / slot_steps if slot_steps else 1.0
    return [outcomes.get(number) for number in numbers]


# an ordinary set of hyper-parameters, for measuring speed
TYPICAL = dict(optimizer="Adam", lr_init=1e-3, lr_decay_rate=0.1, optimizer_logit_momentum=2.2, gradient_clip_val=10.0, l2_decay=1e-7,
               samples_per_param=2.0, input_presentation="every", nonlinearity="tanh", train_steps=10**9,
               recurrent_matrix_init_type="orthogonal", recurrent_bias_init_type="delta")  # fmt: skip


def _typical(study):
    cell = cell_of(study.architecture, study.n_layers)
    hparams = dict(TYPICAL, nonlinearity=cell.nonlinearities[-1])
    for m in (*cell.maps, "in"):
        hparams |= {f"input_scale_{m}": 1.0, f"recurrent_matrix_scale_{m}": 1.0, f"recurrent_bias_scale_{m}": 0.0}
    return hparams | {name: 1.0 for name in cell.forget.values()}


def benchmark_step(study, slots=None, device="cpu", engine="auto"):
    """A function of n that runs n training steps of every slot, data generation included; its attribute `slots` says how many."""
    hparams = _typical(study)
    data = study.task.data(study.seed, study.task.samples(hparams, study.num_params))
    engine = _engine(study, data, check_device(device), engine, torch.float32)
    s = _Slots(study.num_params, torch.float32, engine.device)
    slots = slots or engine.slots
    s.fill(list(_prepare(study, ((i, hparams) for i in range(slots)), torch.float32)))

    def run(n):
        engine.train(s, n)

    run.slots = slots
    return run


def seconds_per_step(study, device="cpu", seconds=0.1) -> float:
    """Seconds that one training step of one model takes on this machine, by a short trial."""
    run = benchmark_step(study, device=device)
    run(2)
    n, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or n == 0:
        run(4)
        n += 4
    return elapsed / n / run.slots
