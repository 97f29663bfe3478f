# SPDX-License-Identifier: Apache-2.0
"""The style sheet of the reports: paper and ink by day, the reverse by night."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #20242c; --soft: #676d79; --rule: #e7e3da;
  --good: #176b41; --code: #f3f1eb;
  --c0: #4269d0; --c1: #f0604d; --c2: #3ca951; --c3: #d99a06; --c4: #a463f2;
  --c5: #43a694; --c6: #9c6b4e; --c7: #f06595; --c8: #6f9df0; --c9: #8a8f98;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171b; --card: #1c1f25; --ink: #e9e6df; --soft: #9aa1ad; --rule: #2d323b;
    --good: #63cf98; --code: #23272e;
    --c0: #7d9ff5; --c1: #ff8a78; --c2: #66cc7a; --c3: #f2c14e; --c4: #c29bff;
    --c5: #7fd6c5; --c6: #c59a80; --c7: #ff9fc3; --c8: #a8c5ff; --c9: #aab0ba;
  }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
body { max-width: 68rem; margin: 0 auto; padding: 3.5rem 1.5rem 4rem; }
h1, h2, .value { font-family: Charter, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia,
  "DejaVu Serif", serif; font-weight: 600; text-wrap: balance; }
h1 { font-size: clamp(2rem, 1.4rem + 3vw, 3rem); line-height: 1.1; margin: 0;
  letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 1.1rem; }
h3 { font-size: 0.95rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 0.8rem; max-width: 44rem; }
section { margin-top: 3.2rem; padding-top: 1.6rem; border-top: 1px solid var(--rule); }
.over { color: var(--soft); font-size: 0.85rem; letter-spacing: 0.04em; margin: 0 0 0.5rem; }
.lead { font-size: 1.12rem; color: var(--soft); margin: 0.9rem 0 0; white-space: pre-line;
  overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: 0.9rem; }

.head { display: flex; flex-wrap: wrap; gap: 2.5rem; align-items: flex-start; }
.head > div { flex: 1 1 24rem; min-width: 0; }
.head > figure { flex: 0 1 21rem; }
.head figcaption { margin-top: 0.35rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr));
  gap: 0.9rem; margin-top: 1.8rem; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 0.95rem 1.1rem; }
.card p { margin: 0; font-size: 0.86rem; color: var(--soft); }
.card .value { font-size: 1.7rem; line-height: 1.3; color: var(--ink);
  font-variant-numeric: tabular-nums lining-nums; }
.card .value small { font-size: 0.95rem; font-weight: 400; color: var(--soft); }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem;
  font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: 0.5rem 1.1rem 0.5rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 0.82rem;
  vertical-align: bottom; }
.columns th { min-width: 9rem; }
.columns th:first-child { min-width: 0; }
.scroll + p { margin-top: 0.9rem; }
td:last-child, th:last-child { padding-right: 0; }
td { overflow-wrap: break-word; }
.number { white-space: nowrap; }
.beside { display: block; font-size: 0.82rem; font-weight: 400; color: var(--soft); }
ul { margin: 0; padding-left: 1.1rem; max-width: 52rem; }
li { margin: 0 0 0.45rem; overflow-wrap: anywhere; }
.best { color: var(--good); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); margin: 0;
  font-size: 0.92rem; font-variant-numeric: tabular-nums lining-nums; }
dt, dd { margin: 0; padding: 0.32rem 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: anywhere; }
dt { color: var(--soft); padding-right: 1.4rem; max-width: 16rem; }
.facts { margin: 0.9rem 0 0; max-width: none; font-size: 0.86rem; color: var(--soft); }
.facts span { display: inline-block; margin-right: 1.1rem; }
.facts b { font-weight: 600; color: var(--ink); margin-right: 0.6rem; }
td .facts { margin: 0; }

dl + .charts { margin-top: 1.6rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(25rem, 100%), 1fr));
  gap: 1.6rem 2rem; }
figure { margin: 0; }
figcaption { font-size: 0.86rem; color: var(--soft); }
.chart figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem;
  align-items: baseline; color: var(--ink); margin-bottom: 0.3rem; }
.legend { margin: 0; font-size: 0.84rem; color: var(--soft);
  font-variant-numeric: tabular-nums; }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend span:last-child { margin-right: 0; }
.legend b { color: var(--ink); font-weight: 600; }
.key { display: inline-block; width: 0.7rem; height: 0.2rem; border-radius: 1px;
  margin-right: 0.35rem; vertical-align: middle; background: var(--c); }
svg { display: block; width: 100%; height: auto; font-size: 11px; }
svg text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.rule { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
.band { fill: var(--c); stroke: var(--c); stroke-width: 0.8; opacity: 0.2; }
.dot, .bar { fill: var(--c); }
.bar { --c: var(--c0); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.c8 { --c: var(--c8); } .c9 { --c: var(--c9); }

img { display: block; width: 100%; height: auto; border-radius: 4px; }
.film { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(9rem, 44%), 1fr));
  gap: 1rem; }
.film figcaption { margin-top: 0.35rem; }
.wide { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
  gap: 1.4rem; }
.wide img { width: auto; max-width: 100%; image-rendering: pixelated; }
.wide figcaption { margin-top: 0.45rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
  gap: 2.2rem 1.6rem; }
code, pre { font: 0.86rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }
pre { background: var(--code); border-radius: 8px; padding: 0.7rem 1rem; margin: 0.35rem 0 1.1rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.hash { word-break: break-all; }
footer { margin-top: 3.5rem; color: var(--soft); font-size: 0.84rem; }
@media (max-width: 34rem) {
  body { padding: 2rem 1.1rem 3rem; }
  section { margin-top: 2.3rem; padding-top: 1.2rem; }
  svg { font-size: 13px; }
  .head > figure { flex-basis: 100%; }
  dl { grid-template-columns: 1fr; }
  dt { border-bottom: 0; padding-bottom: 0; max-width: none; }
  dd { padding-top: 0; }
}
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid; } }
"""
