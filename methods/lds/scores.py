"""How good predictions are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def classification_scores(predicted: NDArray[np.int64], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[str, float]:
    """accuracy and macro_f1, in [0, 1], of predicted classes [N] on some rows with labels; NaN where there are none."""
    from sklearn.metrics import f1_score

    if not len(rows):
        return {"accuracy": float("nan"), "macro_f1": float("nan")}
    return {
        "accuracy": float((predicted[rows] == labels[rows]).mean()),
        "macro_f1": float(f1_score(labels[rows], predicted[rows], average="macro")),
    }
