"""The frames of the pages: HTML, CSS and a little JavaScript, filled by `report` and `summary`. They load nothing from
anywhere; without JavaScript all but the stepping through frames is there."""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Depth from defocus: evaluation</title>
<style>
:root {
  color-scheme: light dark;
  --page: light-dark(#f7f8fa, #0f1217); --card: light-dark(#ffffff, #171b22); --ink: light-dark(#14181f, #e9edf3);
  --ink-2: light-dark(#4f5866, #a5afbe); --line: light-dark(#e2e6eb, #2a313b);
  --blue: light-dark(#2563c9, #6ea8ff); --orange: light-dark(#c2570c, #ffa057);
  --note: light-dark(#fff4d6, #3a2f10); --note-ink: light-dark(#6b4700, #ffdc8a);
}
:root[data-theme=light] { color-scheme: light; }
:root[data-theme=dark] { color-scheme: dark; }
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
.top { display: flex; justify-content: space-between; align-items: start; gap: 16px; }
button { font: inherit; font-size: 13px; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 5px 12px; cursor: pointer; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
a { color: var(--blue); }
.viewer { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px;
  margin: 0 0 28px; }
.viewer .panels { margin: 12px 0 0; }
.viewer img { cursor: crosshair; }
.step { display: flex; gap: 10px; align-items: center; }
.step input { flex: 1; accent-color: var(--blue); }
.step output { min-width: 5em; text-align: right; font-variant-numeric: tabular-nums; }
.read { min-height: 1.5em; margin: 10px 0 0; color: var(--ink-2); font-variant-numeric: tabular-nums; font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
.wide th + th, .wide td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide td:nth-child(2) { font-weight: inherit; }
.wide td + td { padding-left: 8px; }
[hidden] { display: none !important; }
"""

PAGE = (
    _HEAD
    + """</style>
</head>
<body>
<main>
<div class="top"><h1>Depth from defocus: evaluation</h1>
<button type="button" id="theme" hidden>Light or dark</button></div>
<p class="lead">$summary. Depth is compared in metres, never rescaled to the ground truth.</p>
<div class="tiles">$tiles</div>
$notes
<h2>Frames</h2>
$frames
$comparison
$plots
<h2>All numbers</h2>
<div class="card"><table>$table</table></div>
<h2>How this was made</h2>
<pre>$command</pre>
<div class="cards">$cards</div>
</main>
<script>$script</script>
</body>
</html>
"""
)

SUMMARY = (
    _HEAD
    + """</style>
</head>
<body>
<main>
<h1>Depth from defocus: evaluations</h1>
<p class="lead">$summary. Depth is compared in metres, never rescaled to the ground truth.</p>
<div class="card"><table class="wide"><tr>$head</tr>$rows</table></div>
<h2>How this was made</h2>
<pre>$command</pre>
</main>
</body>
</html>
"""
)

# Light or dark on request; and, where there are frames to step through, slider, arrow keys and values under the cursor.
SCRIPT = """
const root = document.documentElement, theme = document.getElementById('theme');
theme.hidden = false;
theme.onclick = () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
};
const data = document.getElementById('frames-data');
if (data) {
  const frames = JSON.parse(data.textContent), viewer = document.getElementById('viewer');
  const slider = viewer.querySelector('input'), place = viewer.querySelector('output');
  const name = viewer.querySelector('h3'), read = viewer.querySelector('.read');
  const figures = [...viewer.querySelectorAll('figure')];
  const show = () => {
    const frame = frames[slider.value];
    name.textContent = frame.title;
    place.value = `${+slider.value + 1} of ${frames.length}`;
    for (const figure of figures) {
      const caption = figure.dataset.caption;
      figure.hidden = !(caption in frame.panels);
      if (!figure.hidden) figure.querySelector('img').src = frame.panels[caption];
    }
  };
  slider.oninput = show;
  document.onkeydown = event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    slider.value = +slider.value + step;
    show();
  };
  viewer.onpointermove = event => {
    if (event.target.tagName !== 'IMG') return;
    const box = event.target.getBoundingClientRect(), values = frames[slider.value].values;
    const at = (start, length, count) => Math.max(0, Math.min(count - 1, Math.floor(start / length * count)));
    read.textContent = Object.entries(values).map(([caption, rows]) => {
      const row = rows[at(event.clientY - box.top, box.height, rows.length)];
      const value = row[at(event.clientX - box.left, box.width, row.length)];
      const unit = {CoC: 'px', Error: '%'}[caption] || 'm';
      return `${caption} ${value === null ? 'unknown' : value + ' ' + unit}`;
    }).join('   ·   ');
  };
  viewer.hidden = false;
  show();
}
"""
