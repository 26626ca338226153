#!/usr/bin/env bash
# From nothing to an exported network, offline: draw scenes with exact masks, train, score, look inside, export, use the export.
# Takes a few minutes on two cores. Usage: examples/saliency/pipeline.sh [FOLDER]
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"

ppr saliency data synth -o "$out/scenes.zip" --count 200 --size 160x120 --seed 1
ppr saliency data synth -o "$out/test.zip" --count 40 --size 160x120 --seed 2
ppr saliency data check "$out/scenes.zip" --against "$out/test.zip"

ppr saliency train --data "$out/scenes.zip" --arch ras-mobile-s --size 128 --epochs 3 --batch 8 --out "$out/run"
ppr saliency evaluate --data "$out/test.zip" --checkpoint "$out/run/best.safetensors" --size 128

ppr saliency export --checkpoint "$out/run/best.safetensors" --size 128 --with-preprocess -o "$out/net.onnx"
ppr info "$out/net.onnx"
ppr saliency infer "$out/test.zip" --checkpoint "$out/net.onnx" --as json | head -3
echo "everything is in $out"
