// The text of a document. Its sentences can be selected; flagged ones are marked.
const shown = {
  sentences: [],
  parts: [], // [element, indices of its sentences]
  target: -1, // the index of the sentence that is asked about
};

function textBox(doc) {
  const box = make("div", { className: "text", attributes: { dir: "auto" } });
  shown.sentences = doc.text === null ? [] : sentencesOf(doc, entryOf(doc));
  Object.assign(shown, { parts: [], target: -1 });
  if (doc.text === null) box.append(make("em", { text: "No text in the results." }));
  else box.append(...textNodes(doc.text));
  return box;
}

// Split the text at the boundaries of its sentences, which may overlap.
function textNodes(text) {
  const { sentences } = shown;
  const boundaries = new Set([0, text.length]);
  for (const { from, to } of sentences) boundaries.add(from).add(to);
  const offsets = [...boundaries].sort((a, b) => a - b);
  let next = 0;
  let open = [];
  const nodes = [];
  for (let i = 0; i + 1 < offsets.length; i += 1) {
    open = open.filter((j) => sentences[j].to > offsets[i]);
    while (next < sentences.length && sentences[next].from <= offsets[i]) {
      open.push(next);
      next += 1;
    }
    const slice = text.slice(offsets[i], offsets[i + 1]);
    nodes.push(open.length ? textPart(slice, open, offsets[i]) : slice);
  }
  return nodes;
}

function textPart(text, open, offset) {
  const cats = sorted(open.flatMap((j) => shown.sentences[j].cats ?? []));
  const element = cats.length ? mark(text, cats) : make("span", { className: "sentence", text });
  const starts = open.filter((j) => shown.sentences[j].from === offset);
  if (starts.length) {
    element.id = `sentence-${starts[0]}`;
    element.tabIndex = cats.length ? 0 : -1;
    if (cats.length) describeMark(element, cats, wordOf(open));
  }
  element.addEventListener("click", () => {
    if (getSelection().isCollapsed) ask(shown.sentences[open[open.length - 1]].key);
  });
  shown.parts.push([element, open]);
  return element;
}

function mark(text, cats) {
  const element = make("mark", { text, attributes: { "data-tip": describe(cats) } });
  return paint(element, cats[0][0]);
}

// What to call sentences with scores.
function wordOf(indices) {
  return indices.some((j) => shown.sentences[j].cats && !shown.sentences[j].review)
    ? "flagged"
    : "to be reviewed";
}

function describeMark(element, cats, word) {
  element.classList.toggle("review", word !== "flagged");
  element.prepend(make("span", { className: "hidden", text: `[${word}: ${describe(cats)}] ` }));
  for (const [label] of cats.slice(1)) {
    const dot = make("span", { className: "dot", attributes: { "aria-hidden": "true" } });
    element.append(paint(dot, label));
  }
  element.append(make("span", { className: "hidden", text: " [end] " }));
}

// RETURNS: each category once, with its highest score: a sentence can also be a message, or
// in one.
function sorted(cats) {
  const highest = new Map();
  for (const [label, score] of cats) highest.set(label, Math.max(score, highest.get(label) ?? 0));
  return [...highest].sort((a, b) => b[1] - a[1]);
}

function describe(cats) {
  return cats.map(([label, score]) => `${labels[label]} ${format(score)}`).join(" · ");
}

function excerptOf(doc, { from, to }) {
  const text = doc.text.slice(from, to).replace(/\s+/g, " ").trim();
  return text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
}

// Show which sentence the questions are about: -1 for the document.
function drawTarget(index) {
  if (index === shown.target) return;
  shown.target = index;
  for (const [element, open] of shown.parts) {
    element.classList.toggle("target", open.includes(index));
  }
}

function goToSentence(index) {
  const target = document.getElementById(`sentence-${index}`);
  if (!target) return;
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}
