"""How good predictions are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def classification_scores(probabilities: NDArray[np.floating], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[str, float]:
    """accuracy and macro_f1, in [0, 1], of class probabilities [N, C] on some rows with labels; NaN where there are none."""
    from sklearn.metrics import f1_score

    if not len(rows):
        return {"accuracy": float("nan"), "macro_f1": float("nan")}
    predicted = probabilities[rows].argmax(1)
    return {
        "accuracy": float((predicted == labels[rows]).mean()),
        "macro_f1": float(f1_score(labels[rows], predicted, average="macro")),
    }
