"""The page's style sheet: light and dark mode, wide and narrow windows, print."""

STYLE = """
:root { --ink: #1c2128; --soft: #59626e; --paper: #ffffff; --raised: #f4f6f8; --grid: #dfe3e8; --accent: #2569a8;
  --shade: #0000002e; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ed; --soft: #9aa4b0; --paper: #14181d; --raised: #1d232a; --grid: #343c46; --accent: #7db4ea;
    --shade: #ffffff38; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  overflow-wrap: anywhere; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
header p, figcaption, .note { color: var(--soft); }
header p { margin: 0; }
p { max-width: 46rem; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 1rem 0 0; padding: 0;
  font-size: .9rem; }
nav a[aria-current=true] { color: var(--ink); font-weight: 600; }
.verdict { background: var(--raised); border-left: 4px solid var(--accent); padding: .75rem 1rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tiles div { background: var(--raised); padding: .6rem .8rem; border-radius: 6px; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
.wide { overflow-x: auto; }
/* A shadow at the edge shows that the table continues there; a background that scrolls along hides it at the end. */
.wide:has(thead) { background:
  linear-gradient(to right, var(--paper) 30%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 30%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .9rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / .9rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { white-space: nowrap; color: var(--soft); font-weight: 600; }
/* Dates and intervals stay on one line, and rows have the same height; only sentences are wrapped. */
td { white-space: nowrap; }
td.words { white-space: normal; min-width: 14rem; }
.many { font-size: .8rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.facts th { font-weight: 400; color: var(--soft); }
.facts th { overflow-wrap: break-word; max-width: 55vw; }
.facts td { overflow-wrap: anywhere; white-space: normal; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--accent); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
figure { margin: 1rem 0; min-width: 0; break-inside: avoid; }
figure h3 { margin: .5rem 0 .25rem; }
figcaption { font-size: .85rem; max-width: 46rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 0 1.25rem; }
.grid figure { margin: .5rem 0; }
.grid h3 { font-size: .9rem; }
/* Scrolling on a touch screen must not zoom a figure. */
@media (pointer: coarse) { .main-svg .draglayer, .mouse { display: none; } }
.main-svg text { fill: var(--ink) !important; }
.main-svg .annotation .bg { fill: var(--paper) !important; fill-opacity: .75 !important; }
.main-svg .hoverlayer text { fill: #ffffff !important; }
.main-svg .errorbar path { stroke: var(--ink) !important; }
.main-svg .gridlayer path { stroke: var(--grid) !important; }
/* In a wide window, the table of contents is beside the chapters and stays while these scroll. */
@media screen and (min-width: 72rem) {
  body:not(.printing) { max-width: 84rem; display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: 0 2rem; }
  body:not(.printing) > header { grid-column: 1 / 3; }
  body:not(.printing) > nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto;
    padding: 1rem 0; }
  body:not(.printing) > nav ul { flex-direction: column; gap: .4rem; margin: 1rem 0 0; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  nav, .mouse, .clicks { display: none; }
  h2, h3 { break-after: avoid; }
  p:has(+ figure), p:has(+ .grid) { break-after: avoid; }
  .grid { grid-template-columns: repeat(2, 1fr); }
  table { font-size: 8pt; }
  .wide { overflow: visible; background: none !important; }
  td { white-space: normal; }
  td.words { min-width: 0; }
  /* Only tables that are wider than the paper use this font size. */
  .many { font-size: 5.5pt; }
  .many th, .many td { padding-right: .5em; }
  .many th { white-space: normal; overflow-wrap: anywhere; }
}
"""
