"""Encoders that need further packages for some of the files that they read."""
