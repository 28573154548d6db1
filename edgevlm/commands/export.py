"""`edgevlm export`: a checkpoint in the published layout becomes a bundle."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edgevlm_server.options import add_options

from edgevlm.conversion import CONVERSION, Conversion
from edgevlm.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgevlm_engines.names import Precision, VisionPrecision
    from edgevlm_export.calibrate.choice import Choice
    from edgevlm_export.calibrate.search import Finding

    from edgevlm.accuracy.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevlm_engines.names import Device

    parser.add_argument(
        "checkpoint",
        type=Path,
        help="folder with config.json, weights and tokenizer.model, or the name of a published model, such as "
        "MobileVLM_V2-1.7B, which is fetched first",
    )
    parser.add_argument("bundle", type=Path, help="folder to create; it must not exist yet")
    parser.add_argument(
        "--device",
        choices=get_args(Device),
        default="cpu",
        help="what will run it (default: cpu); sets the other defaults. jetpack6 means TensorRT 10.3, jetpack7 "
        "TensorRT 10.15 or later, rtx TensorRT-RTX on a PC with an NVIDIA GPU",
    )
    add_options(parser, Conversion, CONVERSION, variables=False)
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help="round to int8 and int4 after what the model computes with on your own pictures: DIR holds them and "
        'questions.jsonl, {"image": "a file", "text": "a question"} a line, a few dozen; or the word drawings, for '
        "the built-in ones. Needs disk space for the model in fp32, and ONNX Runtime",
    )
    parser.add_argument(
        "--keep-fp16",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do not round matmuls whose names match this shell pattern, such as '*.layers.0.*' (on a CPU they are "
        "kept in fp32); give it again for several",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="compare the bundle with an fp32 one, token by token, and say what rounding does to each layer; needs "
        "disk space for that one beside the bundle, and ONNX Runtime to run both",
    )
    parser.add_argument(
        "--name", help="model name that clients see (default: that of the checkpoint's folder or hub repository)"
    )
    parser.add_argument(
        "--if-absent",
        action="store_true",
        help="do nothing if the bundle already exists and is complete, whatever it was made from",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_export.bundle_writer import check_absent, scratch_folder
    from edgevlm_export.graph.precision import FLAVOURS

    from edgevlm.accuracy.calibration import encoder_findings

    if arguments.report and FLAVOURS[arguments.device] != "ort":
        raise CommandError(
            f"A bundle for {arguments.device} runs only on TensorRT, but --report compares on ONNX Runtime; leave "
            "out --report."
        )
    if arguments.if_absent and arguments.bundle.exists():
        print(_present(arguments.bundle))
        return 0
    # before gigabytes are fetched
    check_absent(arguments.bundle)
    _check(arguments)
    recipe = _recipe(arguments)
    if arguments.calibrate is None and not arguments.report:
        _write(recipe, arguments.bundle, encoder_findings(recipe, arguments.bundle))
    else:
        recipe.check()
        with scratch_folder(arguments.bundle) as folder:
            _measure(recipe, arguments.bundle, folder, arguments.calibrate, report=arguments.report)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise `ExportError` or `CommandError` for what the options, and the user's questions, show to be wrong."""
    from edgevlm_export.calibrate.search import roundings
    from edgevlm_export.exporter import check_precisions

    from edgevlm.accuracy.calibration import check_runtime
    from edgevlm.accuracy.questions import own_questions

    precision, vision_precision = _precisions(arguments)
    check_precisions(arguments.device, precision, vision_precision)
    if arguments.calibrate is not None:
        if not any(roundings(arguments.device, precision, vision_precision)):
            raise CommandError(
                f"Nothing is rounded in {precision} with vision {vision_precision}: choose int8 or int4, or leave "
                "out --calibrate."
            )
        own_questions(arguments.calibrate)
    if arguments.calibrate is not None or arguments.report:
        check_runtime()


def _precisions(arguments: argparse.Namespace) -> "tuple[Precision, VisionPrecision]":
    from edgevlm_export.graph.precision import DEFAULTS

    default = DEFAULTS[arguments.device]
    return arguments.precision or default.decoder, arguments.vision_precision or default.vision


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    from edgevlm.accuracy.recipe import Recipe
    from edgevlm.progress import Bar

    checkpoint, vision_tower = _found(arguments.checkpoint)
    precision, vision_precision = _precisions(arguments)
    return Recipe(
        checkpoint=checkpoint,
        device=arguments.device,
        precision=precision,
        vision_precision=vision_precision,
        bar=Bar,
        vision_tower=arguments.vision_tower or vision_tower,
        lora=arguments.lora or (),
        kept=arguments.keep_fp16,
        name=arguments.name,
        about=arguments.about,
    )


def _found(named: Path) -> tuple[Path, Path | None]:
    """A folder as it is; a published checkpoint in the hub's cache, with the vision tower that belongs to it."""
    from edgevlm.hub.published import published

    model = published(named)
    if model is None:
        return named, None
    from edgevlm.hub.pull import pull
    from edgevlm.progress import Bar

    return pull(model, lambda line: print(line, flush=True), Bar)


def _write(recipe: "Recipe", bundle: Path, findings: "Sequence[Finding]") -> "Choice":
    """Write the bundle and print what was made of the findings."""
    from edgevlm.accuracy.calibration import write

    manifest, chosen, summary = write(recipe, bundle, findings)
    size = sum(file.size for file in manifest.files.values())
    numbers = f"{manifest.precision}, vision {manifest.vision_precision}"
    print(f"{bundle}: {manifest.model}, {manifest.family}, {numbers}, {size / 2**20:.1f} MiB")
    if summary:
        print(summary)
    return chosen


def _measure(recipe: "Recipe", bundle: Path, folder: Path, calibrate: Path | None, *, report: bool) -> None:
    """The same with one in fp32 to learn from; `folder` has room for what is needed meanwhile."""
    from edgevlm_export.bundle_writer import check_room
    from edgevlm_export.calibrate.choice import NOTHING_CHANGED

    from edgevlm.accuracy.calibration import all_findings
    from edgevlm.accuracy.sensitivity import sensitivity

    # one more that is rounded to nearest, if there is something to compare
    check_room(folder, recipe.bytes_beside_reference(bundles=2 if report and calibrate is not None else 1))
    reference = folder / "fp32"
    recipe.write_reference(reference)
    findings = all_findings(recipe, reference, calibrate)
    chosen = _write(recipe, bundle, findings)
    if not report:
        return
    columns = {"rounded to nearest": bundle}
    if chosen != NOTHING_CHANGED:
        columns = {"rounded to nearest": folder / "nearest", "calibrated": bundle}
        recipe.write(folder / "nearest")
    print(_compared(reference, columns))
    if findings:
        print(f"\n{sensitivity(findings, [*recipe.kept, *chosen.kept])}")


def _compared(reference: Path, bundles: dict[str, Path]) -> str:
    from edgevlm.accuracy.quantisation import compare, steps, table
    from edgevlm.progress import Bar

    bar = Bar("Comparing", "answer")
    bar.start(steps(len(bundles)))
    comparisons = compare(reference, list(bundles.values()), bar.advance)
    bar.finish()
    return table(dict(zip(bundles, comparisons, strict=True)))


def _present(bundle: Path) -> str:
    """Says that the bundle exists. Raises `BundleError` if what is there is no whole bundle."""
    from edgevlm_engines import open_bundle

    return f"{bundle}: {open_bundle(bundle).manifest.model} already exists"
