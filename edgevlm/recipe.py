"""One checkpoint, exported as it is wanted, in fp32 to compare with, and rounded in other ways. Knows no options."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import Manifest
from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_export.calibrate.plan import Plan
from edgevlm_export.calibrate.search import EXPONENTS, Finding, find, matmuls, roundings
from edgevlm_export.exporter import export_bundle
from edgevlm_export.model_source import Lora, open_model

from edgevlm.progress import Bar

NEAREST = Plan((), ())


@dataclass(frozen=True)
class Recipe:
    """What a bundle is to be made from, and how; `kept` are patterns of matmuls that are not rounded."""

    checkpoint: Path
    vision_tower: Path | None
    lora: Sequence[Lora]
    device: Device
    precision: Precision
    vision_precision: VisionPrecision
    kept: Sequence[str]
    name: str | None

    def rounds(self) -> bool:
        """Whether there is a matmul that a precision rounds."""
        return any(rounding is not None for rounding in roundings(self.device, self.precision, self.vision_precision))

    def write(self, bundle: Path, plan: Plan = NEAREST) -> Manifest:
        """Raises `ExportError`."""
        return export_bundle(
            self.checkpoint,
            bundle,
            vision_tower=self.vision_tower,
            lora=self.lora,
            device=self.device,
            precision=self.precision,
            vision_precision=self.vision_precision,
            kept=[*self.kept, *plan.kept],
            scales=plan.scales,
            name=self.name,
            progress=Bar(f"Exporting {self.checkpoint.name}"),
        )

    def write_reference(self, bundle: Path) -> Manifest:
        """In fp32, for the CPU. Raises `ExportError`."""
        return export_bundle(
            self.checkpoint,
            bundle,
            vision_tower=self.vision_tower,
            lora=self.lora,
            progress=Bar("Exporting in fp32"),
        )

    def findings(self, reference: Path, manifest: Manifest, calibrate: Path | None) -> list[Finding]:
        """What rounding does to each matmul, on the user's questions or on drawings; scales if it is to `calibrate`.

        Raises `CommandError`.
        """
        from edgevlm.activations import record
        from edgevlm.questions import calibration_cases

        count, cases = calibration_cases(reference, manifest, calibrate)
        bar = Bar("Recording activations", "question")
        bar.start(count)
        inputs = record(reference, manifest, cases, count, bar.advance)
        bar.finish()
        model = open_model(self.checkpoint, self.vision_tower, self.lora)
        bar = Bar("Rounding", "matmul")
        bar.start(matmuls(model.config))
        exponents = EXPONENTS if calibrate is not None else ()
        found = list(find(model, self.device, self.precision, self.vision_precision, inputs, bar.advance, exponents))
        bar.finish()
        return found
