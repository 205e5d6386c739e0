"""Learning-rate schedulers in addition to those of torch."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


class WarmupCosine(SequentialLR):
    """A linear warm-up, followed by cosine annealing (Loshchilov & Hutter, ICLR 2017) for the rest of training.

    Lengths are numbers of scheduler steps.

    Args:
        optimizer: The optimizer.
        total: Total length of the warm-up and the annealing.
        warmup: Length of the warm-up, below ``total``.
        start_factor: The first learning rate, as a fraction of the optimizer's learning rate.
        eta_min: The last learning rate.
    """

    def __init__(
        self, optimizer: Optimizer, total: int, warmup: int, start_factor: float = 0.01, eta_min: float = 0.0
    ) -> None:
        rising = LinearLR(optimizer, start_factor, total_iters=warmup)
        # A training run of a single step, which only tests whether everything works, has no step left for annealing.
        falling = CosineAnnealingLR(optimizer, T_max=max(1, total - warmup), eta_min=eta_min)
        super().__init__(optimizer, [rising, falling], milestones=[warmup])
