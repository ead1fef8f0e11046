import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder, FieldEncoder, SwitchEncoder
from quaterion_models.heads import EmptyHead, GatedHead
from quaterion_models.saving.files import ModelFolderError


def letters(texts):
    """A stand-in for nothing: letters are counted in plain Python."""
    return [[len(text), text.count("a"), 0.5] for text in texts]


def make(function=letters, **options):
    return CallableEncoder(function, 3, **{"version": "1", "name": "letters"} | options)


def encode(encoder, objects):
    return encoder(encoder.get_collate_fn()(objects))


EXPECTED = torch.tensor([[6.0, 3.0, 0.5], [3.0, 0.0, 0.5]])


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        tuple,
        np.array,
        torch.tensor,
        lambda rows: [np.array(row) for row in rows],
        lambda rows: [torch.tensor(row) for row in rows],
        lambda rows: np.array(rows, dtype=np.float16),
        lambda rows: torch.tensor(rows, dtype=torch.bfloat16),
        lambda rows: torch.tensor(rows, dtype=torch.float64, requires_grad=True) * 1,
        lambda rows: (row for row in rows),
    ],
)
def test_vectors_in_every_form_are_taken(form):
    vectors = encode(make(lambda texts: form(letters(texts))), ["banana", "fig"])
    assert vectors.dtype == torch.float32 and not vectors.requires_grad
    assert torch.equal(vectors, EXPECTED)


def test_integers_are_taken():
    encoder = CallableEncoder(lambda numbers: np.array([[number] for number in numbers]), 1, version="1", name="n")
    assert encode(encoder, [2, 5]).tolist() == [[2.0], [5.0]]


def test_the_function_gets_a_plain_list_of_the_very_objects():
    seen = []

    class Movable:
        def to(self, device):
            raise AssertionError("an object of the user's was moved")

    def function(objects):
        seen.append(objects)
        return torch.zeros(len(objects), 3)

    objects = [Movable(), {"a": torch.ones(2)}, torch.ones(1)]
    SimilarityModel(make(function), EmptyHead(3)).encode(objects, batch_size=2)
    assert [type(batch) for batch in seen] == [list, list]
    assert all(any(obj is one for one in objects) for batch in seen for obj in batch)
    seen[0].clear()  # what the function does to the list stays with it
    batch = make(function).get_collate_fn()(objects)
    make(lambda given: [given.pop() and [0, 0, 0] for _ in objects])(batch)
    assert batch.objects == objects


def test_vectors_go_where_the_model_is():
    model = SimilarityModel(make(), GatedHead(3)).double()
    assert model.encode(["banana"]).dtype == np.float64
    assert encode(make().to("meta"), ["banana"]).device.type == "meta"


def test_is_never_trainable_even_where_the_function_is_a_module():
    layer = nn.Linear(1, 3)
    encoder = make(lambda objects: layer(torch.ones(len(objects), 1)))
    module = CallableEncoder(nn.Sequential(), 3, version="1", name="module")
    assert not encoder.trainable and not encoder.train().training
    assert not encode(encoder, ["a"]).requires_grad
    assert list(module.parameters()) == [] and module.state_dict() == {} and len(list(module.modules())) == 1


@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        (None, TypeError, "letters must give 2 vectors of 3 numbers, got NoneType"),
        (1.5, TypeError, "letters must give 2 vectors of 3 numbers, got float"),
        (np.zeros(()), TypeError, "got ndarray"),
        ("ab", TypeError, r"gave for object 0 of the batch \('banana'\) must be 3 real numbers .* got 'a' of type str"),
        ([[1, 2, 3], [1, "2", 3]], TypeError, r"object 1 of the batch \('fig'\) must be 3 real numbers"),
        ([[1, 2, 3], None], TypeError, r"object 1 of the batch \('fig'\) must be 3 real numbers .* got None"),
        ([[1, 2, 3], [[1], [2, 3]]], TypeError, r"object 1 of the batch \('fig'\) must be 3 real numbers"),
        (np.zeros((2, 3), complex), TypeError, "must be 3 real numbers"),
        (torch.zeros(2, 3, dtype=torch.complex64), TypeError, "must be 3 real numbers"),
        ([torch.ones(3).to_sparse()] * 2, TypeError, r"object 0 of the batch \('banana'\) must be 3 real numbers"),
        (np.zeros((3, 3)), ValueError, "letters gave 3 vectors for 2 objects"),
        (torch.zeros(1, 3), ValueError, "letters gave 1 vectors for 2 objects"),
        (np.zeros((2, 4)), ValueError, r"object 0 of the batch \('banana'\) has shape \[4\], expected \[3\]"),
        (torch.zeros(2, 2), ValueError, r"has shape \[2\], expected \[3\]"),
        ([[1, 2, 3], [1, 2]], ValueError, r"object 1 of the batch \('fig'\) has shape \[2\]"),
        (np.zeros((2, 3, 1)), ValueError, r"has shape \[3, 1\]"),
        ([[1, 2, 3], [1, float("nan"), 3]], ValueError, r"object 1 .*\('fig'\) holds nan at place 1, expected finite"),
        (torch.tensor([[1, 2, -torch.inf], [1, 2, 3]]), ValueError, r"object 0 .* holds -inf at place 2"),
        (np.array([[1, 2, 1e300], [1, 2, 3]]), ValueError, "object 0 .* holds inf at place 2"),
        (torch.tensor([[1, 2, 1e300], [1, 2, 3]], dtype=torch.float64), ValueError, "holds inf at place 2"),
    ],
)
def test_what_is_no_finite_vector_for_each_object_is_named(vectors, error, message):
    with pytest.raises(error, match=message):
        encode(make(lambda texts: vectors), ["banana", "fig"])


def test_a_function_may_use_one_tensor_for_all_that_it_returns():
    buffer = torch.empty(2, 3)

    def into_buffer(numbers):
        buffer[: len(numbers)] = torch.tensor(numbers)[:, None]
        return buffer[: len(numbers)]

    model = SimilarityModel(make(into_buffer), EmptyHead(3))
    assert model.encode([1.0, 2.0, 3.0], batch_size=2)[:, 0].tolist() == [1, 2, 3]


def test_an_error_of_the_function_comes_through():
    with pytest.raises(ZeroDivisionError):
        encode(make(lambda texts: 1 / 0), ["a"])


def test_the_fingerprint_is_name_version_size_and_dtype_and_not_the_code():
    same = {make().fingerprint(), make(lambda texts: None).fingerprint()}
    other = {
        make(version="2").fingerprint(),
        make(name="other").fingerprint(),
        CallableEncoder(letters, 4, version="1", name="letters").fingerprint(),
        make().half().fingerprint(),
    }
    assert len(same) == 1 and len(other) == 4 and not same & other


def test_the_default_name_is_that_of_the_function():
    encoder = CallableEncoder(letters, 3, version="1")
    assert encoder.identity == {"name": f"{__name__}:letters", "version": "1", "embedding_size": 3}


SCRIPT = """
from quaterion_models.encoders import CallableEncoder

def embed(objects):
    return [[1.0] for _ in objects]

NAME = CallableEncoder(embed, 1, version="1").identity["name"]
if __name__ == "__main__":
    import my_script
    print(NAME, my_script.NAME)
"""


def test_a_function_of_a_script_has_the_name_that_it_has_where_the_script_is_imported(tmp_path):
    (tmp_path / "my_script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "my_script.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["my_script:embed"] * 2


def test_the_collate_function_is_picklable():
    assert pickle.loads(pickle.dumps(make().get_collate_fn()))(["a"]).objects == ["a"]


class Letters(CallableEncoder):
    """Has its function in the constructor."""

    def __init__(self, version="1"):
        super().__init__(letters, 3, version=version, name="letters")


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "text" if isinstance(record, str) else "number"


@pytest.mark.parametrize(
    "around",
    [
        lambda encoder: encoder,
        lambda encoder: FieldEncoder("text", encoder),
        lambda encoder: FieldEncoder("text", Either({"text": encoder})),
    ],
)
def test_is_loaded_by_passing_it_again_with_the_same_identity(around, tmp_path):
    model = SimilarityModel(around(make()), GatedHead(3))
    model.save(tmp_path / "model")
    records = ["banana"] if isinstance(model.encoders["default"], CallableEncoder) else [{"text": "banana"}]
    loaded = SimilarityModel.load(tmp_path / "model", encoders={"default": around(make())})
    assert np.array_equal(loaded.encode(records), model.encode(records))
    example = (
        r'encoders=\{"its name in the model": CallableEncoder\(function, name=\'letters\', version=\'1\', embedding'
    )
    with pytest.raises(ModelFolderError, match=example):
        SimilarityModel.load(tmp_path / "model", classes=[Either])
    for other in (make(version="2"), make(name="x")):
        with pytest.raises(ModelFolderError, match=r"was trained with \{'name': 'letters', 'version': '1', .* has \{"):
            SimilarityModel.load(tmp_path / "model", encoders={"default": around(other)})


def test_a_subclass_with_the_function_inside_is_loaded_by_its_class(tmp_path):
    model = SimilarityModel(Letters(), GatedHead(3))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[Letters])
    assert np.array_equal(loaded.encode(["banana"]), model.encode(["banana"]))


def test_a_subclass_that_has_another_version_now_is_refused(tmp_path):
    SimilarityModel(Letters(), GatedHead(3)).save(tmp_path / "model")

    class Newer(CallableEncoder):
        def __init__(self, version="1"):
            super().__init__(letters, 3, version="2", name="letters")

    Newer.__qualname__ = "Letters"
    with pytest.raises(ModelFolderError, match=r"the Newer given has \{'name': 'letters', 'version': '2'"):
        SimilarityModel.load(tmp_path / "model", classes=[Newer])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"function": 3}, TypeError, "function must take a list of objects and return vectors, got 3"),
        ({"version": 1}, TypeError, "version and name must be text, got 1"),
        ({"name": 1}, TypeError, "version and name must be text, got '1' and 1"),
        ({"version": ""}, ValueError, "version must say what the vectors depend on"),
        (
            {"name": None, "function": lambda x: x},
            ValueError,
            r"has no name to keep its vectors under: give one, name=",
        ),
        ({"name": None, "function": nn.Identity()}, ValueError, r"Identity\(\) has no name"),
        ({"embedding_size": 0}, ValueError, "embedding_size must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        CallableEncoder(**{"function": letters, "embedding_size": 3, "version": "1", "name": "n"} | arguments)
