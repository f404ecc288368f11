"""Inputs and outputs of `score`."""

import gzip
import io
import json
import random

from spacy_duoguard.scoring.result_files import read_results

WORDS = ["the", "dog", "kills", "a", "python", "process", "lazily", "en", "été"]


def write_texts(path, count, *, seed=0):
    """Write texts of mixed lengths, some of them broken."""
    generator = random.Random(seed)
    lines = []
    for i in range(count):
        text = " ".join(generator.choices(WORDS, k=generator.randint(0, 12)))
        lines.append(json.dumps({"id": i} if i % 97 == 5 else {"id": i, "text": text}))
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    return path


def parts(folder):
    """The bytes of the parts in a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def contents(output):
    """The bytes of each file with results."""
    return parts(output) if output.is_dir() else {"": output.read_bytes()}


def results_of(output):
    """The results in a file or folder, in order."""
    files = sorted(output.glob("part-*")) if output.is_dir() else [output]
    return [result for file in files for result in read_results(file)]


def pack(data, suffix, *, members=1):
    """Compress as other programs do: in several members, with a time in each.
    suffix: "" (not at all), ".gz" or ".zst"."""
    size = -(-len(data) // members) or 1
    chunks = [data[i : i + size] for i in range(0, len(data), size)] or [b""]
    if suffix == ".zst":
        import pyarrow

        return b"".join(pyarrow.compress(c, "zstd", asbytes=True) for c in chunks)
    return b"".join(map(gzip.compress, chunks)) if suffix else data


def unpack(data, suffix):
    """RETURNS (bytes): The data that was compressed."""
    if suffix == ".zst":
        import pyarrow

        with pyarrow.CompressedInputStream(io.BytesIO(data), "zstd") as stream:
            return stream.read()
    return gzip.decompress(data) if suffix else data
