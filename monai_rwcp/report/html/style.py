"""Style and script of the report."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1b2631;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0; }
section { border-left: 4px solid #5d6d7e; padding: .1rem 1rem; background: #f4f6f7; margin: 1rem 0; }
section.warning { border: 2px solid #922b21; border-left-width: 10px; background: #fdedec; }
section h2 { margin-top: .6rem; } section ul { padding-left: 1.2rem; }
.about { color: #566573; font-size: .9em; margin: 1rem 0 .3rem; }
.wide { overflow: auto; max-height: 32rem; margin: 0 0 1rem; width: fit-content; max-width: 100%;
  border: 1px solid #d5dbdb; box-sizing: border-box; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th { position: sticky; top: 0; background: #fff; box-shadow: 0 1px #1b2631; vertical-align: bottom; }
th, td { padding: .25rem .35rem; text-align: right; } td { border-bottom: 1px solid #d5dbdb; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: 0; cursor: pointer; color: inherit;
  text-align: inherit; }
th button::after { content: "\\2195"; color: #909da6; padding-left: .25em; }
th[aria-sort="ascending"] button::after { content: "\\2191"; color: inherit; }
th[aria-sort="descending"] button::after { content: "\\2193"; color: inherit; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; display: block; }
figcaption { color: #566573; font-size: .9em; }
.charts, .cases { display: grid; gap: 0 1.5rem; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
.cases { grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); max-width: 64rem; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.slices { display: flex; flex-direction: column; } .slices figcaption { color: inherit; }
.slices img { width: 100%; display: none; box-sizing: border-box; border: 1px solid #1b2631; }
.slices img.now { display: block; } .slices input { width: 50%; vertical-align: middle; }
pre { background: #f4f6f7; padding: 1rem; font-size: .85rem; white-space: pre-wrap; }
@page { margin: 14mm; }
@media print {
  body { font-size: 9.5pt; line-height: 1.35; max-width: none; margin: 0; padding: 0; }
  h2 { margin-top: 1.2rem; } h3 { margin-top: .6rem; } h2, h3, .legend, .about { break-after: avoid; }
  tr, figure, section, .legend { break-inside: avoid; } figure { margin: .5rem 0; }
  .wide { overflow: visible; max-height: none; width: auto; border: 0; } table { font-size: 8pt; }
  th { position: static; box-shadow: none; border-bottom: 1px solid; } th, td { padding: .1rem .35rem; }
  th button { display: contents; } /* else a table's second page has no headings */
  .charts { grid-template-columns: repeat(3, 1fr); } .cases { grid-template-columns: repeat(2, 1fr); }
  .slices img { width: auto; max-width: 100%; max-height: 88mm; align-self: start; }
  .slices input, th button::after { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

SCRIPT = """
for (const head of document.querySelectorAll("th")) head.querySelector("button").onclick = () => {
  const column = [...head.parentNode.children].indexOf(head), body = head.closest("table").tBodies[0];
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map(row => {
    const cell = row.children[column], value = cell.dataset.value;
    return { row, text: cell.textContent, number: value ? +value : NaN, none: value === "" };
  });
  rows.sort((a, b) => {
    if (a.none || b.none) return a.none - b.none;
    const numbers = !isNaN(a.number) && !isNaN(b.number);
    const order = numbers ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true });
    return up ? order : -order;
  });
  body.append(...rows.map(entry => entry.row));
};
for (const figure of document.querySelectorAll(".slices")) {
  const range = figure.querySelector("input"), frames = figure.querySelectorAll("img");
  const show = () => frames.forEach((frame, i) => {
    frame.classList.toggle("now", i === +range.value);
    if (i === +range.value) figure.querySelector("output").textContent = frame.dataset.slice;
  });
  if (range) range.oninput = show, show();
}
"""
