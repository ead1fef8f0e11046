"""Prints what all distributions require together, one requirement a line, for a resolver that takes the oldest of each.

    python scripts/oldest_dependencies.py > requirements.txt
    uv pip compile --resolution lowest-direct requirements.txt > constraints.txt

Left out are the distributions themselves, which come from this repository, and extras that do not say what users need.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# timm's torchvision has no build beside every torch, UMAP's numba is behind new Pythons, and images need a transformers
# so new that the oldest one for texts would not be tried; the others repeat or test.
LEFT_OUT = {"timm", "umap", "images", "all", "test"}


def requirements(root: Path) -> list[str]:
    """Collects the requirements of all distributions and their extras.

    Args:
        root: Folder of the repository.

    Returns:
        Sorted requirements, such as `numpy>=1.26`, each once; a package that several name stands there for each bound.

    Raises:
        ValueError: If one has no lower bound, so that nobody knows what the oldest is.
    """
    found: set[str] = set()
    for path in root.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"]
        found.update(project["dependencies"], *(extras[name] for name in extras.keys() - LEFT_OUT))
    others = sorted(one for one in found if not re.match(r"quaterion\b", one))
    unbounded = [one for one in others if not re.search(">=|==|~=", one)]
    if unbounded:
        raise ValueError(f"these requirements have no lower bound: {', '.join(unbounded)}")
    return others


def main() -> None:
    """Runs the command line."""
    print("\n".join(requirements(ROOT)))


if __name__ == "__main__":
    main()
