"""The smallest use of `ppr lds`, for tests/test_every_method.py."""

TRAIN = (
    "wine --k 3 --metric euclidean --outer-lr 1 --candidates 5 --samples 2 --no-baselines --device cpu "
    "--set outer_iterations=3 --set inner_steps=10"
)
#: What a run has not, and why.
WITHOUT = {"last.safetensors": "the search keeps its best combination, and has no last one"}
WITH_MODEL = {
    "infer": "{model}",
    "evaluate": "{model}",
    "explain": "{model} --row 17",
    "graph": "{model} --format csv -o {out}.csv",
    "export": "{model} -o {out}.onnx",
}
