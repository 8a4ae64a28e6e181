"""The script of the review page: ticks by mouse or key, remembered, counted against the filter, saved as JSON lines."""

SCRIPT = """
const records = JSON.parse(document.getElementById("records").textContent);
const cards = [...document.querySelectorAll(".review")];
const place = "kaitian " + document.title;
let current = 0, saved = "[]";
const labels = () => cards.map((card) => card.querySelector("input:checked")?.value ?? null);
function remember() { try { localStorage.setItem(place, JSON.stringify(labels())); } catch { /* a page may not */ } }
function recall() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(place)); } catch { /* nothing to recall */ }
  (kept ?? []).forEach((label, i) => { if (label && cards[i]) tick(i, label); });
  current = Math.max(0, labels().indexOf(null));
}
function tick(i, label) { cards[i].querySelector(`input[value=${label}]`).checked = true; }
function show() {
  const judged = labels().filter((label) => label).length;
  document.getElementById("progress").textContent = `${judged} of ${cards.length} judged`;
  cards.forEach((card, i) => card.classList.toggle("current", i === current));
  document.getElementById("wrong").textContent = wrong().join("; ");
}
// of what the filter kept and dropped: judged, wrong, and the share over all documents of the judged strata
function wrong() {
  const ticks = labels();
  return [true, false].map((kept) => {
    const strata = new Map();
    records.forEach((record, i) => {
      if ((record.outcome === document.body.dataset.kept) !== kept || !ticks[i]) return;
      const sums = strata.get(record.stratum) ?? {judged: 0, wrong: 0, documents: record.stratum_documents};
      sums.judged += 1;
      sums.wrong += (ticks[i] === "keep") !== kept;
      strata.set(record.stratum, sums);
    });
    const sum = (value) => [...strata.values()].reduce((total, sums) => total + value(sums), 0);
    const all = sum((s) => s.documents), share = sum((s) => s.documents * s.wrong / s.judged) / all;
    const over = all ? `, about ${(100 * share).toFixed(1)} % of ${all} documents` : "";
    return `${kept ? "kept" : "dropped"}: ${sum((s) => s.wrong)} of ${sum((s) => s.judged)} judged wrong${over}`;
  });
}
function move(step) {
  current = Math.min(Math.max(current + step, 0), cards.length - 1);
  cards[current].scrollIntoView({block: "center"});
}
function save() {
  const ticks = labels();
  const lines = records.flatMap((record, i) => ticks[i] ? [JSON.stringify({...record, label: ticks[i]}) + "\\n"] : []);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, {type: "application/jsonl"}));
  link.download = document.body.dataset.file;
  link.click();
  saved = JSON.stringify(ticks);
}
function forget() {
  if (!confirm("Forget all ticks of this page?")) return;
  document.querySelectorAll("input:checked").forEach((input) => { input.checked = false; });
  current = 0;
  remember();
  show();
}
cards.forEach((card, i) => card.addEventListener("change", () => { current = i; remember(); show(); }));
document.getElementById("save").addEventListener("click", save);
document.getElementById("forget").addEventListener("click", forget);
document.addEventListener("keydown", (event) => {
  if (!cards.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const label = {k: "keep", d: "drop"}[event.key];
  if (label) { tick(current, label); remember(); move(1); }
  else if (event.key === "u") move(-1);
  else return;
  show();
});
addEventListener("beforeunload", (event) => {
  if (labels().some((label) => label) && JSON.stringify(labels()) !== saved) event.preventDefault();
});
recall();
show();
"""
