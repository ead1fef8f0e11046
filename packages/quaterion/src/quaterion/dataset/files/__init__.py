"""Data files and frames read into samples."""

from quaterion.dataset.files.read_samples import read_samples
from quaterion.dataset.files.samples import Remark, Samples

__all__ = ["Remark", "Samples", "read_samples"]
