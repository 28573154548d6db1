"""Which pictures are for what: their numbers never meet. Evaluation begins at 900,000,000."""

from __future__ import annotations

PICTURES_PER_RUN = 10_000_000
LAST_RUN = 69  # (69 + 1) x 10,000,000 is where the vocabulary's seeds begin
VOCABULARY_SEED = 700_000_000
VALIDATION_SEED = 800_000_000
