"""The group `ppr imnet` and its table of verbs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

VERBS = {
    "mesh": ("ppr.cli.imnet.mesh:mesh", "A mesh of a known or generated shape, a code, voxels or a picture."),
    "infer": ("ppr.cli.imnet.infer:infer", "Many voxel grids, meshes or pictures to codes and meshes."),
    "encode": ("ppr.cli.imnet.encode:encode", "Voxel grids, meshes or pictures to codes (npy, HDF5 or JSON lines)."),
    "generate": ("ppr.cli.imnet.generate:generate", "New shapes: codes for a pipe, meshes, a contact sheet."),
    "interpolate": ("ppr.cli.imnet.interpolate:interpolate", "From one shape to another: meshes and an animation."),
    "edit": ("ppr.cli.imnet.edit:edit", "Mix shapes: --mix '0.5*A + 0.5*B'."),
    "list": ("ppr.cli.imnet.list:list_shapes", "The shapes a model knows, with thumbnails."),
    "extract": ("ppr.cli.imnet.extract:extract", "A mesh of any implicit function: an ONNX file or a Python function."),
    "prepare": ("ppr.cli.imnet.prepare:prepare", "Training data (HDF5) from meshes and voxel files."),
    "train": ("ppr.cli.imnet.train:train", "Train the autoencoder, the latent GAN, the image encoder or the 2D version."),
    "evaluate": ("ppr.cli.imnet.evaluate:evaluate", "IoU, Chamfer distance … on held-out shapes; coverage of generated ones."),
    "export": ("ppr.cli.imnet.export:export", "Write the decoder as ONNX, TorchScript or safetensors."),
    "import": ("ppr.cli.imnet.import_official:import_official", "Read a checkpoint of the authors' code (.pth)."),
    "bench": ("ppr.cli.imnet.bench:bench", "Queries and seconds of the extractors side by side; runtimes of the decoder."),
    "config": ("ppr.cli.imnet.train:config", "Print a default training configuration as commented YAML."),
}


@click.group(cls=LazyGroup, table=VERBS)
def imnet() -> None:
    """Shapes as implicit fields, and meshes of them (IM-NET, Chen & Zhang, CVPR 2019).

    \b
    ppr imnet mesh --out chair.obj --preview chair.png      a chair of the bundled model
    ppr imnet mesh --seed 7 --out new.glb --color height    a generated one
    ppr imnet generate -n 9 | ppr imnet mesh --batch --out 'out/{i:03d}.ply'
    ppr imnet extract --field mymodule:sdf --out part.stl   the extractor alone, for any function
    """
