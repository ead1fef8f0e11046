import pytest
import torch

from quaterion.dataset.similarity_data_loader import object_ids
from quaterion.eval.inspection import near_duplicates


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 0.8])
@pytest.mark.parametrize("max_entries", [None, 50])
def test_they_are_those_that_comparing_all_objects_gives(threshold, max_entries):
    generator = torch.Generator().manual_seed(0)
    train, test = torch.randn(40, 4, generator=generator), torch.randn(30, 4, generator=generator)
    train_ids = torch.randint(100, (40,), generator=generator)
    test_ids = torch.randint(100, (30,), generator=generator)
    cosines = torch.cosine_similarity(test.unsqueeze(1), train.unsqueeze(0), dim=2).tolist()
    expected = []
    for row in range(30):
        copies = [i for i in range(40) if train_ids[i] == test_ids[row]]
        nearest = copies[0] if copies else max(range(40), key=lambda i: cosines[row][i])
        if copies or cosines[row][nearest] >= threshold:
            expected.append((row, nearest, cosines[row][nearest], bool(copies)))
    expected.sort(key=lambda one: (not one[3], -one[2]))
    assert 0 < sum(one[3] for one in expected) < len(expected)
    found = near_duplicates(
        train, test, threshold, train_ids=train_ids, test_ids=test_ids.tolist(), max_entries=max_entries
    )
    assert found.test_rows.tolist() == [one[0] for one in expected]
    assert found.train_rows.tolist() == [one[1] for one in expected]
    assert found.similarity.tolist() == pytest.approx([one[2] for one in expected], abs=1e-6)
    assert found.exact.tolist() == [one[3] for one in expected]
    assert len(found) == len(expected) and found.share == len(expected) / 30


def test_a_copy_reaches_the_threshold_of_one_in_spite_of_rounding():
    test = torch.randn(500, 37, generator=torch.Generator().manual_seed(0))
    found = near_duplicates(test * 3, test, threshold=1.0)
    assert len(found) == 500 and not found.exact.any()
    assert len(near_duplicates(test + 0.01 * torch.randn(500, 37), test, threshold=1.0)) == 0


def test_ids_of_texts_mark_exact_copies():
    train, test = ["a", "b", "c"], ["x", "c"]
    found = near_duplicates(torch.eye(3), -torch.eye(3)[:2], train_ids=object_ids(train), test_ids=object_ids(test))
    assert found.test_rows.tolist() == [1] and found.train_rows.tolist() == [2] and found.exact.tolist() == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, r"threshold=1.5; expected a cosine in \[-1, 1\]"),
        ({"threshold": float("nan")}, r"threshold=nan"),
        ({"test_embeddings": torch.eye(2)}, r"Training embeddings are of size 3, test embeddings of size 2"),
        ({"test_embeddings": torch.empty(0, 3)}, r"There are no embeddings"),
        ({"train_embeddings": torch.full((2, 3), float("inf"))}, r"hold NaN or infinity"),
        ({"train_ids": torch.arange(3)}, r"There are ids for one of the sets only"),
        ({"train_ids": torch.arange(2), "test_ids": torch.arange(3)}, r"train_ids has the shape \(2,\).*\[3\]"),
        ({"train_ids": torch.arange(3), "test_ids": torch.ones(3)}, r"test_ids has .*torch.float32"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        near_duplicates(**{"train_embeddings": torch.eye(3), "test_embeddings": torch.eye(3)} | arguments)
