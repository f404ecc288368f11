// The note on what is asked about, and the list of the sentences that are flagged or marked.
function noteField() {
  const field = make("textarea", { attributes: { id: "note", rows: 2, maxlength: 2000, spellcheck: "false" } });
  field.addEventListener("input", () => {
    writeNote(asked.doc, asked.key, field.value);
    marksChanged([asked.doc], field);
  });
  field.addEventListener("change", finishNote);
  field.addEventListener("blur", finishNote);
  return make("label", { className: "field", attributes: { id: "note-field" } }, make("span"), field);
}

function leaveNote() {
  if (asked.key !== "") return goToSentence(targetIndex());
  article.focus({ preventScroll: true });
  article.scrollTop = 0;
}

function drawNote(note) {
  const field = document.getElementById("note");
  field.previousSibling.textContent = `Note on this ${subject()}`;
  if (field !== document.activeElement || asked.noteKey !== asked.key) field.value = note;
  asked.noteKey = asked.key;
}

// Only the items that have changed are made again: a long text has many.
const items = { of: null, made: new Map() }; // by key: [what it shows, element]

function drawSentences(entry) {
  const box = document.getElementById("sentences");
  if (items.of !== box) {
    Object.assign(items, { of: box, made: new Map() });
    box.append(
      make("h3", { text: "Sentences that are flagged or marked" }),
      make("ol", { className: "sentences" }),
    );
  }
  const marked = spanKeys(entry);
  const some = shown.sentences.filter((s) => s.cats || marked.has(s.key));
  const before = [...items.made.values()].map(([, element]) => element);
  items.made = new Map(some.map((sentence) => [sentence.key, sentenceItem(sentence, entry)]));
  const after = [...items.made.values()].map(([, element]) => element);
  if (before.length !== after.length || before.some((element, i) => element !== after[i])) {
    box.lastChild.replaceChildren(...after);
  }
  box.hidden = !some.length;
}

function sentenceItem(sentence, entry) {
  const line = entry.marks[sentence.key] ?? "";
  const given = [...line].flatMap((c, i) => (c === UNKNOWN ? [] : [`${labels[i]}: ${WORDS[c]}`]));
  if (entry.notes[sentence.key]) given.push("note");
  const words = shorten(given);
  const made = items.made.get(sentence.key);
  if (made && made[0] === words) return made;
  const scores = sentence.cats && describe(sorted(sentence.cats));
  const text = sentence.review ? `${scores}, to be reviewed` : scores ?? "not flagged";
  const button = make("button", { className: "link", text, attributes: { type: "button" } });
  button.addEventListener("click", () => {
    ask(sentence.key);
    goToSentence(sentence.index);
  });
  const item = make("li", { attributes: { value: sentence.index + 1 } }, button, " ");
  if (words) item.append(make("span", { className: "given", text: words }), " ");
  item.append(make("bdi", { text: excerptOf(asked.doc, sentence) }));
  return [words, item];
}

function shorten(words) {
  if (words.length <= 4) return words.join(", ");
  return `${words.slice(0, 3).join(", ")} and ${words.length - 3} more`;
}
