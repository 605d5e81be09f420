"""What timm's `config.json` says of the weights that it lies beside, as on the hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from maquette.errors import CheckpointError
from maquette.shapes import CONVNEXT_VARIANTS, Variant

FILE = "config.json"
_ASIDE = f"move {FILE} away if it belongs to other weights"

_Mean = Annotated[float, Field(ge=0, le=1)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1)]  # values are divided by it
_Side = Annotated[int, Field(ge=8, le=4096)]


class _Images(BaseModel):
    """What the weights expect of images; null where it isn't said."""

    input_size: tuple[Literal[3], _Side, _Side] | None = None
    mean: tuple[_Mean, _Mean, _Mean] | None = None
    std: tuple[_Deviation, _Deviation, _Deviation] | None = None
    crop_pct: float | None = None
    interpolation: str | None = None


class _Written(BaseModel):
    """The parts of the file that are read, whatever else is there."""

    architecture: str
    num_classes: int | None = None
    label_names: list[str] | None = None
    pretrained_cfg: _Images


@dataclass(frozen=True, slots=True)
class TimmConfig:
    """A model and the images that it expects; None for what isn't said."""

    path: Path
    architecture: str
    classes: int | None
    names: tuple[str, ...] | None
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    crop: float | None
    interpolation: str | None

    @property
    def variant(self) -> Variant | None:
        """The variant that it is of; None for another model."""
        family, *rest = re.split(r"[._]", self.architecture)
        known = family == "convnext" and rest
        return next((v for v in CONVNEXT_VARIANTS if known and v == rest[0]), None)

    def check(self, variant: Variant, classes: int) -> None:
        """Raises CheckpointError where the weights are others than it says."""
        if self.variant != variant:
            raise CheckpointError(
                f"{self.path} says {self.architecture}, and these are a ConvNeXt {variant}'s"
                " weights",
                hint=_ASIDE,
            )
        for count in (self.classes, len(self.names) if self.names else None):
            if count not in (None, classes):
                raise CheckpointError(
                    f"{self.path} says {count:,} classes, and the weights tell {classes:,} apart",
                    hint=_ASIDE,
                )

    def differences(self) -> list[str]:
        """How it has images cut and scaled, where that isn't done here, in words."""
        found = []
        if self.crop is not None and 0 < self.crop < 1:
            found.append(f"the middle {self.crop:.3g} of an image's shorter side, not all of it")
        if self.interpolation not in (None, "bicubic", "random"):
            found.append(f"{self.interpolation} scaling, not bicubic")
        return found


def read_config(weights: Path) -> TimmConfig | None:
    """What is said beside a file of weights; None if nothing is, or by somebody else than timm.

    Raises CheckpointError.
    """
    path = weights.parent / FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise CheckpointError(f"can't read {path}: {cause}", hint=_ASIDE) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}", hint=_ASIDE) from None
    if not isinstance(content, dict) or "architecture" not in content:
        return None
    try:
        written = _Written.model_validate(_in_parts(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path}: {place}: {first['msg'].lower()}", hint=_ASIDE) from None
    images = written.pretrained_cfg
    return TimmConfig(
        path=path,
        architecture=written.architecture,
        classes=written.num_classes,
        names=tuple(written.label_names) if written.label_names else None,
        image_size=min(images.input_size[1:]) if images.input_size else None,
        mean=images.mean,
        std=images.std,
        crop=images.crop_pct,
        interpolation=images.interpolation,
    )


def _in_parts(content: dict[str, Any]) -> dict[str, Any]:
    """Older files have everything in one, and timm reads them too."""
    if "pretrained_cfg" in content:
        return content
    return {"label_names": content.get("labels"), **content, "pretrained_cfg": content}
