"""What a training of the search in `quaterion.tune` costs, and whether many heads at once would be faster.

- search_over_bare_loop: `train_head` against the same training with nothing around it: index_select, head, loss,
  backward, AdamW.
- 8_heads_at_once_over_one_by_one: steps of 8 heads one after another, and of the same 8 stacked (`torch.func`:
  `functional_call` under `vmap`, one optimizer over the stacked parameters), a step being forward, backward and AdamW.

    python benchmarks/tune_loop.py --json tune_loop.json
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from harness import interleaved, main, ratio
from quaterion.batch import GroupTargets
from quaterion.dataset import SimilarityGroupSample
from quaterion.train.learning_rate import learning_rate_factor
from quaterion.tuning import Part, Recipe
from quaterion.tuning.training.head_training import train_head, warmup_steps
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import SkipConnectionHead

SIZE, GROUPS, SAMPLES, HEADS, STEPS = 384, 77, 4000, 8, 20
RECIPE = Recipe(
    head=Part("SkipConnectionHead", {"skip_dropout": 0.3}), losses=(Part("SoftmaxLoss"),), lr=0.01, epochs=5
)


def run() -> dict[str, object]:
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(SAMPLES, SIZE), dim=1)
    groups = torch.arange(SAMPLES) % GROUPS
    at_once = {
        f"{HEADS}_heads_at_once_over_one_by_one_batch_{batch}": heads_at_once(vectors[:batch], groups[:batch])
        for batch in (64, 512)
    }
    return {"search_over_bare_loop": loop(vectors, groups), **at_once}


def loop(vectors: Tensor, groups: Tensor) -> float:
    samples = [SimilarityGroupSample(vector, int(group)) for vector, group in zip(vectors, groups, strict=True)]
    device = torch.device("cpu")
    encoded = SampleVectors({"default": VectorEncoder(SIZE)}, cache=None, device=device, progress=None).encode(samples)

    def search() -> None:
        train_head(RECIPE, encoded, size=SIZE, device=device)

    def bare() -> None:
        torch.manual_seed(RECIPE.seed)
        head = RECIPE.build_head(SIZE).train()
        loss = RECIPE.build_loss(embedding_size=SIZE, num_groups=GROUPS).train()
        parameters = [*head.parameters(), *loss.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=RECIPE.lr, weight_decay=RECIPE.weight_decay, fused=True)
        steps = RECIPE.epochs * -(-SAMPLES // RECIPE.batch_size)
        factor = learning_rate_factor(warmup_steps(RECIPE, steps), "cosine", steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        for _ in range(RECIPE.epochs):
            for rows in torch.randperm(SAMPLES).split(RECIPE.batch_size):
                value = loss.compute(head(vectors.index_select(0, rows)), GroupTargets(groups=groups[rows]))
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                scheduler.step()

    seconds = interleaved({"search": search, "bare": bare})
    return ratio(seconds, "search", "bare")


def heads_at_once(vectors: Tensor, groups: Tensor) -> float:
    heads = [SkipConnectionHead(SIZE, skip_dropout=0.3).train() for _ in range(HEADS)]
    weights = [torch.randn(GROUPS, SIZE) for _ in heads]

    def value(parameters: dict[str, Tensor], classes: Tensor) -> Tensor:
        embeddings = F.normalize(functional_call(heads[0], parameters, (vectors,)), dim=1)
        return F.cross_entropy(embeddings @ F.normalize(classes, dim=1).T / 0.05, groups)

    def stepping(parts: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parts, lr=0.01, fused=True)

    def one_by_one() -> None:
        for head, classes in zip(heads, weights, strict=True):
            own = classes.clone().requires_grad_()
            optimizer = stepping([*head.parameters(), own])
            for _ in range(STEPS):
                optimizer.zero_grad()
                value(dict(head.named_parameters()), own).backward()
                optimizer.step()

    def together() -> None:
        stacked, _ = stack_module_state(heads)
        classes = torch.stack(weights)
        names = list(stacked)
        optimizer = stepping([*(stacked[name].detach().requires_grad_() for name in names), classes.requires_grad_()])
        held = optimizer.param_groups[0]["params"]
        gradients = vmap(grad(value, argnums=(0, 1)), randomness="different")
        for _ in range(STEPS):
            found, of_classes = gradients(dict(zip(names, held, strict=False)), held[-1])
            for parameter, gradient in zip(held, [*(found[name] for name in names), of_classes], strict=True):
                parameter.grad = gradient
            optimizer.step()

    seconds = interleaved({"together": together, "one by one": one_by_one})
    return ratio(seconds, "together", "one by one")


if __name__ == "__main__":
    main(run, __doc__)
