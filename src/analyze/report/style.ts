/**
 * @file The looks of a report: light and dark, from 320 pixels up, and on paper. Text has a contrast of at least 4.5 : 1 to
 * what is behind it (WCAG 2.2, 1.4.3), and colour never says alone what something is.
 */

const LIGHT = `
  --page: #ffffff; --card: #f5f7f9; --text: #1b2027; --muted: #545d68; --line: #d3d9e0; --link: #0a58b0;
  --good: #17692f; --bad: #b0251a; --warn: #855400; --before: #a3adb9; --after: #2f7fd6; --mark: #c2410c;
  --shade: rgba(176, 37, 26, 0.13);`;

const DARK = `
  --page: #12161b; --card: #1b2129; --text: #e7ebf0; --muted: #a4afbb; --line: #36404c; --link: #7fbaff;
  --good: #6bd28a; --bad: #ff9489; --warn: #edbb5c; --before: #66727f; --after: #5fa8f5; --mark: #ff9d5c;
  --shade: rgba(255, 148, 137, 0.17);`;

export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
footer { padding-bottom: 3rem; color: var(--muted); font-size: 0.875rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.1rem 0 1rem; font-weight: 650; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 0.35rem; font-weight: 650; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.4rem; font-weight: 650; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.875em; }
code { overflow-wrap: anywhere; }
h1 code { font-size: 0.92em; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 0.75rem 1rem; margin: 0.5rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
section { margin-top: 2.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
.kicker, .note, figcaption, .muted { color: var(--muted); }
.kicker { margin: 0; font-size: 0.875rem; }
.note { font-size: 0.9375rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; padding: 0; margin: 1.25rem 0 0; font-size: 0.9375rem; }
.verdict { border: 1px solid var(--line); border-left: 6px solid var(--tone); border-radius: 8px; background: var(--card); padding: 0.9rem 1.1rem; }
.verdict strong { color: var(--tone); }
.verdict p { font-size: 1.0625rem; max-width: none; margin: 0.2rem 0; }
.verdict ul { margin: 0.5rem 0 0; padding-left: 1.2rem; }
.good { --tone: var(--good); }
.bad { --tone: var(--bad); }
.warn { --tone: var(--warn); }
.plain { --tone: var(--muted); }
.tone { color: var(--tone); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem; margin-top: 1rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1.1rem; min-width: 0; }
.card h3 { margin: 0; }
.card .badge { margin: 0.35rem 0 0.5rem; }
.badge span { display: inline-block; border: 1.5px solid var(--tone); color: var(--tone); border-radius: 99px; padding: 0 0.65rem; font-size: 0.875rem; font-weight: 600; }
.badge .warn { border-style: dashed; }
.badge .plain { border-style: dotted; }
dl { display: grid; grid-template-columns: minmax(6.5rem, max-content) 1fr; gap: 0.2rem 1rem; margin: 0.5rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
ul.marks { list-style: none; padding: 0; margin: 0.5rem 0; overflow-wrap: anywhere; }
ul.findings { padding-left: 1.1rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9375rem; width: 100%; }
caption { text-align: left; color: var(--muted); font-size: 0.875rem; padding-bottom: 0.25rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 1rem 0.3rem 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 400; min-width: 11rem; }
.short { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide { min-width: 15rem; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--link); }
figure { margin: 1rem 0; }
figcaption { font-size: 0.875rem; margin-top: 0.3rem; max-width: 46rem; }
svg { display: block; overflow: visible; }
svg text { fill: var(--muted); font-size: 12px; }
.bar { display: grid; grid-template-columns: 12rem 1fr 15rem; gap: 0 0.9rem; align-items: center; margin: 0.3rem 0; }
.bar > span { overflow-wrap: anywhere; font-size: 0.9375rem; }
.bar > span:last-child { font-variant-numeric: tabular-nums; }
.plot { display: grid; grid-template-columns: 4rem 1fr; }
.axis { position: relative; color: var(--muted); font-size: 0.75rem; }
.axis span { position: absolute; right: 0.6rem; transform: translateY(-50%); white-space: nowrap; }
.levels { display: flex; flex-direction: column; justify-content: space-between; color: var(--muted); font-size: 0.75rem; font-variant-numeric: tabular-nums; }
.curve-after { stroke: var(--after); stroke-width: 1.5; } .curve-mark { stroke: var(--mark); stroke-width: 1.5; }
.ends { display: flex; justify-content: space-between; color: var(--muted); font-size: 0.75rem; font-variant-numeric: tabular-nums; }
.histograms { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1.25rem 2rem; }
.histograms figure { margin: 0.5rem 0; min-width: 0; }
.histograms h3 { margin: 0 0 0.5rem; font-size: 0.9375rem; }
.fill-before { fill: var(--before); } .fill-after { fill: var(--after); } .fill-mark { fill: var(--mark); }
.fill-shade { fill: var(--shade); }
.grid { stroke: var(--line); } .limit { stroke: var(--text); stroke-dasharray: 4 3; } .clip { stroke: var(--mark); stroke-width: 2; stroke-dasharray: 5 3; }
.whisker { stroke: var(--text); stroke-width: 1.5; } .stem { stroke: var(--after); opacity: 0.45; } .stem-mark { stroke: var(--mark); }
svg text.marked { fill: var(--mark); font-weight: 700; text-anchor: middle; }
@media (max-width: 44rem) {
  .bar { grid-template-columns: 1fr; gap: 0.1rem; margin: 0.75rem 0; }
  h1 { font-size: 1.25rem; } tbody th { min-width: 8rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dt { margin-top: 0.4rem; font-size: 0.875rem; }
}
@media print {
  :root { ${LIGHT} }
  body { font-size: 10pt; } nav { display: none; } section, .card, figure, .bar { break-inside: avoid; }
  section { break-inside: auto; } .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
