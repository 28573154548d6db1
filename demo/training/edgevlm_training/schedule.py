"""Learning rate and practice over a training run. Knows nothing of what is trained."""

import math

PEAK = 1e-3  # at a batch of 16 pictures
WARM_UP = 0.015  # of the run
HOLD = 0.25  # of the run, before the rate falls
PRACTICE = 0.8, 0.08  # share of practice sheets at the beginning and at the end


def rate(share: float, batch: int) -> float:
    """The learning rate after a share of the pictures; it ends at a hundredth of the peak."""
    fallen = max(0.0, (share - HOLD) / (1 - HOLD))
    peak = PEAK * min(2.0, math.sqrt(batch / 16))
    return peak * min(1.0, share / WARM_UP + 0.01) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * fallen)))


def practice(share: float) -> float:
    """The share of practice sheets among the pictures."""
    first, last = PRACTICE
    return first + (last - first) * min(1.0, share / 0.6)
