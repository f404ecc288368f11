// What is asked about the document, or about one of its sentences: one category at a time.
const asked = { doc: null, key: "", label: 0, rows: [], typed: "", at: 0 };
const NUMBER_PAUSE = 1000; // milliseconds between two digits of one number

function openQuestions(doc) {
  finishNote();
  Object.assign(asked, { doc, key: "", rows: [] });
  asked.label = doc ? nextLabel() ?? riskiest() : 0;
}

// RETURNS: the categories of what is asked about, those that are flagged first.
function byScore() {
  const { doc, key } = asked;
  const isFirst = (i) => Number(flaggedBy(doc, key, i) === true);
  const rank = (i) => 2 * isFirst(i) + (scoreBy(doc, key, i) ?? doc.probs[i] / 2);
  return labels.map((_, i) => i).sort((a, b) => rank(b) - rank(a) || a - b);
}

// RETURNS: the next flagged category without an answer.
function nextLabel() {
  const { doc, key } = asked;
  const isOpen = (i) => answerOf(entryOf(doc), key, i) === UNKNOWN;
  return byScore().find((i) => isOpen(i) && flaggedBy(doc, key, i));
}

function riskiest() {
  return byScore()[0];
}

// Ask about the document (an empty key) or a sentence of it, and about a category.
function ask(key, label) {
  if (!asked.doc?.markable) return;
  asked.key = key;
  asked.label = label ?? nextLabel() ?? riskiest();
  drawQuestions();
}

function pick(label) {
  if (!labels[label]) return;
  asked.label = label;
  drawQuestions();
}

// The second digit of a number follows within a second.
function typeDigit(digit) {
  const now = performance.now();
  const both = now - asked.at < NUMBER_PAUSE ? Number(asked.typed + digit) : 0;
  const number = both > 9 && labels[both - 1] ? both : Number(digit) || 10;
  Object.assign(asked, { typed: digit, at: now });
  pick(number - 1);
}

function answer(character, label = asked.label) {
  if (!asked.doc?.markable) return;
  finishNote();
  asked.label = label;
  change([[asked.doc, withAnswers(entryOf(asked.doc), asked.key, { [label]: character })]]);
  const word = character === UNKNOWN ? "no answer" : WORDS[character];
  const next = nextLabel();
  if (character !== UNKNOWN && next !== undefined) asked.label = next;
  marksChanged([asked.doc]);
  const more = next === undefined ? "" : ` Next: ${labels[next]}.`;
  say(`${labels[label]}: ${word}.${more}`);
}

// Answer "no" to each category without an answer.
function answerRest() {
  if (!asked.doc?.markable) return;
  finishNote();
  const entry = entryOf(asked.doc);
  const open = labels.map((_, i) => i).filter((i) => answerOf(entry, asked.key, i) === UNKNOWN);
  const answers = Object.fromEntries(open.map((i) => [i, "n"]));
  if (open.length) change([[asked.doc, withAnswers(entry, asked.key, answers)]]);
  marksChanged([asked.doc]);
  say(open.length ? `No to ${plural(open.length, "category", "categories")}.` : "Each category has an answer.");
}

// Step through the sentences, or only those that are flagged.
function stepSentence(step, isFlaggedOnly) {
  const { sentences } = shown;
  const some = sentences.filter((s) => !isFlaggedOnly || s.cats);
  if (!some.length) return say(isFlaggedOnly ? "No flagged sentences." : "No sentences.");
  const at = targetIndex();
  const target =
    step > 0 ? some.find((s) => s.index > at) ?? some[0]
    : some.findLast((s) => s.index < at) ?? some.at(-1);
  ask(target.key);
  goToSentence(target.index);
}

// RETURNS: the index of the sentence that is asked about; -1 for the document.
function targetIndex() {
  return shown.sentences.findIndex((s) => s.key === asked.key);
}

function subject() {
  const at = targetIndex();
  return at < 0 ? "document" : `sentence ${at + 1} of ${shown.sentences.length}`;
}

function drawQuestions() {
  const { doc, key, label } = asked;
  $("question").hidden = !doc?.markable;
  if (!doc) return;
  const entry = entryOf(doc);
  asked.rows.forEach((row, i) => fillRow(row, i, answerOf(entry, key, i)));
  if (!doc.markable) return;
  drawTarget(targetIndex());
  drawNote(entry.notes[key] ?? "");
  drawSentences(entry);
  const dot = paint(make("span", { className: "dot", attributes: { "aria-hidden": "true" } }), label);
  const name = make("strong", {}, dot, `${label + 1} ${labels[label]}`);
  $("asked").replaceChildren(`Does this ${subject()} belong to `, name, "?");
  $("asked-note").textContent = opinion(doc, key, label);
  const given = answerOf(entry, key, label);
  for (const button of document.querySelectorAll("#question [data-answer]")) {
    button.setAttribute("aria-pressed", String(button.dataset.answer === given));
  }
  $("whole").hidden = key === "";
}

function opinion(doc, key, label) {
  const flagged = flaggedBy(doc, key, label);
  if (flagged === null) return "not scored";
  const score = scoreBy(doc, key, label);
  const where = state.threshold === null ? "" : " in the results"; // not by the slider
  const verdict = `${flagged ? "flagged" : "not flagged"}${where}`;
  return score === null ? verdict : `${format(score)}, ${verdict}`;
}

// Mouse: pick a category, or answer in its row. The answer that is pressed is taken back.
function questionTable(doc) {
  const body = make("tbody");
  asked.rows = labels.map((_, i) => questionRow(doc, i));
  body.append(...asked.rows.map((row) => row.row));
  const caption = make("caption", { text: "Categories" });
  return make("table", { attributes: { id: "categories-of" } }, caption, body);
}

function questionRow(doc, i) {
  const name = doc.markable
    ? make("button", { className: "pick", attributes: { type: "button" } })
    : make("span", { className: "pick" });
  name.append(make("span", { className: "index", text: String(i + 1) }), labels[i]);
  name.addEventListener("click", () => pick(i));
  const bar = paint(make("div", { className: "bar" }), i);
  const cells = {
    chart: make("td", { className: "chart", attributes: { "aria-hidden": "true" } }, bar),
    value: make("td", { className: "value" }),
    verdict: make("td", { className: "verdict" }),
    answers: make("td", { className: "answers" }),
  };
  const buttons = doc.markable ? ["y", "n"].map((character) => rowButton(i, character)) : [];
  cells.answers.append(...buttons, make("span", { className: "unsure" }));
  const head = make("th", { attributes: { scope: "row" } }, name);
  const row = make("tr", {}, head, ...Object.values(cells));
  return { ...cells, row, bar, buttons };
}

function rowButton(i, character) {
  const button = make("button", {
    text: WORDS[character],
    className: `small ${WORDS[character]}`,
    attributes: { type: "button", "aria-label": `${labels[i]}: ${WORDS[character]}` },
  });
  button.addEventListener("click", () => {
    const isPressed = button.getAttribute("aria-pressed") === "true";
    answer(isPressed ? UNKNOWN : character, i);
  });
  return button;
}

function fillRow({ row, bar, value, verdict, answers, buttons }, i, given) {
  const { doc, key } = asked;
  const score = key === "" ? doc.probs[i] : scoreBy(doc, key, i);
  const flagged = key === "" ? isFlagged(doc, i) : flaggedBy(doc, key, i) === true;
  const limit = key === "" ? state.threshold : null;
  row.classList.toggle("flagged", flagged);
  if (doc.markable && i === asked.label) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
  bar.style.setProperty("--score", score ?? 0);
  bar.classList.toggle("limited", limit !== null);
  if (limit !== null) bar.style.setProperty("--limit", limit);
  value.textContent = score === null ? "–" : format(score);
  verdict.textContent = flagged ? "flagged" : "";
  for (const button of buttons) {
    const isGiven = button.textContent === WORDS[given];
    button.setAttribute("aria-pressed", String(isGiven));
  }
  answers.lastChild.textContent = given === "i" ? "unsure" : "";
}
