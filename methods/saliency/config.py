"""Training configuration of `ppr saliency`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from ..common.config import BaseTrainConfig, PathText

ARCHITECTURES = ("ras-mobile", "ras-mobile-s", "ras-vgg16", "ras-resnet50")
Arch = Literal["ras-mobile", "ras-mobile-s", "ras-vgg16", "ras-resnet50"]


class TrainConfig(BaseTrainConfig):
    """Training of a RAS network; defaults follow the 2020 recipe (v2) unless a comment says otherwise."""

    data: list[PathText] = Field(default_factory=list, description="training pairs: folders, zips, list files or registered names")
    val: list[PathText] = Field(default_factory=list, description="validation pairs; empty holds out val_fraction of the training pairs")
    val_fraction: float = Field(0.04, gt=0, lt=0.5, description="share of the training pairs held out when val is empty")
    limit: int = Field(0, ge=0, description="use only that many training pairs; 0 uses all")
    resize_masks: bool = Field(False, description="resize a mask whose size differs from its image's instead of refusing the pair")

    arch: Arch = Field("ras-mobile", description="network")
    reverse_attention: bool = Field(True, description="False trains the ablation A = 1: residuals without erasing")
    backbone_weights: PathText = Field("", description="file with ImageNet weights of the trunk; empty trains it from scratch")
    trunk_batch_norm: bool = Field(False, description="put batch norm back into a trunk whose ImageNet weights come with it folded in")
    init: PathText = Field("", description="checkpoint of the same network to start from")
    freeze: Literal["none", "stem", "trunk"] = Field("stem", description="part of a pretrained trunk that stays as it is (v2: the stem)")

    sizes: list[int] = Field([224, 256, 288, 320, 352], description="side in pixels, drawn anew for every batch (v2); [0] is native size")
    crop: float = Field(0.125, ge=0, lt=0.5, description="largest share of a side that random cropping removes (v2: 1/8)")
    rotate: NonNegativeFloat = Field(0.0, description="largest rotation in degrees (v1: 10)")
    jitter: float = Field(0.0, ge=0, le=1, description="strength of brightness, contrast and saturation changes")
    blank: float = Field(0.0, ge=0, lt=1, description="share of examples replaced by an image without object (plain, gradient, noise)")

    epochs: PositiveInt = Field(32, description="passes over the training data (v2: 32)")
    batch: PositiveInt = Field(32, description="images a step on each device (v2: 32)")
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd is Nesterov with momentum 0.9 (v2), without Nesterov in the eccv recipe"
    )
    lr_head: PositiveFloat = Field(0.05, description="peak rate of the head (v2)")
    lr_trunk: NonNegativeFloat = Field(0.005, description="peak rate of the pretrained trunk (v2)")
    weight_decay: NonNegativeFloat = Field(5e-4, description="not applied to biases and batch norm")
    schedule: Literal["triangular", "steps", "warmup-cosine"] = Field(
        "triangular",
        description="triangular: 0 -> peak at half time -> 0 (v2); steps: x0.1 at 75 % (eccv); warmup-cosine: 5 % up, cosine down",
    )
    loss: Literal["bce+iou", "bce"] = Field("bce+iou", description="at every level: mean BCE plus soft IoU (v2), or BCE alone (eccv)")

    @field_validator("sizes")
    @classmethod
    def _sizes_are_usable(cls, sizes: list[int]) -> list[int]:
        if not sizes or any(side != 0 and not 32 <= side <= 2048 for side in sizes) or (0 in sizes and len(sizes) > 1):
            raise ValueError("sides are 32 to 2048 pixels, or the single value 0")
        return sizes


#: Chen et al. 2018: native size, effective batch 10, mirror only, SGD; its sum-over-pixels loss at lr 1e-8 is a mean loss at
#: 1e-8 * 300 * 400 = 1.2e-3. MSRA-B has 2,500 training images: 10,000 updates of 10 images are 40 epochs.
ECCV: dict[str, Any] = {
    "arch": "ras-vgg16",
    "sizes": [0],
    "crop": 0.0,
    "epochs": 40,
    "batch": 1,
    "accumulate": 10,
    "lr_head": 1.2e-3,
    "lr_trunk": 1.2e-3,
    "schedule": "steps",
    "loss": "bce",
    "freeze": "none",
}
PRESETS: dict[str, dict[str, Any]] = {"v2": {}, "eccv": ECCV}
