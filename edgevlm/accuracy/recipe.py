"""One checkpoint, exported as it is wanted, and in fp32 to compare with. Knows no options and no activations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import Manifest
from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.calibrate.choice import NOTHING_CHANGED, Choice
from edgevlm_export.calibrate.search import Roundings, roundings
from edgevlm_export.checkpoint.about import read_about
from edgevlm_export.checkpoint.name import model_name
from edgevlm_export.exporter import check_precisions, export_bundle, export_encoder
from edgevlm_export.graph.model import describe
from edgevlm_export.graph.precision import FLAVOURS
from edgevlm_export.model_source import Lora, ModelSource, open_model


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a bundle is to be made from, and how; `kept` are patterns of matmuls that are not rounded."""

    checkpoint: Path
    device: Device
    precision: Precision
    vision_precision: VisionPrecision
    bar: Callable[[str, str | None], Progress]
    """Shows how far work is: its title, and what it is counted in, by default bytes."""
    vision_tower: Path | None = None
    lora: Sequence[Lora] = ()
    kept: Sequence[str] = ()
    name: str | None = None
    about: Path | None = None

    def model(self) -> ModelSource:
        """Raises `ExportError`."""
        return open_model(self.checkpoint, self.vision_tower, self.lora)

    def check(self) -> None:
        """Raise `ExportError` before work begins: for a pattern that matches nothing, or a wrong `about`."""
        read_about(self.checkpoint, self.about)
        describe(self.model(), FLAVOURS[self.device], self.precision, self.vision_precision, self.kept)

    def roundings(self) -> Roundings:
        """Raises `ExportError` for precisions that the device cannot run."""
        check_precisions(self.device, self.precision, self.vision_precision)
        return roundings(self.device, self.precision, self.vision_precision)

    def bytes_beside_reference(self, bundles: int) -> int:
        """Size of the reference's weights and those of so many bundles. Raises `ExportError`."""
        bundle = describe(self.model(), FLAVOURS[self.device], self.precision, self.vision_precision, self.kept)
        reference = describe(self.model(), "ort", "fp32", "fp32")
        return reference.weight_bytes() + bundles * bundle.weight_bytes()

    def write(self, bundle: Path, choice: Choice = NOTHING_CHANGED) -> Manifest:
        """Raises `ExportError`."""
        return export_bundle(
            self.checkpoint,
            bundle,
            vision_tower=self.vision_tower,
            lora=self.lora,
            device=self.device,
            precision=self.precision,
            vision_precision=self.vision_precision,
            kept=[*self.kept, *choice.kept],
            scales=choice.scales,
            about=self.about,
            name=self.name,
            progress=self.bar(f"Exporting {self.name or model_name(self.checkpoint)}", None),
        )

    def write_reference(self, bundle: Path) -> Manifest:
        """In fp32, for the CPU. Raises `ExportError`."""
        bar = self.bar("Exporting in fp32", None)
        return export_bundle(self.checkpoint, bundle, vision_tower=self.vision_tower, lora=self.lora, progress=bar)

    def write_encoder(self, path: Path) -> None:
        """Vision encoder and projector alone, in fp32, for the CPU. Raises `ExportError`."""
        export_encoder(self.model(), path, self.bar("Exporting the vision encoder in fp32", None))
