"""The comparison of decoding whole and in draft: which fraction it takes, and what it compares."""

import io

from PIL import Image

from benchmarks.draft import Tally, draft_scale, enlarged, line


def test_the_fraction_keeps_twice_the_encoders_size() -> None:
    sizes = [(4000, 3000), (2688, 10), (2687, 10), (1343, 1000), (671, 671), (100, 100)]
    assert [draft_scale(size, 168) for size in sizes] == [8, 8, 4, 2, 1, 1]
    assert draft_scale((4000, 3000), 336) == 4


def test_enlarged_pictures_keep_their_shape_and_noise_comes_from_the_seed() -> None:
    drawing = Image.new("RGB", (30, 20), (90, 90, 90))
    clean, noisy = enlarged(drawing, 0.06, 0, seed=1), enlarged(drawing, 0.06, 8, seed=1)
    assert Image.open(io.BytesIO(clean)).size == Image.open(io.BytesIO(noisy)).size == (300, 200)
    assert noisy == enlarged(drawing, 0.06, 8, seed=1) != enlarged(drawing, 0.06, 8, seed=2)
    assert len(noisy) > 2 * len(clean)


def test_a_line_of_the_table() -> None:
    tally = Tally(grey_levels=[1.0, 2.0], largest=40, differ=1, questions=4)
    tally.seconds = {"whole": [0.2, 0.1, 0.3], "draft": [0.01]}
    tally.right = {"whole": 3, "draft": 4}
    assert line(8.0, tally) == "| 8 | 200 ms | 10 ms | 1.50 (largest 40) | 4 | 75.0 % | 100.0 % | 1 |"
