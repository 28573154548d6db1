"""Learning rate and practice over a training run. Knows nothing of what is trained."""

import math

PEAK = 6e-4  # at a batch of 16 pictures, unless a run says otherwise
WARM_UP = 0.015  # of the run
HOLD = 0.25  # of the run, before the rate falls
PRACTICE = 0.8, 0.08  # share of practice sheets at the beginning, unless a run says otherwise, and at the end


def rate(share: float, batch: int, peak: float = PEAK) -> float:
    """The learning rate after a share of the pictures; it ends at a hundredth of the peak."""
    fallen = max(0.0, (share - HOLD) / (1 - HOLD))
    scaled = peak * min(2.0, math.sqrt(batch / 16))
    return scaled * min(1.0, share / WARM_UP + 0.01) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * fallen)))


def practice(share: float, first: float = PRACTICE[0]) -> float:
    """The share of practice sheets among the pictures."""
    return first + (PRACTICE[1] - first) * min(1.0, share / 0.6)
