// The risk curve: the score of the text up to each character.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 140;

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// doc.curve: { end: offsets, unsafe: scores }, of equal length.
function drawCurve(doc) {
  const { end, unsafe } = doc.curve;
  const length = Math.max(1, end[end.length - 1]);
  const x = (offset) => ((offset / length) * WIDTH).toFixed(2);
  const y = (score) => ((1 - score) * HEIGHT).toFixed(2);
  const points = end.map((offset, i) => `${x(offset)},${y(unsafe[i])}`);
  const line = `M${x(end[0])},${y(unsafe[0])}L${points.join("L")}`;
  const picture = svg("svg", {
    viewBox: `-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`,
    class: "curve",
    role: "img",
    "aria-label": "Risk along the text",
  });
  picture.append(
    svg("path", { class: "area", d: `${line}L${x(length)},${HEIGHT}L${x(end[0])},${HEIGHT}Z` }),
    svg("path", { class: "trace", d: line }),
  );
  if (state.threshold !== null) {
    const at = y(state.threshold);
    picture.append(svg("line", { class: "limit", x1: 0, x2: WIDTH, y1: at, y2: at }));
  }
  if (doc.first_unsafe !== null) {
    const at = x(Math.min(doc.first_unsafe, length));
    picture.append(svg("line", { class: "first", x1: at, x2: at, y1: 0, y2: HEIGHT }));
  }
  return picture;
}

// The picture in words.
function describeCurve(doc) {
  const { end, unsafe } = doc.curve;
  let highest = 0;
  for (let i = 1; i < unsafe.length; i += 1) if (unsafe[i] > unsafe[highest]) highest = i;
  const first =
    doc.first_unsafe === null
      ? "Nothing was flagged."
      : `The text was first flagged at character ${doc.first_unsafe}.`;
  return `The score of the text up to each character, from 0 to 1. The highest score is ${format(unsafe[highest])}, at character ${end[highest]} of ${end[end.length - 1]}. ${first}`;
}
