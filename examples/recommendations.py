"""Recommendations: items that go with an item, learned from pairs of items that were seen together.

The items are modules of Python's standard library. Two go together where the code of one imports the other, or the
documentation of one's functions mentions the other. Some pairs are held out, and so are all pairs of some modules, as
if these were new:

    python examples/recommendations.py --json recommendations.json

Needs: pip install "quaterion[sentence-transformers]"
"""

import argparse
import ast
import importlib
import importlib.util
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.demo import module_names
from quaterion.eval import Evaluation, compare, embedded_model, without_head
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

METHODS = {
    "popularity": "popularity",
    "package": "the same package first, then popularity",
    "links": "linear model of the links (EASE)",
    "text": "untouched encoder",
    "head": "trained head",
    "all, text": "the first three and the untouched encoder",
    "all, head": "the first three and the trained head",
}
COMPARED = (("all, text", "package"), ("all, head", "package"), ("all, head", "all, text"))
"""What is compared in the end: a method, and what it should beat."""

LIBRARY = Path(os.__file__).parent


class Module(NamedTuple):
    name: str
    text: str
    """What the encoder reads: its name, what its documentation begins with, and what it offers."""
    mentions: set[str]
    """What its code imports, and what its functions' documentation mentions: names of modules, among others."""


def read_modules() -> list[Module]:
    """The public modules of the standard library, without the codecs, which differ by little but their names."""
    return [read_module(name) for name in module_names() if not name.startswith("encodings.")]


def read_module(name: str) -> Module:
    stem = LIBRARY.joinpath(*name.split("."))
    files = [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()]
    if not files:  # written in C: nothing to read but what it says of itself
        module = importlib.import_module(name)
        return Module(name, text_of(name, module.__doc__, dir(module)), set())
    tree = ast.parse(files[0].read_bytes())
    package = name if files[0].name == "__init__.py" else name.rpartition(".")[0]
    mentions = {other for node in ast.walk(tree) for other in (*imported(node, package), *mentioned(node))}
    offered = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return Module(name, text_of(name, ast.get_docstring(tree), offered), mentions)


def imported(node: ast.AST, package: str) -> Iterable[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        yield origin
        yield from (f"{origin}.{alias.name}" for alias in node.names)


def mentioned(node: ast.AST) -> Iterable[str]:
    """`heapq`, where documentation says "see heapq.merge" or "the heapq module"; and much that is no module."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        for word, named in re.findall(r"([\w.]*\w)( module)?", ast.get_docstring(node) or ""):
            parts = word.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + bool(named)))


def text_of(name: str, documentation: str | None, offered: Iterable[str]) -> str:
    first_paragraph = (documentation or "").strip().split("\n\n")[0]
    words = re.sub(r"([a-z0-9])(?=[A-Z])|_", r"\1 ", " ".join(one for one in offered if not one.startswith("_")))
    return " ".join(f"{name}: {first_paragraph} {words}".split())[:1000]


def links_of(modules: Sequence[Module]) -> tuple[list[Module], Tensor]:
    """The modules that have links, and which of them have one, `[N, N]`: symmetric, none to itself."""
    place = {module.name: number for number, module in enumerate(modules)}
    links = torch.zeros(len(modules), len(modules), dtype=torch.bool)
    for number, module in enumerate(modules):
        links[number, [place[name] for name in module.mentions if name in place]] = True
    links |= links.T.clone()
    links.fill_diagonal_(False)
    linked = links.any(dim=1)
    return [module for module, kept in zip(modules, linked.tolist(), strict=True) if kept], links[linked][:, linked]


class Split(NamedTuple):
    """Links by what they are for; each `[N, N]` and symmetric, so that both directions of a link are on one side."""

    train: Tensor
    validation: Tensor
    test: Tensor
    new: Tensor
    """Links of modules that have none but these."""
    is_new: Tensor
    """`[N]`"""


def split(links: Tensor, seed: int) -> Split:
    """Takes all links from 15 % of the modules; of the other links 70 % train, 10 % choose settings, and 20 % test."""
    draw = torch.Generator().manual_seed(seed)
    is_new = torch.rand(len(links), generator=draw) < 0.15
    of_new = links & (is_new[:, None] | is_new)
    shuffle = torch.rand(links.shape, generator=draw).triu(1)
    part = shuffle + shuffle.T
    known = links & ~of_new
    return Split(known & (part >= 0.3), known & (part >= 0.2) & (part < 0.3), known & (part < 0.2), of_new, is_new)


def recall_at_10(scores: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
    """Share of each module's wanted links that is among the ten best ones not known yet, `[N]`; NaN without any."""
    hidden = known | torch.eye(len(scores), dtype=torch.bool)
    best = scores.masked_fill(hidden, -torch.inf).topk(10, dim=1).indices
    return wanted.gather(1, best).sum(dim=1) / wanted.sum(dim=1).where(wanted.any(dim=1), torch.nan)


def ease(links: Tensor, penalty: float) -> Tensor:
    """How well a module's links predict each other one, by ridge regression in closed form (Steck, WWW 2019)."""
    inverse = torch.linalg.inv(links @ links + penalty * torch.eye(len(links)))
    weights = -inverse / inverse.diagonal()
    return links @ weights.fill_diagonal_(0.0)


class Modules(TrainableModel):
    lr = 0.01
    lr_schedule = "cosine"

    def __init__(self, encoder: str, cache: Path) -> None:
        self.encoder, self.cache = encoder, cache
        super().__init__()

    def configure_encoders(self):
        return SentenceTransformerEncoder(self.encoder)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.3)

    def configure_loss(self):
        return MultipleNegativesRankingLoss(symmetric=True)

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache)


def train(modules: Sequence[Module], links: Tensor, arguments: argparse.Namespace, seed: int) -> Modules:
    torch.manual_seed(seed)
    model = Modules(arguments.encoder, arguments.cache)
    pairs = [SimilarityPairSample(modules[a].text, modules[b].text) for a, b in links.triu().nonzero().tolist()]
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(pairs, batch_size=256, shuffle=True))
    return model


def similarities(model: Any, modules: Sequence[Module], cache: Path) -> Tensor:
    """Cosines of all modules, `[N, N]`."""
    texts = [module.text for module in modules]
    embedded = embedded_model(model, [SimilarityPairSample(text, text) for text in texts], cache=cache)
    vectors = F.normalize(embedded.encode(texts, to_numpy=False))
    return vectors @ vectors.T


def rankings(modules: Sequence[Module], parts: Split, text: Tensor, head: Tensor) -> dict[str, Tensor]:
    """Scores by each method, `[N, N]`; what there is to choose is chosen by the links for validation."""
    links = parts.train.float()
    popularity = torch.log1p(links.sum(dim=0)).expand_as(links)
    packages = [module.name.partition(".")[0] for module in modules]
    package = torch.tensor([[float(one == other) for other in packages] for one in packages])

    def best(candidates: Iterable[Tensor]) -> Tensor:
        return max(candidates, key=lambda one: recall_at_10(one, parts.train, parts.validation).nanmean())

    linear = best(ease(links, penalty) for penalty in (1.0, 3.0, 10.0, 30.0, 100.0))
    weights = list(product((0.0, 0.05, 0.1, 0.2), (0.0, 0.05, 0.1, 0.2, 0.4), (0.0, 1.0, 3.0, 10.0)))
    return {
        "popularity": popularity,
        "package": 100 * package + popularity,
        "links": linear,
        "text": text,
        "head": head,
        "all, text": best(text + p * popularity + q * package + r * linear for p, q, r in weights),
        "all, head": best(head + p * popularity + q * package + r * linear for p, q, r in weights),
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    modules, links = links_of(read_modules()[:: arguments.every])
    text = similarities(without_head(Modules(arguments.encoder, arguments.cache).model), modules, arguments.cache)
    known: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    new: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    for seed in range(arguments.seeds):
        parts = split(links, seed)
        head = similarities(train(modules, parts.train, arguments, seed).model, modules, arguments.cache)
        found = rankings(modules, parts, text, head)
        for name, scores in found.items():
            seen = parts.train | parts.validation
            known[name].append(recall_at_10(scores, seen, parts.test))
            new[name].append(recall_at_10(scores, seen, parts.new & parts.is_new[:, None]))
    return {
        "modules": len(modules),
        "links": int(links.sum()) // 2,
        "epochs": arguments.epochs,
        "methods": METHODS,
        "rows": [
            {"method": name, "seed": seed, "known": float(of_known.nanmean()), "new": float(of_new.nanmean())}
            for name in METHODS
            for seed, (of_known, of_new) in enumerate(zip(known[name], new[name], strict=True))
        ],
        "gains": [
            {"after": after, "before": before, "known": gain(known, before, after), "new": gain(new, before, after)}
            for after, before in COMPARED
        ],
        "examples": examples(modules, found, parts),
    }


def gain(recalls: dict[str, list[Tensor]], before: str, after: str) -> dict[str, Any]:
    """What one method gains over another, with an interval over modules: each counts with its mean over the splits."""
    one, other = (
        Evaluation.from_scores({"recall@10": torch.stack(recalls[name]).nanmean(dim=0)}) for name in (before, after)
    )
    return compare(one, other).to_dict()["metrics"][0]


def examples(modules: Sequence[Module], found: dict[str, Tensor], parts: Split) -> list[dict[str, Any]]:
    """What goes with three of the new modules, and which of that is so: those with the most links."""
    counts = (parts.new & parts.is_new[:, None]).sum(dim=1)
    return [
        {
            "module": modules[row].name,
            "found": {
                name: [
                    (modules[other].name, bool(parts.new[row, other]))
                    for other in found[name][row].index_fill(0, torch.tensor(row), -torch.inf).topk(5).indices.tolist()
                ]
                for name in ("package", "all, text", "all, head")
            },
        }
        for row in counts.topk(3).indices.tolist()
    ]


def table(figures: dict[str, Any]) -> str:
    """Means and standard deviations over splits and trainings, and what training gains, as Markdown."""
    names = figures["methods"]
    lines = ["| recall@10 | known modules | new modules |", "|---|---|---|"]
    for method, name in names.items():
        rows = [row for row in figures["rows"] if row["method"] == method]
        lines.append(f"| {name} | {' | '.join(spread([row[kind] for row in rows]) for kind in ('known', 'new'))} |")
    lines += ["", "| gain | known modules | new modules |", "|---|---|---|"]
    for row in figures["gains"]:
        cells = [
            "{value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**row[kind]["difference"]) for kind in ("known", "new")
        ]
        lines.append(f"| {names[row['after']]}, over: {names[row['before']]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0.0:.3f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoder's vectors between runs")
    parser.add_argument("--every", type=int, default=2, help="take each N-th module; 1 for all of them")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2, help="splits and trainings")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        arguments.cache = arguments.cache or Path(folder)
        figures = run(arguments)
    print(table(figures))
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
        machine["python"] = platform.python_version()
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
