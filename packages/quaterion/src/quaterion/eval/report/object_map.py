"""The map of a report: which objects it shows, where before and after, and in which colour."""

from typing import Any

import torch
from torch import Tensor

from quaterion.eval.report.measuring import Measurement
from quaterion.eval.report.projection import Method, Projection, project
from quaterion.eval.report.report_data import ReportData, first_of_equal
from quaterion.eval.report.shown_object import clip, clip_all, show

__all__ = ["object_map"]

MAX_POINTS = 10_000
TEXT_BYTES, NAME_BYTES, IMAGE_BYTES = 1_100_000, 300_000, 1_300_000
"""What hovering may cost in the file: texts and names are clipped to it, thumbnails are made smaller, then fewer."""

THUMBNAIL_SIZES = (48, 32, 24)


def object_map(
    data: ReportData, after: Measurement, before: Measurement | None, *, method: Method, metric: str, seed: int
) -> dict[str, Any]:
    """Computes the map.

    Args:
        data: The data.
        after: The model's embeddings.
        before: Those of the model it is compared with.
        method: How to project.
        metric: How embeddings are compared.
        seed: Seed of UMAP, and of the draw where there are too many objects to show.

    Returns:
        Rows, colours, texts and thumbnails of the points, and their places, ready for JSON.
    """
    objects, groups, names = _objects(data)
    rows = _drawn(len(objects), seed)
    shown = [objects[row] for row in rows.tolist()]
    result: dict[str, Any] = {
        "num_objects": len(objects),
        "groups": clip_all(names, longest=60, budget=NAME_BYTES),
        "row": rows.tolist(),
        "group": [groups[row] for row in rows.tolist()],
        "text": clip_all([show(obj, longest=160, thumbnail=1).text for obj in shown], longest=160, budget=TEXT_BYTES),
    }
    images = _thumbnails(shown, seed)
    if images:
        result["image"] = images
    for name, measured in (("before", before), ("after", after)):
        if measured is not None:
            vectors = _vectors(data, measured)[rows]
            result[name] = _places(project(vectors, method=method, metric=metric, seed=seed))
    return result


def _objects(data: ReportData) -> tuple[list[Any], list[int], list[str]]:
    """All objects, the number of each one's group, and the names of the groups."""
    if data.kind == "pairs":
        queries = [data.queries[row] for row in first_of_equal(data.queries).tolist()]
        candidates = [data.candidates[row] for row in data.shown_candidates.tolist()]
        sides = [0] * len(queries) + [1] * len(candidates)
        return queries + candidates, sides, ["queries", "candidates"]
    numbers: dict[int, int] = {}
    names: list[str] = []
    for group, one in zip(data.groups, data.group_ids.tolist(), strict=True):
        if one not in numbers:
            numbers[one] = len(numbers)
            names.append(clip(str(group), 60))
    return data.queries, [numbers[one] for one in data.group_ids.tolist()], names


def _vectors(data: ReportData, measured: Measurement) -> Tensor:
    task = measured.whole
    if data.kind == "groups":
        return task.candidates.cpu()
    queries, candidates = task.queries.cpu(), task.candidates.cpu()
    return torch.cat([queries[first_of_equal(data.queries)], candidates[data.shown_candidates]])


def _drawn(count: int, seed: int) -> Tensor:
    if count <= MAX_POINTS:
        return torch.arange(count)
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:MAX_POINTS]
    return drawn.sort().values


def _places(projection: Projection) -> dict[str, Any]:
    # Four digits of the map's width are finer than a pixel.
    width = float((projection.points.amax(dim=0) - projection.points.amin(dim=0)).max()) or 1.0
    x, y = (projection.points / width).round(decimals=4).T.tolist()
    return {"method": projection.method, "explained": projection.explained, "width": width, "x": x, "y": y}


def _thumbnails(objects: list[Any], seed: int) -> list[str | None]:
    """A thumbnail of each object as long as they fit; none where no object is an image."""
    order = torch.randperm(len(objects), generator=torch.Generator().manual_seed(seed)).tolist()
    first = [objects[place] for place in order[:50]]
    if not any(show(obj, thumbnail=8).image for obj in first):
        return []
    for size in THUMBNAIL_SIZES:
        bytes_each = sum(len(show(obj, thumbnail=size).image or "") for obj in first) / len(first)
        if bytes_each * len(objects) <= IMAGE_BYTES:
            break
    images: list[str | None] = [None] * len(objects)
    taken = 0
    for place in order:  # at random, so that every group has some where not all have one
        image = show(objects[place], thumbnail=size).image
        taken += len(image or "")
        if taken > IMAGE_BYTES:
            break
        images[place] = image
    return images
