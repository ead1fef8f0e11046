"""Pure tensor functions: similarities, ranked lists, the formula of every loss and every score. No state, torch only.

The public ones are here; what they share (masks, mining, row blocks) stays in the modules.
"""

from quaterion.functional.binary_scores import BestF1, best_f1, binary_average_precision, roc_auc
from quaterion.functional.bootstrap import Interval, bootstrap_mean, bootstrap_statistic
from quaterion.functional.center import center_loss
from quaterion.functional.circle import circle_loss
from quaterion.functional.class_weights import arc_face_loss, class_scores, cos_face_loss, softmax_loss
from quaterion.functional.contrastive import contrastive_loss, hard_online_contrastive_loss, online_contrastive_loss
from quaterion.functional.correlation import average_ranks, pearson_correlation, spearman_correlation
from quaterion.functional.distillation import distillation_loss
from quaterion.functional.fast_ap import fast_ap_loss
from quaterion.functional.in_batch_negatives import multiple_negatives_ranking_loss
from quaterion.functional.multi_similarity import multi_similarity_loss
from quaterion.functional.proxy_anchor import proxy_anchor_loss
from quaterion.functional.ranked_lists import RankedLists, rank, ranked_lists
from quaterion.functional.retrieval import (
    average_precision_at_r,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    reciprocal_rank,
)
from quaterion.functional.scored_pairs import cosent_loss, cosine_similarity_loss
from quaterion.functional.similarity import distance_matrix, similarity_matrix
from quaterion.functional.sup_con import sup_con_loss
from quaterion.functional.topk import TopK, top_k
from quaterion.functional.triplet import all_triplet_loss, hard_triplet_loss, semi_hard_triplet_loss

__all__ = [
    "BestF1",
    "Interval",
    "RankedLists",
    "TopK",
    "all_triplet_loss",
    "arc_face_loss",
    "average_precision_at_r",
    "average_ranks",
    "best_f1",
    "binary_average_precision",
    "bootstrap_mean",
    "bootstrap_statistic",
    "center_loss",
    "circle_loss",
    "class_scores",
    "contrastive_loss",
    "cos_face_loss",
    "cosent_loss",
    "cosine_similarity_loss",
    "distance_matrix",
    "distillation_loss",
    "fast_ap_loss",
    "hard_online_contrastive_loss",
    "hard_triplet_loss",
    "hit_rate_at_k",
    "multi_similarity_loss",
    "multiple_negatives_ranking_loss",
    "ndcg_at_k",
    "online_contrastive_loss",
    "pearson_correlation",
    "precision_at_k",
    "proxy_anchor_loss",
    "r_precision",
    "rank",
    "ranked_lists",
    "reciprocal_rank",
    "roc_auc",
    "semi_hard_triplet_loss",
    "similarity_matrix",
    "softmax_loss",
    "spearman_correlation",
    "sup_con_loss",
    "top_k",
]
