"""Style and script of the report."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1b2631; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
section { border-left: 4px solid #5d6d7e; padding: .1rem 1rem; background: #f4f6f7; }
section.warning { border-left: 8px double #922b21; background: #fdedec; }
section h2 { margin-top: .6rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { border-bottom: 1px solid #aab7b8; padding: .25rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: 0; cursor: pointer; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #566573; font-size: .9rem; }
.cases { display: flex; flex-wrap: wrap; gap: 1rem; } .cases > p { flex-basis: 100%; }
.slices { width: 20rem; } .slices img { width: 100%; display: none; border: 1px solid #1b2631; }
.slices img.now { display: block; } .slices input { width: 60%; vertical-align: middle; }
pre { background: #f4f6f7; padding: 1rem; overflow-x: auto; font-size: .85rem; }
@media print { .slices label { display: none; } figure, table { break-inside: avoid; } body { max-width: none; } }
"""

SCRIPT = """
for (const head of document.querySelectorAll("th")) head.querySelector("button").onclick = () => {
  const table = head.closest("table"), column = [...head.parentNode.children].indexOf(head);
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = row => row.children[column].textContent, rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const x = value(a), y = value(b), p = parseFloat(x), q = parseFloat(y);
    if (x === "-" || y === "-") return (x === "-") - (y === "-");
    const order = isNaN(p) || isNaN(q) ? x.localeCompare(y, undefined, { numeric: true }) : p - q;
    return up ? order : -order;
  });
  table.tBodies[0].append(...rows);
};
for (const figure of document.querySelectorAll(".slices")) {
  const range = figure.querySelector("input"), frames = figure.querySelectorAll("img");
  const show = () => frames.forEach((frame, i) => {
    frame.classList.toggle("now", i === +range.value);
    if (i === +range.value) figure.querySelector("output").textContent = frame.dataset.slice;
  });
  range.oninput = show;
  show();
}
"""
