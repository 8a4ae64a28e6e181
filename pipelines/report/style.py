"""The look of the report: one style sheet, light and dark, from a phone to a wall."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f6f2; --card: #ffffff; --ink: #1f2328; --soft: #667079; --line: #e3e1da; --track: #eceae4;
  --accent: #0b6e6e; --good: #2f8f5b; --bad: #c2452d; --drop: #d9a441; --heat: 11, 110, 110;
  --s1: #0b6e6e; --s2: #c2572d; --s3: #5b5fc7; --s4: #b0892a; --s5: #8e3f78; --s6: #3f7fb5; --s7: #6b8e3a;
  --s8: #7a6a5a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1d2125; --ink: #e8e6e1; --soft: #98a1a9; --line: #2e343a; --track: #2a2f35;
    --accent: #4fc3bb; --good: #5fc28c; --bad: #f0846c; --drop: #e3b963; --heat: 79, 195, 187;
    --s1: #4fc3bb; --s2: #f0906a; --s3: #989cf0; --s4: #e0bd63; --s5: #d98bc2; --s6: #7db8e8; --s7: #a9cc73;
    --s8: #c0ae9c;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
  sans-serif;
}
a { color: var(--accent); }
main, header > div { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { border-bottom: 1px solid var(--line); background: var(--card); padding: 26px 0 0; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; }
h1 small { font-weight: 400; color: var(--soft); font-size: 17px; margin-left: 8px; }
h2 { font-size: 20px; margin: 0 0 4px; letter-spacing: -.01em; }
h3 { font-size: 15px; margin: 22px 0 8px; }
p.lead { color: var(--soft); margin: 0 0 14px; max-width: 72ch; }
.meta { color: var(--soft); font-size: 13.5px; display: flex; flex-wrap: wrap; gap: 4px 18px; }
nav { display: flex; gap: 4px; overflow-x: auto; margin: 16px -8px 0; padding-bottom: 8px; }
nav a { color: var(--soft); text-decoration: none; padding: 4px 9px; border-radius: 6px; white-space: nowrap;
  font-size: 14px; }
nav a:hover { background: var(--track); color: var(--ink); }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px; margin: 18px 0;
  scroll-margin-top: 10px;
}
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; margin: 18px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 13px 16px; }
.tile b { display: block; white-space: nowrap; font-size: 21px;
  font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums;
  letter-spacing: -.01em; }
.tile span { color: var(--soft); font-size: 13px; }
.warnings { border-color: var(--bad); }
.warnings li { color: var(--bad); overflow-wrap: anywhere; }
.chip { display: inline-block; font-size: 12px; line-height: 1; padding: 4px 7px; border-radius: 99px;
  background: var(--track); color: var(--soft); white-space: nowrap; }
.chip.run { background: var(--accent); color: var(--card); }
.chip.bad { background: var(--bad); color: var(--card); }
.line { display: grid; grid-template-columns: repeat(auto-fill, minmax(146px, 1fr)); gap: 14px 26px; margin-top: 12px; }
.box {
  position: relative; border: 1px solid var(--line); border-left: 4px solid var(--accent);
  border-radius: 8px; padding: 9px 11px; background: var(--paper); min-width: 0;
}
.box.reused { border-left-color: var(--soft); border-left-style: dashed; }
.box:not(:last-child)::after { content: "\\2192"; position: absolute; right: -21px; top: 50%;
  transform: translateY(-50%); color: var(--soft); }
.box b { display: block; overflow-wrap: anywhere; }
.box .what { color: var(--soft); font-size: 12.5px; line-height: 1.5; }
.box .chip { padding: 3px 6px; font-size: 11px; vertical-align: 1px; }
.box .from { color: var(--soft); font-size: 11.5px; margin-top: 3px; overflow-wrap: anywhere; }
.bar { display: grid; grid-template-columns: minmax(80px, 17%) 1fr minmax(90px, 25%); gap: 12px; align-items: center;
  margin: 6px 0; font-variant-numeric: tabular-nums; }
.bar .label { font-size: 14px; overflow-wrap: anywhere; line-height: 1.3; }
.bar .value { font-size: 13px; color: var(--soft); }
.track { position: relative; height: 18px; background: var(--track); border-radius: 4px; overflow: hidden;
  display: flex; }
.track.free { background: none; border-radius: 0; }
.track i { display: block; height: 100%; min-width: 1px; }
.track i.kept { background: var(--good); } .track i.dropped { background: var(--drop); }
.track i.failed { background: var(--bad); }
.track i.plain { background: var(--accent); border-radius: 4px; }
.track i.mark { position: absolute; top: 0; width: 3px; min-width: 3px; margin-left: -1px; background: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; color: var(--soft); margin: 8px 0 10px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; }
.scroll { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-size: 13.5px; min-width: 40%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; text-align: left; white-space: nowrap; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: break-word; }
td.number .heat { margin-right: -6px; }
.heat { display: block; padding: 1px 6px; border-radius: 4px; background: rgba(var(--heat), var(--v, 0)); }
td .chip { margin-left: 8px; }
table.grid td { padding: 1px; border: 0; }
table.grid td .heat { width: 26px; height: 22px; padding: 0; font-size: 10px; line-height: 22px; text-align: center; }
table.grid th { padding: 1px 6px; border: 0; font-size: 12px; }
details { border-top: 1px solid var(--line); padding: 8px 0; }
details:last-child { padding-bottom: 0; }
summary { cursor: pointer; font-size: 14.5px; }
summary:hover { color: var(--accent); }
.doc { border-left: 3px solid var(--line); padding: 2px 0 2px 12px; margin: 10px 0; }
.doc.dropped { border-color: var(--drop); } .doc.kept { border-color: var(--good); }
.doc .head { font-size: 13.5px; overflow-wrap: anywhere; }
.doc .head b { margin-right: 8px; }
.doc .url, .doc .why { font-size: 12.5px; color: var(--soft); overflow-wrap: anywhere; }
.doc p { margin: 4px 0 0; font-size: 13.5px; overflow-wrap: anywhere; max-width: 90ch; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 8px 30px; }
figure { margin: 6px 0; min-width: 0; }
figcaption { font-size: 14px; font-weight: 600; margin-bottom: 2px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; font-variant-numeric: tabular-nums; }
svg .rule { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--soft); stroke-width: 1; }
svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg polyline.raw { stroke-width: 1; opacity: .28; }
code, pre { font: 12.5px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; margin: 8px 0; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; text-align: center; padding: 6px 0 34px; }
@media (max-width: 560px) {
  body { font-size: 14.5px; } main, header > div { padding: 0 12px; } section { padding: 16px 14px;
    border-radius: 10px; }
  .bar { grid-template-columns: 1fr auto; gap: 2px 10px; } .bar .track { grid-row: 2; grid-column: 1 / -1;
    height: 13px; } .bar .value { text-align: right; }
  .pair { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; }
}
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } nav { display: none; } }
"""
