"""Tiny folders in the layouts of the published benchmarks, with questions and truths made up here."""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

SHORT = "\nAnswer the question using a single word or phrase."


def picture(path: Path | None = None, size: tuple[int, int] = (30, 20)) -> bytes:
    """A PNG whose left half is black and whose right half is white; also written, if a path is given."""
    image = Image.new("RGB", size, "white")
    image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.save(file, "PNG")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
    return file.getvalue()


def lines(path: Path, entries: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def gqa(data: Path) -> Path:
    asked = [("201", "n1.jpg", "Is it day?"), ("202", "n1.jpg", "What is it?"), ("203", "n2.jpg", "Which colour?")]
    lines(
        data / "llava_gqa_testdev_balanced.jsonl",
        [{"question_id": name, "image": image, "text": text + SHORT} for name, image, text in asked],
    )
    truth = {
        "201": {"answer": "yes", "types": {"structural": "verify"}},
        "202": {"answer": "traffic light", "types": {"structural": "query"}},
        "203": {"answer": "red", "types": {"structural": "query"}},
        "999": {"answer": "not asked", "types": {"structural": "query"}},
    }
    (data / "testdev_balanced_questions.json").write_text(json.dumps(truth))
    for name in ("n1.jpg", "n2.jpg"):
        picture(data / "images" / name)
    return data


def textvqa(data: Path) -> Path:
    lines(
        data / "llava_textvqa_val_v051_ocr.jsonl",
        [
            {"question_id": "p1", "image": "p1.jpg", "text": f"What Brand?\nReference OCR token: NOKIA, 3G{SHORT}"},
            {"question_id": "p1", "image": "p1.jpg", "text": f"what number?{SHORT}"},
        ],
    )
    entries = [
        {"image_id": "p1", "question": "What brand?", "answers": ["nokia"] * 2 + ["Nokia phone"] * 8},
        {"image_id": "p1", "question": "what number?", "answers": ["3,000"] * 3 + ["unanswerable"] * 7},
    ]
    (data / "TextVQA_0.5.1_val.json").write_text(json.dumps({"data": entries}))
    picture(data / "train_images/p1.jpg")
    return data


def pope(data: Path) -> Path:
    """Two categories of four questions about two pictures; the labels' files know other numbers."""
    questions = []
    for start, category in enumerate(("random", "popular")):
        for index, name in enumerate(("cat", "dog", "car", "bus")):
            image = f"COCO_{index // 2}.jpg"
            text = f"Is there a {name} in the image?{SHORT}"
            entry = {"question_id": 10 * start + index, "image": image, "text": text, "category": category}
            questions.append(entry)
            picture(data / "val2014" / image)
        labels = [{"question_id": index + 1, "label": label} for index, label in enumerate(("yes", "no") * 2)]
        lines(data / "coco" / f"coco_pope_{category}.json", labels)
    lines(data / "llava_pope_test.jsonl", questions)
    return data


def mme(data: Path) -> Path:
    """A perception task with labels beside the pictures, a cognition task with two spaces and a folder of labels."""
    questions = []
    for name, folder in (("count/0001.png", "count"), ("count/0002.png", "count"), ("code_reasoning/0007.png", "")):
        category, stem = name.split("/")[0], name.split("/")[1][:4]
        labels = data / "images" / (folder or "code_reasoning/questions_answers_YN") / f"{stem}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        gap = " " if folder else "  "
        asked = [f"Is it {number}?" for number in ("one", "two")]
        pairs = zip(asked, ("Yes", "No"), strict=True)
        labels.write_text("".join(f"{text}{gap}Please answer yes or no.\t{label}\n" for text, label in pairs))
        questions += [
            {"question_id": name, "image": name, "text": text + SHORT, "category": category} for text in asked
        ]
        picture(data / "images" / name)
    lines(data / "llava_mme.jsonl", questions)
    return data


def sqa(data: Path) -> Path:
    entries = [
        {
            "id": "5",
            "image": "5/image.png",
            "conversations": [{"from": "human", "value": "<image>\nWhich?\nA. x\nB. y"}],
        },
        {"id": "11", "conversations": [{"from": "human", "value": "What?\nA. x\nB. y\nC. z"}]},
        {
            "id": "12",
            "image": "12/image.png",
            "conversations": [{"from": "human", "value": "Why?\nA. x\nB. y\n<image>"}],
        },
    ]
    (data / "llava_test_CQM-A.json").write_text(json.dumps(entries))
    problems = {
        "5": {"choices": ["x", "y"], "answer": 1},
        "11": {"choices": ["x", "y", "z"], "answer": 2},
        "12": {"choices": ["x", "y"], "answer": 0},
    }
    (data / "problems.json").write_text(json.dumps(problems))
    for name in ("5", "12"):
        picture(data / "images/test" / name / "image.png")
    return data


COLUMNS = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image")
ROWS = (
    ("7", "What is it?", "nan", "a cat", "a dog", "", "", "A", "object"),
    ("1000007", "What is it?", "", "a dog", "a cat", "", "", "B", "object"),
    ("8", 'Say "how"', "Look\tclosely.", "one", "two", "None", "four", "B", "count"),
)


def mmbench(data: Path) -> Path:
    shown = base64.b64encode(picture()).decode()
    cells = [[cell.replace('"', '""') for cell in row] for row in ROWS]
    table = ["\t".join(COLUMNS), *("\t".join(f'"{cell}"' for cell in [*row, shown]) for row in cells)]
    (data / "mmbench_dev_en_20231003.tsv").write_text("\n".join(table) + "\n")
    return data


FOLDERS = {"gqa": gqa, "textvqa": textvqa, "pope": pope, "mme": mme, "sqa": sqa, "mmbench": mmbench}
