"""A trained shape model: decoder, bank of known shapes, prior over codes, and the encoders that turn voxels and pictures into codes.

Making a mesh of a known or a generated shape needs no torch; the encoders do, and import it when they are first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import PprError, UsageError
from ..common.running.checkpoint import load_arrays
from ..common.running.embedded import Embedded
from .config import METHOD, network_config
from .models.bank import Bank
from .models.codes import NamedCode, only, read_codes
from .models.field import CodeField, Decoder, check_code
from .weights import EMBEDDED

if TYPE_CHECKING:
    from .models.prior import CodePrior

Float = NDArray[np.float32]


class Predictor:
    """Load once, ask often.

    Args:
        path: checkpoint with `generator.*`, optionally `encoder.*`, `codes` and `latent_generator.*`.
        encoder_path: where the voxel encoder is, if elsewhere.
        image_path: checkpoint of the single-view encoder, if there is one.
    """

    def __init__(self, path: Path, encoder_path: Path | None = None, image_path: Path | None = None) -> None:
        self.path, self.encoder_path, self.image_path = path, encoder_path or path, image_path
        self.state, self.meta = load_arrays(path, method=METHOD)
        self.config = network_config(self.meta, path)
        try:
            self.decoder = Decoder(self.state, self.config)
        except PprError as error:
            raise PprError(
                f"{path}: {error.message}", hint="its weights are not those of the network that its metadata describe"
            ) from error

    @classmethod
    def load(cls, model: str | Path, image_model: str | Path | None = None) -> Predictor:
        """An embedded model by name, a checkpoint or a run; NAME.encoder and NAME.image.safetensors beside NAME.safetensors belong to it.

        Args:
            image_model: another image encoder, a checkpoint or a run.

        Raises:
            UsageError: there is no such model.
            PprError: a file that is no checkpoint of this method.
        """
        path = EMBEDDED.find(model)
        encoder, image = (path.with_suffix(f".{part}.safetensors") for part in ("encoder", "image"))
        if image_model is not None:
            image = Embedded().find(image_model)
        return cls(path, encoder if encoder.exists() else None, image if image.exists() else None)

    def known(self, shape: str | None = None) -> NamedCode:
        """A shape of the bank by name or number; None is the one that the checkpoint names to be shown, else the first.

        Raises:
            UsageError: there is no such shape.
            PprError: the checkpoint holds no shapes.
        """
        wanted = self.meta.notes.get("default_shape", "0") if shape is None else shape
        index = self.bank.index(wanted)
        return NamedCode(self.bank.names[index], self.bank.codes[index])

    def drawn(self, seed: int, *, truncation: float = 1.0, prior: str | None = None) -> NamedCode:
        """The first new shape of a seed; see `sample`."""
        return NamedCode(f"seed-{seed}", self.sample(1, seed, truncation=truncation, kind=prior)[0])

    def by_word(self, word: str) -> NamedCode:
        """A shape of an argument: name or number of a known one, `seed:S`, or a file (.npy code, voxels, mesh, picture).

        Raises:
            UsageError, PprError: there is no such shape or file.
        """
        kind, separator, rest = word.partition(":")
        if kind == "seed" and separator:
            if not rest.isdigit():
                raise UsageError(f"{word}: a seed is a number", hint="for example seed:7")
            return self.drawn(int(rest))
        path = Path(word)
        if path.suffix and path.exists():
            return only(list(read_codes(path)), word) if path.suffix == ".npy" else self.read(path)
        return self.known(word)

    def read(self, path: Path, content: bytes | None = None) -> NamedCode:
        """The shape in a file: a picture by the image encoder, voxels or a mesh by the voxel encoder.

        Args:
            content: of a picture that lies elsewhere, in an archive or a pipe.

        Raises:
            UsageError: none of them, by its suffix.
            PprError: a file that cannot be read or holds no shape; solids that do not lie on disk; no such encoder.
        """
        from ..common.reading import images
        from .shapes.shape_files import check_suffix

        check_suffix(path, input_suffixes())
        if path.suffix.lower() in images.SUFFIXES:
            return self.read_picture(path, content)
        if content is not None:
            raise PprError(f"{path}: voxels and meshes are read from files on disk, not from archives", hint="unpack it first")
        return self.read_solid(path)

    def read_solid(self, path: Path) -> NamedCode:
        """The shape of voxels or of a mesh; see `read`."""
        from .shapes.shape_files import encoder_grid

        return NamedCode(path.stem, self.encode([encoder_grid(path)])[0])

    def read_picture(self, path: Path, content: bytes | None = None) -> NamedCode:
        """The shape in a picture, whatever its suffix; see `read`."""
        from .shapes.views import load_view

        return NamedCode(path.stem, self.encode_image(load_view(path if content is None else content, str(path))))

    @cached_property
    def bank(self) -> Bank:
        """The shapes it was trained on.

        Raises:
            PprError: the checkpoint holds none.
        """
        if "codes" not in self.state:
            raise PprError(
                f"{self.path}: holds no shapes, only networks", hint="`ppr imnet encode --bank` adds those of a data file; or give --voxels"
            )
        codes = self.state["codes"]
        if codes.ndim != 2 or codes.shape[1] != self.config.z_dim:
            raise PprError(
                f"{self.path}: codes {list(codes.shape)} for a network of z_dim {self.config.z_dim}", hint="a damaged checkpoint"
            )
        names = self.meta.notes.get("names", "").split("\n")
        if names == [""] or len(names) != len(codes):
            names = [str(index) for index in range(len(codes))]
        whole = self.state.get("whole")
        if whole is not None and whole.shape != codes.shape[:1]:
            raise PprError(f"{self.path}: {len(codes)} codes, but {len(whole)} marks of which are whole", hint="a damaged checkpoint")
        return Bank(names, codes, None if whole is None else whole.astype(bool))

    @cached_property
    def _priors(self) -> dict[str, CodePrior]:
        return {}

    @property
    def default_prior(self) -> str:
        """The prior `--seed` draws from unless told otherwise: what the checkpoint names, else mixtures of neighbours."""
        return self.meta.notes.get("prior", "mixture")

    def sample(self, count: int, seed: int, *, truncation: float = 1.0, kind: str | None = None) -> Float:
        """New codes float32 [count, z]; the same seed gives the same ones.

        Raises:
            UsageError: an unknown prior, or a truncation out of (0, 1].
            PprError: the checkpoint holds no codes to draw from.
        """
        from .models.prior import CodePrior

        kind = kind or self.default_prior
        if kind not in self._priors:
            generator = {key: value for key, value in self.state.items() if key.startswith("latent_generator.")}
            self._priors[kind] = CodePrior.of(self.bank.examples, kind, generator=generator or None)  # type: ignore[arg-type]
        return self._priors[kind].sample(count, seed, truncation)

    def code(self, shape: str) -> Float:
        """Code of a known shape, float32 [z]."""
        return self.known(shape).code

    def field(self, code: NDArray[np.floating]) -> CodeField:
        """The implicit field of a code."""
        return self.decoder.field(code)

    @cached_property
    def _encoder(self) -> Any:
        from ..common.running.checkpoint import load_checkpoint
        from .models.encoding import load_encoder

        return load_encoder(load_checkpoint(self.encoder_path, method=METHOD))

    def encode(self, voxels: Sequence[NDArray[np.bool_]]) -> Float:
        """Codes float32 [n, z] of occupancy grids bool [64, 64, 64].

        Raises:
            PprError: an empty grid, whose code would be that of nothing; or the checkpoint has no encoder.
        """
        import torch

        from .models.encoding import encode

        if not all(grid.any() for grid in voxels):
            raise PprError("a voxel grid is empty", hint="check the file, and --threshold of float grids")
        return encode(self._encoder, voxels, torch.device("cpu")).numpy()

    @cached_property
    def _image_encoder(self) -> Any:
        from .models.svr import load_image_encoder

        if self.image_path is None or not self.image_path.exists():
            raise PprError(
                f"{self.path}: no image encoder belongs to it",
                hint="train one (`ppr imnet train --model svr`) and give --image-checkpoint FILE",
            )
        return load_image_encoder(self.image_path)[0]

    def encode_image(self, view: NDArray[np.float32]) -> Float:
        """Code float32 [z] of a view float32 [1, 128, 128] from `views.load_view`.

        Raises:
            PprError: there is no image encoder, or one of another code length.
        """
        import torch

        with torch.inference_mode():
            code = self._image_encoder(torch.from_numpy(view[None]))[0].numpy()
        return check_code(code, self.config.z_dim)


def input_suffixes() -> frozenset[str]:
    """Of the files that a shape can be read from."""
    from ..common.reading import images
    from .shapes.shape_files import SUFFIXES

    return frozenset(SUFFIXES) | frozenset(images.SUFFIXES)
