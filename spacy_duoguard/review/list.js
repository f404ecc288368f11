// The list of documents. Only the visible rows are in the page.
const list = {
  box: document.getElementById("list"),
  rows: document.getElementById("rows"),
  docs: [],
  current: -1, // index in `docs`
  select: () => {}, // set by main.js: called with the document that is selected
  open: () => {}, // set by main.js: called when it is opened
};

const MARGIN = 4; // rows beyond the edges, for smooth scrolling
const SNIPPET = 160; // characters of a text in its row

function rowHeight() {
  return 4 * parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function showList(documents, keep) {
  list.docs = documents;
  list.current = documents.indexOf(keep);
  list.rows.style.height = `${documents.length * rowHeight()}px`;
  if (list.current >= 0) reveal(); // before the rows change, or the browser lays out twice
  drawRows();
}

function drawRows() {
  const height = rowHeight();
  const first = Math.max(0, Math.floor(list.box.scrollTop / height) - MARGIN);
  const rows = Math.ceil(list.box.clientHeight / height) + 2 * MARGIN;
  const last = Math.min(list.docs.length, first + rows);
  const drawn = [];
  for (let i = first; i < last; i += 1) drawn.push(makeRow(list.docs[i], i, height));
  list.rows.replaceChildren(...drawn);
  const active = list.current >= first && list.current < last;
  if (active) list.box.setAttribute("aria-activedescendant", `row-${list.current}`);
  else list.box.removeAttribute("aria-activedescendant");
}

function makeRow(doc, index, height) {
  const flags = flagsOf(doc);
  const row = make("div", {
    className: "row",
    attributes: {
      id: `row-${index}`,
      role: "option",
      "aria-selected": String(index === list.current),
      "aria-posinset": index + 1,
      "aria-setsize": list.docs.length,
    },
  });
  row.classList.toggle("failed", doc.failed);
  row.style.transform = `translateY(${index * height}px)`;
  const snippet = (doc.text ?? "").slice(0, SNIPPET).replace(/\s+/g, " ").trim();
  const names = flags.map((i) => labels[i]).join(", ");
  const line = make("span", { className: "line" });
  line.append(make("span", { className: "number", text: `#${doc.record}` }));
  if (doc.status !== "ok") line.append(badge(doc.status));
  if (doc.action) line.append(badge(doc.action));
  const stage = stageOf(doc);
  if (stage) line.append(badge(stage));
  line.append(make("span", { className: "names", text: doc.failed ? "not scored" : names }));
  if (!doc.failed && doc.part > doc.max) {
    line.append(make("span", { className: "part", text: `a part ${format(doc.part)}` }));
  }
  row.append(
    scoreBox(doc, flags.length > 0),
    make("bdi", { className: "snippet", text: snippet || doc.note || "no text" }),
    line,
    dots(doc.failed ? [] : flags),
  );
  row.addEventListener("click", () => {
    choose(index);
    list.open();
  });
  return row;
}

function scoreBox(doc, flagged) {
  const box = make("span", { className: "score", text: format(doc.max) });
  box.classList.toggle("flagged", flagged);
  return box;
}

function badge(status) {
  return make("span", { className: `badge ${status}`, text: status });
}

function stageOf(doc) {
  if (!entries.has(doc.record)) return "";
  return MARKS.done(doc) ? "done" : "begun";
}

function dots(flags) {
  const box = make("span", { className: "dots", attributes: { "aria-hidden": "true" } });
  for (const i of flags) box.append(paint(make("span", { className: "dot" }), i));
  return box;
}

function choose(index) {
  if (!list.docs.length) return;
  list.current = Math.min(Math.max(index, 0), list.docs.length - 1);
  reveal();
  drawRows();
  list.select(list.docs[list.current]);
}

function reveal() {
  const height = rowHeight();
  const top = list.current * height;
  const { scrollTop, clientHeight } = list.box;
  if (top < scrollTop) list.box.scrollTop = top;
  else if (top + height > scrollTop + clientHeight) {
    list.box.scrollTop = top + height - clientHeight;
  }
}

let frame = 0;
list.box.addEventListener("scroll", () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(drawRows);
});
list.box.addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
  const ends = { Home: 0, End: list.docs.length - 1 };
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in steps) choose(list.current + steps[event.key]);
  else if (event.key in ends) choose(ends[event.key]);
  else return;
  event.preventDefault();
});
new ResizeObserver(drawRows).observe(list.box);
