"""Merge what DPO has trained into the weights.

    python merge_adapter.py MODEL ADAPTER OUTPUT

A server loads the result like any other folder, and the next round trains it further.
This runs in the environment of `[generator] python`, which doesn't have this package.
"""

import sys


def main(model: str, adapter: str, output: str) -> None:
    """model (str): The folder of the weights that were trained.
    adapter (str): The folder that `trl dpo` wrote.
    output (str): The folder for the merged weights and the tokenizer."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(model, use_safetensors=True)
    PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(output)
    AutoTokenizer.from_pretrained(model).save_pretrained(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
