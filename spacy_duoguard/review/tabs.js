// Find out whether the page is open in another tab, by an item in local storage: a tab says
// hello, the others answer, and one that closes removes it.
const TAB = `${PREFIX}tab`;
const tabs = {
  name: String(Math.random()).slice(2),
  said: 0,
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

addEventListener("storage", ({ key, newValue }) => {
  if (key !== TAB) return;
  if (newValue === null) {
    setOthers(false); // until another one answers
    tell("hello");
    return;
  }
  setOthers(true);
  if (newValue.startsWith("hello")) tell("here");
});
addEventListener("pagehide", () => attempt((storage) => storage.removeItem(TAB)));
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && !store.unsaved.size) location.reload(); // it has missed other tabs' marks
});
