"""Perceptron capacity: how many random labels can a network memorise (section 2.1.1, Appendix B)?"""

from dataclasses import dataclass

import torch

from .. import draws
from ..checks import whole_number
from ..theory import mutual_information


@dataclass(frozen=True)
class Perceptron:
    """Random binary inputs in {0, 1}^n_in, one random label each, read `unroll` steps after the
    first presentation.

    The paper leaves n_in open. The data set is a prefix of one random stream of the study's seed;
    its length b is a hyper-parameter (`samples_per_param` times the parameters), and so is whether
    the input is shown at the first step only or at every step. A batch is the next `batch` samples
    in a circle, so that all samples are seen equally often.
    """

    n_in: int = 50
    unroll: int = 5
    batch: int = 128
    n_out: int = 1
    name, input, every, loss, streams, heads, scored, per_nat = (
        "per_cap",
        "bits",
        True,
        "binary",
        1,
        1,
        1,
        1.0,
    )
    form = ""
    forms = {}

    def __post_init__(self):
        for what in ("n_in", "unroll"):
            whole_number(what, getattr(self, what), 1)

    @property
    def steps(self) -> int:
        """T, the time steps; the answer is read at the last."""
        return self.unroll

    def first_scored(self, hparams: dict) -> int:
        return self.unroll - 1

    def samples(self, hparams: dict, num_params: int) -> int:
        """b, the size of the data set (Appendix A: between 0.1 and 10 times the parameters)."""
        return max(1, round(hparams["samples_per_param"] * num_params))

    def data(self, seed: int, count: int, device="cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs packed 32 to a word, words_WxC int32, and labels_C in {0, 1}, float32: the first
        `count` samples of the seed's stream.
        """
        words = -(-self.n_in // 32)
        drawn = draws.words(seed, draws.DATA, torch.arange(count, device=device), words + 1, device)
        return drawn[:, :words].T.contiguous(), (drawn[:, words] & 1).float()

    def unpack(
        self, words_WxC: torch.Tensor, index: torch.Tensor, dtype=torch.float32
    ) -> torch.Tensor:
        """Inputs of the samples `index` (any shape): that shape with n_in more, zeros and ones."""
        shift = torch.arange(32, device=index.device, dtype=torch.int32)
        taken = (words_WxC.T[index][..., None] >> shift) & 1
        return taken.flatten(-2)[..., : self.n_in].to(dtype)

    def losses(self, cross_entropy: float, correct: int, samples: int) -> dict:
        """Losses and accuracy of a trial: training, validation and evaluation set are one, and the
        tuner minimises minus the stored bits.
        """
        bits = mutual_information(correct, samples)
        return dict(
            train_loss=cross_entropy, valid_loss=-bits, eval_loss=-bits, accuracy=correct / samples
        )
