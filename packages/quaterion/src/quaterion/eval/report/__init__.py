"""A report of a model on a data set: one HTML file with tables, curves, a map and what went wrong."""

from quaterion.eval.report.report import Report

__all__ = ["Report"]
