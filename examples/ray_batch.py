"""Score a folder of JSON lines or Parquet files on Ray, with two actors on this machine
or more on a cluster.

python examples/ray_batch.py IN OUT [--model NAME_OR_FOLDER] [--actors 2] [--gpus 0]
    [--address host:6379]

Without IN and OUT, it scores a few example texts. It needs the extra `ray`:
pip install ".[ray]".
"""

import argparse
import json
import tempfile
from pathlib import Path

from spacy_duoguard.scoring.ray.dataset import Actors, connect, score_dataset
from spacy_duoguard.scoring.ray.folder import FolderRun


def main() -> None:
    """Read the arguments, connect, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("output", nargs="?", type=Path)
    parser.add_argument("--model", default="demo", help="hub name, or a folder")
    parser.add_argument("--text-key", default="text")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=1, help="of each actor")
    parser.add_argument("--gpus", type=float, default=0, help="of each actor")
    parser.add_argument(
        "--address", help="of a cluster; by default, a local one is started"
    )
    args = parser.parse_args()
    actors = Actors(args.actors, args.cpus, args.gpus)
    connect(actors, address=args.address)
    options = {"model": args.model}
    if args.source and args.output:
        run = FolderRun(args.source, args.output, options, args.text_key, actors)
        print(run.run())
    else:
        show_folder(options, actors)
        show_dataset(options, actors)


def show_folder(options: dict[str, str], actors: Actors) -> None:
    """Score a folder into another folder."""
    texts = ["What a lovely day.", "I hate you and I will kill you.", ""]
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "texts"), Path(folder, "results")
        source.mkdir()
        lines = "\n".join(json.dumps({"text": text}) for text in texts)
        (source / "texts.jsonl").write_text(lines, encoding="utf8")
        print(FolderRun(source, output, options, actors=actors).run())
        for path in sorted(output.glob("part-*")):
            for line in path.read_text(encoding="utf8").splitlines():
                result = json.loads(line)
                unsafe = result["cats"]["unsafe"]
                print(f"{unsafe:.3f} {result['status']:5} {result['text']}")


def show_dataset(options: dict[str, str], actors: Actors) -> None:
    """Score a Ray dataset, which can come from anywhere and go anywhere."""
    import ray

    dataset = ray.data.from_items([{"comment": "See you at noon.", "id": 1}])
    scored = score_dataset(dataset, options, text_key="comment", actors=actors)
    print(scored.select_columns(["id", "status", "flags"]).take_all())


if __name__ == "__main__":
    main()
