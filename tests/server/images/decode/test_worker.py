"""Worker processes that crash, hang, lie and die: one call fails, the next is right, nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.images.decode import decoder as decoder_module
from edgevlm_server.images.decode import worker
from edgevlm_server.images.decode.decoder import ImageWorkerBusy, ImageWorkerError
from edgevlm_server.images.formats.limits import ImageError, ImageLimits

from tests.processes import children
from tests.server.images.image_files import jpeg_with_scans
from tests.server.images.image_workers import (
    GOOD,
    SIZE,
    assert_right,
    decoder,
    refusal,
    running,
    wait_for,
    workers,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


def test_a_process_that_died_while_idle_is_replaced_unnoticed() -> None:
    with decoder() as made:
        assert_right(made)
        for _ in range(10):
            os.kill(workers()[0], signal.SIGKILL)
            assert_right(made)


def test_signals_for_the_group_do_not_end_the_worker() -> None:
    with decoder() as made:
        assert_right(made)
        processes = workers()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(processes[0], number)
        assert_right(made)
        assert workers() == processes


def test_a_hung_process_is_replaced_and_the_machine_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    with decoder() as made:
        assert_right(made)
        hung = workers()
        os.kill(hung[0], signal.SIGSTOP)
        with monkeypatch.context() as patch, pytest.raises(ImageWorkerBusy):
            patch.setattr(decoder_module, "_PATIENCE", 0.2)
            made.decode(GOOD)
        assert not children() & set(hung)
        assert_right(made)


def test_a_picture_that_decodes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "_PATIENCE", 100)  # its processor time ends it, however busy the machine is
    bomb = jpeg_with_scans(4096, 4096, extra=900)
    with decoder(limits=ImageLimits(max_scans=1000, decode_seconds=0.5)) as made:
        error = refusal(made, bomb)
        assert error.code == "image_too_large" and "0.5 s of processor time" in str(error)
        assert_right(made)


def test_time_that_the_machine_takes_elsewhere_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is stopped for longer than its processor time, as on a machine with too much to do."""
    monkeypatch.setattr(decoder_module, "_PATIENCE", 30)
    slow = jpeg_with_scans(2048, 2048, extra=10)
    with decoder(limits=ImageLimits(max_scans=100, decode_seconds=2)) as made, ThreadPoolExecutor(1) as pool:
        assert_right(made)
        [process] = workers()
        os.kill(process, signal.SIGSTOP)
        answer = pool.submit(made.decode, slow)
        time.sleep(3)
        os.kill(process, signal.SIGCONT)
        assert answer.result().getpixel((0, 0)) == (90, 90, 90)
        assert workers() == [process]


def test_process_killed_while_it_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = jpeg_with_scans(4096, 4096, extra=900)
    answers = decoder_module._Process._answers

    def killed(process: Any, *arguments: Any) -> Any:
        process._process.kill()
        return answers(process, *arguments)

    with decoder(limits=ImageLimits(max_scans=1000, decode_seconds=60)) as made:
        assert_right(made)
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module._Process, "_answers", killed)
            with pytest.raises(ImageWorkerBusy, match="from outside"):
                made.decode(bomb)
        assert_right(made)


ACCEPT = (
    f"import os, struct\nos.write(0, b'R')\nn = sum(struct.unpack('!HI', os.read(0, {worker.REQUEST.size})[:6]))\n"
)
ACCEPT += "while n > 0: n -= len(os.read(0, n))\n"
DECODED = f"b'A0' + bytes({worker.SIZE.size})"


@pytest.mark.parametrize(
    "script",
    [
        ACCEPT + "os.write(0, b'A'); os.kill(os.getpid(), 11)",
        ACCEPT + "os.write(0, b'A'); os._exit(1)",
        ACCEPT + "os.write(0, b'AX' + bytes(4000)); os.read(0, 1)",
        ACCEPT + f"os.write(0, {DECODED}); os._exit(1)",
        ACCEPT + f"os.write(0, {DECODED} + b'X' + bytes(4000)); os.read(0, 1)",
        ACCEPT + f"os.write(0, {DECODED} + b'0' + bytes(50))",
    ],
    ids=["crash", "exit", "unknown status", "no part", "unknown status of a part", "too few bytes"],
)
def test_worker_that_fails_on_a_picture(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module, "_command", lambda limits: [sys.executable, "-c", script])
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
            patch.setattr(decoder_module, "_command", lambda limits: [sys.executable, "-c", script])
            with pytest.raises(ImageWorkerError, match="image worker"):
                made.decode(GOOD)
        assert_right(made)


def test_program_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "_command", lambda limits: ["/does/not/exist"])
    with decoder() as made, pytest.raises(ImageWorkerError, match="could not be started"):
        made.decode(GOOD)


def test_reply_that_is_too_long_does_not_reach_the_next_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ACCEPT + f"os.write(0, {DECODED} + b'0' + bytes({3 * SIZE * SIZE}) + b'0junk'); os.read(0, 1)"
    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module, "_command", lambda limits: [sys.executable, "-c", script])
            assert made.decode(GOOD).getcolors() == [(SIZE * SIZE, (0, 0, 0))]
        assert_right(made)


# The end


def test_close_waits_for_the_picture_under_way() -> None:
    slow = jpeg_with_scans(2048, 2048, extra=60)
    with decoder(limits=ImageLimits(max_scans=100, decode_seconds=60)) as made, ThreadPoolExecutor(1) as pool:
        assert_right(made)
        answer = pool.submit(made.decode, slow)
        wait_for(lambda: made._idle.empty() or answer.done())
        made.close()
        assert answer.result().getpixel((0, 0)) == (90, 90, 90)


def test_after_close_nobody_waits_and_nothing_starts() -> None:
    with decoder() as made:
        assert_right(made)
        made.close()
        made.close()
        assert workers() == []
        with ThreadPoolExecutor(3) as pool:
            for answer in [pool.submit(made.decode, GOOD) for _ in range(3)]:
                with pytest.raises(ImageWorkerError, match="closed"):
                    answer.result()


@pytest.mark.parametrize("busy", [False, True])
def test_worker_ends_with_its_parent(busy: bool, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(jpeg_with_scans(4096, 4096, extra=2900))
    code = (
        "import pathlib, sys, time\n"
        f"sys.path[:] = {sys.path!r}\n"
        "from edgevlm_server.images.decode.decoder import ImageDecoder, ImageLimits\n"
        "decoder = ImageDecoder(ImageLimits(max_scans=3000, decode_seconds=1), 8, (0, 0, 0))\n"
        f"decoder.decode({GOOD!r})\n"
        "print('ready', flush=True)\n"
        f"decoder.decode(pathlib.Path({str(bomb)!r}).read_bytes()) if {busy} else time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        [worker] = children(parent.pid)
        assert running(worker)
        time.sleep(0.5 if busy else 0)
        parent.kill()
        wait_for(lambda: not running(worker), 40)  # left to itself, the busy one takes 45 s


def test_worker_imports_little() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import edgevlm_server.images.decode.worker; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "PIL" in names
    assert not {"numpy", "pydantic", "fastapi", "starlette", "onnxruntime", "asyncio", "edgevlm_engines"} & set(names)


def test_a_part_that_ends_the_process_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process answers one part and dies over the next one; what stands behind it is asked of a new process."""
    script = ACCEPT + f"os.write(0, {DECODED} + b'0' + bytes({3 * SIZE * SIZE})); os.read(0, 1)"
    reply, waited_for = decoder_module._Process._reply, []

    def reply_of_one_that_dies(process: decoder_module._Process, length: int, *rest: Any) -> bytes | ImageError:
        waited_for.append(length)
        if len(waited_for) == 3:  # its size and one part are there, and the next part is waited for
            process._process.send_signal(signal.SIGSEGV)
        return reply(process, length, *rest)

    with decoder() as made:
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module, "_command", lambda limits: [sys.executable, "-c", script])
            patch.setattr(decoder_module._Process, "_reply", reply_of_one_that_dies)
            first, died, behind = made.parts(GOOD, [None, None, None])
        assert not isinstance(first, ImageError) and not isinstance(behind, ImageError)
        assert isinstance(died, ImageError) and died.code == "image_invalid"
        assert_right(made)
