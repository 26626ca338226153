#!/usr/bin/env bash
# From a table to a learned graph, its reasons and predictions of new rows, offline, in about a minute on two cores:
#   bash examples/lds/pipeline.sh [FOLDER]
# Wine of scikit-learn, with three outer iterations of one combination of the grid: enough to see everything, not to be good.
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"

ppr lds train wine --k 10 --metric cosine --outer-lr 1 --set outer_iterations=3 --out "$out/run" --overwrite
ppr lds evaluate "$out/run" --json | jq -c .methods.lds 2>/dev/null || ppr lds evaluate "$out/run"

ppr lds graph "$out/run" --threshold 0.5 --out "$out/wine.graphml" --overwrite
ppr lds explain "$out/run" --row 84 --most 5

# Bottles that were not there: two of the table's rows again, with other names.
python - "$out/new.csv" <<'PY'
import sys
from sklearn.datasets import load_wine

load_wine(as_frame=True).data.iloc[[0, 140]].assign(bottle=["first", "second"]).to_csv(sys.argv[1], index=False)
PY
ppr lds infer "$out/run" "$out/new.csv" --id bottle --jsonl | tee "$out/predicted.jsonl"
ppr lds export "$out/run" --out "$out/wine.onnx" --overwrite
echo "everything is in $out"
