"""Coded errors and warnings. Each message states the rule, the value received and the
remedy. None of them quotes the text that was scored."""

import re


class DuoGuardError(Exception):
    """Base class of the errors that this package raises."""


class SettingsError(DuoGuardError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class CheckpointError(DuoGuardError, ValueError):
    """A model or tokenizer file is missing, damaged, unsafe or unsupported."""


class DownloadError(DuoGuardError, OSError):
    """A file could not be downloaded from the hub."""


class ResultsError(DuoGuardError, ValueError):
    """Results could not be read or displayed."""


class ScoringError(DuoGuardError, RuntimeError):
    """A text could not be scored."""


class DuelError(DuoGuardError, RuntimeError):
    """A duel can't go on: a server, a program or a file that it needs has failed."""


class Errors:
    # Settings
    E001 = (
        "[E001] {name} ({value!r}) must be a number in [0, 1]: it is compared with a "
        "probability."
    )
    E002 = (
        "[E002] A key of {name} isn't a category of this model: '{key}'. "
        "Available categories: {categories}."
    )
    E003 = (
        "[E003] stride ({stride}) must lie in [1, window] = [1, {window}]: gaps "
        "between windows would leave text unscored. Lower stride or raise "
        "window{specials}."
    )
    E004 = "[E004] {name} ({value!r}) must be a positive integer.{remedy}"
    E005 = (
        "[E005] window ({window}) exceeds the {positions} positions of this model. "
        "Set it to {positions} or less."
    )
    E006 = (
        "[E006] precision ('{value}') must be one of {choices}. 'auto' is bfloat16 on "
        "hardware that supports it natively, and float32 elsewhere."
    )
    E007 = (
        "[E007] device ('{value}') must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'. "
        "'auto' follows spacy.prefer_gpu() and spacy.require_gpu()."
    )
    E008 = (
        "[E008] Device '{value}' isn't available: torch sees {found}. Choose another "
        "device, or install a build of torch that supports it."
    )
    E009 = (
        "[E009] span_context ({value!r}) must be 'isolated' (score each span as a text "
        "of its own) or 'document' (score it in the context of its doc)."
    )
    E042 = (
        "[E042] Component '{name}' has both sents = true and a span_getter. Set only "
        "one: sents = true is short for the sentences of doc.sents."
    )
    E048 = (
        "[E048] Component 'duoguard' needs a model with the architecture "
        "'spacy-duoguard.DuoGuard.v1', not '{name}'. Set it as @architectures."
    )
    E053 = (
        "[E053] spans_key ({value!r}) must be a non-empty string: it is the key of the "
        "flagged spans in doc.spans."
    )
    E054 = (
        "[E054] precision 'int8' isn't available on device '{device}': it needs a CPU "
        "with VNNI instructions and a build of torch with oneDNN. Set precision to "
        "'auto', or device to 'cpu'."
    )
    E056 = "[E056] curve ({value!r}) must be true or false."
    E059 = (
        "[E059] The component's cfg ({problem}) must be a dict with exactly these "
        "settings: {names}. Change single ones, e.g. cfg['threshold'] = 0.5."
    )
    E109 = (
        "[E109] {name} is set when a component is created. Remove '{component}' from "
        "the pipeline and add it again with config={{'{name}': ...}}."
    )
    E107 = (
        "[E107] {name} ({value!r}) must map categories to numbers. Set it to {{}} "
        "to use the same threshold for all categories."
    )
    E250 = (
        "[E250] {review} ({value:g}) is above {threshold} ({limit:g}): a text is "
        "reviewed between the two, and blocked above the second. Lower {review}, or "
        "raise {threshold} first."
    )
    E255 = (
        "[E255] roles ({value!r}) must be null, to score all turns, or a list of the "
        "roles whose turns are scored, such as ['user']."
    )
    E110 = (
        "[E110] kernels ({value!r}) must be one of {choices}. 'triton' only matters on "
        "a CUDA device, and 'native' only on a CPU, where it needs a C compiler."
    )
    E121 = (
        "[E121] normalize ({value!r}) must be true or false. If true, other readings "
        "of each text are scored as well: without disguises, and decoded."
    )
    E210 = (
        "[E210] views must be null, or functions from a text to another reading and "
        "the offsets of its characters, but got {problem}. Pass a dict of functions, "
        "each with a name other than 'text'; in a config, a block with @misc for each: "
        "[components.duoguard.views.NAME]."
    )
    E211 = (
        "[E211] The view '{name}' returned no valid reading. Its function must return "
        "None, or a pair: a string, and for each of its characters the offset in the "
        "text that it comes from."
    )

    # Checkpoints and saved components
    E010 = (
        "[E010] Can't use config.json: {problem}. The folder or repository must have "
        "the config of a sequence classifier, as saved by transformers."
    )
    E011 = (
        "[E011] architectures {architectures} with model_type '{model_type}' isn't "
        "supported. Use a checkpoint with exactly one of {supported} and the matching "
        "model_type."
    )
    E012 = (
        "[E012] config.json sets {key} to {value!r}, which changes the computation and "
        "isn't supported. Use a checkpoint without it: ignoring the setting would give "
        "wrong scores."
    )
    E013 = (
        "[E013] config.json must set a single, positive RoPE base, as rope_theta "
        "(transformers 4) or in rope_parameters (transformers 5); found {found}. Save "
        "the checkpoint with its rope_theta: a default would change all scores."
    )
    E014 = (
        "[E014] The model's head has {rows} rows, but {expected} categories are "
        "configured. Use a checkpoint trained on these categories."
    )
    E015 = (
        "[E015] The tensors of {source} don't match its config.json: {problem}. Use an "
        "undamaged checkpoint: weights load completely or not at all."
    )
    E016 = (
        "[E016] Tensor '{name}' of {source} has a value that isn't finite or lies "
        "beyond ±{limit:g}. Use an undamaged checkpoint: the scores of this one can't "
        "be trusted."
    )
    E017 = "[E017] {source} has no {wanted}. {remedy}"
    E018 = "[E018] Can't read {source} as {kind}: {problem}. Use an undamaged file."
    E019 = (
        "[E019] The tokenizer of {source} doesn't fit the model: {problem}. Set "
        "tokenizer to the one the model was trained with."
    )
    E020 = (
        "[E020] '{name}' is neither a local folder nor a valid hub name. Use an "
        "existing folder, a hub name of the form 'owner/name', or 'demo'."
    )
    E021 = (
        "[E021] '{name}' was saved with format version {version}, but this version of "
        "spacy-duoguard reads version {supported}. Install a matching release."
    )
    E022 = (
        "[E022] config.json lists the categories in a different order ({found}, …), so "
        "scores would get the wrong names. Use a checkpoint with the order of the "
        "model card."
    )
    E023 = (
        "[E023] Can't read the saved settings of '{name}': {problem}. Use an undamaged "
        "copy of the pipeline."
    )
    E047 = (
        "[E047] The weights of '{name}' take {size} bytes, but to_bytes is limited to "
        "{limit}. Use to_disk instead."
    )
    E100 = (
        "[E100] {file} was modified while its weights were in use, so scores would be "
        "wrong. Load the model again, and replace such files by renaming, as to_disk "
        "does, instead of writing to them."
    )
    E101 = (
        "[E101] {file} is larger than {limit} bytes, the limit for this kind of file. "
        "Use an undamaged file."
    )
    E102 = (
        "[E102] '{file}' of {source} {problem}. Use an undamaged copy. If you changed "
        "the model on purpose, delete its manifest.json and set name to the folder."
    )
    E103 = (
        "[E103] '{file}' of {folder} is a link. A saved pipeline is only read from its "
        "own folder: replace the link with the file itself."
    )
    E104 = (
        "[E104] {source} scores differently than when it was saved: {problem}. "
        "Install the versions of torch, tokenizers and spacy-duoguard it was saved "
        "with, or set precision to 'float32'."
    )
    E105 = (
        "[E105] The model wasn't saved because its scores aren't finite, or because a "
        "weight is beyond ±1e6, which can't be loaded. The previous save, if any, is "
        "unchanged. Train again with a lower learning rate."
    )
    E106 = (
        "[E106] {source} has no '{part}'. If it was excluded when saving, exclude it "
        "when loading as well."
    )
    E108 = (
        "[E108] '{file}' isn't a regular file but a folder, a pipe, a device, a socket "
        "or a link that leads nowhere. Use an undamaged copy."
    )

    # Downloads
    E030 = (
        "[E030] '{name}' is gated. Accept its terms on the hub and set HF_TOKEN to a "
        "token of that account, {remedy}."
    )
    E031 = (
        "[E031] Can't find '{name}': there is no such local folder, and no such public "
        "repository on the hub. Correct the name, or set HF_TOKEN if the repository is "
        "private."
    )
    E032 = (
        "[E032] Repository '{name}' has no revision '{revision}'. Use an existing "
        "branch, tag or commit."
    )
    E334 = (
        "[E334] For commit {revision} of '{name}', the server sent a file of commit "
        "{commit}. Check the address in HF_ENDPOINT, or ask for that commit if it is "
        "the one you want."
    )
    E033 = (
        "[E033] '{file}' of '{name}' (revision '{revision}') isn't cached and couldn't "
        "be downloaded: {problem}. Check your network and whether HF_HUB_OFFLINE is "
        "set, {remedy}."
    )
    E332 = (
        "[E332] exclude ({value!r}) must be a list with any of 'cfg', 'model' and "
        "'vocab'."
    )
    E333 = (
        "[E333] Can't save to {path}: {problem}. Choose a folder that exists or can be "
        "created."
    )

    # Scoring
    E040 = (
        "[E040] The model's logits aren't finite, or are all 0 because of an overflow, "
        "for {count} of {total} windows, so there is no score. Try precision = "
        "'float32', and check the weights."
    )
    E041 = (
        "[E041] Component '{name}' scores sentences, but a doc has no sentence "
        "boundaries. Add the 'sentencizer' or a parser before '{name}'."
    )
    E043 = (
        "[E043] The span getter returned {got} lists of spans for {expected} docs. It "
        "must return one list per doc, in order."
    )
    E044 = (
        "[E044] A lookup in component '{name}' failed while scoring (see the KeyError "
        "above). It is raised as a RuntimeError because spaCy would mistake a KeyError "
        "for a component that isn't initialized."
    )
    E045 = (
        "[E045] The extension attribute {owner}._.{name} already exists. Rename it: "
        "component 'duoguard' doesn't overwrite the extensions of others."
    )
    E049 = (
        "[E049] Expected a list of texts, but got a value of the type '{kind}'. Put a "
        "single text into a list."
    )
    E050 = (
        "[E050] The span getter returned something other than a span of the given doc. "
        "It must return spans of that doc only."
    )
    E320 = (
        "[E320] The span getter returned a value of the type '{kind}' where a list is "
        "expected. It must return one list of spans per doc."
    )
    E323 = (
        "[E323] Expected docs, but got a value of the type '{kind}'. Put a single doc "
        "into a list, and make docs of texts with nlp.make_doc."
    )
    E331 = (
        "[E331] Expected what predict returned for these docs, but got {problem}. Call "
        "set_annotations(docs, predict(docs))."
    )
    E051 = "[E051] Text {i} has the type '{kind}'. Texts must be strings."
    E052 = (
        "[E052] A text has an unpaired surrogate, which isn't a valid character. "
        "Replace it, e.g. with text.encode('utf8', 'replace').decode('utf8')."
    )
    E055 = (
        "[E055] Scores in context (span_context = 'document', curve, turns, streams) "
        "aren't available with a tokenizer that adds tokens after the text: a prefix "
        "wouldn't have them. Score the parts as separate texts."
    )
    E251 = (
        "[E251] Expected a list of messages, each a string or a dict with a 'role' and "
        "a 'content' (a string, null, or a list of parts like {{'type': 'text', "
        "'text': ...}}), but {problem}."
    )
    E253 = (
        "[E253] Message {i} has {what}, which can't be scored. Put it into the content "
        "as text, or take it out if something else moderates it."
    )
    E254 = (
        "[E254] The turns of a doc don't fit its text ({problem}), so it was not "
        "scored. Make such docs with make_conversation, and don't change them."
    )
    E057 = (
        "[E057] No token stands for the visible character at offset {offset} of a "
        "text, so it was not scored. Use a tokenizer that can spell every character."
    )
    E058 = (
        "[E058] The tokenizer of {source} failed on a text, so it was not scored. "
        "Shorten the text, or use another tokenizer."
    )
    E120 = (
        "[E120] Out of memory: the device can't score even a single window ({tokens} "
        "tokens), so a lower max_batch_tokens won't help. Lower window, use another "
        "precision or device, or free memory."
    )

    # Training
    E060 = (
        "[E060] trainable_layers ({value!r}) must be null for all layers, 0 for the "
        "head, or the number of top layers to train along with the head."
    )
    E061 = (
        "[E061] trainable_layers ({value}) exceeds the {depth} layers of this model. "
        "Lower it, or set it to null to train everything."
    )
    E062 = (
        "[E062] {label!r} can't be a category: 'unsafe' is the maximum over all "
        "categories, and other names must be printable strings without spaces at their "
        "ends, = or :, that begin with none of # ; [ @ *, so that a config can hold "
        "their thresholds. Choose another name."
    )
    E063 = (
        "[E063] The gold value of '{key}' ({value!r}) must be a number in [0, 1]. "
        "Correct it, or leave out the key if the value isn't known."
    )
    E064 = (
        "[E064] The loss 'spacy-duoguard.logsumexp.v1' needs gold values of 0 or 1, "
        "not {value:g}. Round them, or use 'spacy-duoguard.bce.v1'."
    )
    E065 = (
        "[E065] Component '{name}' has nothing to learn: no example has a gold value "
        "in doc.cats for 'unsafe' or one of its categories ({categories}). Rename the "
        "gold keys, add categories with add_label or in "
        "[initialize.components.{name}.labels], or add the component to "
        "frozen_components in [training]."
    )
    E066 = (
        "[E066] Component '{name}' learns from sentences, but a predicted doc has no "
        "sentence boundaries. Add the 'sentencizer' or parser that sets them to "
        "annotating_components in [training]."
    )
    E067 = (
        "[E067] The label of a gold span isn't a category of this model: '{label}'. "
        "Available categories: {categories}. Correct it, or add it with add_label."
    )
    E068 = (
        "[E068] A gold text has unsafe = {value!r} but 0 for all categories, of which "
        "'unsafe' is the maximum. Leave out the categories that aren't known, or add "
        "the missing one with add_label."
    )
    E327 = (
        "[E327] A gold text or span has unsafe = {unsafe!r}, but {label} = {value!r}: "
        "'unsafe' is the maximum of the categories. Correct one of them, or leave out "
        "the one that isn't known."
    )
    E328 = (
        "[E328] attrs['{key}'] of a gold span group has the offsets [{start}, {end}], "
        "which are no span of its text of {length} characters. Convert the corpus "
        "again, or correct them."
    )
    E336 = (
        "[E336] The values for '{name}' have another shape than the weight that they "
        "replace. Use those of an optimizer that trains this model."
    )
    E069 = (
        "[E069] Can't train model '{name}' with precision = 'int8', which is for "
        "inference only. Use 'float32', 'bfloat16' or 'auto'."
    )
    E070 = (
        "[E070] Rehearsal isn't available if all layers are trained: it would need a "
        "second copy of the model. Set trainable_layers to the number of top layers to "
        "train, or to 0 for the head."
    )
    E071 = (
        "[E071] Out of memory: the device can't train on a single window ({tokens} "
        "tokens). Lower max_batch_tokens, window or trainable_layers."
    )
    E072 = (
        "[E072] The gradient of '{name}' isn't finite, so the weights weren't updated. "
        "Lower the learning rate, and check the gold values and the checkpoint."
    )

    # Results
    E180 = (
        "[E180] Component '{name}' has scores for a doc that contradict themselves: "
        "{problem}. If you have replaced its predict method, make it return a "
        "probability in [0, 1] for each category."
    )
    E337 = (
        "[E337] Component '{name}' was given scores of another text for a doc, or the "
        "doc has changed since. Call set_annotations with the docs of predict, in the "
        "same order."
    )
    E338 = (
        "[E338] Component '{name}' was given scores of other categories than it has, "
        "such as from before add_label. Call predict again."
    )
    E339 = (
        "[E339] This process was forked while another thread pushed to this batch of "
        "streams. Its texts count as unsafe. Make a new StreamBatch in the fork."
    )
    E181 = (
        "[E181] The scores of a stream contradict themselves: {problem}. Treat its "
        "text as unsafe, and open a new stream for the next one."
    )

    # Calibration
    E080 = (
        "[E080] Use exactly one of --target-fpr, --target-recall and --best-f to "
        "choose the thresholds."
    )
    E081 = "[E081] The rate --{name} ({value}) must lie in [0, 1], e.g. 0.05."
    E082 = (
        "[E082] {folder} has {found} with the factory 'duoguard'{names}. Choose one "
        "with --component."
    )
    E340 = (
        "[E340] The column '{column}' of {path} holds JSON, such as messages, which "
        "`score` would score as plain text. If `score` wrote it, score the input of "
        "that run again, or its results in JSON lines, which keep messages as they "
        "are. Else make it a list of structs."
    )
    E341 = (
        "[E341] Something follows the corpus in {path}, such as a second corpus, and "
        "spaCy would ignore it. Put the files of several corpora in one folder, or "
        "merge them with DocBin.merge."
    )
    E342 = (
        "[E342] A warning ({name}) ended the command, because Python was told to treat "
        "warnings as errors. Leave out -W error or PYTHONWARNINGS, or see --verbose."
    )
    E343 = (
        "[E343] The gold of a doc (doc.cats) is of the type '{kind}', not a dict of "
        "categories and values. Correct the corpus."
    )
    E083 = (
        "[E083] Can't read {path} as a spaCy corpus: {problem}. Use a .spacy file or a "
        "folder of them, as written by 'spacy convert' or DocBin.to_disk."
    )
    E084 = (
        "[E084] Can't choose thresholds from {path} ({docs} docs): {problem}. Nothing "
        "was changed. The docs need gold values of both 1 and 0 in doc.cats{remedy}."
    )
    E085 = (
        "[E085] {path} already exists. Choose another --output, or use --force to "
        "replace it."
    )
    E086 = (
        "[E086] Can't load {path} as a pipeline: {problem}. Use a folder saved by "
        "nlp.to_disk or 'spacy train'."
    )
    E229 = (
        "[E229] {path} isn't a saved pipeline: it lacks a config.cfg or a meta.json. "
        "--force replaces only pipelines. Choose another --output."
    )
    E195 = (
        "[E195] {path} has no .spacy file. Convert your texts first, e.g. with "
        "DocBin.to_disk or 'spacy convert'."
    )
    E196 = (
        "[E196] Can't use GPU {gpu_id}: {problem}. Install CuPy for your version of "
        "CUDA, or leave out --gpu-id."
    )

    # Disguises and corpora
    E240 = "[E240] The suite has no disguise '{name}'. Available disguises: {names}."
    E241 = (
        "[E241] The list of disguises is empty. Name some, or use null for those that "
        "normalize doesn't undo."
    )
    E242 = "[E242] {name} ({value!r}) must be a number in [0, 1]."
    E243 = (
        "[E243] n_safe ({value}) must be the least and the most safe texts around one, "
        "e.g. [2, 10]."
    )
    E244 = (
        "[E244] {path} ({docs} docs) has no safe text to put others among. Add texts "
        "with gold unsafe = 0, or set level to 0."
    )

    # Streams
    E212 = (
        "[E212] Streams can't score views (normalize=True): how a text reads without "
        "disguises, or decoded, can change with what follows, but a flag stays. Score "
        "the whole text with Classifier.analyze(..., normalize=True) once it is there."
    )
    E090 = (
        "[E090] push takes one chunk per stream and each stream once, but got {n} "
        "streams and {chunks} chunks. Join the chunks of a stream first."
    )
    E091 = (
        "[E091] Can't push to a stream of another batch. Use the streams opened with "
        "open() on this one."
    )
    E092 = (
        "[E092] Can't push to a stream that is closed or has failed. Treat a text that "
        "failed as unsafe, and open a new stream for the next one."
    )
    E093 = (
        "[E093] The classifier's weights changed while streams were open, so the "
        "streams can't continue. Open new ones."
    )
    E325 = (
        "[E325] The model has other categories than when the streams were opened, so "
        "they can't continue. Open new ones, in a new StreamBatch."
    )
    E326 = (
        "[E326] The weights were made in torch.inference_mode(), where torch doesn't "
        "count changes to them, and can't be trained. Copy or unpickle the model "
        "outside of it."
    )
    E094 = (
        "[E094] Can't push a string after bytes that end inside a character. Push only "
        "bytes, or whole characters."
    )
    E095 = (
        "[E095] The bytes pushed to a stream aren't valid UTF-8 ({problem}). Decode "
        "them, e.g. with chunk.decode('utf8', 'replace'), and push strings."
    )
    E096 = (
        "[E096] Can't push a chunk of type '{kind}' to a stream. Push strings or UTF-8 "
        "bytes."
    )

    E329 = "[E329] {name} must be a {expected}, but has the type '{kind}'. {remedy}"
    E330 = (
        "[E330] A {kind} can't be copied or pickled: what it has read is in a cache "
        "that it shares with other streams. Open a new one, and push the text again."
    )

    # Command line
    E130 = (
        "[E130] {path} already exists. Choose another OUT, or use either --resume to "
        "continue it or --overwrite to replace it."
    )
    E131 = (
        "[E131] Can't resume {path}: record {number} differs from what this command "
        "writes, so the input, the options or the machine must have changed. Use the "
        "same ones, or start over with --overwrite."
    )
    E344 = (
        "[E344] Can't resume {path}: the input needs other columns now, such as "
        "'{column}' ({kind}), because records were added that have other fields, or "
        "values of other types. Start over with --overwrite."
    )
    E132 = (
        "[E132] Can't resume {path}: it has more records than the input. Use the same "
        "input, or start over with --overwrite."
    )
    E133 = (
        "[E133] Parquet files need pyarrow. Install it with: "
        "pip install 'spacy-duoguard[parquet]'"
    )
    E134 = (
        "[E134] Can't tell the format of '{name}' from its name. Set --format to one "
        "of: {formats}."
    )
    E135 = (
        "[E135] Output '{name}' must be a .jsonl, .jsonl.gz or .jsonl.zst file, a "
        "folder for Parquet files (name.parquet, or ending in a slash), or - for "
        "standard output, which --resume can't continue."
    )
    E136 = (
        "[E136] {name} has no column '{key}' among its {count}. Set "
        "--text-key to the column with the texts. A table must begin with the names of "
        "its columns."
    )
    E137 = (
        "[E137] {record} can't be scored: {problem}. Fix it, or leave out "
        "--strict to mark such records as unsafe and go on."
    )
    E138 = (
        "[E138] Pipeline '{model}' has no component 'duoguard'. Add it with "
        "nlp.add_pipe('duoguard') and save the pipeline, or use the name of a model."
    )
    E139 = (
        "[E139] Can't use {name}: {problem}. Check the path, its permissions, and that "
        "the file isn't damaged."
    )
    E335 = (
        "[E335] Standard {name} is closed. Name a file instead of '-', or leave it "
        "open."
    )
    E140 = (
        "[E140] {path} is both input and output, so the input would be lost. Choose "
        "another OUT."
    )
    E141 = (
        "[E141] Parquet output needs the columns in advance, but standard input and "
        "pipes can't be read twice. Read from a file, or write .jsonl."
    )
    E142 = (
        "[E142] Component '{name}' of '{model}' has a span getter. Leave out "
        "--sentences to score its spans."
    )
    E143 = (
        "[E143] spaCy has no language '{value}'. Use a code like 'en', or 'xx' for any "
        "language."
    )
    E147 = (
        "[E147] '{name}' isn't a hub name: it is already on this machine. Use the "
        "folder, or 'demo', as the name of the model."
    )
    E148 = "[E148] {path} already exists and isn't empty. Choose another FOLDER."
    E163 = (
        "[E163] {name} looks like {encoding}. Convert it to UTF-8, e.g. with: "
        "iconv -f {encoding} -t UTF-8"
    )

    # Resuming, and outputs in use
    E170 = (
        "[E170] Can't resume {path}: {name} {problem}, so nothing shows what was "
        "scored. Start over with --overwrite."
    )
    E171 = (
        "[E171] Can't resume {path}, which was written with other values of: {names}. "
        "Use the same ones, or start over with --overwrite."
    )
    E172 = (
        "[E172] Can't resume {path}: the first {count} records of the input aren't "
        "those that were scored. Use the same input, to which records may have been "
        "added at its end, or start over with --overwrite."
    )
    E173 = (
        "[E173] Can't resume {path}: its results were changed since they were written. "
        "Start over with --overwrite."
    )
    E174 = (
        "[E174] Another run is writing to {path}. Wait until it ends, or choose "
        "another OUT."
    )

    E221 = "[E221] Can't write results to {path}: it {problem}. Choose another OUT."
    E222 = (
        "[E222] {name} was changed while it was read. Once it stays as it is, continue "
        "with --resume, or start over with --overwrite."
    )
    E223 = (
        "[E223] The results in {path} were removed, moved, replaced or changed while "
        "the run was writing them. Keep other programs away, and start over with "
        "--overwrite."
    )
    E224 = (
        "[E224] The lock {lock} was removed or replaced, so another run may be writing "
        "to {path}. Make sure that none is, and start over with --overwrite."
    )
    E225 = (
        "[E225] The folder {folder} has '{name}', which {kind}, so its texts would be "
        "left out. Only .parquet files are read, not those in folders, such as those "
        "of a partitioned data set. Score each folder by itself, and move or rename "
        "other files."
    )
    E226 = (
        "[E226] The output {path} is in the input folder {folder}, so that another run "
        "would read the results as texts. Choose an OUT outside of it."
    )

    # Compressed files
    E175 = (
        "[E175] {name} isn't a whole {kind} file: it is torn, damaged, or something "
        "else. Some of its records may be missing, so get the file again. If 'score' "
        "was writing it, continue that run with --resume."
    )
    E176 = (
        "[E176] Files compressed with zstd need pyarrow. Install it with: "
        "pip install 'spacy-duoguard[parquet]'"
    )
    E177 = "[E177] {name} is compressed with {kind}, but named like a text. {remedy}"
    E178 = (
        "[E178] Standard input is compressed, so its beginning doesn't show its "
        "format. Set --format to one of: {formats}."
    )
    E220 = (
        "[E220] Standard input doesn't begin with '{{', so it may be text or damaged "
        "JSON lines. Set --format to one of: {formats}."
    )

    # Outputs of commands
    E227 = (
        "[E227] The output {output} is the input {input}, contains it or lies inside "
        "it, so the input could be lost. Choose another path."
    )
    E348 = (
        "[E348] The output '{path}' begins with '-', which isn't standard output here: "
        "only a file or a folder can be written. Choose another path."
    )
    E349 = (
        "[E349] spaCy's tokenizer for '{value}' can't be loaded: {problem} Install "
        "what it needs, or use another language, such as 'xx' for any."
    )
    E350 = (
        "[E350] --review-recall {recall:g} would not hold: {allowed} of {total} unsafe "
        "texts would be allowed. Review thresholds are chosen for each category alone, "
        "on texts in which it's known. Add --unsafe, label the categories, or raise "
        "the recall."
    )
    E351 = (
        "[E351] {path} has results of records that could not be scored, so it can't be "
        "continued with --strict. Nothing was changed. Leave out --strict, or fix "
        "the records and start over with --overwrite."
    )
    E352 = (
        "[E352] Component '{name}' was loaded anew {count} times while it scored a "
        "text. Load a new pipeline, and let your threads use it once it's complete."
    )
    E353 = (
        "[E353] A doc has scores of duoguard as its gold: values of doc.cats, or the "
        "spans of doc.spans, are those of its record in doc.user_data['duoguard']. "
        "'spacy apply' and nlp.pipe write them. Use the corpus as it was before, or "
        "set doc.cats and doc.spans to what people have labelled, and nothing else."
    )
    E354 = (
        "[E354] The files of {name} have more than {limit:,} different columns: each "
        "row has all of them, which would take time and memory without a limit. Give "
        "them the same columns, or score them one by one."
    )
    E228 = (
        "[E228] The output {output} exists and isn't a {kind}. Only a {kind} is "
        "replaced, never a device, a pipe or a link. Choose another path."
    )
    E230 = (
        "[E230] Can't read or write {file}: {problem}. Check its path, its permissions "
        "and the space on its disk."
    )

    # Evaluation
    E144 = (
        "[E144] {folder} has none of the evaluation files. Use a folder with a "
        "subfolder for each language, as in github.com/yihedeng9/DuoGuard."
    )
    E145 = (
        "[E145] {path} isn't the expected evaluation file: {problem} (row {number}). "
        "Download it again: results on other rows couldn't be compared."
    )
    E146 = (
        "[E146] None of the texts ({count}) can be compared: each is empty or longer "
        "than one window, where transformers truncates. Use others with --texts."
    )
    E347 = (
        "[E347] Can't compare with {name} of transformers, which doesn't load "
        "({problem}). It needs docstrings, so run Python without -OO and "
        "PYTHONOPTIMIZE=2; otherwise, check the installation of transformers."
    )
    E149 = (
        "[E149] Plots need matplotlib. Install it with: "
        "pip install 'spacy-duoguard[plot]'"
    )

    E277 = (
        "[E277] None of the results in {path} belongs to a row of the evaluation: "
        "{count} have a {what} that no row has, and {broken} can't be read.{first} Say "
        "where the values are with --scores-field, e.g. text=prompt."
    )
    E278 = (
        "[E278] The option --{option} ({value!r}) must be one of --scores NAME=FILE, "
        "--scores-field [NAME:]KEY=FIELD with text, id, score or flag as the KEY, "
        "--scores-threshold [NAME:]NUMBER."
    )
    E279 = (
        "[E279] Two systems are called '{name}'. Choose another name with --scores "
        "NAME=FILE."
    )

    # Review
    E150 = (
        "[E150] {path} has no results. Use a JSON lines file written by 'score', or a "
        "folder with .jsonl or .parquet files. JSON lines may be compressed (.gz or "
        ".zst)."
    )
    E151 = (
        "[E151] No record of {path} has a text in the field '{key}'. Set --text-key to "
        "the field with the texts. Records have {count} other fields."
    )
    E324 = (
        "[E324] {path} has the scores of the texts in the field '{scored}', not of "
        "those in '{key}'. Set --text-key to '{scored}'."
    )
    E231 = (
        "[E231] {path} doesn't have results of 'score': no line is a JSON object with "
        "cats, flags or a status. Score the texts first, and use the output."
    )
    E232 = (
        "[E232] There are no native kernels for {system}: they are for Linux on x86-64."
    )
    E233 = (
        "[E233] No C compiler is installed ({names}). Install one, or name it in the "
        "environment variable CC."
    )
    E234 = (
        "[E234] The native kernels can't be compiled or loaded: {problem}. Set CC to "
        "another compiler, or kernels = 'torch'."
    )
    E235 = (
        "[E235] The folder {folder} for compiled kernels is {problem}. Remove it, or "
        "set XDG_CACHE_HOME to a folder of your own."
    )
    E236 = (
        "[E236] The native kernels don't multiply {precision} on this processor. Set "
        "precision = 'float32', or kernels = 'torch'."
    )
    E237 = (
        "[E237] The native kernels compute wrong products here, as a test with a small "
        "decoder shows. Set CC to another compiler, or kernels = 'torch'."
    )
    E322 = (
        "[E322] The output folder {path} has '{name}', which no run has written, but "
        "which would be read as results. Move it elsewhere."
    )
    E155 = (
        "[E155] Can't render a doc without results of component 'duoguard'. Process it "
        "with a pipeline that has the component."
    )

    # Corpora
    E265 = (
        "[E265] attrs['{key}'] of a gold span group must be a list of [start_char, "
        "end_char, label]. Convert the corpus again, or remove the key if all spans "
        "without an entry are safe."
    )
    E266 = (
        "[E266] --rename ({value!r}) must be OLD=NEW, e.g. HATE=Hate, or OLD= to leave "
        "a label out, once for each label."
    )
    E267 = (
        "[E267] --rename to '{name}', which isn't a category. Choose one of: "
        "{categories}. Add your own with --labels."
    )
    E268 = (
        "[E268] Output '{output}' must end in .spacy. With --split it must be a "
        "folder, for train.spacy and dev.spacy."
    )
    E269 = "[E269] --split ({value}) must lie between 0 and 1, e.g. 0.2."
    E270 = (
        "[E270] {record} can't be converted: {problem}. Fix it, or leave out --strict "
        "to leave out such records."
    )
    E271 = (
        "[E271] {path} has no text in the field '{key}'. Use the results that the "
        "review page was made of, and set --documents-key to the field with the texts."
    )
    E272 = (
        "[E272] Labels that aren't categories (with their number of records): "
        "{labels}. Nothing was written. Add your own categories with --labels, rename "
        "others with --rename OLD=NEW, or leave them out with --rename OLD=."
    )
    E273 = (
        "[E273] Records with the same text contradict each other in {count} cases: "
        "{conflicts}. Nothing was written. Correct them, or say with --conflicts what "
        "counts: unknown, unsafe or last."
    )
    E274 = (
        "[E274] None of the {count} records of {source} says anything about its text."
        "{first} Use corrections of the review page, an export of Prodigy, or lines "
        "with text and cats, unsafe or spans."
    )
    E275 = (
        "[E275] --split {share} leaves one side without a text: there are {count}, and "
        "documents with a sentence in common stay together. Use more texts, or another "
        "share."
    )
    E276 = (
        "[E276] Output '{output}' of a corpus must be a .jsonl, .jsonl.gz or "
        ".jsonl.zst file, or - for standard output."
    )

    # Ray
    E321 = (
        "[E321] Can't score the batch: {problem}. It must be a pyarrow Table, or a "
        "mapping of columns of equal length with values of one type each."
    )
    E156 = "[E156] {name} ({value!r}) must be at least {least}."
    E157 = (
        "[E157] Scoring on Ray needs Ray and pyarrow. Install them with: "
        "pip install 'spacy-duoguard[ray]'"
    )
    E158 = (
        "[E158] The Ray cluster is too small for {actors} actors and one CPU for "
        "reading and writing, so Ray would wait forever: it has {cpus} CPUs and {gpus} "
        "GPUs. Use fewer actors, or start more nodes."
    )
    E159 = (
        "[E159] {path} must be a folder with either .jsonl or .parquet files, on "
        "storage that all nodes of the cluster share."
    )
    E160 = (
        "[E160] {path} already exists. Choose another folder, or use --overwrite to "
        "replace it, which only works for folders of .jsonl or .parquet files."
    )
    E161 = (
        "[E161] Ray failed: {kind}. OUT is unchanged, and --resume continues. See "
        "Ray's log, or use --verbose for its report."
    )
    E162 = (
        "[E162] The output {path} is the input or contains it, so replacing it would "
        "delete the texts. Choose another folder."
    )
    E185 = (
        "[E185] Column '{column}' has type {kind} in {file}, but {other} in "
        "{other_file}, and no type holds both. Convert one of the files, or score them "
        "separately."
    )
    E186 = (
        "[E186] {path} was changed while it was scored. Once it stays as it is, "
        "continue with --resume, or start over with --overwrite."
    )
    E187 = (
        "[E187] The machines of the cluster would score differently: {names}. Install "
        "the same versions and models on all of them, and set --precision if their "
        "hardware differs."
    )
    E188 = (
        "[E188] {count} actors died while they scored records {first} to {last}, or "
        "while they started if there are none. They may need more memory: lower "
        "--batch-tokens, or give them larger machines. See Ray's log. --resume "
        "continues."
    )
    E189 = (
        "[E189] A run into {path} was interrupted. Continue it with --resume, or start "
        "over with --overwrite."
    )
    E190 = (
        "[E190] For {minutes} minutes the cluster has had no room for a single actor. "
        "Start more nodes, and continue with --resume."
    )
    E191 = (
        "[E191] The results for {path} were changed while others were still being "
        "scored, so they weren't put in place. --resume scores the changed ones again."
    )
    E215 = (
        "[E215] Another thread or process has been saving to {folder} for minutes. "
        "Wait until it has finished, or save to another folder."
    )

    # Duels
    E280 = (
        "[E280] [{section}] {name} ({value!r}) must be {rule}. In a config, comments "
        "need lines of their own."
    )
    E281 = "[E281] '{name}' isn't a setting of a duel. There are: {known}."
    E282 = (
        "[E282] [{section}] {name} isn't set. A duel needs the seeds, the dev texts, a "
        "generator and its languages."
    )
    E283 = (
        "[E283] Can't read the config {path} ({problem}). It must have the form of "
        "spaCy's configs: sections, and values in JSON."
    )
    E284 = (
        "[E284] Set either [generator] endpoint, the address of a server, or path, a "
        "folder of weights to serve on this machine."
    )
    E285 = (
        "[E285] [judge] safe_to ({safe}) must be below unsafe_from ({unsafe}): a "
        "rating can't mean both."
    )
    E286 = (
        "[E286] [generator] {name} ({value!r}) must be a folder on this machine with "
        "the weights of a causal language model. To train a generator, its server must "
        "take that folder as the model, as 'transformers serve' does; or set "
        "train_generator to false."
    )
    E287 = (
        "[E287] With {what}, [generator] python must name the Python of an environment "
        "with transformers[serving], and trl and peft to train."
    )
    E288 = (
        "[E288] [{section}] endpoint must be an address such as "
        "http://127.0.0.1:8000/v1, without a user, a password or a query. Put the name "
        "of the variable that holds a key into api_key_env."
    )
    E289 = (
        "[E289] Can't use the labelled texts in {path}: {problem}. Each line must be a "
        "JSON object with 'text', and labels of 0 or 1 in 'cats' or as 'unsafe'."
    )
    E345 = (
        "[E345] Lines of {path} with the same text have labels that contradict each "
        "other: {lines}. A duel would train on both. Correct them, or leave only one "
        "line."
    )
    E346 = (
        "[E346] {path} has labels that aren't categories of the guard {guard}: "
        "{labels}. The guard has: {known}. Correct them, or leave them out."
    )
    E290 = (
        "[E290] Can't use the prompts in {path}: {problem}. Start from a copy of "
        "spacy_duoguard/duel/prompts.yml."
    )
    E291 = (
        "[E291] [{section}] api_key_env names the variable '{name}', which {problem}. "
        "Export the key alone, or remove the setting if the server needs none."
    )
    E292 = (
        "[E292] The server answered {status}: it doesn't accept the key, or doesn't "
        "have the model '{model}'. Check api_key_env, endpoint and model, then repeat "
        "the command."
    )
    E293 = (
        "[E293] A duel needs the package '{package}'. Install the extra: pip install "
        "'spacy-duoguard[duel]'."
    )
    E294 = (
        "[E294] Asked for its models, the server answered with: {problem}. Set "
        "'model' to the one to use."
    )
    E295 = (
        "[E295] A line of {path} isn't what a duel writes. Something else has changed "
        "the file: restore it, or start over in another folder."
    )
    E296 = (
        "[E296] The last {count} requests failed ({kinds}). Answers so far are kept: "
        "check the server, then repeat the command to ask for the rest."
    )
    E297 = "[E297] '{what}' has failed ({problem}). Its output is in {log}."
    E298 = (
        "[E298] Can't train with the config {path}: {problem}. It must be a config for "
        "'spacy train' with one component 'duoguard', and train, dev and model in "
        "[paths], as spacy_duoguard/duel/head.cfg."
    )
    E299 = (
        "[E299] {path} holds a duel with other settings: {names}. Restore them to "
        "continue it, or start over in another folder."
    )
    E300 = (
        "[E300] {path} holds something else than a duel. Choose a new or an empty "
        "folder."
    )
    E301 = (
        "[E301] Another run is writing to {path}. Wait until it has ended, or choose "
        "another folder."
    )
    E302 = (
        "[E302] Can't use {path} as a config of 'trl dpo': {problem}. Start from a "
        "copy of spacy_duoguard/duel/dpo.yml."
    )


class Warnings:
    W001 = (
        "[W001] 'demo' is a tiny model for trying out the pipeline. It is not fit for "
        "moderation: use 'DuoGuard/DuoGuard-0.5B' instead."
    )
    W002 = (
        "[W002] This process was forked after torch had started threads, which a fork "
        "doesn't inherit, so it continues with a single torch thread. To use more, "
        "start the workers with the 'spawn' method, or load and score only in the "
        "workers."
    )
    W003 = (
        "[W003] '{name}' was saved with {key} = {saved!r}, but the config of this "
        "pipeline has the default, {mine!r}, which is used. To use the saved value, "
        "set {key} in the config."
    )
    W004 = (
        "[W004] The values of {keys} in doc.cats aren't those that the component "
        "'duoguard' wrote: other code uses the same keys. Rename the labels there, or "
        "read doc._.duoguard_cats, which keeps the scores of the component."
    )
    W005 = (
        "[W005] After an error ({cause}), {kind}. The scores are right, but scoring is "
        "slower. If memory ran out, lower max_batch_tokens. Anything else is worth a "
        "bug report. classifier.runner.fallbacks counts such events."
    )
    W006 = (
        "[W006] device 'auto' follows spacy.prefer_gpu(), which needs CuPy. It isn't "
        "installed, so the model runs on the CPU, although torch sees a CUDA device. "
        "Set device to 'cuda' or install CuPy; set it to 'cpu' to use the CPU."
    )
    W024 = (
        "[W024] No turn of a conversation has one of the roles {roles}, so only the "
        "conversation as a whole was scored. Check the setting 'roles'."
    )
    W010 = (
        "[W010] Component '{name}' ignores the keys {keys} in the gold doc.cats: they "
        "aren't categories of its model. To train them, add them with add_label."
    )
    W011 = (
        "[W011] Component '{name}' ignores the gold spans in doc.spans['{key}']: it "
        "doesn't score spans. To train on them, set sents or span_getter."
    )
    W012 = (
        "[W012] {count} gold spans in doc.spans['{key}'] don't match any span that "
        "component '{name}' scores. Where they overlap one, their categories count as "
        "unknown. Annotate the spans that the span getter returns."
    )
    W013 = (
        "[W013] SCORE, by which the best pipeline is selected, includes figures that "
        "training can't change: {shares}, of {names}. In [training.score_weights], set "
        "{nulls}."
    )
    W020 = (
        "[W020] kernels = 'native' isn't used: {problem} The scores are right, but "
        "computed by torch, more slowly."
    )
    W019 = (
        "[W019] {path} is incomplete: {reason}. Records may be missing from the page. "
        "Continue the run with 'score --resume', then make the page again."
    )
    W028 = (
        "[W028] Seeds and generated texts leave this machine: they are sent to "
        "{hosts}. Use an endpoint on this machine if they must not."
    )
    W029 = (
        "[W029] {count} seeds were left out, because they are near-duplicates of dev "
        "texts: dev would no longer show what the guard learned."
    )
    W032 = (
        "[W032] {count} texts were left out of the figures: their docs have no scores "
        "of the component ('{prefix}_left_out'). A later component may have made new "
        "docs, or cleared 'doc.user_data': add duoguard after it."
    )
    W033 = (
        "[W033] Reference docs have scores of duoguard as their gold: values of "
        "doc.cats, or the spans of doc.spans, are those of the record in "
        "doc.user_data['duoguard']. Figures, and what is learned, then only repeat the "
        "model. Use the corpus as it was before 'spacy apply' or nlp.pipe."
    )
    W031 = (
        "[W031] {texts} texts and {spans} spans could not be scored. They count as "
        "flagged in every category: the figures aren't only the model's. The numbers "
        "are in '{prefix}_not_scored' and '{prefix}_spans_not_scored', too; "
        "doc._.duoguard_status says which. Look for what the error handler reported."
    )
    W030 = (
        "[W030] On dev, the guard that is kept flags more safe texts than the first "
        "one: {after:.1%} instead of {before:.1%}. Set [guard] calibrate, or choose "
        "its thresholds with 'duoguard calibrate'."
    )


def describe_type(error: BaseException) -> str:
    """error (BaseException): Any error.
    RETURNS (str): Its type, and its code if it has one, but not its message, which may
        quote a text."""
    code = re.match(r"\[[EW]\d+\]", str(error))
    name = type(error).__name__
    return f"{name} {code[0]}" if code else name
