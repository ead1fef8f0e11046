"""Similarity losses."""

from quaterion.loss.contrastive_loss import ContrastiveLoss
from quaterion.loss.group_loss import GroupLoss
from quaterion.loss.multiple_negatives_ranking_loss import MultipleNegativesRankingLoss
from quaterion.loss.online_contrastive_loss import OnlineContrastiveLoss
from quaterion.loss.pairwise_loss import PairwiseLoss
from quaterion.loss.similarity_loss import SimilarityLoss
from quaterion.loss.triplet_loss import TripletLoss

__all__ = [
    "ContrastiveLoss",
    "GroupLoss",
    "MultipleNegativesRankingLoss",
    "OnlineContrastiveLoss",
    "PairwiseLoss",
    "SimilarityLoss",
    "TripletLoss",
]
