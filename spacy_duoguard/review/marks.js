// What the moderator has marked. The question is always whether a document, or a sentence
// of it, belongs to a category.
//
// An entry is what is stored of a document. It is never changed, but replaced:
// { marks: { "": "..yn", "19-33": "y..." }, notes: { "": "…" } }. The key is empty for the
// document, and has the offsets of a sentence. A mark has a character for each category.
const ANSWERS = { y: "accept", n: "reject", i: "ignore" };
const WORDS = { y: "yes", n: "no", i: "unsure" };
const UNKNOWN = ".";
const NOTHING = { marks: {}, notes: {} };
const entries = new Map(); // by record

function entryOf(doc) {
  return entries.get(doc.record) ?? NOTHING;
}

function spanKeys(entry) {
  const keys = [...Object.keys(entry.marks), ...Object.keys(entry.notes)];
  return new Set(keys.filter((key) => key !== ""));
}

function answerOf(entry, key, label) {
  return entry.marks[key]?.[label] ?? UNKNOWN;
}

// RETURNS: an entry with the answers { label: character } about one key.
function withAnswers(entry, key, answers) {
  const line = [...(entry.marks[key] ?? UNKNOWN.repeat(labels.length))];
  for (const [label, answer] of Object.entries(answers)) line[label] = answer;
  const marks = { ...entry.marks, [key]: line.join("") };
  if (line.every((answer) => answer === UNKNOWN)) delete marks[key];
  return { ...entry, marks };
}

function withNote(entry, key, note) {
  const notes = { ...entry.notes, [key]: note };
  if (!note) delete notes[key];
  return { ...entry, notes };
}

function isBlank(entry) {
  return !Object.keys(entry.marks).length && !Object.keys(entry.notes).length;
}

// RETURNS: whether this is an entry that fits the document, wherever it comes from.
function isEntry(entry, doc) {
  if (!doc.markable) return false;
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject(entry) || !isObject(entry.marks) || !isObject(entry.notes)) return false;
  const mark = new RegExp(`^[.yni]{${labels.length}}$`);
  const fits = (key) => {
    if (key === "") return true;
    const [, start, end] = /^(0|[1-9]\d{0,8})-([1-9]\d{0,8})$/.exec(key) ?? [];
    return Number(start) < Number(end) && Number(end) <= [...doc.text].length;
  };
  return (
    Object.entries(entry.marks).every(([key, line]) => fits(key) && mark.test(line)) &&
    Object.entries(entry.notes).every(([key, note]) => fits(key) && typeof note === "string")
  );
}

// What the results say: true or false; null if they say nothing.
function flaggedBy(doc, key, label) {
  if (doc.failed) return null;
  if (key === "") return doc.scored[label];
  const some = scoredAt(doc, key);
  if (!some.length) return null;
  return some.some(({ cats, review }) => !review && cats.some(([at]) => at === label));
}

function scoreBy(doc, key, label) {
  if (doc.failed) return null;
  if (key === "") return doc.probs[label];
  const cats = scoredAt(doc, key).flatMap((sentence) => sentence.cats);
  const scores = cats.filter(([at]) => at === label).map(([, score]) => score);
  return scores.length ? Math.max(...scores) : null;
}

function scoredAt(doc, key) {
  return doc.sentences.filter(({ start, end }) => `${start}-${end}` === key);
}

const judged = new WeakMap(); // by entry, which never changes

function judgeEntry(doc, entry) {
  if (!judged.has(entry)) {
    const isDifferent = tally(doc, entry).some((count) => count.differed);
    judged.set(entry, { isDone: isDone(doc, entry), isDifferent });
  }
  return judged.get(entry);
}

// Done: each flag of the document has an answer. Without flags, any category has one.
function isDone(doc, entry) {
  const line = entry.marks[""];
  if (!line) return false;
  const flags = doc.failed ? [] : labels.map((_, i) => i).filter((i) => doc.scored[i]);
  return flags.every((i) => line[i] !== UNKNOWN);
}

// RETURNS: counts for each category. `right` and `wrong` are flags; `missed` has none.
function tally(doc, entry) {
  const counts = labels.map(() => ({ yes: 0, no: 0, unsure: 0, agreed: 0, differed: 0, right: 0, wrong: 0, missed: 0 }));
  for (const [key, line] of Object.entries(entry.marks)) {
    for (let i = 0; i < line.length; i += 1) {
      if (line[i] === UNKNOWN) continue;
      counts[i][WORDS[line[i]]] += 1;
      const flagged = flaggedBy(doc, key, i);
      if (line[i] === "i" || flagged === null) continue;
      const yes = line[i] === "y";
      counts[i][yes === flagged ? "agreed" : "differed"] += 1;
      if (flagged) counts[i][yes ? "right" : "wrong"] += 1;
      else if (yes) counts[i].missed += 1;
    }
  }
  return counts;
}

// Kept up to date with each entry, so that a mark costs the same however many there are.
const totals = { done: 0, counts: tally(null, NOTHING) };

// Replace an entry, without storing it or remembering the step.
function setEntry(doc, entry) {
  const before = entryOf(doc);
  const [removed, added] = [tally(doc, before), tally(doc, entry)];
  totals.counts.forEach((count, i) => {
    for (const name of Object.keys(count)) count[name] += added[i][name] - removed[i][name];
  });
  totals.done += Number(isDone(doc, entry)) - Number(isDone(doc, before));
  if (isBlank(entry)) entries.delete(doc.record);
  else entries.set(doc.record, entry);
}
