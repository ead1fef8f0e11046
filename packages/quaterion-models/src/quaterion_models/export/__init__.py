"""Models for programs without this library: as ONNX graphs, and as models of sentence-transformers."""

from quaterion_models.export.onnx_folder import ExportReport, Precision, export_onnx
from quaterion_models.export.sentence_transformers import export_sentence_transformers

__all__ = ["ExportReport", "Precision", "export_onnx", "export_sentence_transformers"]
