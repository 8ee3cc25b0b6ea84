"""Perceptron capacity: how many random labels can a network memorise (section 2.1.1, Appendix B)?"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .. import draws
from ..checks import whole_number
from ..ranges import Choice, Log
from ..theory import mutual_information


@dataclass(frozen=True)
class Perceptron:
    """Random binary inputs in {0, 1}^n_in with one random label each, which is read out at the last
    of `unroll` steps.

    The paper leaves n_in open. The data set is a prefix of one random stream of the study's seed.
    Its length b is a hyper-parameter (`samples_per_param` times the number of parameters), and so
    is whether the input is shown at the first step only or at every step. A batch is the next
    `batch` samples, cyclically, so that training uses all samples equally often.
    """

    n_in: int = 50
    unroll: int = 5
    batch: int = 128
    n_out: int = 1
    name = "per_cap"
    input = "bits"
    loss = "binary"
    every = True
    streams = heads = scored = 1
    per_nat = 1.0
    form = ""
    forms = {}
    ranges = (
        # dataset size per parameter; the best value is close to the bits stored per parameter
        Log(
            "samples_per_param",
            0.1,
            10.0,
            "App. A",
            usual=(2.0, 5.0),
            source="Cover 1965: 2, section 2.1.2: 5",
        ),
        Choice(
            "input_presentation",
            ("first", "every"),
            "App. A",
            usual=("first",),
            source="section 1.3: a single presentation",
        ),
    )

    def __post_init__(self) -> None:
        for name in ("n_in", "unroll"):
            whole_number(name, getattr(self, name), 1)

    @property
    def steps(self) -> int:
        """T, the number of time steps; the answer is read out at the last."""
        return self.unroll

    def first_scored(self, hparams: dict) -> int:
        """The last step, counted from 0."""
        return self.unroll - 1

    def samples(self, hparams: dict, num_params: int) -> int:
        """b, the size of the data set (Appendix A: 0.1 to 10 times the number of parameters)."""
        return max(1, round(hparams["samples_per_param"] * num_params))

    def data(self, seed: int, count: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """The first `count` samples of the seed's stream: inputs packed 32 per word, int32 W x C,
        and labels_C in {0, 1}, float32.
        """
        W = -(-self.n_in // 32)
        random = draws.random_words(
            seed, draws.DATA, torch.arange(count, device=device), W + 1, device
        )
        return random[:, :W].T.contiguous(), (random[:, W] & 1).float()

    def unpack(
        self, packed_WxC: torch.Tensor, index: torch.Tensor, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Inputs of the samples `index`, a tensor of any shape: that shape and a last axis of n_in
        zeros and ones.
        """
        shift = torch.arange(32, device=index.device, dtype=torch.int32)
        bits = (packed_WxC.T[index][..., None] >> shift) & 1
        return bits.flatten(-2)[..., : self.n_in].to(dtype)

    def losses(self, cross_entropy: float, correct: int, samples: int) -> dict:
        """Losses and accuracy of a trial. Training, validation and evaluation set are the same, and
        the tuner minimises minus the stored bits (equation 22).
        """
        bits = mutual_information(correct, samples)
        return dict(
            train_loss=cross_entropy, valid_loss=-bits, eval_loss=-bits, accuracy=correct / samples
        )

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        packed_x, labels = self.data(seed, 1)
        x = self.unpack(packed_x, torch.tensor([0]))[0].numpy()
        share = np.linspace(0.5, 1, 51)
        bits = np.array([mutual_information(p, 1) for p in share])
        return dict(
            input=np.repeat(x[:, None], self.unroll, 1),
            target=labels.numpy(),
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
