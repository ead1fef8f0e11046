"""Predictions: the group of an object, and which objects match."""

from quaterion_models.predict.calibration import (
    Calibration,
    ConfidenceCalibration,
    ThresholdCalibration,
    calibrate,
    calibrate_confidence,
    calibrate_threshold,
)
from quaterion_models.predict.classifier import Classifier
from quaterion_models.predict.classifier_arguments import Method
from quaterion_models.predict.classifier_folder import has_classifier
from quaterion_models.predict.knn import knn_vote
from quaterion_models.predict.matcher import Match, Matcher, OneToOne
from quaterion_models.predict.matcher_calibration import MatcherCalibration, calibrate_matcher
from quaterion_models.predict.matcher_file import has_matcher
from quaterion_models.predict.prediction import Prediction
from quaterion_models.predict.vector_search import VectorSearch

__all__ = [
    "Calibration",
    "Classifier",
    "ConfidenceCalibration",
    "Match",
    "Matcher",
    "MatcherCalibration",
    "Method",
    "OneToOne",
    "Prediction",
    "ThresholdCalibration",
    "VectorSearch",
    "calibrate",
    "calibrate_confidence",
    "calibrate_matcher",
    "calibrate_threshold",
    "has_classifier",
    "has_matcher",
    "knn_vote",
]
