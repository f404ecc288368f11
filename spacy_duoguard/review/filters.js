// Which documents are shown, in which order, and how many are flagged.
const state = {
  query: "",
  categories: new Set(), // indices; empty: all
  status: "",
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
  return labels.map((_, i) => i).filter((i) => isFlagged(doc, i));
}

function matchesText(doc, words) {
  if (!words) return true;
  if (doc.folded === null) {
    const fields = Object.values(doc.fields);
    doc.folded = fold([doc.text ?? "", ...fields].join("\n"));
  }
  return doc.folded.includes(words);
}

function riskOf(doc) {
  if (doc.failed) return 2; // sorts first
  if (!state.categories.size) return doc.max;
  return Math.max(...[...state.categories].map((i) => doc.probs[i]));
}

// RETURNS: the documents to show, sorted, and counts over the search results.
function applyFilters() {
  const words = fold(state.query.trim());
  const results = docs.filter((doc) => matchesText(doc, words));
  const statuses = {};
  const perCategory = labels.map(() => 0);
  let flagged = 0;
  const shown = [];
  for (const doc of results) {
    statuses[doc.status] = (statuses[doc.status] ?? 0) + 1;
    if (state.status && doc.status !== state.status) continue;
    const flags = flagsOf(doc);
    for (const i of flags) perCategory[i] += 1;
    if (flags.length) flagged += 1;
    if (state.flaggedOnly && !flags.length) continue;
    if (state.categories.size && !flags.some((i) => state.categories.has(i))) continue;
    shown.push(doc);
  }
  if (state.order === "risk") {
    const risks = new Map(shown.map((doc) => [doc, riskOf(doc)]));
    shown.sort((a, b) => risks.get(b) - risks.get(a) || a.record - b.record);
  } else {
    shown.sort((a, b) => a.record - b.record);
  }
  return { shown, found: results.length, flagged, perCategory, statuses };
}
