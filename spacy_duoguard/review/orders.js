// What comes first: what is risky, what is unsure, or what contradicts itself.

// The results hold flags, but no thresholds. A category's threshold is between its highest
// score without a flag and its lowest score with one.
let thresholds = null; // read when they are needed

function readThresholds() {
  thresholds ??= labels.map((_, i) => {
    let low = 0;
    let high = 1;
    for (const doc of docs) {
      if (doc.failed || doc.status === "empty") continue;
      if (doc.scored[i]) high = Math.min(high, doc.probs[i]);
      else low = Math.max(low, doc.probs[i]);
    }
    if (low <= 0.5 && 0.5 <= high) return 0.5; // the default
    return high === 1 ? low : low === 0 ? high : (low + high) / 2;
  });
  return thresholds;
}

function limitOf(label) {
  return state.threshold ?? readThresholds()[label];
}

function chosen() {
  return state.categories.size ? [...state.categories] : labels.map((_, i) => i);
}

// A document that was not scored sorts first in each order. A flagged sentence or message
// counts as much as the whole text.
function riskOf(doc) {
  if (doc.failed) return 2;
  let risk = state.categories.size ? Math.max(...chosen().map((i) => doc.probs[i])) : doc.max;
  for (const { review, cats } of doc.sentences) {
    for (const [i, score] of review ? [] : cats) {
      if (!state.categories.size || state.categories.has(i)) risk = Math.max(risk, score);
    }
  }
  return risk;
}

function closenessOf(doc) {
  if (doc.failed) return 2;
  const distances = chosen().map((i) => Math.abs(doc.probs[i] - limitOf(i)));
  if (doc.reason && state.threshold === null && chosen().includes(doc.reason[0])) {
    distances.push(Math.abs(doc.reason[1])); // exact
  }
  return -Math.min(...distances);
}

// How much a flagged sentence exceeds a document that isn't flagged, or a flagged document
// the threshold, if none of its sentences is flagged. 0 if they agree.
function disagreementOf(doc) {
  if (doc.failed) return 2;
  const ofSentences = labels.map(() => 0);
  for (const { cats } of doc.sentences.filter((sentence) => !sentence.review)) {
    for (const [i, score] of cats) ofSentences[i] = Math.max(ofSentences[i], score);
  }
  const gaps = chosen().map((i) => {
    const flagged = isFlagged(doc, i);
    if (flagged === ofSentences[i] > 0) return 0;
    return Math.max(1e-6, flagged ? doc.probs[i] - limitOf(i) : ofSentences[i] - doc.probs[i]);
  });
  return Math.max(...gaps);
}

const ORDERS = { risk: riskOf, closeness: closenessOf, disagreement: disagreementOf };

// Sorted again only if something has changed that an order depends on.
const sorting = { key: null, docs: [] };

function sortingKey() {
  const byLimit = state.order === "closeness" || state.order === "disagreement";
  return JSON.stringify([state.order, chosen(), byLimit ? state.threshold : null]);
}

// RETURNS: all documents in the chosen order; equal ones by risk.
function inOrder() {
  const key = sortingKey();
  if (sorting.key !== key) Object.assign(sorting, { key, docs: sortDocuments() });
  return sorting.docs;
}

function sortDocuments() {
  if (state.order === "record") return [...docs].sort((a, b) => a.record - b.record);
  const measure = ORDERS[state.order];
  const ranked = docs.map((doc) => ({ doc, rank: measure(doc), risk: riskOf(doc) }));
  ranked.sort((a, b) => b.rank - a.rank || b.risk - a.risk || a.doc.record - b.doc.record);
  return ranked.map(({ doc }) => doc);
}
