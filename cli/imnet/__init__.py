"""Commands of `ppr imnet`."""

from __future__ import annotations

from ..method import Method

METHOD = Method(
    "imnet",
    __name__,
    title="Learning Implicit Fields for Generative Shape Modeling",
    published="Chen and Zhang, CVPR 2019",
    url="https://arxiv.org/abs/1812.02822",
    line="IM-NET: shapes as implicit fields; meshes of them and of any implicit function.",
    help="Shapes as implicit fields, and meshes of them (IM-NET, Chen & Zhang, CVPR 2019).",
    verbs={
        "mesh": "A mesh of a known or generated shape, a code, voxels or a picture.",
        "infer": "Many voxel grids, meshes or pictures to codes and meshes.",
        "encode": "Voxel grids, meshes or pictures to codes (npy, HDF5 or JSON lines).",
        "generate": "New shapes: codes for a pipe, meshes, a contact sheet.",
        "interpolate": "From one shape to another: meshes and an animation.",
        "edit": "Mix shapes: --mix '0.5*A + 0.5*B'.",
        "list": "The shapes a model knows, with thumbnails.",
        "extract": "A mesh of any implicit function: an ONNX file or a Python function.",
        "prepare": "Training data (HDF5) from meshes and voxel files.",
        "train": "Train the autoencoder, the latent GAN, the image encoder or the 2D version.",
        "evaluate": "IoU, Chamfer distance … on held-out shapes; coverage of generated ones.",
        "export": "Write the decoder as ONNX, TorchScript or safetensors.",
        "import": "Read a checkpoint of the authors' code (.pth).",
        "bench": "Queries and seconds of the extractors side by side; runtimes of the decoder.",
        "config": "Print a default training configuration as commented YAML.",
    },
    examples=[
        "ppr imnet mesh --out chair.obj --preview chair.png      a chair of the bundled model",
        "ppr imnet mesh --seed 7 --out new.glb --color height    a generated one",
        "ppr imnet generate -n 9 | ppr imnet mesh --batch --out 'out/{i:03d}.ply'",
        "ppr imnet extract --field mymodule:sdf --out part.stl   the extractor alone, for any function",
    ],
    elsewhere={"list": "list:list_shapes", "import": "import_official:import_official"},
)
