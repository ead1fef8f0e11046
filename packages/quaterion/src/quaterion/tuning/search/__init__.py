"""Which recipe is the best, and whether it is better than none."""
