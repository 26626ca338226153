"""Commands of `ppr saliency`."""

from __future__ import annotations

from ..method import Method

METHOD = Method(
    "saliency",
    __name__,
    title="Reverse Attention for Salient Object Detection",
    published="Chen et al., ECCV 2018",
    url="https://arxiv.org/abs/1807.09940",
    line="RAS: which pixels catch the eye (masks, cut-outs, overlays; 45 FPS on a CPU).",
    help="Which pixels belong to the object that catches the eye (RAS, Chen et al., ECCV 2018 / IEEE TIP 2020).",
    verbs={
        "infer": "Masks, cut-outs, overlays … of photos, folders, zips, videos or stdin.",
        "stream": "Raw video frames from stdin to stdout, for ffmpeg pipes.",
        "levels": "Picture what happens inside: side outputs, attention, residuals.",
        "train": "Train a network on image/mask pairs.",
        "evaluate": "Score a network, or anyone's maps, on image/mask pairs.",
        "export": "Write a checkpoint as ONNX, TorchScript or safetensors.",
        "bench": "Latency, frames per second and memory on this machine.",
        "data": "Check, prepare and synthesise image/mask pairs.",
        "config": "Print the default training configuration as commented YAML.",
    },
    examples=[
        "ppr saliency infer photo.jpg                       photo.saliency.png beside it",
        "ppr saliency infer photos/ --as cutout -o cut/     every photo's object, background removed",
        "ppr saliency infer photo.jpg --as json | jq .box   where the object is",
    ],
)
