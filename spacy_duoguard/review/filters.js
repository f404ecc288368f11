// Which documents are shown, in which order, and how many are flagged.
const state = {
  query: "",
  categories: new Set(), // indices; empty: all
  status: "",
  action: "", // allow, review or block
  marks: "", // a key of MARKS
  flaggedOnly: false,
  threshold: null, // null: the flags of the results file
  order: "risk",
};

// Strictly above, as in the package. Documents that could not be scored are always flagged.
function isFlagged(doc, label) {
  if (doc.failed) return true;
  return state.threshold === null ? doc.scored[label] : doc.probs[label] > state.threshold;
}

function flagsOf(doc) {
  const flags = [];
  if (!doc.failed && state.threshold !== null && doc.max <= state.threshold) return flags;
  for (let i = 0; i < labels.length; i += 1) if (isFlagged(doc, i)) flags.push(i);
  return flags;
}

function matchesText(doc, words) {
  if (!words) return true;
  if (doc.folded === null) {
    const fields = Object.values(doc.fields);
    doc.folded = fold([doc.text ?? "", ...fields].join("\n"));
  }
  return doc.folded.includes(words);
}

const MARKS = {
  undone: (doc) => doc.markable && !judgeEntry(doc, entryOf(doc)).isDone,
  done: (doc) => judgeEntry(doc, entryOf(doc)).isDone,
  begun: (doc) => entries.has(doc.record) && MARKS.undone(doc),
  differs: (doc) => judgeEntry(doc, entryOf(doc)).isDifferent,
  notes: (doc) => Object.keys(entryOf(doc).notes).length > 0,
};
const MARK_NAMES = Object.keys(MARKS);

function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

function countMarks(counts, doc) {
  if (entries.has(doc.record)) {
    for (const name of MARK_NAMES) if (MARKS[name](doc)) count(counts, name);
  } else if (doc.markable) count(counts, "undone"); // as most are, so without a look at each
}

// RETURNS: the documents to show, in order, and counts over the search results.
function applyFilters() {
  const words = fold(state.query.trim());
  const results = inOrder().filter((doc) => matchesText(doc, words));
  const [statuses, actions, marked] = [{}, {}, {}];
  const perCategory = labels.map(() => 0);
  let flagged = 0;
  const shown = [];
  for (const doc of results) {
    count(statuses, doc.status);
    if (hasActions) count(actions, doc.action);
    countMarks(marked, doc);
    if (state.status && doc.status !== state.status) continue;
    if (state.action && doc.action !== state.action) continue;
    if (state.marks && !MARKS[state.marks](doc)) continue;
    const flags = flagsOf(doc);
    for (const i of flags) perCategory[i] += 1;
    if (flags.length) flagged += 1;
    if (state.flaggedOnly && !flags.length) continue;
    if (state.categories.size && !flags.some((i) => state.categories.has(i))) continue;
    shown.push(doc);
  }
  return { shown, found: results.length, flagged, perCategory, statuses, actions, marked };
}
