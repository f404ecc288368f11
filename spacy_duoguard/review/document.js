// One document: its text, its scores and marks, and its fields.
const EXCERPT = 80; // characters of a sentence in the list of sentences
const article = document.getElementById("document");

function showDocument(doc, position, total) {
  const isInside = article.contains(document.activeElement);
  openQuestions(doc);
  if (!doc) {
    article.replaceChildren(make("p", { className: "notice", text: "No document selected." }));
    return;
  }
  const parts = [documentHead(doc, position, total)];
  if (doc.failed) parts.push(failure(doc));
  if (doc.status === "truncated") {
    parts.push(notice("This text was truncated: part of it was not scored."));
  }
  const side = make("div", { className: "scores" });
  const text = textBox(doc);
  side.append(questionTable(doc));
  if (doc.markable) side.append(noteField());
  if (doc.curve) side.append(curveFigure(doc));
  if (doc.readings.length) side.append(readingList(doc));
  if (doc.markable) side.append(make("section", { attributes: { id: "sentences" } }));
  if (Object.keys(doc.fields).length) side.append(fieldList(doc));
  parts.push(make("div", { className: "body" }, text, side));
  article.replaceChildren(...parts);
  drawQuestions();
  article.scrollTop = 0; // last, because the browser lays the page out for it
  if (isInside) article.focus({ preventScroll: true });
}

// Draw the document that is shown again, after something has changed that its text doesn't
// depend on: filters and the threshold.
function updateDocument(doc, position, total) {
  article.querySelector(".head").replaceWith(documentHead(doc, position, total));
  article.querySelector("figure")?.replaceWith(curveFigure(doc));
  drawQuestions();
}

function documentHead(doc, position, total) {
  const where = position >= 0 ? `${(position + 1).toLocaleString("en")} of ${total.toLocaleString("en")}` : "hidden by the filters";
  const back = make("button", { className: "back", text: "Back to the list", attributes: { type: "button" } });
  const previous = make("button", { text: "Previous", attributes: { type: "button", "aria-keyshortcuts": "k" } });
  const next = make("button", { text: "Next", attributes: { type: "button", "aria-keyshortcuts": "j" } });
  previous.disabled = position === 0;
  next.disabled = position >= total - 1;
  back.addEventListener("click", showListView);
  previous.addEventListener("click", () => choose(list.current - 1));
  next.addEventListener("click", () => choose(list.current + 1));
  const title = make("h2", { text: `Record ${doc.record}` });
  if (doc.status !== "ok") title.append(" ", badge(doc.status));
  if (doc.action) title.append(" ", badge(doc.action));
  const note = make("span", { className: "note", text: [where, ...decision(doc)].join(" · ") });
  return make("div", { className: "head" }, back, title, note, previous, next);
}

// Why a document is blocked, reviewed or allowed, if the results say so.
function decision(doc) {
  if (!doc.reason) return [];
  const [label, margin] = doc.reason;
  return [`because of ${labels[label]}, margin ${format(margin)}`];
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

function curveFigure(doc) {
  return make(
    "figure",
    {},
    make("figcaption", { text: "Risk along the text" }),
    make("p", { className: "note", text: describeCurve(doc) }),
    drawCurve(doc),
  );
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
