"""Recipes, and what trains them: a head by a bare loop, and all of it by `Quaterion.fit`."""
