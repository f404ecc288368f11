"""Coded errors and warnings. Each message states the rule, the value received and
the remedy, and none quotes the text that was scored."""


class DuoGuardError(Exception):
    """Base of all errors that this package raises by itself."""


class SettingsError(DuoGuardError, ValueError):
    """A setting is out of range, unknown, or contradicts another."""


class CheckpointError(DuoGuardError, ValueError):
    """A model or tokenizer file is missing, damaged, unsafe or not supported."""


class DownloadError(DuoGuardError, OSError):
    """A file could not be had from the hub."""


class ResultsError(DuoGuardError, ValueError):
    """A file of results cannot be read or drawn."""


class ScoringError(DuoGuardError, RuntimeError):
    """A text could not be scored."""


class Errors:
    # Settings
    E001 = (
        "[E001] {name} ({value!r}) must lie in [0, 1]: it is compared with a "
        "probability. Set it to a number in that range."
    )
    E002 = (
        "[E002] thresholds has the key '{key}', which is no category of this model. "
        "The categories are: {categories}."
    )
    E003 = (
        "[E003] stride ({stride}) must lie in [1, window] = [1, {window}]: windows "
        "with gaps would leave text unscored. Lower stride or raise window{specials}."
    )
    E004 = "[E004] {name} ({value!r}) must be an integer of at least 1.{remedy}"
    E005 = (
        "[E005] window ({window}) exceeds the {positions} positions of this model. "
        "Set window to at most {positions}."
    )
    E006 = (
        "[E006] precision ('{value}') must be one of {choices}. 'auto' takes bfloat16 "
        "where the hardware multiplies it natively, else float32."
    )
    E007 = (
        "[E007] device ('{value}') must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'. "
        "'auto' follows spacy.prefer_gpu() and spacy.require_gpu()."
    )
    E008 = (
        "[E008] device '{value}' is not available here: torch sees {found}. Choose "
        "another device, or install a torch build that has it."
    )
    E009 = (
        "[E009] span_context ({value!r}) must be 'isolated' (each span is scored as a "
        "text of its own) or 'document' (in the pass of its doc, after what precedes "
        "it)."
    )
    # Checkpoints
    E010 = (
        "[E010] config.json cannot be used: {problem}. Give a folder or repository "
        "with the configuration of a sequence classifier, as transformers saves it."
    )
    E011 = (
        "[E011] architectures {architectures} with model_type '{model_type}' is not "
        "supported. It must be exactly one of {supported}, with the matching "
        "model_type."
    )
    E012 = (
        "[E012] config.json sets {key} to {value!r}, which changes the mathematics "
        "and is not implemented. Use a checkpoint without it: scores that ignored "
        "the setting would be wrong."
    )
    E013 = (
        "[E013] config.json must give one positive rotary base, as rope_theta "
        "(transformers 4) or in rope_parameters (transformers 5); found {found}. Save "
        "the checkpoint again with its rope_theta: a default would change every score."
    )
    E014 = (
        "[E014] The model's head has {rows} rows, but {expected} categories are "
        "configured. Use a checkpoint that was trained for these categories."
    )
    E015 = (
        "[E015] The tensors of {source} do not match its config.json: {problem}. "
        "Weights load completely or not at all: use an undamaged checkpoint."
    )
    E016 = (
        "[E016] Tensor '{name}' of {source} holds a value that is not finite or lies "
        "beyond ±{limit:g}. Its scores could not be trusted: use an undamaged "
        "checkpoint."
    )
    E017 = "[E017] {source} has no {wanted}. {remedy}"
    E018 = "[E018] {source} cannot be read as {kind}: {problem}. Use an undamaged file."
    E019 = (
        "[E019] The tokenizer of {source} does not fit the model: {problem}. Set "
        "tokenizer to the one that the model was trained with."
    )
    E020 = (
        "[E020] '{name}' is neither a folder here nor a hub name. Give an existing "
        "folder, a hub name of the form 'owner/name', or 'demo'."
    )
    E021 = (
        "[E021] '{name}' was saved in format version {version}; this version of "
        "spacy-duoguard reads version {supported}. Install a matching release."
    )
    E022 = (
        "[E022] config.json lists the twelve categories in another order ({found}, "
        "…). Scores would carry wrong names: use a checkpoint with the order of the "
        "model card."
    )
    E023 = (
        "[E023] The saved settings of '{name}' cannot be read: {problem}. Use an "
        "undamaged copy of the pipeline."
    )
    # Downloads
    E030 = (
        "[E030] '{name}' is gated: its owner must grant you access. Accept its terms "
        "on its hub page, then set HF_TOKEN to a token of that account, or download "
        "it once and give the folder as name."
    )
    E031 = (
        "[E031] There is no repository '{name}' on the hub, or it is private, and "
        "no folder of that name here. Correct the name; for a private repository set "
        "HF_TOKEN."
    )
    E032 = (
        "[E032] Repository '{name}' has no revision '{revision}'. Give an existing "
        "branch, tag or commit."
    )
    E033 = (
        "[E033] '{file}' of '{name}' (revision '{revision}') could not be downloaded "
        "and is not in the cache: {problem}. Check the network and whether "
        "HF_HUB_OFFLINE is set, or give a local folder as name."
    )
    # Scoring
    E040 = (
        "[E040] The model gave a logit that is not finite for {count} of {total} "
        "windows. That is a failure, not a score: try precision = 'float32', and "
        "check the checkpoint."
    )
    E041 = (
        "[E041] Component '{name}' scores sentences (sents = true or a sentence span "
        "getter), but a doc has no sentence boundaries. Add 'sentencizer' or a "
        "parser before '{name}'."
    )
    E042 = (
        "[E042] Component '{name}' has sents = true and a span_getter. Set one of "
        "them: sents = true is short for the sentences of doc.sents."
    )
    E043 = (
        "[E043] The span getter gave {got} lists of spans for {expected} docs. It "
        "must return one list for each doc, in order."
    )
    E044 = (
        "[E044] Component '{name}' failed on a lookup while scoring (KeyError, see "
        "the cause above). It is reported as a RuntimeError because spaCy takes a "
        "KeyError for a component that is not initialized."
    )
    E045 = (
        "[E045] The extension attribute {owner}._.{name} is taken by something else. "
        "Rename that one: Component 'duoguard' never overwrites an extension."
    )
    E047 = (
        "[E047] The weights of '{name}' take {size} bytes, more than the {limit} that "
        "to_bytes can hold. Use to_disk."
    )
    E048 = (
        "[E048] Component 'duoguard' needs a model of the architecture "
        "'spacy-duoguard.DuoGuard.v1', not '{name}'. Set @architectures to it."
    )
    E049 = (
        "[E049] texts is a single string. Give a list of texts: the characters of a "
        "string would each be scored as a text."
    )
    E050 = (
        "[E050] The span getter returned something that is no span of its doc. It "
        "must return, for each doc, spans of that doc."
    )
    E051 = "[E051] Text {i} is of type '{kind}', not a string. Give strings only."
    E052 = (
        "[E052] A text holds half of a surrogate pair, which is no character. Replace "
        "it, as by text.encode('utf8', 'replace').decode('utf8')."
    )
    E053 = (
        "[E053] spans_key ({value!r}) must be a string that is not empty: it names the "
        "group of doc.spans for flagged spans."
    )
    E054 = (
        "[E054] precision 'int8' is not available on device '{device}': it needs a CPU "
        "with VNNI instructions and a torch with oneDNN's int8 products. Set precision "
        "to 'auto', or device to 'cpu'."
    )
    E055 = (
        "[E055] Scores in context (span_context = 'document', curve, turns, streams) "
        "need a tokenizer that puts nothing after a text: this one ends every text "
        "with a token of its own, which no part of a text has. Score the parts as "
        "texts of their own."
    )
    E056 = "[E056] curve ({value!r}) must be true or false."
    # Training
    E060 = (
        "[E060] trainable_layers ({value!r}) must be null for all layers, 0 for the "
        "head, or the number of top layers to train with it."
    )
    E061 = (
        "[E061] trainable_layers ({value}) exceeds the {depth} layers of this model. "
        "Lower it, or set it to null to train everything."
    )
    E062 = (
        "[E062] {label!r} cannot be a category: it must be a string that is not blank, "
        "and 'unsafe' is the maximum over the categories. Choose another name."
    )
    E063 = (
        "[E063] The gold value of '{key}' ({value!r}) must lie in [0, 1]. Correct it, "
        "or leave the key out where the category is not known."
    )
    E064 = (
        "[E064] The loss 'spacy-duoguard.logsumexp.v1' takes gold values of 0 or 1, "
        "not {value:g}. Round them, or train with 'spacy-duoguard.bce.v1'."
    )
    E065 = (
        "[E065] Component '{name}' has nothing to learn from: no example has a gold "
        "value in doc.cats for 'unsafe' or one of its categories ({categories}). Name "
        "the gold as the categories, add your own with add_label or in "
        "[initialize.components.{name}.labels], or list the component in [training] "
        "frozen_components."
    )
    E066 = (
        "[E066] Component '{name}' is to learn from sentences, but a predicted doc has "
        "no sentence boundaries. List the component that sets them ('sentencizer' or a "
        "parser) in [training] annotating_components."
    )
    E067 = (
        "[E067] A gold span has the label '{label}', which is no category of this "
        "model. The categories are: {categories}. Correct it, or add it with add_label."
    )
    E068 = (
        "[E068] A gold text has unsafe = {value!r} and all its categories at 0, but "
        "'unsafe' is their maximum. Leave out the categories that are not known, or "
        "add one for what makes it unsafe with add_label."
    )
    E069 = (
        "[E069] Model '{name}' cannot be trained with precision = 'int8', which is "
        "for inference only. Set precision to 'float32', 'bfloat16' or 'auto'."
    )
    E070 = (
        "[E070] With all layers trainable there is no rehearsal: the copy it compares "
        "with would be a second model. Set trainable_layers to the number of top "
        "layers to train, or to 0 for the head."
    )
    E071 = (
        "[E071] The device has not enough memory to train on one window ({tokens} "
        "tokens). Lower max_batch_tokens, window or trainable_layers."
    )
    E072 = (
        "[E072] The gradient of '{name}' is not finite. No weight was changed. Lower "
        "the learning rate, and check the gold and the checkpoint."
    )
    # Calibration
    E080 = (
        "[E080] Give exactly one of --target-fpr, --target-recall and --best-f: they "
        "choose the thresholds."
    )
    E081 = "[E081] The rate --{name} ({value}) must lie in [0, 1], as 0.05 does."
    E082 = (
        "[E082] {folder} has {found} of the factory 'duoguard'{names}. Give the name "
        "of one with --component."
    )
    E083 = (
        "[E083] {path} cannot be read as a corpus in spaCy's format: {problem}. Give a "
        ".spacy file, or a folder of them, as 'spacy convert' or DocBin.to_disk write."
    )
    E084 = (
        "[E084] No threshold can be chosen from {path} ({docs} docs): {problem}. Its "
        "docs need gold labels in doc.cats, 1 and 0 both{remedy}. Nothing was changed."
    )
    E085 = "[E085] {path} is there already. Give another --output, or --force."
    E086 = (
        "[E086] {path} is not a saved pipeline: {problem}. Give a folder that "
        "nlp.to_disk or 'spacy train' wrote."
    )
    E087 = (
        "[E087] The output {path} lies inside the pipeline {folder}, of which it is a "
        "copy. Give a folder elsewhere."
    )
    # Streams
    E090 = (
        "[E090] A push takes each stream once and a chunk for each: got {n} streams "
        "and {chunks} chunks. Join the chunks of one stream."
    )
    E091 = (
        "[E091] A stream was pushed to in a batch that it does not belong to. Take "
        "streams from this batch's open()."
    )
    E092 = (
        "[E092] The stream is closed, or has failed, and takes no more text. Treat a "
        "text that failed as unsafe, and begin a new stream for another."
    )
    E093 = (
        "[E093] The classifier's weights were changed while streams were open: what "
        "they have read cannot be read on. Begin them anew."
    )
    E094 = (
        "[E094] A string was pushed to a stream after bytes that end inside a "
        "character. Push bytes only, or whole characters."
    )
    E095 = (
        "[E095] Bytes that were pushed to a stream are no UTF-8 ({problem}). Decode "
        "them, as by chunk.decode('utf8', 'replace'), and push strings."
    )
    E096 = (
        "[E096] A chunk of type '{kind}' was pushed to a stream. Push strings, or "
        "bytes in UTF-8."
    )
    # Scoring what is hostile, or too large
    E120 = (
        "[E120] The device has not enough memory to score one window ({tokens} "
        "tokens), after the batch was halved from max_batch_tokens down to it. Lower "
        "window, choose another precision or device, or free memory."
    )
    E121 = (
        "[E121] normalize ({value!r}) must be true or false: whether a second view of "
        "each text is scored too."
    )
    # Checkpoints that are not as they were, and saves
    E100 = (
        "[E100] {file} was written to while its weights were in use. Scores would be "
        "those of no model: load it again, and replace such files by renaming, as "
        "to_disk does, never by writing into them."
    )
    E101 = (
        "[E101] {file} is larger than {limit} bytes, which no file of its name is. Use "
        "an undamaged file."
    )
    E102 = (
        "[E102] '{file}' of {source} {problem}. Use an undamaged copy. If you changed "
        "the model on purpose, delete its manifest.json and give the folder as name."
    )
    E103 = (
        "[E103] '{file}' of {folder} is a link. A saved pipeline is read from its own "
        "folder only: put the file itself there."
    )
    E104 = (
        "[E104] {source} does not score here as it did where it was saved: {problem}. "
        "Install the releases of torch, tokenizers and spacy-duoguard that it was "
        "saved with, or set precision to 'float32'."
    )
    E105 = (
        "[E105] The weights give scores that are not finite, and were not saved: what "
        "was saved before is still there. Train again with a lower learning rate."
    )
    E107 = (
        "[E107] thresholds ({value!r}) must map categories to numbers. Set it to {{}} "
        "for the same threshold everywhere."
    )
    E106 = "[E106] {source} holds no '{part}'. Exclude it, as when it was saved."
    # Command line
    E130 = (
        "[E130] {path} is there already. Give another OUT, or one of --resume to go on "
        "with it and --overwrite to write it anew."
    )
    E131 = (
        "[E131] Record {number} of {path} is not what this command would write: it was "
        "made from another input, with other options, or on another machine. Give the "
        "same ones, or write it anew with --overwrite."
    )
    E132 = (
        "[E132] {path} holds more records than the input. Give the input that it was "
        "made from, or write it anew with --overwrite."
    )
    E133 = (
        "[E133] Parquet files need pyarrow. Install it with: "
        "pip install 'spacy-duoguard[parquet]'"
    )
    E134 = (
        "[E134] The name of the input '{name}' does not tell its format. Give it with "
        "--format, one of: {formats}."
    )
    E135 = (
        "[E135] The output '{name}' must be a .jsonl file, or a folder for Parquet "
        "files (name.parquet, or with a slash at its end), or - for standard output, "
        "with which --resume cannot go on."
    )
    E136 = (
        "[E136] {name} has no column '{key}'. Name the one with the texts with "
        "--text-key; found: {found}."
    )
    E137 = (
        "[E137] Record {number} cannot be scored: {problem}. Mend it, or leave out "
        "--strict: it then counts as unsafe, and the run goes on."
    )
    E138 = (
        "[E138] The pipeline '{model}' has no component 'duoguard'. Add one with "
        "nlp.add_pipe('duoguard') and save it again, or give the name of a model."
    )
    E139 = (
        "[E139] {name} cannot be used: {problem}. Give a path that can be read, or "
        "for the output one that can be written, and an undamaged file."
    )
    E140 = "[E140] {path} is the input as well. Give another OUT: it would be lost."
    E141 = (
        "[E141] The columns of Parquet files have to be known beforehand, and JSON "
        "lines from standard input cannot be read twice. Give a file, or write .jsonl."
    )
    E142 = (
        "[E142] Component '{name}' of '{model}' has a span getter of its own. Leave "
        "out --sentences: its spans are scored."
    )
    E143 = (
        "[E143] spaCy has no language '{value}'. Give a code such as 'en', or 'xx' for "
        "any language."
    )
    E144 = (
        "[E144] {folder} has none of the evaluation files. Give the folder that has "
        "a folder for each language, as in github.com/yihedeng9/DuoGuard."
    )
    E145 = (
        "[E145] {path} is not the evaluation file of that name, at row {number}: "
        "{problem}. Get it again: figures of a part of it would be other figures."
    )
    E146 = (
        "[E146] None of the {count} texts can be compared: each is empty, or longer "
        "than one window, which transformers would cut off. Give others with --texts."
    )
    E147 = (
        "[E147] '{name}' is no name on the hub: it is on this machine already. Give "
        "its folder, or 'demo', as the name of the model."
    )
    E148 = "[E148] {path} is there already, and not empty. Give another FOLDER."
    E149 = (
        "[E149] Pictures need matplotlib. Install it with: "
        "pip install 'spacy-duoguard[plot]'"
    )

    # The review page
    E150 = (
        "[E150] {path} holds no results. Give a JSON lines file that 'score' wrote, or "
        "a folder of .jsonl or .parquet parts."
    )
    E151 = (
        "[E151] No record of {path} has a text under '{key}'. Name the field that "
        "holds the text with --text-key. The records have: {names}."
    )
    E153 = (
        "[E153] The page {page} would replace the results {results}, or lie among "
        "them. Give another place for it."
    )
    E155 = (
        "[E155] A doc has no results of 'duoguard' to draw. Score it first: a pipeline "
        "with that component returns docs that have them."
    )
    # Ray
    E156 = "[E156] {name} ({value!r}) must be at least {least}."
    E157 = (
        "[E157] Scoring on Ray needs Ray and pyarrow. Install them: "
        'pip install "spacy-duoguard[ray]".'
    )
    E158 = (
        "[E158] The Ray cluster has too little for {actors} actors and one CPU for "
        "reading and writing: {cpus} CPUs, {gpus} GPUs. Ask for fewer actors, or start "
        "more nodes: Ray would wait for ever."
    )
    E159 = (
        "[E159] {path} is no folder with .jsonl files or with .parquet files. Give one "
        "with files of one of these kinds, which all nodes of the cluster see."
    )
    E160 = (
        "[E160] {path} is there already. Give another folder, or --overwrite, which "
        "replaces a folder of .jsonl and .parquet parts and no other."
    )
    E161 = (
        "[E161] Ray gave up: {kind}. Nothing was written. Ray's log says why, and "
        "--verbose shows its report."
    )
    E162 = (
        "[E162] The output {path} is the input, or holds it: replacing it would delete "
        "the texts. Give another folder."
    )


class Warnings:
    W001 = (
        "[W001] 'demo' is a tiny model for trying out the pipeline. It is not fit for "
        "moderation: use 'DuoGuard/DuoGuard-0.5B' for that."
    )
    W002 = (
        "[W002] This process was forked from one in which torch had started threads, "
        "which it has not inherited: it goes on with one torch thread. To use "
        "more, start the workers with the 'spawn' method, or load and score in them "
        "only."
    )
    W003 = (
        "[W003] '{name}' was saved with {key} = {saved!r}, but is loaded into a "
        "pipeline whose config has the default, {mine!r}. The config's value is used: "
        "set {key} there if you want the saved one."
    )
    W010 = (
        "[W010] Component '{name}' leaves the keys {keys} of the gold doc.cats alone: "
        "they are none of its categories. If they should be, add them with add_label."
    )
    W011 = (
        "[W011] The reference docs hold spans under '{key}', but component '{name}' "
        "scores no spans and learns nothing from them. Set sents or span_getter."
    )
    W012 = (
        "[W012] {count} gold spans under '{key}' lie on no span that component "
        "'{name}' scores, so that their categories are left open where they overlap "
        "one. Draw gold spans as the span getter does."
    )
