// The controls around the list, and what they show.
const STATUSES = ["ok", "truncated", "empty", "error"];
const ACTIONS = ["allow", "review", "block"];
const MARK_WORDS = {
  undone: "undone",
  done: "done",
  begun: "begun",
  differs: "you disagree",
  notes: "with a note",
};

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
    Number(Boolean(state.action)) + Number(Boolean(state.marks)) + Number(state.threshold !== null);
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

// `options`: [value, name, count] triples.
function drawOptions(id, options) {
  $(id).replaceChildren(
    ...options.map(([value, name, number]) =>
      make("option", { text: `${name} (${number.toLocaleString("en")})`, attributes: { value } }),
    ),
  );
  $(id).value = state[id];
}

function drawChoices({ statuses, actions, marked, found }) {
  const all = ["", "any", found];
  drawOptions("status", [all, ...STATUSES.map((name) => [name, name, statuses[name] ?? 0])]);
  drawOptions("action", [all, ...ACTIONS.map((name) => [name, name, actions[name] ?? 0])]);
  const words = MARK_NAMES.map((name) => [name, MARK_WORDS[name], marked[name] ?? 0]);
  drawOptions("marks", [all, ...words]);
}

function drawThreshold() {
  const scored = state.threshold === null;
  $("threshold-value").textContent = scored ? "original" : state.threshold.toFixed(2);
  $("as-scored").disabled = scored;
  $("threshold-note").textContent = scored
    ? "Showing the flags of the results file. Move the slider to try one threshold."
    : "One threshold for all categories. Flagged sentences do not change.";
}

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
for (const id of ["status", "action", "marks", "order"]) {
  $(id).addEventListener("change", (event) => {
    state[id] = event.target.value;
    refresh();
  });
}
$("reset").addEventListener("click", () => {
  const none = { query: "", status: "", action: "", marks: "", flaggedOnly: false, threshold: null };
  Object.assign(state, none);
  state.categories.clear();
  $("query").value = "";
  $("flagged-only").checked = false;
  $("threshold").value = "0.5";
  refresh();
});

for (const button of document.querySelectorAll("#question [data-answer]")) {
  button.addEventListener("click", () => {
    const isPressed = button.getAttribute("aria-pressed") === "true";
    answer(isPressed ? UNKNOWN : button.dataset.answer);
  });
}
$("rest").addEventListener("click", answerRest);
$("whole").addEventListener("click", () => ask(""));
$("undo").addEventListener("click", takeBack);
$("export").addEventListener("click", exportMarks);
$("import").addEventListener("click", () => $("import-file").click());
$("import-file").addEventListener("change", async (event) => {
  await importMarks(event.target.files[0]);
  event.target.value = ""; // the same file can be chosen again
});
$("by-category").addEventListener("toggle", drawProgress);
$("help-open").addEventListener("click", () => $("help").showModal());
