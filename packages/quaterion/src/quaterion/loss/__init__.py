"""Similarity losses, over groups and over pairs."""

from quaterion.loss.arc_face_loss import ArcFaceLoss
from quaterion.loss.center_loss import CenterLoss
from quaterion.loss.circle_loss import CircleLoss
from quaterion.loss.combined_loss import CombinedLoss
from quaterion.loss.contrastive_loss import ContrastiveLoss
from quaterion.loss.cos_face_loss import CosFaceLoss
from quaterion.loss.cosent_loss import CoSENTLoss
from quaterion.loss.cosine_similarity_loss import CosineSimilarityLoss
from quaterion.loss.distillation_loss import DistillationLoss
from quaterion.loss.fast_ap_loss import FastAPLoss
from quaterion.loss.group_loss import GroupLoss
from quaterion.loss.guided_negatives import GuidedNegatives
from quaterion.loss.matryoshka_loss import MatryoshkaLoss
from quaterion.loss.multi_similarity_loss import MultiSimilarityLoss
from quaterion.loss.multiple_negatives_ranking_loss import MultipleNegativesRankingLoss
from quaterion.loss.online_contrastive_loss import OnlineContrastiveLoss
from quaterion.loss.pairwise_loss import PairwiseLoss
from quaterion.loss.proxy_anchor_loss import ProxyAnchorLoss
from quaterion.loss.similarity_loss import SimilarityLoss
from quaterion.loss.softmax_loss import SoftmaxLoss
from quaterion.loss.sup_con_loss import SupConLoss
from quaterion.loss.triplet_loss import TripletLoss
from quaterion.loss.vector_table import TeacherVectors, VectorTable

__all__ = [
    "ArcFaceLoss",
    "CenterLoss",
    "CircleLoss",
    "CoSENTLoss",
    "CombinedLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CosineSimilarityLoss",
    "DistillationLoss",
    "FastAPLoss",
    "GroupLoss",
    "GuidedNegatives",
    "MatryoshkaLoss",
    "MultiSimilarityLoss",
    "MultipleNegativesRankingLoss",
    "OnlineContrastiveLoss",
    "PairwiseLoss",
    "ProxyAnchorLoss",
    "SimilarityLoss",
    "SoftmaxLoss",
    "SupConLoss",
    "TeacherVectors",
    "TripletLoss",
    "VectorTable",
]
