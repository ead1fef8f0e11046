"""Samples of similarity data, the loaders that batch them, and labels as integers."""

from quaterion.dataset.labels import LabelIndex, group_id, group_ids
from quaterion.dataset.multi_data_loader import MultiSimilarityDataLoader
from quaterion.dataset.similarity_data_loader import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityDataLoader,
)
from quaterion.dataset.similarity_dataset import SimilarityGroupDataset
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample

__all__ = [
    "GroupSimilarityDataLoader",
    "LabelIndex",
    "MultiSimilarityDataLoader",
    "PairsSimilarityDataLoader",
    "SimilarityDataLoader",
    "SimilarityGroupDataset",
    "SimilarityGroupSample",
    "SimilarityPairSample",
    "group_id",
    "group_ids",
]
