"""Parts of samples that have no object in common."""
