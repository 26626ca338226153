"""The smallest use of `ppr saliency`, for tests/test_every_method.py."""

BEFORE = ["saliency data synth --count 7 --size 48x48 --out {data}"]
TRAIN = "--data {data} --arch ras-mobile-s --size 64 --epochs 2 --batch 3 --device cpu --lr 0.0001 --set clip=1"
WITH_MODEL = {
    "infer": "{data}/images/scene-00000.jpg --checkpoint {model} -o {out}.png",
    "stream": "--size 32x32 --checkpoint {model}",
    "levels": "{data}/images/scene-00000.jpg --checkpoint {model} -o {out}.png",
    "evaluate": "--data {data} --checkpoint {model} --device cpu --workers 0",
    "export": "--checkpoint {model} --size 64 -o {out}.onnx",
    "bench": "--checkpoint {model} --size 32 --threads 1 --seconds 0.2",
}
