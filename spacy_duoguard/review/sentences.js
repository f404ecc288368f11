// The sentences of a document: those with scores in the results, those that are marked, and
// the rest of the text, divided at punctuation and line breaks.
const MOST = 1000; // the rest of a longer text is not divided, so that it is shown quickly
const BOUNDARY = /[\n\r\u2028\u2029]+|\p{Sentence_Terminal}+[\p{Pe}\p{Pf}"']*/gu;

// RETURNS: the parts of text[from:to], in UTF-16 units, without the spaces around them.
function divide(text, from, to) {
  const slice = text.slice(from, to);
  const parts = [];
  let start = 0;
  const add = (end) => {
    const part = slice.slice(start, end);
    const left = part.length - part.trimStart().length;
    if (left < part.length) parts.push([from + start + left, from + start + part.trimEnd().length]);
    start = end;
  };
  for (const match of slice.matchAll(BOUNDARY)) {
    const end = match.index + match[0].length;
    const isInside = /[.!?]/.test(match[0][0]) && /\S/.test(slice[end] ?? " ");
    if (!isInside) add(end); // unlike "3.5" and "example.org"
  }
  add(slice.length);
  return parts;
}

// RETURNS: { key, start, end, from, to, cats, review, index } by position. `start` and `end`
// count code points, `from` and `to` UTF-16 units. `cats` is null for a sentence without
// scores. `review` says that it is not flagged, but to be reviewed.
function sentencesOf(doc, entry) {
  const { toUnits, toPoints } = offsetsOf(doc.text);
  const known = new Map();
  const add = (start, end, cats, review = false) => {
    const key = `${start}-${end}`;
    const same = known.get(key);
    if (same) Object.assign(same, { cats: [...same.cats, ...cats], review: same.review && review });
    else known.set(key, { key, start, end, from: toUnits(start), to: toUnits(end), cats, review });
  };
  for (const { start, end, cats, review } of doc.sentences) add(start, end, cats, review);
  for (const key of spanKeys(entry)) if (!known.has(key)) add(...key.split("-").map(Number), null);
  const rest = [];
  let at = 0;
  for (const { from, to } of [...known.values()].sort(byPosition)) {
    if (from > at) rest.push(...divide(doc.text, at, from));
    at = Math.max(at, to);
  }
  rest.push(...divide(doc.text, at, doc.text.length));
  if (rest.length <= MOST) for (const [from, to] of rest) add(toPoints(from), toPoints(to), null);
  const sentences = [...known.values()].sort(byPosition);
  sentences.forEach((sentence, index) => Object.assign(sentence, { index }));
  return sentences;
}

function byPosition(a, b) {
  return a.from - b.from || a.to - b.to;
}
