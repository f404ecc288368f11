// The page: what is drawn when.
let open = null; // the document shown
let isStale = false; // whether marks have changed since the list was filtered by them

function refresh() {
  const counts = applyFilters();
  const { shown: documents, found } = counts;
  isStale = false;
  open ??= documents[0] ?? null; // stays open if the filters hide it
  showList(documents, open);
  $("nothing").hidden = documents.length > 0;
  const searched = found < docs.length ? ` · ${found.toLocaleString("en")} found` : "";
  $("count").textContent =
    `${documents.length.toLocaleString("en")} of ${plural(docs.length, "document")}${searched}` +
    ` · ${counts.flagged.toLocaleString("en")} flagged`;
  drawCategories(counts.perCategory);
  drawChoices(counts);
  drawThreshold();
  const draw = open && open === asked.doc ? updateDocument : showDocument;
  draw(open, list.current, documents.length);
}

// Draw what depends on the marks of some documents. The list is filtered again when another
// document is selected, so that the one that was just done doesn't disappear.
function marksChanged(changed) {
  isStale = true;
  drawRows();
  drawProgress();
  if (changed.includes(asked.doc)) drawQuestions();
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
  say("");
  history.replaceState(null, "", `#record-${doc.record}`);
  if (isStale && state.marks) refresh();
  else showDocument(doc, list.current, list.docs.length);
};
list.open = showDocumentView;
store.changed = (doc) => {
  const known = new Set(shown.sentences.map((sentence) => sentence.key));
  const isNew = doc === asked.doc && [...spanKeys(entryOf(doc))].some((key) => !known.has(key));
  if (isNew) showDocument(doc, list.current, list.docs.length);
  marksChanged([doc]);
};
store.reported = drawNotices;
tabs.reported = drawNotices;

const wide = matchMedia("(min-width: 75rem)");
const fitFilters = () => {
  $("more").open = wide.matches;
};
wide.addEventListener("change", fitFilters);
fitFilters();

// A tab whose marks are not stored asks before it closes.
addEventListener("beforeunload", (event) => {
  if (store.unsaved.size) event.preventDefault();
});

document.body.dataset.view = "list";
const wanted = /^#record-(\d+)$/.exec(location.hash);
if (wanted) {
  open = byRecord.get(Number(wanted[1])) ?? null;
  if (open) document.body.dataset.view = "document";
}
$("action-field").hidden = !hasActions;
$("by-disagreement").disabled = !docs.some((doc) => doc.sentences.length);
loadEntries();
lookForOthers();
drawSummary();
drawNotices();
drawProgress();
refresh();
