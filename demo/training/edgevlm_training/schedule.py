"""Learning rates over a training run. Knows nothing of what is trained."""

PEAK = 1.2e-3
TOWER_LATER = 5e-4  # the tower's rate when the second stage begins
LAST_PEAKS = 3e-4, 5e-4  # of the tower and the language part in the last stage
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


def last_rates(share: float) -> tuple[float, float]:
    """The same after a share of the last stage."""
    tower, language = (_warm(share) * (1 - share) * peak for peak in LAST_PEAKS)
    return tower, language


def _warm(stage: float) -> float:
    return min(1.0, stage / WARM_UP)


def _fallen(stage: float) -> float:
    """How much of the fall is done, 0 to 1."""
    return max(0.0, (stage - HOLD) / (1 - HOLD))
