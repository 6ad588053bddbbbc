"""The frame of a report: HTML and CSS, filled by `report.render`. It loads nothing from anywhere."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Depth from defocus: evaluation</title>
<style>
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #14181f; --ink-2: #4a5361; --line: #dfe3e8;
  --blue: #2563c9; --orange: #c2570c; --note: #fff4d6; --note-ink: #6b4700;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1217; --card: #181c23; --ink: #eceff4; --ink-2: #a9b2c0; --line: #2c333e;
    --blue: #6ea8ff; --orange: #ffa057; --note: #3a2f10; --note-ink: #ffdc8a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; }
h3 { font-size: 15px; margin: 0 0 8px; }
.soft { color: var(--ink-2); font-weight: 400; }
.lead { margin: 6px 0 24px; color: var(--ink-2); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; }
.tile, .card, .plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 14px 16px; display: flex; flex-direction: column; }
.tile span, .tile small { color: var(--ink-2); }
.tile strong { font-size: 28px; line-height: 1.3; font-weight: 650; font-variant-numeric: tabular-nums; }
.note { background: var(--note); color: var(--note-ink); border-radius: 8px; padding: 10px 14px; margin: 12px 0 0; }
.card { padding: 8px 18px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 16px 6px 0; border-top: 1px solid var(--line); vertical-align: baseline; }
tr:first-child > * { border-top: 0; }
th { font-weight: 500; white-space: nowrap; }
td:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
figure { margin: 0; }
.plot { padding: 16px 18px; }
.plot svg { width: 100%; height: auto; display: block; }
figcaption { color: var(--ink-2); font-size: 13px; }
.bars { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 20px; margin-bottom: 24px; }
.bar { font-size: 13px; }
.ramp { height: 12px; border-radius: 4px; margin: 4px 0 2px; }
.ticks { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; color: var(--ink-2); }
.panels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px; }
.panels img { width: 100%; height: auto; display: block; border-radius: 6px; }
.panels { margin-bottom: 28px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; margin: 8px 0; }
dt { color: var(--ink-2); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; margin: 0 0 12px;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; }
@media (max-width: 640px) {
  .panels { grid-template-columns: repeat(2, 1fr); }
  td.soft { display: none; }
  dl { grid-template-columns: 1fr; }
  dt { margin-top: 6px; }
}
</style>
</head>
<body>
<main>
<h1>Depth from defocus: evaluation</h1>
<p class="lead">$summary. Depth is compared in metres, never rescaled to the ground truth.</p>
<div class="tiles">$tiles</div>
$notes
<h2>Errors</h2>
<div class="card"><table>$table</table></div>
$plots
<h2>Frames</h2>
$frames
<h2>How this was made</h2>
<pre>$command</pre>
<div class="card"><dl>$facts</dl></div>
</main>
</body>
</html>
"""
