"""Learning rates over a training run. Knows nothing of what is trained."""

PEAK = 1.2e-3
TOWER_LATER = 5e-4  # the tower's rate when the second stage begins
WORDS_PEAK = 5e-4
WARM_UP = 0.02  # of a stage
HOLD = 0.4  # of a stage, before the rate falls


def rates(share: float, tower_share: float) -> tuple[float, float]:
    """Learning rates of tower and language part after a share of the pictures; both end at zero.

    Up to `tower_share` the tower learns alone.
    """
    stage = share / tower_share
    if stage < 1:
        return _warm(stage) * (PEAK + (TOWER_LATER - PEAK) * _fallen(stage)), 0.0
    stage = (share - tower_share) / (1 - tower_share)
    return TOWER_LATER * (1 - stage), _warm(stage) * PEAK * (1 - _fallen(stage))


def word_rates(share: float) -> tuple[float, float]:
    """The same after a share of the last stage, in which the tower rests."""
    return 0.0, _warm(share) * WORDS_PEAK * (1 - share)


def _warm(stage: float) -> float:
    return min(1.0, stage / WARM_UP)


def _fallen(stage: float) -> float:
    """How much of the fall is done, 0 to 1."""
    return max(0.0, (stage - HOLD) / (1 - HOLD))
