"""Checks that users can run over losses of their own."""
