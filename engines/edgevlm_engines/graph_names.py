"""Names in a bundle's graphs: exports write them, plans and engines go by them. Knows no graph and no runtime."""

CAPACITY = "capacity"
"""The free dimension of a cache: how many positions a slot can hold. A plan of TensorRT fixes it, since an update in
place needs a number."""


def cache_sides(layers: int) -> list[str]:
    """`key.0`, `value.0`, `key.1` and so on, in the order of the cache's buffers.

    With `past_`, `present_` or `new_` before it, each is the name of an input or output.
    """
    return [f"{side}.{layer}" for layer in range(layers) for side in ("key", "value")]
