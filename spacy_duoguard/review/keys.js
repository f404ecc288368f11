// Keyboard shortcuts.
const KEYS = {
  j: () => choose(list.current + 1),
  k: () => choose(list.current - 1),
  u: nextUndone,
  y: () => answer("y"),
  n: () => answer("n"),
  i: () => answer("i"),
  x: answerRest,
  z: takeBack,
  c: () => document.getElementById("note")?.focus(),
  s: () => stepSentence(1, true),
  S: () => stepSentence(-1, true),
  a: () => stepSentence(1, false),
  A: () => stepSentence(-1, false),
  d: () => ask(""),
  Delete: () => answer(UNKNOWN),
  Backspace: () => answer(UNKNOWN),
  "/": () => {
    document.body.dataset.view = "list";
    $("query").focus();
  },
  "?": () => $("help").showModal(),
};
const REPEATED = new Set("jkasAS"); // a key that is held answers only once
for (const digit of "0123456789") KEYS[digit] = () => typeDigit(digit);

// The next document in the list that isn't done, from the top again after the last one.
function nextUndone() {
  const after = list.docs.findIndex((doc, i) => i > list.current && MARKS.undone(doc));
  const index = after >= 0 ? after : list.docs.findIndex(MARKS.undone);
  if (index < 0) say("Each document in the list is done.");
  else choose(index);
}

function takeBack() {
  finishNote();
  if (!steps.length) return say("Nothing to undo.");
  const step = undo();
  if (!step) {
    drawProgress();
    return say("Not undone: another tab has changed these marks since.");
  }
  const { doc } = step[0];
  if (doc !== asked.doc) {
    open = doc;
    refresh(); // shows it, even if the filters hide it
  }
  const { key, label } = firstDifference(step[0]);
  ask(key, label); // or the next answer would be about something else
  marksChanged(step.map((part) => part.doc));
  say(`Undone: ${step.length > 1 ? plural(step.length, "document") : `record ${doc.record}`}.`);
}

// Escape leads from a note or a sentence to the document, and from there to the list.
function goBack(target) {
  if (target.id === "note") leaveNote();
  else if (asked.key !== "" && document.body.dataset.view === "document") ask("");
  else showListView();
}

document.addEventListener("keydown", (event) => {
  if ($("help").open) return;
  if (!/^\d$/.test(event.key)) asked.typed = ""; // a number ends
  const typed = event.target.closest("input:not([type=checkbox], [type=range]), select, textarea");
  const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.altKey && !typed;
  if (isUndo) takeBack();
  else if (event.ctrlKey || event.altKey || event.metaKey) return;
  else if (event.key === "Escape") goBack(event.target);
  else if (event.key === "Enter" && event.target === list.box) {
    if (list.current < 0) choose(0);
    showDocumentView();
  } else if (!typed && $("single-keys").checked && Object.hasOwn(KEYS, event.key)) {
    if (!event.repeat || REPEATED.has(event.key)) KEYS[event.key]();
  } else return;
  event.preventDefault();
});
