// Find out whether the page is open in another tab, by an item in local storage: a tab says
// hello, the others answer, and one that closes removes the item. A tab that was killed
// only falls silent, so they are asked again as long as there are others.
const TAB = `${PREFIX}tab`;
const PATIENCE = 1000; // milliseconds for an answer; a later one counts, too
const AGAIN = 5000;
const tabs = {
  name: String(Math.random()).slice(2),
  said: 0,
  heard: false, // whether another tab has spoken since the last hello
  others: false,
  reported: () => {}, // set by main.js: called when `others` has changed
};

function tell(word) {
  tabs.said += 1; // an event needs another value
  // Without storage, there are no marks to share, which is said elsewhere.
  attempt((storage) => storage.setItem(TAB, `${word} ${tabs.name} ${tabs.said}`));
}

function setOthers(others) {
  if (tabs.others === others) return;
  tabs.others = others;
  tabs.reported();
}

function lookForOthers() {
  tabs.heard = false;
  tell("hello");
  setTimeout(() => setOthers(tabs.heard), PATIENCE);
}

addEventListener("storage", ({ key, newValue }) => {
  if (key !== TAB) return;
  if (newValue === null) {
    lookForOthers();
    return;
  }
  tabs.heard = true;
  setOthers(true);
  if (newValue.startsWith("hello")) tell("here");
});
addEventListener("pagehide", () => attempt((storage) => storage.removeItem(TAB)));
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && !store.unsaved.size) location.reload(); // it has missed other tabs' marks
});
setInterval(() => {
  if (tabs.others) lookForOthers();
}, AGAIN);
