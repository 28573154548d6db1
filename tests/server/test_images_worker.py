"""Worker processes that crash, hang, lie and die: one call fails, the next is right, nothing is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from edgevlm_server import image_decoder
from edgevlm_server.image_decoder import ImageDecoder, ImageWorkerError
from edgevlm_server.image_limits import FORMATS, ImageError, ImageFormat, ImageLimits
from PIL import Image

from tests.server.image_files import encode, jpeg_with_scans, noise, plain, png, tiff

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SIZE, PAD = 32, (122, 116, 104)
TEAL = (10, 130, 140)
GOOD = encode(plain(TEAL, (64, 64)), "PNG")


@contextlib.contextmanager
def decoder(workers: int = 1, limits: ImageLimits | None = None) -> Iterator[ImageDecoder]:
    """A decoder; afterwards none of its processes and descriptors may be left."""
    descriptors = len(os.listdir("/proc/self/fd"))
    before = children()
    with ImageDecoder(limits or ImageLimits(), SIZE, PAD, workers) as made:
        yield made
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def children() -> set[int]:
    """Processes whose parent is this one, zombies included."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(entry.parent.name))
    return found


def assert_right(made: ImageDecoder) -> None:
    image = made.decode(GOOD)
    assert image.mode == "RGB" and image.size == (SIZE, SIZE)
    assert image.getcolors() == [(SIZE * SIZE, TEAL)]


def refusal(made: ImageDecoder, data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        made.decode(data)
    return caught.value


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited 30 s"
        time.sleep(0.01)


# Answers


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format(image_format: ImageFormat) -> None:
    with decoder() as made:
        image = made.decode(encode(plain(TEAL, (64, 64)), image_format))
        assert np.abs(np.asarray(image, np.int16) - TEAL).max() <= 4


def test_padding_and_one_pixel() -> None:
    with decoder() as made:
        image = made.decode(encode(plain(TEAL, (64, 16)), "PNG"))
        assert image.getpixel((0, 0)) == PAD and image.getpixel((16, 16)) == TEAL
        assert made.decode(encode(plain(TEAL, (1, 1)), "PNG")).getcolors() == [(SIZE * SIZE, TEAL)]


def test_refusals_keep_the_process() -> None:
    half = encode(noise(64, 64), "PNG")[:-2000]
    float_pixels = tiff(1, 1, 32, bytes(4), sample_format=3)
    with decoder() as made:
        assert_right(made)
        processes = made.process_ids
        assert refusal(made, half).code == "image_invalid"
        assert refusal(made, float_pixels).code == "image_unsupported"
        assert refusal(made, b"GIF89a").code == "image_invalid"
        assert refusal(made, b"no picture").code == "image_unsupported"
        assert_right(made)
        assert made.process_ids == processes


@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated_files_are_refused(image_format: ImageFormat) -> None:
    data = encode(noise(90, 90), image_format)
    with decoder() as made:
        for part in range(1, 20):
            assert refusal(made, data[: len(data) * part // 20]).code == "image_invalid"


def test_large_jpeg_is_decoded_at_a_fraction_and_small_ones_are_not() -> None:
    image = noise(320, 320)
    with decoder() as exact, decoder(limits=ImageLimits(max_pixels=320 * 320 - 1)) as fraction:
        data = encode(image, "JPEG", quality=95)
        assert exact.decode(data).tobytes() != fraction.decode(data).tobytes()


def test_a_gif_frame_larger_than_its_header_says_is_refused() -> None:
    data = bytearray(encode(noise(64, 64), "GIF"))
    data[6:10] = b"\x01\x00\x01\x00"
    with decoder() as made:
        assert refusal(made, bytes(data)).code == "image_invalid"


def test_a_strip_does_not_need_a_square_of_memory() -> None:
    with decoder(limits=ImageLimits(memory_bytes=300 << 20)) as made:
        for size in ((1, 16384), (16384, 1)):
            assert TEAL in [colour for _, colour in made.decode(encode(plain(TEAL, size), "PNG")).getcolors()]


def test_memory_limit() -> None:
    large = encode(Image.new("RGB", (4096, 4096)), "PNG")
    with decoder(limits=ImageLimits(memory_bytes=100 << 20)) as made:
        assert refusal(made, large).code == "image_too_large"
        assert_right(made)


def test_png_that_inflates_to_more_than_its_header_says() -> None:
    with decoder() as made:
        with contextlib.suppress(ImageError):
            made.decode(png(4, 4, 8, 0, bytes(50_000_000)))
        assert_right(made)


# Several at once


def test_threads_get_their_own_pictures() -> None:
    colours = [(n, 255 - n, 7 * n % 256) for n in range(0, 240, 6)]
    with decoder(workers=2) as made, ThreadPoolExecutor(8) as pool:
        images = pool.map(lambda colour: made.decode(encode(plain(colour), "PNG")), colours)
        assert [image.getpixel((0, 0)) for image in images] == colours
        assert 1 <= len(made.process_ids) <= 2


def test_processes_are_started_when_needed() -> None:
    with decoder(workers=4) as made:
        assert made.process_ids == []
        for _ in range(5):
            assert_right(made)
        assert len(made.process_ids) == 1


def test_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        ImageDecoder(ImageLimits(), SIZE, PAD, 0)


# Death


def test_a_process_that_died_while_idle_is_replaced_unnoticed() -> None:
    with decoder() as made:
        assert_right(made)
        for _ in range(10):
            os.kill(made.process_ids[0], signal.SIGKILL)
            assert_right(made)


def test_signals_for_the_group_do_not_end_the_worker() -> None:
    with decoder() as made:
        assert_right(made)
        processes = made.process_ids
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(processes[0], number)
        assert_right(made)
        assert made.process_ids == processes


def test_hung_process_is_killed_and_replaced() -> None:
    with decoder(limits=ImageLimits(decode_seconds=0.5)) as made:
        assert_right(made)
        hung = made.process_ids
        os.kill(hung[0], signal.SIGSTOP)
        error = refusal(made, GOOD)
        assert error.code == "image_too_large" and "0.5 s" in str(error)
        assert not children() & set(hung)
        assert_right(made)


def test_a_picture_that_decodes_too_long_is_stopped() -> None:
    bomb = jpeg_with_scans(4096, 4096, extra=3000)
    with decoder(limits=ImageLimits(max_scans=10_000, decode_seconds=0.5)) as made:
        assert refusal(made, bomb).code == "image_too_large"
        assert_right(made)


def test_process_killed_while_it_decodes() -> None:
    bomb = jpeg_with_scans(4096, 4096, extra=3000)
    with decoder(limits=ImageLimits(max_scans=10_000, decode_seconds=60)) as made:
        assert_right(made)
        process = made.process_ids[0]
        threading.Timer(0.5, os.kill, (process, signal.SIGKILL)).start()
        assert refusal(made, bomb).code == "image_invalid"
        assert_right(made)


ACCEPT = "import os, struct\nos.write(0, b'R')\nn, = struct.unpack('!I', os.read(0, 20)[:4])\n"
ACCEPT += "while n > 0: n -= len(os.read(0, n))\n"


@pytest.mark.parametrize(
    "script",
    [
        ACCEPT + "os.write(0, b'A'); os.kill(os.getpid(), 11)",
        ACCEPT + "os.write(0, b'A'); os._exit(1)",
        ACCEPT + "os.write(0, b'AX' + bytes(4000)); os.read(0, 1)",
        ACCEPT + "os.write(0, b'A0' + bytes(50))",
    ],
    ids=["crash", "exit", "unknown status", "too few bytes"],
)
def test_worker_that_fails_on_a_picture(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(image_decoder, "_command", lambda limits: [sys.executable, "-c", script])
            assert refusal(made, GOOD).code == "image_invalid"
        assert_right(made)


@pytest.mark.parametrize(
    "script",
    ["", "import os; os.write(0, b'X')", ACCEPT, ACCEPT + "os.write(0, b'X' * 9)"],
    ids=["ends at once", "not ready", "ends before it accepts", "does not accept"],
)
def test_worker_that_is_not_to_be_had_is_not_the_pictures_fault(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(image_decoder, "_command", lambda limits: [sys.executable, "-c", script])
            with pytest.raises(ImageWorkerError, match="image worker"):
                made.decode(GOOD)
        assert_right(made)


def test_program_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoder, "_command", lambda limits: ["/does/not/exist"])
    with decoder() as made, pytest.raises(ImageWorkerError, match="could not be started"):
        made.decode(GOOD)


def test_reply_that_is_too_long_does_not_reach_the_next_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ACCEPT + f"os.write(0, b'A0' + bytes({3 * SIZE * SIZE}) + b'A0junk'); os.read(0, 1)"
    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(image_decoder, "_command", lambda limits: [sys.executable, "-c", script])
            assert made.decode(GOOD).getcolors() == [(SIZE * SIZE, (0, 0, 0))]
        assert_right(made)


# The end


def test_close_waits_for_the_picture_under_way() -> None:
    slow = jpeg_with_scans(2048, 2048, extra=60)
    with decoder(limits=ImageLimits(max_scans=100, decode_seconds=60)) as made, ThreadPoolExecutor(1) as pool:
        assert_right(made)
        answer = pool.submit(made.decode, slow)
        wait_for(made._idle.empty)
        made.close()
        assert answer.result().getpixel((0, 0)) == (90, 90, 90)


def test_after_close_nobody_waits_and_nothing_starts() -> None:
    with decoder() as made:
        assert_right(made)
        made.close()
        made.close()
        assert made.process_ids == []
        with ThreadPoolExecutor(3) as pool:
            for answer in [pool.submit(made.decode, GOOD) for _ in range(3)]:
                with pytest.raises(ImageWorkerError, match="closed"):
                    answer.result()


def test_worker_ends_with_its_parent() -> None:
    code = (
        "import sys, time\n"
        f"sys.path[:] = {sys.path!r}\n"
        "from edgevlm_server.image_decoder import ImageDecoder, ImageLimits\n"
        "decoder = ImageDecoder(ImageLimits(), 8, (0, 0, 0))\n"
        f"decoder.decode({GOOD!r})\n"
        "print(decoder.process_ids[0], flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert running(worker)
        parent.kill()
        wait_for(lambda: not running(worker))


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_worker_imports_little() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import edgevlm_server.image_worker; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "PIL" in names
    assert not {"numpy", "pydantic", "fastapi", "starlette", "onnxruntime", "asyncio", "edgevlm_engines"} & set(names)
