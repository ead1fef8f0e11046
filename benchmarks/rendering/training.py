"""Tables about training: the cache, losses, memory, precisions, a GPU."""

from rendering.markdown import Measured, of_the_time, percent, table, wrapped


def cache(measured: Measured) -> list[str]:
    lines: list[str] = []
    if "epochs" in measured:
        lines += [
            "Epochs over 20,000 cached vectors of 384, through `Quaterion.fit` and in a bare loop with no framework:",
            "",
        ]
        head = ["batch", "epochs a second", "bare loop", "time against bare loop", "framework, ms a step"]
        lines += table(head, map(_epochs, measured["epochs"].items()))
    if "uncached" in measured:
        lines += ["", "Epochs over texts of 2 to 24 words, with all-MiniLM-L6-v2:", ""]
        head = ["batch", "texts", "cached, epochs a second", "uncached", "times as fast"]
        lines += table(
            head,
            (
                (
                    f"{int(batch):,}",
                    f"{row['texts']:,}",
                    f"{row['cached']:.1f}",
                    f"{row['uncached']:.3f}",
                    f"{row['times_as_fast']:,.0f}",
                )
                for batch, row in measured["uncached"].items()
            ),
        )
    return [*lines, "", *table(["what", "measured"], _cache_figures(measured))]


def _epochs(item: tuple[str, Measured]) -> list[str]:
    batch, row = item
    rates = row["epochs_per_second"]
    figures = [rates["fit"], rates["bare"], row["ratio"], row["framework_ms_per_step"]]
    return [f"{int(batch):,}", *(f"{figure:.2f}" for figure in figures)]


def _cache_figures(measured: Measured) -> list[tuple[str, str]]:
    figures: list[tuple[str, str]] = []
    if "long" in measured:
        figures.append(("1,000 epochs over 10,000 vectors at batch 1,024", f"{measured['long']['seconds']:.0f} s"))
    if "fill" in measured:
        fill = measured["fill"]
        figures += [
            ("filling with all-MiniLM-L6-v2", f"{fill['texts_per_second']:.0f} texts a second"),
            ("... against the encoder's bare forward, length-sorted", of_the_time(fill["against_bare_forward"], 3)),
            ("... against `SentenceTransformer.encode`", of_the_time(fill["against_sentence_transformers"], 3)),
        ]
    if "keys" in measured:
        figures.append(("reading a data set", f"{measured['keys']['objects_per_second']:,.0f} texts a second"))
    for what, row in measured.get("start", {}).items():
        figures += [
            (f"second run, {what}: to the first step", f"{row['seconds_to_first_step']:.2f} s"),
            ("... cache on disk, largest resident set", f"{row['disk_mib']:.0f} MiB, {row['peak_memory_mib']:.0f} MiB"),
        ]
    for what, row in measured.get("disk", {}).items():
        memory = f"{row['anonymous_mib_above_torch']:.0f} MiB"
        figures += [
            (f"on disk, {what} rows: anonymous memory above torch's own", memory),
            ("... steps of 1,024 a second", f"{row['steps_per_second']:.0f}"),
        ]
    return figures


def losses(measured: Measured) -> list[str]:
    speed = ((row["loss"], f"{row['batch']:,}", f"{row['ratio']:.2f}") for row in measured.get("speed", []))
    memory = ((row["loss"], f"{row['rows']:,.0f}", f"{row['peak_gib']:.1f}") for row in measured.get("memory", []))
    return [
        *table(["loss", "batch", "times as fast"], speed),
        "",
        "Largest resident set of a process that runs one step on one large batch:",
        "",
        *table(["loss", "rows", "GiB"], memory),
    ]


def grad_cache(measured: Measured) -> list[str]:
    start, *steps = measured["steps"]
    rows = (
        (f"{row['pairs']:,}", row["chunk"] or "all", f"{row['peak_gib']:.2f}", f"{row['seconds']:.0f}") for row in steps
    )
    return [
        f"The process takes {start['peak_gib']:.2f} GiB before its step.",
        "",
        *table(["pairs", "texts in a chunk", "largest memory, GiB", "seconds"], rows),
    ]


def trunk(measured: Measured) -> list[str]:
    seconds, accuracy = measured["seconds_per_epoch"], measured.get("accuracy", {})

    rows = (
        (
            "all, and the embeddings" if name == "whole" else name,
            f"{value:.2f}",
            f"{seconds['whole'] / value:,.1f}",
            percent(accuracy[name]) if name in accuracy else "",
        )
        for name, value in seconds.items()
    )
    what = (
        f"Seconds of an epoch of {measured['timed_texts']} texts of BANKING77, all kinds in turns; accuracy in percent "
        f"of the nearest training example after {measured['epochs']} epochs over all {measured['texts']:,} texts:"
    )
    head = ["layers trained", "seconds an epoch", "times as fast as the whole model", "accuracy"]
    return [wrapped(what), "", *table(head, rows)]


def precision(measured: Measured) -> list[str]:
    rows = ((row["precision"], f"{100 * row['accuracy']:.2f}", f"{row['points']:+.2f}") for row in measured["results"])
    return [
        f"BANKING77, {measured['epochs']} epochs, mean of {measured['seeds']} runs:",
        "",
        *table(["precision", "accuracy", "points beside float32"], rows),
    ]


def gpu(measured: Measured) -> list[str]:
    fill = measured["fill"]
    what = f"{measured['epochs']:,} epochs over 10,000 vectors at batch 1,024"
    rows = (
        (name, f"{row['seconds']:.1f}", f"{row['epochs_per_second']:.0f}", f"{row['peak_mib']:.0f}")
        for name, row in measured["long"].items()
    )
    rate = f"{fill['texts_per_second']:,.0f} texts a second and at most {fill['peak_mib']:,.0f} MiB"
    return [
        *table([what, "seconds", "epochs a second", "GPU, MiB"], rows),
        "",
        f"Filling a cache with all-MiniLM-L6-v2: {rate}.",
    ]
