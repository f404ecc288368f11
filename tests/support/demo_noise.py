"""Short trainings of small checkpoints on noise."""

import json

import torch

from spacy_duoguard.engine.checkpoint.weights import WEIGHTS
from spacy_duoguard.engine.classifier import Classifier


def learn(load, data, start, out, *options):
    arguments = [str(data), str(start), str(out), "--plain", "4", "--changed", "8"]
    load("demo.learn_noise").main([*arguments, *map(str, options)])
    return (out / WEIGHTS).read_bytes()


def weights(folder):
    classifier = Classifier.from_pretrained(
        str(folder), precision="float32", device="cpu"
    )
    return [p.detach().numpy() for p in classifier.decoder.parameters()]


def write_taught(taught, path):
    records = [
        {"text": of.text, "kind": of.kind, "target": of.target.tolist()}
        for of in taught
    ]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf8")


def write_constant(load, evaluation_files, folder, value):
    make, data = load("demo.start").make_decoder, load("demo.data")
    rows = data.read_rows(evaluation_files, "openai")
    tokenizer = data.train_tokenizer((row.text for row in rows), n_tokens=300)
    sizes = {"width": 8, "inner": 8, "layers": 1, "heads": 2, "kv_heads": 1}
    decoder = make(tokenizer.get_vocab_size(), **sizes)
    for parameter in decoder.parameters():
        parameter.data.fill_(value)
    write = load("demo.checkpoint").write_checkpoint
    write(decoder, tokenizer.to_str(), folder, dtype=torch.float32)
    return folder
