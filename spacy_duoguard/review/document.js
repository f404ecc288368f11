// One document: its text with the flagged sentences marked, and its scores.
const EXCERPT = 80; // characters of a sentence in the list of sentences
const article = document.getElementById("document");

function showDocument(doc, position, total) {
  if (!doc) {
    article.replaceChildren(make("p", { className: "notice", text: "No document selected." }));
    return;
  }
  const parts = [documentHead(doc, position, total)];
  if (doc.failed) parts.push(failure(doc));
  if (doc.status === "truncated") {
    parts.push(notice("This text was truncated: part of it was not scored."));
  }
  const text = make("div", { className: "text", attributes: { dir: "auto" } });
  if (doc.text === null) text.append(make("em", { text: "No text in the results." }));
  else text.append(...markedText(doc));
  const side = make("div", { className: "scores" }, scoreTable(doc));
  if (doc.curve) side.append(curveFigure(doc));
  if (doc.readings.length) side.append(readingList(doc));
  if (doc.sentences.length) side.append(sentenceList(doc));
  if (Object.keys(doc.fields).length) side.append(fieldList(doc));
  parts.push(make("div", { className: "body" }, text, side));
  article.replaceChildren(...parts);
  article.scrollTop = 0;
}

function documentHead(doc, position, total) {
  const where = position >= 0 ? `${position + 1} of ${total.toLocaleString("en")}` : "hidden by the filters";
  const back = make("button", { className: "back", text: "Back to the list" });
  const previous = make("button", { text: "Previous", attributes: { "aria-keyshortcuts": "k" } });
  const next = make("button", { text: "Next", attributes: { "aria-keyshortcuts": "j" } });
  previous.disabled = position === 0;
  next.disabled = position >= total - 1;
  back.addEventListener("click", showListView);
  previous.addEventListener("click", () => choose(list.current - 1));
  next.addEventListener("click", () => choose(list.current + 1));
  const title = make("h2", { text: `Record ${doc.record}` });
  if (doc.status !== "ok") title.append(" ", badge(doc.status));
  const note = make("span", { className: "note", text: where });
  return make("div", { className: "head" }, back, title, note, previous, next);
}

function notice(text) {
  return make("p", { className: "notice", text });
}

function failure(doc) {
  const reason = doc.note ? ` Reason: ${doc.note}` : "";
  const box = notice(
    `This document could not be scored, so it is marked unsafe in every category.${reason}`,
  );
  box.classList.add("failed");
  box.setAttribute("role", "note");
  return box;
}

// Split the text at the boundaries of its sentences, which may overlap.
function markedText(doc) {
  const units = unitsOf(doc.text);
  const sentences = doc.sentences.map(({ start, end, cats }) => ({
    start: units(start),
    end: units(end),
    cats,
  }));
  const boundaries = new Set([0, doc.text.length]);
  for (const { start, end } of sentences) boundaries.add(start).add(end);
  const offsets = [...boundaries].sort((a, b) => a - b);
  const opening = [...sentences.keys()].sort((a, b) => sentences[a].start - sentences[b].start);
  let open = [];
  const nodes = [];
  for (let i = 0; i + 1 < offsets.length; i += 1) {
    open = open.filter((j) => sentences[j].end > offsets[i]);
    while (opening.length && sentences[opening[0]].start <= offsets[i]) open.push(opening.shift());
    const text = doc.text.slice(offsets[i], offsets[i + 1]);
    nodes.push(open.length ? mark(text, open, sentences, offsets[i]) : text);
  }
  return nodes;
}

function mark(text, open, sentences, offset) {
  const cats = sorted(open.flatMap((j) => sentences[j].cats));
  const tip = describe(cats);
  const element = make("mark", { text, attributes: { "data-tip": tip } });
  paint(element, cats[0][0]);
  const starts = open.filter((j) => sentences[j].start === offset);
  if (starts.length) {
    element.id = `sentence-${starts[0]}`;
    element.tabIndex = 0;
    element.prepend(make("span", { className: "hidden", text: `[flagged: ${tip}] ` }));
    for (const [label] of cats.slice(1)) {
      element.append(paint(make("span", { className: "dot", attributes: { "aria-hidden": "true" } }), label));
    }
    element.append(make("span", { className: "hidden", text: " [end] " }));
  }
  return element;
}

function sorted(cats) {
  return [...cats].sort((a, b) => b[1] - a[1]);
}

function describe(cats) {
  return cats.map(([label, score]) => `${labels[label]} ${format(score)}`).join(" · ");
}

function scoreTable(doc) {
  const table = make("table", {}, make("caption", { text: "Categories" }));
  const body = make("tbody");
  labels.forEach((label, i) => {
    const flagged = isFlagged(doc, i);
    const bar = paint(make("div", { className: "bar" }), i);
    bar.style.setProperty("--score", doc.probs[i]);
    if (state.threshold !== null) bar.style.setProperty("--limit", state.threshold);
    bar.classList.toggle("limited", state.threshold !== null);
    const value = make("td", { className: "value", text: format(doc.probs[i]) });
    const verdict = make("td", { className: "verdict", text: flagged ? "flagged" : "" });
    const row = make(
      "tr",
      { className: flagged ? "flagged" : "" },
      make("th", { text: label, attributes: { scope: "row" } }),
      make("td", { attributes: { "aria-hidden": "true" } }, bar),
      value,
      verdict,
    );
    body.append(row);
  });
  table.append(body);
  return table;
}

function curveFigure(doc) {
  return make(
    "figure",
    {},
    make("figcaption", { text: "Risk along the text" }),
    make("p", { className: "note", text: describeCurve(doc) }),
    drawCurve(doc),
  );
}

function sentenceList(doc) {
  const items = make("ol", { className: "sentences" });
  const units = unitsOf(doc.text);
  doc.sentences.forEach(({ start, end, cats }, j) => {
    const text = doc.text.slice(units(start), units(end)).replace(/\s+/g, " ").trim();
    const excerpt = text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
    const button = make("button", { className: "link", text: describe(sorted(cats)) });
    button.addEventListener("click", () => goToSentence(j));
    items.append(make("li", {}, button, " ", make("bdi", { text: excerpt })));
  });
  return make("section", {}, make("h3", { text: "Flagged sentences" }), items);
}

// Disguised or encoded text as it was read, beside the text itself.
function readingList(doc) {
  const items = make("ol", { className: "readings" });
  for (const [view, unsafe, text] of doc.readings) {
    const name = make("span", { className: "note", text: `${view}, unsafe ${format(unsafe)}: ` });
    items.append(make("li", {}, name, make("bdi", { text })));
  }
  return make("section", {}, make("h3", { text: "Read as …" }), items);
}

function goToSentence(j) {
  const target = document.getElementById(`sentence-${j}`);
  if (!target) return;
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}

function nextSentence() {
  const marks = [...article.querySelectorAll("mark[tabindex]")];
  const at = marks.indexOf(document.activeElement);
  const target = marks[(at + 1) % marks.length];
  target?.scrollIntoView({ block: "center" });
  target?.focus({ preventScroll: true });
}

function fieldList(doc) {
  const items = make("dl", { className: "fields" });
  for (const [name, value] of Object.entries(doc.fields)) {
    items.append(
      make("dt", {}, make("bdi", { text: name })),
      make("dd", {}, make("bdi", { text: value })),
    );
  }
  return make("section", {}, make("h3", { text: "Other fields" }), items);
}
