"""Configuration of `ppr lds`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ..common.config import BaseConfig, PathText

Metric = Literal["cosine", "euclidean"]
Choices = Field(min_length=1)


class DataConfig(BaseConfig):
    """Which rows are learned from, what is to be predicted of them, and how they are split."""

    data: PathText = Field(
        "wine", description="table (.csv, .tsv, .parquet, .npz) or a known name: wine, cancer, digits, cora, citeseer, pubmed"
    )
    label: str = Field("", description="column to predict; rows in which it is empty are predicted")
    id: str = Field("", description="column with the rows' names; none numbers them")
    drop: list[str] = Field([], description="columns to leave out")
    unlabelled: list[str] = Field([""], description="cells of the label column that mean that a row has no label")
    merge_rare: bool = Field(False, description="make one class of those with fewer than 3 labelled rows")
    split_col: str = Field("", description="column that says train, val, es or test of each row")
    train: NonNegativeFloat = Field(0.0, description="training rows, a number or a share below 1; 0 with val and es: the data's own split")
    val: NonNegativeFloat = Field(0.0, description="rows of the outer loss, likewise")
    es: NonNegativeFloat = Field(0.0, description="rows for early stopping and the choice of the combination, likewise")
    graph: PathText = Field(
        "", description="given graph: .csv (source,target[,weight]), .npz or .graphml; none: nearest neighbours, or the data's"
    )
    ignore_graph: bool = Field(False, description="start from nearest neighbours even where the data bring a graph")
    keep_edges: float = Field(1.0, gt=0, le=1, description="share of the given graph's edges that are kept, drawn by the seed")


class TrainConfig(DataConfig):
    """Training of `ppr lds`: bilevel learning of a graph and the GCN on it.

    Fields that hold lists are a grid: each combination is trained, and the one with the best early-stopping accuracy wins.
    """

    seeds: PositiveInt = Field(1, description="runs, with seed, seed + 1, …, each with a split of its own")
    seed: NonNegativeInt = Field(1, description="fixes the split, initial weights, dropout and sampled graphs")
    k: Annotated[list[PositiveInt], Choices] = Field(
        [10, 20], description="neighbours of the start graph (paper: 2 to 20, official: 10, 20)"
    )
    metric: Annotated[list[Metric], Choices] = Field(["cosine", "euclidean"], description="distances of the start graph (official: both)")
    tau: Annotated[list[PositiveInt], Choices] = Field(
        [5], description="inner steps the hypergradient goes back (official: 5, 16; given graph: 1, 5, 20)"
    )
    outer_lr: Annotated[list[NonNegativeFloat], Choices] = Field(
        [1.0, 0.1],
        description="rate eta of the projected gradient descent on the probabilities (official: 1, 0.1); 0 keeps the start graph",
    )
    outer_lr_decay: NonNegativeFloat = Field(1e-3, description="eta is divided by 1 + this * outer steps done (official)")
    candidates: PositiveInt | Literal["all", "auto"] = Field(
        "auto",
        description="pairs whose probability is learned: all, or that many neighbours a node; auto is all up to 500 nodes, then 50",
    )
    grow_every: NonNegativeInt = Field(20, description="outer steps between two searches for new candidate pairs; 0 never searches")
    grow_share: NonNegativeFloat = Field(0.02, description="new candidates of a search, as a share of those there are")
    hidden: PositiveInt = Field(16, description="units of the GCN's hidden layer (paper: 16)")
    dropout: float = Field(0.5, ge=0, lt=1, description="on the hidden layer, in the inner loss only (paper: 0.5)")
    weight_decay: NonNegativeFloat = Field(5e-4, description="L2 penalty on the first layer, in the inner loss only (paper: 5e-4)")
    inner_optimizer: Literal["adam", "sgd"] = Field("adam", description="inner dynamics that are differentiated (paper: Adam)")
    inner_lr: PositiveFloat = Field(0.02, description="its rate (official: starts at 0.02)")
    inner_steps: PositiveInt = Field(400, description="inner steps of an outer iteration at most (official: 400)")
    inner_patience: PositiveInt = Field(
        20, description="an outer iteration ends after that many inner steps without progress (official: 20)"
    )
    inner_progress: float = Field(0.999, gt=0, lt=1, description="progress is a loss below this factor of the lowest so far (official)")
    outer_patience: PositiveInt = Field(
        20, description="outer iterations without a better early-stopping score before the end (official: 20)"
    )
    outer_iterations: PositiveInt = Field(200, description="outer iterations at most")
    samples: PositiveInt = Field(16, description="sampled graphs over which predictions are averaged (paper: 16)")
    budget_minutes: NonNegativeFloat = Field(
        0.0, description="minutes of a seed after which no further outer iteration starts; 0 is no limit"
    )
    engine: Literal["factored", "dense"] = Field(
        "factored",
        description="factored: hypergradients of low rank, never an N x N array on a candidate set; dense: plain back-propagation",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
