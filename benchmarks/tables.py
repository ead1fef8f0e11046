"""Fills the tables of the docs from the benchmarks' JSON, so that no figure is typed by hand.

    python benchmarks/tables.py docs/losses.md loss_quality.json losses.json

Each file's name says which table of the page it fills.
"""

import argparse
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH = 130


def loss_quality(measured: dict[str, Any]) -> str:
    lines = ["| loss | recall@1 | R-precision | learning rate |", "|---|---|---|---|"]
    for row in measured["results"]:
        cells = [_percent(row[metric]) for metric in ("recall@1", "r_precision")]
        lines.append(f"| {row['loss']} | {' | '.join(cells)} | {row.get('learning_rate', '')} |")
    return "\n".join(lines)


def _percent(value: Any) -> str:
    if isinstance(value, dict):
        return f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}"
    return f"{100 * value:.1f}"


def losses(measured: dict[str, Any]) -> str:
    lines = ["| loss | batch | times as fast |", "|---|---|---|"]
    lines += [f"| {row['loss']} | {row['batch']:,} | {row['ratio']:.2f} |" for row in measured.get("speed", [])]
    lines += ["", "Largest resident set of a process that runs one step on one large batch:", ""]
    lines += ["| loss | rows | GiB |", "|---|---|---|"]
    lines += [f"| {row['loss']} | {row['rows']:,.0f} | {row['peak_gib']:.1f} |" for row in measured.get("memory", [])]
    return "\n".join(lines)


def cache(measured: dict[str, Any]) -> str:
    lines = [_machine(measured["machine"]), ""]
    if "epochs" in measured:
        lines += [
            "Epochs over 20,000 cached vectors of 384, through `Quaterion.fit` and in a bare loop with no framework:",
            "",
        ]
        lines += [
            "| batch | epochs a second | bare loop | time against bare loop | framework, ms a step |",
            "|---|---|---|---|---|",
        ]
        for batch, row in measured["epochs"].items():
            rates = row["epochs_per_second"]
            lines.append(
                f"| {int(batch):,} | {rates['fit']:.2f} | {rates['bare']:.2f} | {row['ratio']:.2f} "
                f"| {row['framework_ms_per_step']:.2f} |"
            )
    if "uncached" in measured:
        lines += ["", "Epochs over texts of 2 to 24 words, with all-MiniLM-L6-v2:", ""]
        lines += ["| batch | texts | cached, epochs a second | uncached | times as fast |", "|---|---|---|---|---|"]
        for batch, row in measured["uncached"].items():
            rates = f"{row['cached']:.1f} | {row['uncached']:.3f} | {row['times_as_fast']:,.0f}"
            lines.append(f"| {int(batch):,} | {row['texts']:,} | {rates} |")
    figures = []
    if "long" in measured:
        figures.append(("1,000 epochs over 10,000 vectors at batch 1,024", f"{measured['long']['seconds']:.0f} s"))
    if "fill" in measured:
        fill = measured["fill"]
        figures += [
            ("filling with all-MiniLM-L6-v2", f"{fill['texts_per_second']:.0f} texts a second"),
            (
                "... against the encoder's bare forward, length-sorted",
                f"{fill['against_bare_forward']:.3f} of the time",
            ),
            ("... against `SentenceTransformer.encode`", f"{fill['against_sentence_transformers']:.3f} of the time"),
        ]
    if "keys" in measured:
        figures.append(("reading a data set", f"{measured['keys']['objects_per_second']:,.0f} texts a second"))
    for what, row in measured.get("start", {}).items():
        figures += [
            (f"second run, {what}: to the first step", f"{row['seconds_to_first_step']:.2f} s"),
            ("... cache on disk, largest resident set", f"{row['disk_mib']:.0f} MiB, {row['peak_memory_mib']:.0f} MiB"),
        ]
    for what, row in measured.get("disk", {}).items():
        figures += [
            (
                f"on disk, {what} rows: anonymous memory above torch's own",
                f"{row['anonymous_mib_above_torch']:.0f} MiB",
            ),
            ("... steps of 1,024 a second", f"{row['steps_per_second']:.0f}"),
        ]
    return "\n".join(
        [*lines, "", "| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures)]
    )


def label_errors(measured: dict[str, Any]) -> str:
    chosen, default = measured["chosen"], measured["default"]
    choices = ", ".join(f"{100 * found:.1f} % with k={k}" for k, found in measured["found_with_other_seeds"].items())
    text = (
        f"Measured by `benchmarks/label_errors.py`: {100 * measured['swapped']:.0f} % of the {measured['objects']:,} "
        f"training labels of BANKING77 are swapped at random, {measured['seeds']} times, and frozen all-MiniLM-L6-v2 "
        f"gives the embeddings. Among the first {100 * measured['looked_at']:.0f} % of the objects, by suspicion, are "
        f"**{_range(default['found'])} of the swapped ones with the default k={default['k']}**, and "
        f"{_range(chosen['found'])} with k={chosen['k']}, which was chosen with other draws of swapped labels "
        f"({choices}). The suggested group is the true one for {_range(default['restored'])} of those found. Of as "
        f"many leading suspects as labels were swapped, {_range(default['precision'])} are swapped ones."
    )
    return textwrap.fill(text, width=WIDTH, break_long_words=False, break_on_hyphens=False)


def _range(value: dict[str, float]) -> str:
    return f"{100 * value['mean']:.1f} % ({100 * value['lowest']:.1f} to {100 * value['highest']:.1f})"


def mining(measured: dict[str, Any]) -> str:
    full = measured["full"]
    lines = [
        f"Measured by `benchmarks/mining.py`: {full['queries']:,} queries, {full['documents']:,} documents, vectors of "
        f"384 numbers, k={measured['k']}; {full['peak_gib_above_data']:.2f} GiB above the data.",
        _machine(measured["machine"]),
        "",
        "| options | seconds |",
        "|---|---|",
    ]
    lines += [f"| {name} | {seconds:.0f} |" for name, seconds in full["seconds"].items()]
    return "\n".join(lines)


def _machine(about: dict[str, Any]) -> str:
    where = about["gpu"] or f"{about['threads']} CPU threads ({about['processor']})"
    return f"On {where}, torch {about['torch']}, Python {about['python']}."


def evaluation(measured: dict[str, Any]) -> str:
    time, memory = measured["time"], measured["memory"]
    share, above = time["top_k_against_IndexFlatIP"], memory["mib_above_the_vectors_by_torch"]
    return (
        f"{_machine(measured['machine'])} The exact ten nearest of 100,000 vectors of 384, for {time['queries']:,} of "
        f"them as queries, take {share:.2f} of the time of faiss {time['faiss']}'s `IndexFlatIP`, and {above:.0f} MiB "
        "above the vectors (`benchmarks/evaluation.py`)."
    )


def encode(measured: dict[str, Any]) -> str:
    figures: list[tuple[str, str]] = []
    if "speed" in measured:
        speed = measured["speed"]
        figures += [
            (f"{speed['texts']:,} short texts", f"{speed['texts_per_second']:,.0f} texts a second"),
            ("... against `SentenceTransformer.encode`", f"{speed['ratio']:.2f} of the time"),
            ("... `encode_stream` against it", f"{speed['stream_ratio']:.2f} of the time"),
        ]
    if "single" in measured:
        single = measured["single"]
        figures += [
            ("one text at a time", f"{single['milliseconds']:.0f} ms"),
            ("... against `SentenceTransformer.encode`", f"{single['ratio']:.2f} of the time"),
        ]
    if "processes" in measured:
        several = measured["processes"]
        figures += [
            (f"{several['processes']} processes, one thread each", f"{several['ratio']:.2f} of one process's time"),
            ("... of which starting them takes", f"{several['seconds_to_start']:.1f} s"),
            ("... without starting them", f"{several['ratio_without_start']:.2f} of one process's time"),
        ]
    if "memory" in measured:
        memory = measured["memory"]
        vectors = f"{memory['rows']:,} vectors of 384, {memory['result_mib']:.0f} MiB"
        figures += [
            (f"memory that `encode` takes for {vectors}", f"{memory['encode_mib']:.0f} MiB"),
            ("... and `encode_stream`", f"{memory['encode_stream_mib']:.0f} MiB"),
        ]
    rows = [f"| {name} | {value} |" for name, value in figures]
    return "\n".join([_machine(measured["machine"]), "", "| what | measured |", "|---|---|", *rows])


def export(measured: dict[str, Any]) -> str:
    accuracies, speed = measured["accuracy"], measured["speed"]
    lines = [
        f"{_machine(measured['machine'])} all-MiniLM-L6-v2 with a trained `SkipConnectionHead`, texts of BANKING77 "
        "(`benchmarks/export.py`). How many times as fast as torch: against `SimilarityModel.encode`, and against "
        "torch's forward alone.",
        "",
        "| | MiB | accuracy | 1 - cosine, mean | largest | batch 1 | batch 32 |",
        "|---|---|---|---|---|---|---|",
        f"| torch | | {100 * accuracies['torch']:.2f} % | | | | |",
    ]
    for precision, distance in measured["difference"].items():
        times = [
            f"{row['against_encode'][precision]:.1f} / {row['against_bare_forward'][precision]:.1f}"
            for row in speed.values()
        ]
        lines.append(
            f"| {precision} | {measured['mib'][precision]:.0f} | {100 * accuracies[precision]:.2f} % "
            f"| {distance['mean']:.1e} | {distance['largest']:.1e} | {' | '.join(times)} |"
        )
    bits = measured["binary"]
    sizes = bits["bytes_a_vector"]
    lines += [
        "",
        f"Binary vectors have {sizes['binary']} bytes in place of {sizes['float32']}. Of the exact ten nearest, "
        f"{100 * bits['recall_at_10']:.1f} % are among the ten that they find, and "
        f"{100 * bits['recall_at_10_scored_again']:.1f} % where the best {bits['candidates']} are scored again with "
        f"8-bit integers ({sizes['binary'] + sizes['int8']} bytes in all).",
    ]
    return "\n".join(lines)


def index(measured: dict[str, Any]) -> str:
    first, again = measured["index"], measured["again"]
    text = (
        f"{_machine(measured['machine'])} {measured['rows']:,} objects of a JSON lines file, with vectors of 384 "
        f"numbers ({measured['vectors_gib']:.2f} GiB) from an encoder that costs next to nothing, saved every "
        f"{measured['save_every']:.0f} s, take {first['seconds']:.0f} s and at most {first['peak_gib']:.2f} GiB of "
        f"memory; run again, {again['seconds']:.0f} s and {again['peak_gib']:.2f} GiB (`benchmarks/index.py`)."
    )
    return textwrap.fill(text, width=WIDTH, break_long_words=False, break_on_hyphens=False)


def search(measured: dict[str, Any]) -> str:
    rows: list[tuple[str, str]] = []
    if "memory" in measured:
        memory = measured["memory"]
        for kind, name in {"exact": "ExactIndex", "faiss": "FaissIndex"}.items():
            added, loaded = memory[f"{kind}_add_and_save"], memory[f"{kind}_load_and_search"]
            rows += [
                (f"`{name}`, {memory['rows']:,} objects: adding and saving, largest memory", _gib(added)),
                ("... loading and searching", _gib(loaded)),
                ("... loading, seconds", f"{loaded['seconds_to_load']:.1f}"),
            ]
    if "speed" in measured:
        speed = measured["speed"]
        rows += [
            (f"{speed['queries']:,} queries among {speed['rows']:,}, against `IndexFlatIP`", f"{speed['ratio']:.2f}"),
            ("... one query alone", f"{speed['single_milliseconds']:.1f} ms, {speed['single_ratio']:.2f}"),
        ]
    if "filter" in measured:
        rows.append(("a query among a tenth, against among all", f"{measured['filter']['ratio']:.2f} of the time"))
    if "graph" in measured:
        graph = measured["graph"]
        rows += [
            ("`HNSW32`: of the exact ten nearest, found", f"{100 * graph['recall']:.1f} %"),
            ("... against the exact search", f"{graph['ratio']:.3f} of the time"),
        ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([_machine(measured["machine"]), "", "| what | measured |", "|---|---|", *lines])


def _gib(figures: dict[str, float]) -> str:
    return f"{figures['peak_gib']:.2f} GiB"


def serve(measured: dict[str, Any]) -> str:
    rows = {name: row for name, row in measured["speed"].items() if isinstance(row, dict)}
    lines = [
        f"{_machine(measured['machine'])} all-MiniLM-L6-v2 in float32, one text of mixed length a request, clients and "
        f"service on one machine, {measured['service_threads']} threads a batch (`benchmarks/serve.py`).",
        "",
        "| | requests a second | median | 99th percentile |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['requests_per_second']:.0f} | {row['p50_ms']:.0f} ms | {row['p99_ms']:.0f} ms |"
        for name, row in rows.items()
    ]
    sizes = ", ".join(
        f"{mib:.0f} MiB after {int(name.rpartition('_')[2]):,}" for name, mib in measured["memory"].items()
    )
    return "\n".join([*lines, "", f"Resident set of the service: {sizes} requests."])


def quality(measured: dict[str, Any]) -> str:
    lines = [_machine(measured["machine"])]
    whole = measured.get("banking77")
    if whole is not None:
        base = whole["baselines"]
        lines += [
            "",
            f"BANKING77, all training texts: {_interval(whole['after'])} accuracy on the test set, from the raw file "
            f"to the saved model in {whole['seconds']:.0f} s. The ten nearest neighbours of the untouched encoder: "
            f"{100 * base['nearest neighbours']:.1f} %; logistic regression over its vectors: "
            f"{100 * base['logistic regression']:.1f} %.",
        ]
    few = measured.get("few_shot")
    if few:
        names = list(next(iter(few.values())))
        lines += [
            "",
            "BANKING77 with few examples of each intent, mean and standard deviation over draws of the examples:",
            "",
        ]
        lines += [f"| examples | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
        lines += [f"| {shots} | {' | '.join(_percent(row[name]) for name in names)} |" for shots, row in few.items()]
    pairs = measured.get("stsb")
    if pairs is not None:
        lines += [
            "",
            f"STS-B, Spearman on the test set: {_interval(pairs['before'])} untouched, "
            f"{_interval(pairs['after'])} tuned.",
        ]
    images = measured.get("omniglot")
    if images is not None:
        lines += [
            "",
            "Omniglot, recall@1 on characters of alphabets that training never saw:",
            "",
            "| | recall@1 |",
            "|---|---|",
        ]
        lines += [f"| {name} | {100 * value:.1f} |" for name, value in images.items() if name != "seconds"]
    wrapped = [
        line if line.startswith("|") else textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in lines
    ]
    return "\n".join(wrapped)


def _interval(found: dict[str, float]) -> str:
    return f"{100 * found['value']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def grad_cache(measured: dict[str, Any]) -> str:
    start, *steps = measured["steps"]
    lines = [
        _machine(measured["machine"]),
        "",
        f"The process takes {start['peak_gib']:.2f} GiB before its step (`benchmarks/grad_cache.py`).",
        "",
        "| pairs | texts in a chunk | largest memory, GiB | seconds |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['pairs']:,} | {row['chunk'] or 'all'} | {row['peak_gib']:.2f} | {row['seconds']:.0f} |"
        for row in steps
    ]
    return "\n".join(lines)


def precision(measured: dict[str, Any]) -> str:
    lines = [
        f"{_machine(measured['machine'])} BANKING77, {measured['epochs']} epochs, mean of {measured['seeds']} runs "
        "(`benchmarks/precision.py`).",
        "",
        "| precision | accuracy | points beside float32 |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['precision']} | {100 * row['accuracy']:.2f} | {row['points']:+.2f} |" for row in measured["results"]
    ]
    return "\n".join(lines)


def gpu(measured: dict[str, Any]) -> str:
    fill = measured["fill"]
    lines = [
        f"On {measured['machine']['gpu']}, torch {measured['machine']['torch']} (`benchmarks/gpu.py`).",
        "",
        f"| {measured['epochs']:,} epochs over 10,000 vectors at batch 1,024 | seconds | epochs a second | GPU, MiB |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['seconds']:.1f} | {row['epochs_per_second']:.0f} | {row['peak_mib']:.0f} |"
        for name, row in measured["long"].items()
    ]
    rate = f"{fill['texts_per_second']:,.0f} texts a second and at most {fill['peak_mib']:,.0f} MiB"
    return "\n".join([*lines, "", f"Filling a cache with all-MiniLM-L6-v2: {rate}."])


def scale(measured: dict[str, Any]) -> str:
    return str(measured["table"])


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "loss_quality": loss_quality,
    "losses": losses,
    "cache": cache,
    "label_errors": label_errors,
    "mining": mining,
    "evaluation": evaluation,
    "export": export,
    "encode": encode,
    "index": index,
    "search": search,
    "serve": serve,
    "quality": quality,
    "grad_cache": grad_cache,
    "precision": precision,
    "gpu": gpu,
    "scale": scale,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="a page with <!-- NAME: begin --> and <!-- NAME: end --> in it")
    parser.add_argument("results", type=Path, nargs="+", help="JSON that benchmarks wrote")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    for path in arguments.results:
        table = TABLES[path.stem](json.loads(path.read_text(encoding="utf-8")))
        begin, end = f"<!-- {path.stem}: begin -->", f"<!-- {path.stem}: end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            parser.error(f"{arguments.page} has no place for {path.stem}: expected {begin} and {end} in it.")
        text = pattern.sub(lambda _, filled=f"{begin}\n{table}\n{end}": filled, text)
    arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
