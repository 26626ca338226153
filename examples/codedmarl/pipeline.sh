#!/usr/bin/env bash
# From a plan to trained agents, offline, in about a minute on two cores:
#   bash examples/codedmarl/pipeline.sh [FOLDER]
# A hundred iterations with one slow learner: enough to see everything, not to be good.
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"

ppr codedmarl plan --learners 6 --agents 3 --stragglers 1 --delay 0.5 --plot "$out/plan.png" --overwrite
ppr codedmarl design --learners 6 --agents 3 --tolerance 2 --field gf256 --out "$out/code.npz" --overwrite
ppr codedmarl train --preset demo --matrix "$out/code.npz" --stragglers 1 --delay 0.5 --iterations 100 --set evaluate_every=100 \
  --out "$out/run" --overwrite
ppr codedmarl report "$out/run" --out "$out/report.html" --overwrite
ppr codedmarl evaluate "$out/run" --episodes 50
ppr codedmarl infer "$out/run" --gif "$out/run.gif" --overwrite
ppr codedmarl export "$out/run" --out "$out/actors" --overwrite

# The agents that come along, through a pipe: observations in, actions out.
zeros=$(python -c 'print([0.0] * 18)')
echo "{\"agent_0\": $zeros, \"agent_1\": $zeros, \"agent_2\": $zeros}" | ppr codedmarl infer --stdin
echo "everything is in $out"
