// The embedded results. Every text is shown through textContent and attributes only.
const data = JSON.parse(document.getElementById("data").textContent);
const { labels, colors, docs } = data;

for (const doc of docs) {
  doc.failed = doc.status === "error";
  doc.max = doc.failed ? 1 : Math.max(0, ...doc.probs);
  const flagged = new Set(doc.flags);
  doc.scored = labels.map((_, i) => doc.failed || flagged.has(i));
  doc.folded = null; // of the text, when it is first searched
}

// What a search compares: case, width and composed letters do not matter.
function fold(text) {
  return text.normalize("NFKC").toLowerCase();
}

// Python counts code points, JavaScript UTF-16 units.
// RETURNS: a function from the one to the other, for offsets into this text.
function unitsOf(text) {
  const astral = []; // code point offsets of the characters of two units
  let point = 0;
  for (const character of text) {
    if (character.length === 2) astral.push(point);
    point += 1;
  }
  return (offset) => {
    let low = 0;
    let high = astral.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (astral[middle] < offset) low = middle + 1;
      else high = middle;
    }
    return offset + low;
  };
}

// Scores are cut, not rounded: 0.4996 must not read 0.50 beside a threshold of 0.50.
function format(score) {
  return (Math.floor(score * 1000 + 1e-9) / 1000).toFixed(3);
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

// Make an element. `text` is set as text, never parsed.
function make(tag, { className, text, attributes = {} } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A dot or a bar takes its colour from a variable, so that the policy needs no styles.
function paint(element, label) {
  element.style.setProperty("--color", colors[label]);
  return element;
}
