"""Where a prompt is cut into the engine's calls. Knows tokens and pictures' marks, no engine and no cache.

The same beginning is always cut in the same places, whatever follows and whatever of it is known already.
"""

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens


def chunk_end(prompt: Tokens, start: int, size: int) -> int:
    """Where the call that begins at `start` ends: after `size` positions, where pictures end, or with the prompt.

    Where pictures end, because questions about the same picture differ from there on.
    """
    is_image = prompt[start : start + size + 1] == IMAGE_TOKEN
    ends = np.flatnonzero(is_image[:-1] & ~is_image[1:])
    return start + int(ends[0]) + 1 if len(ends) else min(start + size, len(prompt))


def chunk_ends(prompt: Tokens, size: int) -> list[int]:
    """Ends of the calls that a longer prompt with this beginning has too: all but the last if that may grow."""
    ends: list[int] = []
    start = 0
    while start < len(prompt):
        end = chunk_end(prompt, start, size)
        if end == len(prompt) and end - start < size:
            break
        ends.append(end)
        start = end
    return ends
