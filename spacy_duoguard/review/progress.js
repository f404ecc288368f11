// How much is done, and how often the moderator and the results agree.
const markable = docs.filter((doc) => doc.markable).length;

function sum(name) {
  return totals.counts.reduce((total, count) => total + count[name], 0);
}

function percent(part, whole) {
  return whole ? `${Math.floor((100 * part) / whole)}%` : "–";
}

function drawProgress() {
  const [agreed, differed] = [sum("agreed"), sum("differed")];
  const agreement = agreed + differed ? ` · ${percent(agreed, agreed + differed)} agreed` : "";
  $("progress").max = Math.max(1, markable);
  $("progress").value = totals.done;
  $("progress-text").textContent =
    `${totals.done.toLocaleString("en")} of ${markable.toLocaleString("en")} done${agreement}`;
  const [right, wrong, missed] = [sum("right"), sum("wrong"), sum("missed")];
  const given = sum("yes") + sum("no") + sum("unsure");
  $("agreement").textContent = given
    ? `${plural(given, "answer")}. You agree with ${agreed.toLocaleString("en")} of ` +
      `${plural(agreed + differed, "verdict")}: ${right} of ${plural(right + wrong, "flag")} ` +
      `${right + wrong === 1 ? "was" : "were"} right, ${missed} missed.`
    : "No answers yet.";
  $("by-category").hidden = !given;
  if ($("by-category").open) drawAgreement();
  $("export").disabled = !entries.size;
  $("undo").disabled = !steps.length;
}

function drawAgreement() {
  const rows = totals.counts.flatMap((count, i) => {
    if (!(count.yes + count.no + count.unsure)) return [];
    const cells = [
      String(count.yes),
      String(count.no),
      `${count.right} of ${count.right + count.wrong}`,
      String(count.missed),
    ];
    const head = make("th", { text: labels[i], attributes: { scope: "row" } });
    return [make("tr", {}, head, ...cells.map((text) => make("td", { text })))];
  });
  $("agreement-rows").replaceChildren(...rows);
}

// What was just done, for everybody to see and for screen readers to say.
function say(text) {
  $("said").textContent = text;
}

// What the moderator must know about the marks that are not safe.
function drawNotices() {
  const notices = [];
  if (store.failed && store.unsaved.size) {
    notices.push(
      `Your browser doesn't keep your marks: ${store.failed}. ` +
        `${plural(store.unsaved.size, "document")} will be lost with this tab: export your marks.`,
    );
  } else if (store.failed) {
    notices.push(`Your browser won't keep marks: ${store.failed}. Export them before you close this tab.`);
  }
  if (store.damaged) {
    notices.push(`The stored marks of ${plural(store.damaged, "document")} are damaged and not shown.`);
  }
  if (tabs.others) {
    notices.push("This page is open in another tab, too. Marks in one appear in the other: use one of them.");
  }
  $("notices").replaceChildren(
    ...notices.map((text) => make("p", { className: "notice failed", text })),
  );
}
