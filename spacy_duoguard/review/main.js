// The page: controls and keyboard shortcuts.
const $ = (id) => document.getElementById(id);
const STATUSES = ["ok", "truncated", "empty", "error"];
let open = null; // the document shown

function refresh() {
  const counts = applyFilters();
  const { shown, found } = counts;
  open ??= shown[0] ?? null; // stays open if the filters hide it
  showList(shown, open);
  $("nothing").hidden = shown.length > 0;
  const searched = found < docs.length ? ` · ${found.toLocaleString("en")} found` : "";
  $("count").textContent =
    `${shown.length.toLocaleString("en")} of ${plural(docs.length, "document")}${searched}` +
    ` · ${counts.flagged.toLocaleString("en")} flagged`;
  drawCategories(counts.perCategory);
  drawStatuses(counts.statuses);
  drawThreshold();
  showDocument(open, list.current, shown.length);
}

function drawSummary() {
  const failed = docs.filter((doc) => doc.failed).length;
  const parts = [plural(docs.length, "document")];
  if (data.left_out) parts.push(`the riskiest of ${data.total.toLocaleString("en")}`);
  parts.push(`${docs.filter((doc) => doc.scored.includes(true)).length.toLocaleString("en")} flagged in the results`);
  if (failed) parts.push(`${failed.toLocaleString("en")} not scored`);
  $("summary").textContent = parts.join(" · ");
}

function drawCategories(counts) {
  const box = $("categories");
  if (!box.children.length) box.append(...labels.map(makeCategory));
  [...box.children].forEach((item, i) => {
    const button = item.firstChild;
    button.setAttribute("aria-pressed", String(state.categories.has(i)));
    button.lastChild.textContent = counts[i].toLocaleString("en");
  });
  const active =
    state.categories.size + Number(state.flaggedOnly) + Number(Boolean(state.status)) +
    Number(state.threshold !== null);
  $("active").textContent = active ? ` (${active} active)` : "";
}

function makeCategory(label, i) {
  const button = make(
    "button",
    { className: "category", attributes: { type: "button" } },
    paint(make("span", { className: "dot", attributes: { "aria-hidden": "true" } }), i),
    make("span", { text: label }),
    make("span", { className: "number" }),
  );
  button.addEventListener("click", () => {
    if (!state.categories.delete(i)) state.categories.add(i);
    refresh();
  });
  return make("li", {}, button);
}

function drawStatuses(counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const options = [["", `any (${total})`], ...STATUSES.map((s) => [s, `${s} (${counts[s] ?? 0})`])];
  $("status").replaceChildren(
    ...options.map(([value, text]) => make("option", { text, attributes: { value } })),
  );
  $("status").value = state.status;
}

function drawThreshold() {
  const scored = state.threshold === null;
  $("threshold-value").textContent = scored ? "original" : state.threshold.toFixed(2);
  $("as-scored").disabled = scored;
  $("threshold-note").textContent = scored
    ? "Showing the flags of the results file. Move the slider to try one threshold."
    : "One threshold for all categories. Marked sentences do not change.";
}

function showListView() {
  document.body.dataset.view = "list";
  list.box.focus();
}

function showDocumentView() {
  document.body.dataset.view = "document";
  article.focus({ preventScroll: true });
}

list.select = (doc) => {
  open = doc;
  history.replaceState(null, "", `#record-${doc.record}`);
  showDocument(doc, list.current, list.docs.length);
};

list.open = showDocumentView;

let typing = 0;
$("query").addEventListener("input", (event) => {
  state.query = event.target.value;
  clearTimeout(typing);
  typing = setTimeout(refresh, 80);
});
$("threshold").addEventListener("input", (event) => {
  state.threshold = Number(event.target.value);
  refresh();
});
$("as-scored").addEventListener("click", () => {
  state.threshold = null;
  refresh();
});
$("flagged-only").addEventListener("change", (event) => {
  state.flaggedOnly = event.target.checked;
  refresh();
});
for (const id of ["status", "order"]) {
  $(id).addEventListener("change", (event) => {
    state[id] = event.target.value;
    refresh();
  });
}
$("reset").addEventListener("click", () => {
  Object.assign(state, { query: "", status: "", flaggedOnly: false, threshold: null });
  state.categories.clear();
  $("query").value = "";
  $("flagged-only").checked = false;
  $("threshold").value = "0.5";
  refresh();
});
$("help-open").addEventListener("click", () => $("help").showModal());

const KEYS = {
  j: () => choose(list.current + 1),
  k: () => choose(list.current - 1),
  s: nextSentence,
  "/": () => {
    document.body.dataset.view = "list";
    $("query").focus();
  },
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
  if (event.key === "Escape") return showListView();
  const typed = event.target.closest("input:not([type=checkbox], [type=range]), select");
  if (event.key === "Enter" && event.target === list.box) {
    if (list.current < 0) choose(0);
    showDocumentView();
  } else if (!typed && $("single-keys").checked && event.key in KEYS) KEYS[event.key]();
  else return;
  event.preventDefault();
});

const wide = matchMedia("(min-width: 75rem)");
const fitFilters = () => {
  $("more").open = wide.matches;
};
wide.addEventListener("change", fitFilters);
fitFilters();

document.body.dataset.view = "list";
const wanted = /^#record-(\d+)$/.exec(location.hash);
if (wanted) {
  open = docs.find((doc) => doc.record === Number(wanted[1])) ?? null;
  if (open) document.body.dataset.view = "document";
}
drawSummary();
refresh();
