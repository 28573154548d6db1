"""A question as a form, the way people with curl send it: text or JSON comes back, and limits are the usual ones."""

import base64
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.live import LiveServer
from tests.pictures import image_part, png_url, text_part, user
from tests.server.engines import SlowEngine, until
from tests.server.http.refusing import check_error

RED = Image.new("RGB", (40, 30), (200, 0, 0))


def png(tmp_path: Path, image: Image.Image = RED) -> Path:
    file = tmp_path / "part.png"
    image.save(file)
    return file


def chat(server: LiveServer, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = server.client.post("/v1/chat/completions", json={"messages": messages, **fields}).json()
    return body


@pytest.mark.slow
def test_the_command_that_people_type_first(echo_server: LiveServer, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    command = [curl, "-sS", "-F", f"image=@{png(tmp_path)}", "-F", "question=Which lamp is on?"]
    said = subprocess.run([*command, f"{echo_server.url}/ask"], capture_output=True, text=True, check=True).stdout
    expected = chat(echo_server, *user(image_part(png_url(RED)), text_part("Which lamp is on?")))
    assert said == expected["choices"][0]["message"]["content"] + "\n"


def test_json_is_given_to_who_asks_for_it(echo_server: LiveServer, tmp_path: Path) -> None:
    response = echo_server.client.post(
        "/ask",
        files={"image": png(tmp_path).read_bytes()},
        data={"question": "Q", "system": "Be brief.", "max_tokens": "9", "model": "v2"},
        headers={"accept": "application/json"},
    )
    system = {"role": "system", "content": "Be brief."}
    same = chat(echo_server, system, *user(image_part(png_url(RED)), text_part("Q")), max_tokens=9)
    # the second time the prompt is in the cache
    body, usage = response.json(), same["usage"]
    assert body["usage"].pop("prompt_tokens_details") == {"cached_tokens": 0}
    usage.pop("prompt_tokens_details")
    choice = same["choices"][0]
    assert body == {
        "answer": choice["message"]["content"],
        "finish_reason": choice["finish_reason"],
        "confidence": choice["confidence"],
        "refused": None,
        "model": "v2",
        "usage": usage,
    }


def test_several_pictures_keep_their_order_and_none_is_needed(echo_server: LiveServer) -> None:
    green = Image.new("RGB", (40, 30), (0, 200, 0))
    contents = [base64.b64decode(png_url(image).partition(",")[2]) for image in (RED, green)]
    files = [("image", (f"{number}.png", content)) for number, content in enumerate(contents)]
    said = echo_server.client.post("/ask", files=files, data={"question": "Q"}).text
    both = chat(echo_server, *user(image_part(png_url(RED)), image_part(png_url(green)), text_part("Q")))
    assert said == both["choices"][0]["message"]["content"] + "\n"
    alone = echo_server.client.post("/ask", files={"question": (None, "Q")})
    assert alone.text.endswith("USER: Q ASSISTANT:\n")
    assert alone.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ([("image", "\0")], "invalid_value", "question"),
        ([("question", "a"), ("question", "b")], "invalid_form", None),
        ([("question", "a"), ("temperature", "1")], "unsupported_parameter", "temperature"),
        ([("question", "a"), ("max_tokens", "0")], "invalid_value", "max_tokens"),
        ([("question", "a"), ("max_tokens", "many")], "invalid_value", "max_tokens"),
        ([("question", "a b " * 3000)], "context_length_exceeded", "question"),
        ([("question", "x" * 40_000)], "context_length_exceeded", "question"),
        ([("question", "a"), ("image", "\0no picture")], "image_unsupported", "image"),
        ([("question", "a"), *[("image", "\0")] * 9], "too_many_images", "image"),
    ],
)
def test_what_is_wrong_is_named(
    echo_server: LiveServer, fields: list[tuple[str, str]], code: str, param: str | None
) -> None:
    files = [(name, (None, value)) for name, value in fields]
    assert check_error(echo_server.client.post("/ask", files=files), 400, code)["param"] == param


PART = base64.b64decode(png_url(RED).partition(",")[2])


@pytest.mark.parametrize("name", ["image", "image[]", "images", "file", "picture", "upload", "Foto"])
def test_a_file_is_a_picture_whatever_its_field_is_called(echo_server: LiveServer, name: str) -> None:
    sent = echo_server.client.post("/ask", files={name: ("part.png", PART)}, data={"question": "Q"})
    assert sent.text == echo_server.client.post("/ask", files={"image": PART}, data={"question": "Q"}).text
    assert sent.status_code == 200


def test_texts_may_come_from_files(echo_server: LiveServer) -> None:
    files = {"question": ("q.txt", b"\xef\xbb\xbfQ"), "image": ("part.png", PART)}
    plain = echo_server.client.post("/ask", files={"image": PART}, data={"question": "Q"})
    assert echo_server.client.post("/ask", files=files).text == plain.text


@pytest.mark.parametrize("name", ["image", "image[]", "file", "picture"])
@pytest.mark.parametrize(("content", "reason"), [("part.jpg", "holds a text and no file"), ("", "is empty")])
def test_a_forgotten_at_sign_is_named(echo_server: LiveServer, name: str, content: str, reason: str) -> None:
    response = echo_server.client.post("/ask", files={"question": (None, "Q"), name: (None, content)})
    message = check_error(response, 400, "invalid_value")["message"]
    assert f"'{name}' {reason}" in message and f"-F {name}=@part.jpg" in message


@pytest.mark.parametrize("name", ["image", "upload"])
def test_an_empty_file_is_named_and_one_that_was_not_chosen_is_none(echo_server: LiveServer, name: str) -> None:
    def ask(file_name: str) -> Any:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"'
        question = 'Content-Disposition: form-data; name="question"'
        body = f"--XX\r\n{question}\r\n\r\nQ\r\n--XX\r\n{head}\r\n\r\n\r\n--XX--\r\n"
        form = {"content-type": "multipart/form-data; boundary=XX"}
        return echo_server.client.post("/ask", content=body, headers=form)

    assert "is empty" in check_error(ask("part.jpg"), 400, "invalid_value")["message"]
    assert ask("").text.endswith("USER: Q ASSISTANT:\n")


def test_a_question_in_latin_1_is_named(echo_server: LiveServer) -> None:
    response = echo_server.client.post("/ask", files={"question": (None, "Größe?".encode("latin-1"))})
    assert "Latin-1" in check_error(response, 400, "invalid_form")["message"]


def test_only_forms_within_the_limit_are_taken(echo_server: LiveServer) -> None:
    error = check_error(echo_server.client.post("/ask", json={"question": "a"}), 415, "unsupported_media_type")
    assert "-F image=@" in error["message"]
    form = {"content-type": "multipart/form-data; boundary=XX"}
    check_error(echo_server.client.post("/ask", content=b"nothing", headers=form), 400, "invalid_form")
    large: Any = {"question": (None, "a"), "image": b"x" * 11_000_000}
    check_error(echo_server.client.post("/ask", files=large), 413, "request_too_large")
    check_error(
        echo_server.client.post("/ask", files={"question": (None, "a")}, data={"model": "gpt-5"}),
        404,
        "model_not_found",
    )


@pytest.mark.slow
def test_a_full_queue_refuses_forms_too(bundles: Callable[[str], Path]) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server:
        first = threading.Thread(target=server.chat, args=("hold the only place",))
        first.start()
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        response = server.client.post("/ask", files={"question": (None, "a")})
        check_error(response, 429, "queue_full")
        assert response.headers["retry-after"] == "1"
        engine.gate.set()
        first.join()
