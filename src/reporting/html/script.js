// No mode bar: it would cover small figures, and it offers to upload them.
for (const plot of document.querySelectorAll(".plot")) {
  const {data, layout} = JSON.parse(plot.nextElementSibling.textContent);
  Plotly.newPlot(plot, data, layout, {displayModeBar: false, responsive: true});
}
for (const head of document.querySelectorAll("table.sortable th")) {
  head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending", table = head.closest("table");
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const cell = row => row.cells[head.cellIndex], value = row => parseFloat(cell(row).dataset.value);
    const compare = (a, b) => value(a) - value(b) || cell(a).textContent.localeCompare(cell(b).textContent);
    const rows = [...table.tBodies[0].rows].sort((a, b) => down ? compare(b, a) : compare(a, b));
    const empty = rows.filter(row => cell(row).textContent === "");
    table.tBodies[0].append(...rows.filter(row => !empty.includes(row)), ...empty);
  });
}
// Paper is narrower than most windows, and a figure keeps its width. `Plotly.Plots.resize` runs with a delay, too late
// for printing.
const redraw = width => {
  document.body.style.width = width;
  document.body.classList.toggle("printing", width !== "");
  const plots = [...document.querySelectorAll(".plot")], widths = plots.map(plot => plot.clientWidth);
  plots.forEach((plot, i) => Plotly.relayout(plot, {width: widths[i], autosize: false}));
  if (width === "") for (const plot of plots) Object.assign(plot.layout, {width: undefined, autosize: true});
};
// The table of contents marks the current chapter.
const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const mark = () => {
  const heads = [...document.querySelectorAll("main > section")];
  const here = heads.filter(head => head.getBoundingClientRect().top < innerHeight / 3).pop() ?? heads[0];
  for (const [key, link] of links) link.setAttribute("aria-current", key === here?.id);
};
addEventListener("scroll", mark, {passive: true});
mark();
addEventListener("beforeprint", () => redraw("640px"));
addEventListener("afterprint", () => redraw(""));
