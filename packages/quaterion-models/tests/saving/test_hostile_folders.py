"""Model folders by somebody who means harm: refused, with nothing run, nothing outside read, and little memory."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from quaterion_models import SimilarityModel
from quaterion_models.saving.files import ModelFolderError

GOLDEN = Path(__file__).parent.parent / "golden"


def _classes():
    spec = importlib.util.spec_from_file_location("classes_of_hostile_folders", GOLDEN / "golden_classes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CLASSES


CLASSES = _classes()


def load(folder):
    return SimilarityModel.load(folder, classes=CLASSES)


def copy(name, tmp_path):
    return Path(shutil.copytree(GOLDEN / "format_1" / name / "model", tmp_path / "model"))


@pytest.fixture
def folder(tmp_path):
    return copy("own_classes", tmp_path)


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


# ---- links and places


@pytest.mark.parametrize("target", ["../../../outside", "/etc/passwd", "/dev/zero", "/proc/self/mem", "loop"])
@pytest.mark.parametrize("name", ["config.json", "head.safetensors", "encoders/one/encoder.json", "encoders/one/extra"])
def test_links_to_files_devices_and_themselves_are_not_followed(folder, name, target):
    path = folder / name
    path.unlink(missing_ok=True)
    path.symlink_to(path.name if target == "loop" else target)
    with pytest.raises(ModelFolderError, match="is a link that leads out of the model folder"):
        load(folder)


def test_a_chain_of_links_is_judged_by_where_it_ends(folder):
    (folder / "encoders" / "one" / "a").symlink_to("b")
    (folder / "encoders" / "one" / "b").symlink_to("c")
    (folder / "encoders" / "one" / "c").symlink_to(folder.parent)
    with pytest.raises(ModelFolderError, match="is a link that leads out of the model folder"):
        load(folder)


def test_links_to_folders_are_not_followed_even_within_the_model(tmp_path):
    # Options that are links to the encoder itself would be read without end.
    folder = copy("switch_head", tmp_path)
    option = folder / "encoders" / "default" / "options" / "upper"
    shutil.rmtree(option)
    option.symlink_to("../../default")
    with pytest.raises(ModelFolderError, match="upper is a link to a folder"):
        load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_model_is_not_saved_over_a_folder_with_a_pipe(folder):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(ModelFolderError, match="holds files but no saved model"):
        load(GOLDEN / "format_1" / "gated_head" / "model").save(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["config.json", "head.safetensors", "encoders/one/encoder.json"])
def test_a_pipe_in_the_place_of_a_file_is_neither_read_nor_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    start = time.monotonic()
    with pytest.raises(ModelFolderError, match="is neither a file nor a folder"):
        load(folder)
    assert time.monotonic() - start < 5


def test_folders_nested_beyond_what_the_system_can_name_are_refused(folder):
    here = os.open(folder / "encoders" / "one", os.O_RDONLY)
    depth = 0
    try:
        for _ in range(600):
            os.mkdir("d" * 10, dir_fd=here)
            below = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here, depth = below, depth + 1
    finally:
        os.close(here)
    assert depth == 600
    try:
        start = time.monotonic()
        with pytest.raises(ModelFolderError, match="holds folders that lie more than 32 deep"):
            load(folder)
        assert time.monotonic() - start < 5
    finally:
        subprocess.run(["rm", "-rf", str(folder / "encoders" / "one")], check=True)


def test_the_hubs_cache_may_link_to_the_models_own_blobs_and_to_nothing_else(tmp_path):
    repository = tmp_path / "models--user--model"
    snapshot = repository / "snapshots" / ("a" * 40)
    other = tmp_path / "models--user--other" / "blobs"
    for place in (repository / "blobs", snapshot.parent, other):
        place.mkdir(parents=True)
    shutil.copytree(GOLDEN / "format_1" / "own_classes" / "model", snapshot)
    for number, path in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        path.rename(repository / "blobs" / str(number))
        path.symlink_to(os.path.relpath(repository / "blobs" / str(number), path.parent))
    load(snapshot)
    config = snapshot / "config.json"
    blob = config.resolve()
    blob.rename(other / "stolen")
    for target in (other / "stolen", repository / "refs"):  # another model's blob, and a place beside the blobs
        config.unlink()
        config.symlink_to(target)
        with pytest.raises(ModelFolderError, match="is a link that leads out"):
            load(snapshot)
    # A blob that is itself a link, and blobs that lie somewhere else.
    blob.symlink_to(other / "stolen")
    config.unlink()
    config.symlink_to(blob)
    with pytest.raises(ModelFolderError, match="is a link that leads out"):
        load(snapshot)
    blob.unlink()
    (repository / "blobs").rename(tmp_path / "elsewhere")
    (repository / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFolderError, match="is a link that leads out"):
        load(snapshot)


# ---- safetensors


def raw(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "content",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        (2**27).to_bytes(8, "little") + b"{" * 100,
        raw({"scale": entry([5], 0, 20), "count": entry([], 0, 8, "I64")}, bytes(28)),
        raw({"scale": entry([5], 0, 20), "count": entry([], 24, 32, "I64")}, bytes(32)),
        raw({"scale": entry([5], 8, 28), "count": entry([], 0, 8, "I64")}, bytes(20)),
        raw({"scale": entry([5], 20, 0)}, bytes(20)),
        raw({"scale": entry([2**62, 2**62], 0, 20)}, bytes(20)),
        raw({"scale": entry([-5], 0, 20)}, bytes(20)),
        raw({"scale": entry([5], 0, 2**70)}, bytes(20)),
        raw({"scale": entry([5], 0, 20, "PICKLE")}, bytes(20)),
        raw(b'{"scale": ' * 5000, bytes(20)),
        raw({"__metadata__": {"a": ["code"]}, "scale": entry([5], 0, 20)}, bytes(20)),
        b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.",
    ],
    ids=[
        *("header beyond all", "header beyond the file", "overlap", "gap", "too short", "backwards", "overflow"),
        *("negative", "offset", "type", "deep", "metadata", "pickle"),
    ],
)
def test_hostile_safetensors_are_refused(folder, content):
    (folder / "head.safetensors").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"head\.safetensors is damaged|has no tensor"):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_numbers_of_another_kind_are_refused(folder, dtype):
    save_file({"scale": torch.zeros(5).to(dtype), "count": torch.tensor(3)}, folder / "head.safetensors")
    with pytest.raises(ModelFolderError, match=r"tensor 'scale' is of type \w+, a Scaling has F32"):
        load(folder)


def test_a_counter_stays_a_whole_number(folder):
    save_file({"scale": torch.zeros(5), "count": torch.tensor(3.0)}, folder / "head.safetensors")
    with pytest.raises(ModelFolderError, match="tensor 'count' is of type F32, a Scaling has I64"):
        load(folder)


def test_class_weights_of_another_kind_or_form_are_refused(tmp_path):
    folder = copy("class_weights", tmp_path)
    for weights, message in [
        (torch.zeros(8, 4, dtype=torch.int64), "tensor 'weights' is of type I64"),
        (torch.zeros(7, 4), "the same number of rows for each of the 4 labels"),
        (torch.zeros(8), "the same number of rows"),
    ]:
        save_file({"weights": weights}, folder / "classes.safetensors")
        with pytest.raises(ModelFolderError, match=message):
            load(folder)


# ---- configurations


ODD = [None, True, -1, 10**30, 1e308, "", "../../x", "os:system", "\ud800", [], {}, [[]], {"$path": "/etc"}, {"$x": 1}]
ODD += [{"$head": {}}, {"$layer": {"type": "Linear", "args": {}}}, {"$tuple": [1]}, {"$dict": [[[], 1]]}, "x" * 10_000]


def places(value, place=()):
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*place, key))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own_classes", "nested_switch_head", "sequential_head", "class_weights"])
def test_any_odd_value_at_any_place_is_refused_or_harmless(tmp_path, name):
    folder = copy(name, tmp_path)
    refused = 0
    for file in [folder / "config.json", *folder.rglob("encoder.json")]:
        original = file.read_text()
        for place in list(places(json.loads(original))):
            for odd in ODD:
                content = json.loads(original)
                if place:
                    inner = content
                    for key in place[:-1]:
                        inner = inner[key]
                    inner[place[-1]] = odd
                else:
                    content = odd
                file.write_text(json.dumps(content))
                try:
                    load(folder)
                except ModelFolderError:
                    refused += 1
        file.write_text(original)
    assert refused > 100
    assert not Path("ran").exists()


def test_keys_that_look_alike_are_different_encoders(tmp_path):
    # é as one character and as two, a Latin and a Cyrillic a, and a name that shows backwards.
    folder = copy("odd_encoder_keys", tmp_path)
    keys = ["\u00e9", "e\u0301", "a", "\u0430", "\u202egnp.exe", "a\u0000b", "\ud800", "A"]
    change(folder / "config.json", lambda c: [e.update(key=k) for e, k in zip(c["encoders"], keys, strict=True)])
    with pytest.raises(ModelFolderError, match="is missing: this is no complete model folder"):
        load(folder)
    shutil.rmtree(folder / "encoders")
    model = load(GOLDEN / "format_1" / "odd_encoder_keys" / "model")
    renamed = SimilarityModel(dict(zip(keys, model.encoders.values(), strict=True)), model.head)
    renamed.save(folder)
    assert list(load(folder).encoders) == keys
    assert all(path.name.isascii() for path in (folder / "encoders").iterdir())


# ---- memory and time


LIMITED = """
    import json, resource, sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    import golden_classes
    import torch
    from safetensors.torch import save_file
    from quaterion_models import SimilarityModel
    from quaterion_models.saving.files import ModelFolderError

    folder = Path(sys.argv[1])
    config = folder / "config.json"
    encoder = folder / "encoders" / "one" / "encoder.json"
    originals = {path: path.read_bytes() for path in (config, encoder, folder / "head.safetensors")}

    def edited(path, edit):
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    def head(spec):
        edited(config, lambda c: c.update(head=spec))

    def layer(kind, **args):
        return {"$layer": {"type": kind, "args": args}}

    def sequential(*layers):
        return {"type": "SequentialHead/1", "args": {"*modules": list(layers), "output_size": 4}}

    big = layer("Linear", in_features=10**5, out_features=10**5)
    empty = {"$head": {"type": "EmptyHead/1", "args": {"input_embedding_size": 5}}}

    def nested(start, middle, end, depth, name):
        # As text: json.dumps would give up before json.loads does.
        content = json.loads(config.read_text()) | {name: "HERE"}
        config.write_text(json.dumps(content).replace('"HERE"', start * depth + middle + end * depth))

    switch = '{"type": "SwitchHead/1", "args": {"input_embedding_size": 5, "options": {"a": {"$head": '

    def many_tensors():
        save_file({str(n): torch.zeros(0) for n in range(100_000)}, folder / "head.safetensors")

    ATTACKS = {
        "size of an encoder": lambda: edited(encoder, lambda c: c["args"].update(size=10**9)),
        "size of a head": lambda: edited(config, lambda c: c["head"]["args"].update(input_embedding_size=10**10)),
        "a layer": lambda: head(sequential(big)),
        "layers": lambda: head(sequential(*[big] * 900)),
        "a layer in a switch that cannot be built": lambda: head(
            {"type": "SwitchHead/1", "args": {"options": {"a": {"$head": sequential(big)}, "b": empty},
             "input_embedding_size": 5}}),
        "a million layers": lambda: head(sequential(*[layer("ReLU")] * 10**6)),
        "a million sizes": lambda: head(
            {"type": "StackedProjectionHead/1", "args": {"input_embedding_size": 1, "output_sizes": [1] * 10**6}}),
        "number of layers": lambda: head(
            {"type": "SkipConnectionHead/1", "args": {"input_embedding_size": 1, "n_layers": 10**9}}),
        "many numbers of layers": lambda: head({"type": "SwitchHead/1", "args": {"input_embedding_size": 1, "options": {
            str(n): {"$head": {"type": "SkipConnectionHead/1", "args": {"input_embedding_size": 1, "n_layers": 900}}}
            for n in range(900)}}}),
        "a million encoders": lambda: edited(config, lambda c: c.update(encoders=[c["encoders"][0]] * 10**6)),
        "deep lists": lambda: config.write_text('{"labels": ' + "[" * 10**6 + "]" * 10**6 + "}"),
        "deep heads": lambda: nested(switch, "{}", "}}}}", 240, "head"),
        "deeper heads": lambda: nested(switch, "{}", "}}}}", 10_000, "head"),
        "deep labels": lambda: nested('[{"$tuple": ', "[]", "}]", 450, "labels"),
        "deeper labels": lambda: nested('[{"$tuple": ', "[]", "}]", 10**5, "labels"),
        "many values": lambda: config.write_text('{"labels": [' + "[]," * 10**7 + "0]}"),
        "a long text": lambda: config.write_text('{"labels": "' + "x" * 10**8 + '"}'),
        "a huge number": lambda: config.write_text('{"labels": 1' + "0" * 10**6 + "}"),
        "many tensors": many_tensors,
    }
    torch.zeros(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    # What is asked for and never touched does not count as used, so asking is limited as well.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for name, attack in ATTACKS.items():
        attack()
        start = time.perf_counter()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
        try:
            SimilarityModel.load(folder, classes=golden_classes.CLASSES)
            outcome = "loaded"
        except ModelFolderError as error:
            # A refusal that came only when the system had no more to give is none.
            short = "alloc" in str(error) or isinstance(error.__cause__, MemoryError)
            outcome = "out of memory" if short else "refused"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"[:200]
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(json.dumps([name, outcome, round(time.perf_counter() - start, 2)]))
        for path, content in originals.items():
            path.write_bytes(content)
    SimilarityModel.load(folder, classes=golden_classes.CLASSES)
    print(json.dumps(["whole again", "loaded", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - before]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_what_is_declared_but_not_stored_takes_neither_memory_nor_time(folder):
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(folder), str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    *attacks, (name, outcome, megabytes) = map(json.loads, done.stdout.splitlines())
    assert len(attacks) == 19
    assert [attack for attack in attacks if attack[1] != "refused"] == []
    assert [attack for attack in attacks if attack[2] > 20] == []
    assert (name, outcome) == ("whole again", "loaded")
    assert megabytes < 1024


def test_an_encoder_that_needs_more_memory_than_its_state_can_be_given_when_loading(folder, monkeypatch):
    from quaterion_models.saving import allocation_limit

    monkeypatch.setattr(allocation_limit, "_ALWAYS_ALLOWED", 4)
    words = CLASSES[0]
    change(folder / "encoders" / "one" / "encoder.json", lambda c: c["args"].update(size=1000))
    with pytest.raises(ModelFolderError, match=r"asks for 3000 numbers.*stores 12 numbers.*pass it to .* encoders="):
        load(folder)
    loaded = SimilarityModel.load(folder, classes=CLASSES, encoders={"one": words(3)})
    assert loaded.encoders["one"].embedding_size == 3
