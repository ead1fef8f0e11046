"""Tables about models in use: encoding, search, evaluation, export, serving."""

from rendering.markdown import Measured, of_the_time, percent, table, wrapped


def encode(measured: Measured) -> list[str]:
    rows: list[tuple[str, str]] = []
    if "speed" in measured:
        speed = measured["speed"]
        rows += [
            (f"{speed['texts']:,} short texts", f"{speed['texts_per_second']:,.0f} texts a second"),
            ("... against `SentenceTransformer.encode`", of_the_time(speed["ratio"])),
            ("... `encode_stream` against it", of_the_time(speed["stream_ratio"])),
        ]
    if "single" in measured:
        single = measured["single"]
        rows += [
            ("one text at a time", f"{single['milliseconds']:.0f} ms"),
            ("... against `SentenceTransformer.encode`", of_the_time(single["ratio"])),
        ]
    if "processes" in measured:
        several = measured["processes"]
        rows += [
            (f"{several['processes']} processes, one thread each", f"{several['ratio']:.2f} of one process's time"),
            ("... of which starting them takes", f"{several['seconds_to_start']:.1f} s"),
            ("... without starting them", f"{several['ratio_without_start']:.2f} of one process's time"),
        ]
    if "memory" in measured:
        memory = measured["memory"]
        vectors = f"{memory['rows']:,} vectors of 384, {memory['result_mib']:.0f} MiB"
        rows += [
            (f"memory that `encode` takes for {vectors}", f"{memory['encode_mib']:.0f} MiB"),
            ("... and `encode_stream`", f"{memory['encode_stream_mib']:.0f} MiB"),
        ]
    return table(["what", "measured"], rows)


def evaluation(measured: Measured) -> list[str]:
    time, memory = measured["time"], measured["memory"]
    share, above = time["top_k_against_IndexFlatIP"], memory["mib_above_the_vectors_by_torch"]
    return [
        wrapped(
            f"The exact ten nearest of 100,000 vectors of 384, for {time['queries']:,} of them as queries, take "
            f"{share:.2f} of the time of faiss {time['faiss']}'s `IndexFlatIP`, and {above:.0f} MiB above the vectors."
        )
    ]


def mining(measured: Measured) -> list[str]:
    full = measured["full"]
    rows = ((name, f"{seconds:.0f}") for name, seconds in full["seconds"].items())
    return [
        wrapped(
            f"{full['queries']:,} queries, {full['documents']:,} documents, vectors of 384 numbers, k={measured['k']}; "
            f"{full['peak_gib_above_data']:.2f} GiB above the data:"
        ),
        "",
        *table(["options", "seconds"], rows),
    ]


def index(measured: Measured) -> list[str]:
    first, again = measured["index"], measured["again"]
    return [
        wrapped(
            f"{measured['rows']:,} objects of a JSON lines file, with vectors of 384 numbers "
            f"({measured['vectors_gib']:.2f} GiB) from an encoder that costs next to nothing, saved every "
            f"{measured['save_every']:.0f} s, take {first['seconds']:.0f} s and at most {first['peak_gib']:.2f} GiB of "
            f"memory; run again, {again['seconds']:.0f} s and {again['peak_gib']:.2f} GiB."
        )
    ]


def search(measured: Measured) -> list[str]:
    rows: list[tuple[str, str]] = []
    for kind, name in {"exact": "ExactIndex", "faiss": "FaissIndex"}.items():
        if "memory" in measured:
            memory = measured["memory"]
            added, loaded = memory[f"{kind}_add_and_save"], memory[f"{kind}_load_and_search"]
            what = f"`{name}`, {memory['rows']:,} objects: adding and saving, largest memory"
            rows += [
                (what, f"{added['peak_gib']:.2f} GiB"),
                ("... loading and searching", f"{loaded['peak_gib']:.2f} GiB"),
                ("... loading, seconds", f"{loaded['seconds_to_load']:.1f}"),
            ]
    if "speed" in measured:
        speed = measured["speed"]
        rows += [
            (f"{speed['queries']:,} queries among {speed['rows']:,}, against `IndexFlatIP`", f"{speed['ratio']:.2f}"),
            ("... one query alone", f"{speed['single_milliseconds']:.1f} ms, {speed['single_ratio']:.2f}"),
        ]
    if "filter" in measured:
        rows.append(("a query among a tenth, against among all", of_the_time(measured["filter"]["ratio"])))
    if "graph" in measured:
        graph = measured["graph"]
        rows += [
            ("`HNSW32`: of the exact ten nearest, found", f"{percent(graph['recall'])} %"),
            ("... against the exact search", of_the_time(graph["ratio"], 3)),
        ]
    return table(["what", "measured"], rows)


def export(measured: Measured) -> list[str]:
    accuracies, speed = measured["accuracy"], measured["speed"]
    rows = [["torch", "", f"{100 * accuracies['torch']:.2f} %", "", "", "", ""]]
    for precision, distance in measured["difference"].items():
        times = [
            f"{row['against_encode'][precision]:.1f} / {row['against_bare_forward'][precision]:.1f}"
            for row in speed.values()
        ]
        cells = [f"{measured['mib'][precision]:.0f}", f"{100 * accuracies[precision]:.2f} %"]
        rows.append([precision, *cells, f"{distance['mean']:.1e}", f"{distance['largest']:.1e}", *times])
    bits = measured["binary"]
    sizes = bits["bytes_a_vector"]
    return [
        wrapped(
            "all-MiniLM-L6-v2 with a trained `SkipConnectionHead`, texts of BANKING77. How many times as fast as "
            "torch: against `SimilarityModel.encode`, and against torch's forward alone."
        ),
        "",
        *table(["", "MiB", "accuracy", "1 - cosine, mean", "largest", "batch 1", "batch 32"], rows),
        "",
        wrapped(
            f"Binary vectors have {sizes['binary']} bytes in place of {sizes['float32']}. Of the exact ten nearest, "
            f"{percent(bits['recall_at_10'])} % are among the ten that they find, and "
            f"{percent(bits['recall_at_10_scored_again'])} % where the best {bits['candidates']} are scored again with "
            f"8-bit integers ({sizes['binary'] + sizes['int8']} bytes in all)."
        ),
    ]


def serve(measured: Measured) -> list[str]:
    rows = (
        (name, f"{row['requests_per_second']:.0f}", f"{row['p50_ms']:.0f} ms", f"{row['p99_ms']:.0f} ms")
        for name, row in measured["speed"].items()
        if isinstance(row, dict)
    )
    sizes = ", ".join(
        f"{mib:.0f} MiB after {int(name.rpartition('_')[2]):,}" for name, mib in measured["memory"].items()
    )
    return [
        wrapped(
            "all-MiniLM-L6-v2 in float32, one text of mixed length a request, clients and service on one machine, "
            f"{measured['service_threads']} threads a batch."
        ),
        "",
        *table(["", "requests a second", "median", "99th percentile"], rows),
        "",
        f"Resident set of the service: {sizes} requests.",
    ]
