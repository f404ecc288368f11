// The scores of a marked sentence, shown on hover and focus. Screen readers get them from
// the text.
const tip = document.getElementById("tip");

function showTip(target) {
  const box = target.getClientRects()[0];
  if (!box) return;
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(box.left, document.documentElement.clientWidth - width - 8);
  const above = box.top - height - 6;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above >= 0 ? above : box.bottom + 6}px`;
}

for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const target = event.target.closest?.("mark[data-tip]");
    if (target) showTip(target);
  });
}
for (const kind of ["pointerout", "focusout", "keydown"]) {
  document.addEventListener(kind, () => { tip.hidden = true; });
}
document.addEventListener("scroll", () => {
  const focused = document.activeElement;
  if (!tip.hidden && focused.matches("mark[data-tip]")) showTip(focused);
  else tip.hidden = true;
}, true);
