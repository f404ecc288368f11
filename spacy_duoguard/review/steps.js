// Change marks and notes, and take changes back.
const steps = []; // each a list of { doc, before, after }

function isSame(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

// Store new entries, as one step. `changes`: [doc, entry] pairs.
function change(changes) {
  const step = changes
    .map(([doc, after]) => ({ doc, before: entryOf(doc), after }))
    .filter(({ before, after }) => !isSame(before, after));
  for (const { doc, after } of step) {
    setEntry(doc, after);
    save(doc);
  }
  if (step.length) steps.push(step);
}

// RETURNS: the step that was taken back; null if there is none, or another tab has changed
// one of its documents since.
function undo() {
  const step = steps.pop();
  if (!step) return null;
  if (!step.every(({ doc, after }) => isSame(entryOf(doc), after))) return null;
  for (const { doc, before } of step) {
    setEntry(doc, before);
    save(doc);
  }
  return step;
}

// RETURNS: what differs first between two entries: the key, and the category of a mark.
function firstDifference({ before, after }) {
  for (const key of new Set([...Object.keys(before.marks), ...Object.keys(after.marks)])) {
    const differs = (i) => answerOf(before, key, i) !== answerOf(after, key, i);
    const label = labels.findIndex((_, i) => differs(i));
    if (label >= 0) return { key, label };
  }
  const keys = new Set([...Object.keys(before.notes), ...Object.keys(after.notes)]);
  return { key: [...keys].find((key) => before.notes[key] !== after.notes[key]) };
}

// A note is stored with each letter, and taken back as a whole.
const writing = { doc: null, before: null };

function writeNote(doc, key, note) {
  if (writing.doc !== doc) finishNote();
  if (writing.doc === null) Object.assign(writing, { doc, before: entryOf(doc) });
  setEntry(doc, withNote(entryOf(doc), key, note));
  save(doc);
}

function finishNote() {
  const { doc, before } = writing;
  Object.assign(writing, { doc: null, before: null });
  if (doc && !isSame(before, entryOf(doc))) steps.push([{ doc, before, after: entryOf(doc) }]);
}
