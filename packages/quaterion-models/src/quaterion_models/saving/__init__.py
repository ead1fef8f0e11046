"""Model folders: their files, the names of types, and how classes are built again."""
