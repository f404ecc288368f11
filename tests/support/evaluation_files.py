"""The evaluation files of the paper, with invented rows."""

import csv
import json

XSTEST = "xstest_v2_completions_gpt4_gpteval.csv"
COLUMNS = (
    *("id", "type", "prompt", "completion", "annotation_1", "annotation_2"),
    *("agreement", "final_label", "gpt4_label"),
)

TEXTS = [f"{word} {i}" for i in range(5) for word in ("dog", "a fox", "x", "été")]


def write_language(folder, *, without=()):
    """Write the six files of a language in the published formats."""
    folder.mkdir(parents=True)
    flags = [i % 3 == 0 for i in range(len(TEXTS))]
    pairs = list(zip(TEXTS, flags, strict=True))
    flagged = [
        {"prompt": t, "moderation_flag": int(f), "parsed_result": {}, "x": None}
        for t, f in pairs
    ]
    classes = [{"prompt": t, "class": int(f)} for t, f in pairs]
    answers = [
        {"prompt": t, "response": "an answer", "is_safe": not f, "category": {}}
        for t, f in pairs
    ]
    contents = {
        "XSafety.json": json.dumps([{"prompt": t, "class": 1} for t in TEXTS]),
        "openai.json": json.dumps(flagged),
        "toxic_chat.json": json.dumps(flagged[:9]),
        "beavertail_test.jsonl": "\n".join(map(json.dumps, answers)),
        "rtp_lx_prompt.json": json.dumps(classes),
    }
    for name, content in contents.items():
        if name not in without:
            (folder / name).write_text(content, encoding="utf8")
    if XSTEST not in without:
        with (folder / XSTEST).open("w", encoding="utf8", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(COLUMNS)
            for i, (text, flag) in enumerate(pairs):
                kind = "contrast_homonyms" if flag else "homonyms"
                cells = (f"v2-{i}", kind, text, 'two\nlines, "quoted"', *"abcde")
                rows.writerow(cells)
    return folder
