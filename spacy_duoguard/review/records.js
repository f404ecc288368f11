// The embedded results. Texts are only ever set as textContent or attributes.
const $ = (id) => document.getElementById(id);
const data = JSON.parse(document.getElementById("data").textContent);
const { labels, colors, docs } = data;
const byRecord = new Map(docs.map((doc) => [doc.record, doc]));

const hasActions = docs.some((doc) => doc.action);

for (const doc of docs) {
  doc.failed = doc.status === "error";
  doc.action ??= doc.failed && hasActions ? "block" : null;
  doc.max = doc.failed ? 1 : Math.max(0, ...doc.probs);
  const flagged = new Set(doc.flags);
  // The highest score of a flagged part: a sentence, or a message of a conversation.
  const parts = doc.sentences.filter((part) => !part.review).flatMap((part) => part.cats);
  doc.part = Math.max(0, ...parts.map(([, score]) => score));
  doc.scored = labels.map((_, i) => doc.failed || flagged.has(i));
  doc.markable = Boolean(doc.text) && doc.status !== "empty";
  doc.folded = null; // set when the text is first searched
}

// Fold a text for search: ignore case, width and composition.
function fold(text) {
  return text.normalize("NFKC").toLowerCase();
}

// Python counts code points, JavaScript counts UTF-16 units.
// RETURNS: functions that convert offsets into this text from the one to the other.
function offsetsOf(text) {
  const astral = []; // offsets, in code points, of characters that take two units
  let point = 0;
  for (const character of text) {
    if (character.length === 2) astral.push(point);
    point += 1;
  }
  const count = (isBefore) => {
    let low = 0;
    let high = astral.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(middle)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    toUnits: (points) => points + count((i) => astral[i] < points),
    toPoints: (units) => units - count((i) => astral[i] + i < units),
  };
}

// Truncated, not rounded: 0.4996 must not read 0.500 next to a threshold of 0.50.
function format(score) {
  return (Math.floor(score * 1000 + 1e-9) / 1000).toFixed(3);
}

function plural(count, noun, nouns = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;
}

// Make an element. `text` is never parsed as markup.
function make(tag, { className, text, attributes = {} } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Set the colour as a variable, so that the policy can forbid inline styles.
function paint(element, label) {
  element.style.setProperty("--color", colors[label]);
  return element;
}
