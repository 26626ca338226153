#!/usr/bin/env bash
# From solids to a trained model and its products, offline, in some minutes on two cores:
#   bash examples/imnet/pipeline.sh [FOLDER]
# Codes of eight generated chairs become meshes, the meshes training data, and a model of its own is trained, scored and used.
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"

ppr imnet generate -n 8 --seed 1 | ppr imnet mesh --batch --resolution 48 --keep largest --out "$out/solids/{i:02d}.ply" --overwrite >/dev/null
ppr imnet prepare "$out/solids" --out "$out/data.h5" --held-out 0.25 --overwrite
ppr imnet train "$out/data.h5" --out "$out/run" --overwrite \
  --epochs 4 --batch 2 --set gf_dim=16 --set ef_dim=8 --set z_dim=32 --set points=1024 --set val_shapes=2 >/dev/null
ppr imnet evaluate --checkpoint "$out/run/best.safetensors" --data "$out/data.h5" --json | tee "$out/scores.json"
ppr imnet export --checkpoint "$out/run/best.safetensors" --out "$out/decoder.onnx" --overwrite
ppr info "$out/decoder.onnx"

ppr imnet encode "$out/solids" --out "$out/codes.npy" --overwrite
ppr imnet interpolate 0 900 --steps 6 --resolution 48 --gif "$out/morph.gif" --overwrite
ppr imnet export --shape 0 --out "$out/chair.onnx" --overwrite
ppr imnet extract --onnx "$out/chair.onnx" --resolution 96 --out "$out/chair.glb" --preview "$out/chair.png" --overwrite
echo "everything is in $out"
