// Marks and notes in the browser's local storage, never texts: an item for each document
// with marks, so that a mark costs the same however many there are, and two tabs don't
// replace each other's documents.
const PREFIX = `spacy-duoguard:${data.digest}:`;
const store = {
  unsaved: new Set(), // records whose marks are not stored
  failed: null, // why, if something could not be stored or read
  elsewhere: 0, // documents with marks that `--top` leaves out of this page
  damaged: 0, // stored items that don't fit the results
  changed: () => {}, // set by main.js: called when another tab has changed a document
  reported: () => {}, // set by main.js: called when one of the above has changed
};

// localStorage itself throws where the browser forbids it.
function attempt(action) {
  try {
    return { value: action(localStorage) };
  } catch (error) {
    return { error };
  }
}

function saveEntry(doc) {
  const entry = entryOf(doc);
  const name = PREFIX + doc.record;
  const { error } = attempt((storage) =>
    isBlank(entry) ? storage.removeItem(name) : storage.setItem(name, JSON.stringify(entry)),
  );
  if (error) store.unsaved.add(doc.record);
  else store.unsaved.delete(doc.record);
  return error;
}

// Store a document, and those that could not be stored before.
function save(doc) {
  const before = store.unsaved.size;
  let error = saveEntry(doc);
  if (!error) {
    for (const record of [...store.unsaved]) {
      error = saveEntry(byRecord.get(record));
      if (error) break;
    }
  }
  store.failed = error ? reasonOf(error) : null;
  if (before || store.unsaved.size) store.reported();
}

function reasonOf(error) {
  return error.name === "QuotaExceededError" ? "its storage is full" : "it allows this page no storage";
}

function readEntry(doc, value) {
  let entry = null;
  try {
    entry = JSON.parse(value);
  } catch {
    return null; // counted as damaged by the caller
  }
  return isEntry(entry, doc) ? { marks: entry.marks, notes: entry.notes } : null;
}

function recordOf(name) {
  return name.startsWith(PREFIX) && /^\d+$/.test(name.slice(PREFIX.length))
    ? Number(name.slice(PREFIX.length))
    : null;
}

function loadEntries() {
  const { value: names = [], error } = attempt((storage) => Object.keys(storage));
  if (error) store.failed = reasonOf(error);
  for (const name of names) {
    const record = recordOf(name);
    const doc = byRecord.get(record);
    if (record !== null && !doc) store.elsewhere += 1;
    if (!doc) continue;
    const entry = readEntry(doc, localStorage.getItem(name));
    if (entry) setEntry(doc, entry);
    else store.damaged += 1;
  }
}

// Another tab has changed something.
addEventListener("storage", ({ key, newValue, storageArea }) => {
  if (attempt((storage) => storage === storageArea).value !== true) return;
  if (key === null) {
    // Everything was removed. What is here must not be lost, too.
    for (const record of entries.keys()) saveEntry(byRecord.get(record));
    return;
  }
  const doc = byRecord.get(recordOf(key));
  if (!doc) return;
  const entry = newValue === null ? NOTHING : readEntry(doc, newValue);
  if (!entry) return; // not of this page: what is here stays, and replaces it when it changes
  setEntry(doc, entry);
  store.unsaved.delete(doc.record);
  store.changed(doc);
});
