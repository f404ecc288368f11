// What comes first: what is risky, what is unsure, or what contradicts itself.

// The results hold flags, but no thresholds. A category's threshold is between its highest
// score without a flag and its lowest score with one.
function readThresholds() {
  return labels.map((_, i) => {
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
}
const thresholds = readThresholds();

function chosen() {
  return state.categories.size ? [...state.categories] : labels.map((_, i) => i);
}

// A document that was not scored sorts first in each order.
function riskOf(doc) {
  if (doc.failed) return 2;
  if (!state.categories.size) return doc.max;
  return Math.max(...chosen().map((i) => doc.probs[i]));
}

function closenessOf(doc) {
  if (doc.failed) return 2;
  const distances = chosen().map((i) => Math.abs(doc.probs[i] - (state.threshold ?? thresholds[i])));
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
    const limit = state.threshold ?? thresholds[i];
    return Math.max(1e-6, flagged ? doc.probs[i] - limit : ofSentences[i] - doc.probs[i]);
  });
  return Math.max(...gaps);
}

const ORDERS = { risk: riskOf, closeness: closenessOf, disagreement: disagreementOf };

function sortDocuments(documents) {
  const measures = state.order === "record" ? [] : [ORDERS[state.order], riskOf];
  const ranks = new Map(documents.map((doc) => [doc, measures.map((measure) => measure(doc))]));
  const compare = (a, b) => {
    const [first, second] = [ranks.get(a), ranks.get(b)];
    const i = first.findIndex((rank, j) => rank !== second[j]);
    return i < 0 ? a.record - b.record : second[i] - first[i];
  };
  documents.sort(compare);
}
