"""The smallest use of `ppr imnet`, for tests/test_every_method.py."""

BEFORE = ["imnet mesh -r 32 --refine 0 --out {data}.obj"]
TRAIN = (
    "--limit 4 --epochs 2 --batch 2 --device cpu --set points=64 --set val_shapes=1 --set least_steps=2 "
    "--set z_dim=8 --set ef_dim=2 --set gf_dim=4"
)
SURFACE = "--checkpoint {model} -r 16 --refine 0"
WITH_MODEL = {
    "mesh": f"{SURFACE} -o {{out}}.obj",
    "infer": f"{{data}}.obj {SURFACE} -o {{out}}",
    "encode": "{data}.obj --checkpoint {model} -o {out}.npy",
    "generate": "-n 2 --checkpoint {model} -o {out}.npy",
    "interpolate": f"0 1 --steps 2 {SURFACE} --gif {{out}}.gif --size 32",
    "edit": f"--mix 0.5*0+0.5*1 {SURFACE} -o {{out}}.obj",
    "list": "--checkpoint {model}",
    "evaluate": "--limit 1 --checkpoint {model}",
    "export": "--checkpoint {model} -o {out}.onnx",
    "bench": "--checkpoint {model} -r 16 --shapes 1 --mode dense",
}
