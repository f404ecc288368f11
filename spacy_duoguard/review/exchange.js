// Marks as a file: a JSON line for each, in the binary form of Prodigy. docs/review.md has
// the keys.
const SUFFIX = /(\.jsonl?|\.parquet)?(\.gz|\.zst)?$/;
const LINE_BREAKS = /[\u0085\u2028\u2029]/g; // which JSON allows, but not all readers

function lineOf(doc, key, sentence, label, character) {
  const entry = entryOf(doc);
  const isMark = label !== null;
  const meta = {
    unit: key === "" ? "document" : "sentence",
    source: data.source,
    results: data.digest,
    record: doc.record,
    score: isMark ? scoreBy(doc, key, label) : null,
    flagged: isMark ? flaggedBy(doc, key, label) : null,
  };
  if (sentence) Object.assign(meta, { start: sentence.start, end: sentence.end });
  if (doc.fields.id !== undefined) meta.id = doc.fields.id;
  if (entry.notes[key]) meta.note = entry.notes[key];
  const line = JSON.stringify({
    text: sentence ? doc.text.slice(sentence.from, sentence.to) : doc.text,
    label: isMark ? labels[label] : "",
    answer: ANSWERS[character],
    meta,
  });
  return line.replace(LINE_BREAKS, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// A note without marks is a line without a label, which nothing is learned from.
function linesOf(doc) {
  const entry = entryOf(doc);
  const spans = spanKeys(entry);
  const some = spans.size ? sentencesOf(doc, entry).filter((s) => spans.has(s.key)) : [];
  return [["", null], ...some.map((s) => [s.key, s])].flatMap(([key, sentence]) => {
    const given = [...(entry.marks[key] ?? "")].flatMap((c, i) => (c === UNKNOWN ? [] : [[i, c]]));
    if (!given.length && entry.notes[key]) given.push([null, "i"]);
    return given.map(([label, character]) => lineOf(doc, key, sentence, label, character));
  });
}

function exportMarks() {
  finishNote();
  const lines = docs.filter((doc) => entries.has(doc.record)).flatMap(linesOf);
  const file = new Blob(lines.map((line) => `${line}\n`), { type: "application/jsonl" });
  const link = make("a", { attributes: { download: `${data.source.replace(SUFFIX, "")}.marks.jsonl` } });
  link.href = URL.createObjectURL(file);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const others = store.elsewhere
    ? ` It lacks the marks of ${plural(store.elsewhere, "document")} that this page leaves out.`
    : "";
  say(`${plural(lines.length, "line")} exported. The file holds the marked texts.${others}`);
}

// RETURNS: [document, key] pairs that a line is about; none if it fits no document.
function targetsOf(line, byText) {
  const { text, meta } = line;
  if (typeof text !== "string") return [];
  const isSentence = meta?.unit === "sentence";
  const doc = byRecord.get(meta?.record);
  if (!isSentence) {
    if (doc?.markable && doc.text === text) return [[doc, ""]];
    return (byText.get(text) ?? []).map((same) => [same, ""]);
  }
  const { start, end } = meta;
  if (!doc?.markable || !Number.isInteger(start) || !Number.isInteger(end) || start < 0) return [];
  const { toUnits } = offsetsOf(doc.text);
  return start < end && doc.text.slice(toUnits(start), toUnits(end)) === text ? [[doc, `${start}-${end}`]] : [];
}

// Add a line to the new entries. RETURNS: what became of it.
function addLine(line, byText, added) {
  const character = Object.keys(ANSWERS).find((c) => ANSWERS[c] === line?.answer);
  const label = labels.indexOf(line?.label);
  const note = typeof line?.meta?.note === "string" ? line.meta.note : "";
  const isNote = line?.label === "" && character === "i" && note !== "";
  if (!character || (label < 0 && !isNote)) return "unknown";
  const targets = targetsOf(line, byText);
  if (!targets.length) return "unknown";
  let outcome = "kept";
  for (const [doc, key] of targets) {
    let entry = added.get(doc) ?? entryOf(doc);
    const before = isNote ? character : answerOf(entry, key, label);
    if (note && !entry.notes[key]) entry = withNote(entry, key, note);
    const isNew = before === UNKNOWN;
    if (isNew) entry = withAnswers(entry, key, { [label]: character });
    if (note && entry.notes[key] !== note) outcome = "differs";
    if (!isNew && before !== character) outcome = "differs";
    added.set(doc, entry);
  }
  return outcome;
}

// Marks that are here already stay.
function importLines(content) {
  const byText = new Map();
  for (const doc of docs) {
    if (!doc.markable) continue;
    if (byText.has(doc.text)) byText.get(doc.text).push(doc);
    else byText.set(doc.text, [doc]);
  }
  const added = new Map();
  const numbers = { kept: [], differs: [], unknown: [] };
  content.split(/\r?\n/).forEach((line, i) => {
    if (!line.trim()) return;
    let parsed = null;
    try {
      parsed = JSON.parse(line);
    } catch {
      parsed = null; // reported as unknown
    }
    numbers[addLine(parsed, byText, added)].push(i + 1);
  });
  change([...added]);
  marksChanged([...added.keys()]);
  if (asked.doc) showDocument(asked.doc, list.current, list.docs.length);
  return numbers;
}

function describeImport({ kept, differs: different, unknown }) {
  const parts = [`${plural(kept.length, "line")} imported`];
  if (different.length) parts.push(`${lineNumbers(different)} differ from your marks, which were kept`);
  if (unknown.length) parts.push(`${lineNumbers(unknown)} fit no document of these results, or are no marks`);
  return `${parts.join("; ")}.`;
}

function lineNumbers(numbers) {
  const first = numbers.slice(0, 10).join(", ");
  return `${plural(numbers.length, "line")} (${first}${numbers.length > 10 ? ", …" : ""})`;
}

async function importMarks(file) {
  finishNote();
  if (!file) return;
  let content = "";
  try {
    content = await file.text();
  } catch {
    say("The file can't be read.");
    return;
  }
  say(describeImport(importLines(content)));
}
