// The style sheet of reports: light, dark by the reader's setting, and paper.

namespace PeftAlign.Host.Reports;

internal static class PageStyle
{
    internal static string Around(string title, string body) => $$"""
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{Plot.Text(title)}}</title>
        <style>
        :root { color-scheme: light dark; --bg: #fff; --ink: #1c2127; --soft: #5c6873; --rule: #dde2e7; --band: #f5f7f9;
          --c0: #2563b0; --c1: #7b858f; --c2: #b4540a; --c3: #1d7f54; --c4: #8b3fa8; --c5: #a87f00; --c6: #c03056; --c7: #0e7c8c; --good: #1d7f54; --bad: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --bg: #14181c; --ink: #e6eaee; --soft: #9ba6b0; --rule: #333b43; --band: #1d2329;
          --c0: #6aa7f0; --c1: #9aa5af; --c2: #f0975a; --c3: #5ec796; --c4: #c98ae4; --c5: #d9b64a; --c6: #f07a98; --c7: #56c3d2; --good: #5ec796; --bad: #f28b82; } }
        @media print { :root { --bg: #fff; --ink: #000; --soft: #444; --rule: #bbb; --band: #fff; --c0: #1d4f91; --c1: #666; --c2: #9a4708; --c3: #14603f; --c4: #6d2f85; --c5: #7d5f00; --c6: #982443; --c7: #0a5f6b; --good: #14603f; --bad: #8f1d17; }
          body { max-width: none; padding: 0; font-size: 10pt } figure, tr { break-inside: avoid } h2, h3 { break-after: avoid } .wide { overflow: visible } }
        * { box-sizing: border-box }
        body { background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; max-width: 1080px; margin: 0 auto; padding: 28px 24px 60px }
        h1 { font-size: 1.9em; margin: 0 } h2 { font-size: 1.25em; margin: 2.2em 0 .1em; padding-top: .5em; border-top: 2px solid var(--rule) }
        .lead, .note { color: var(--soft); margin: .2em 0 1em; max-width: 76ch } .warn { color: var(--bad) } small { color: var(--soft) }
        table { border-collapse: collapse; width: 100%; margin: .6em 0 } th, td { text-align: left; vertical-align: top; padding: 5px 10px; border-bottom: 1px solid var(--rule) }
        th { font-weight: 600; background: var(--band) } .r { text-align: right; font-variant-numeric: tabular-nums } .nowrap { white-space: nowrap } .text { white-space: pre-wrap; overflow-wrap: anywhere }
        svg .line.faint { opacity: .28; stroke-width: 1 } h3 { font-size: 1em; margin: 1.6em 0 0; color: var(--soft) } th small { font-weight: 400; display: inline-block; max-width: 26ch; white-space: normal; overflow-wrap: anywhere } .dense { font-size: .86em } .dense th { white-space: normal; overflow-wrap: anywhere } .pair td, .pair th { width: 33% } .pair th { white-space: normal; font-weight: 400 } .wide { overflow-x: auto } td.untouched, td.merged { font-style: italic } .claims td:nth-child(6) { width: 27% } .claims td:nth-child(1) { width: 24% } th { white-space: nowrap }
        .verdict { font-weight: 600; padding: 1px 8px; border-radius: 9px; border: 1px solid currentColor; white-space: nowrap } .supported { color: var(--good) } .contradicted { color: var(--bad) } .inconclusive { color: var(--soft) }
        figure { margin: 1em 0; display: inline-block; vertical-align: top; margin-right: 16px } figure.side { display: flex; gap: 20px; flex-wrap: wrap } figure.side ol { font-size: .9em; margin: 0; padding-left: 1.6em } svg { max-width: 100%; height: auto; display: block }
        .legend { font-size: .85em; color: var(--soft); max-width: 440px } .forest .legend { max-width: 740px } .key { display: inline-block; margin-right: 14px } .key i { display: inline-block; width: 14px; height: 4px; margin-right: 5px; vertical-align: middle }
        svg text { fill: var(--ink); font-size: 12px; font-family: inherit } svg .tick { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums } svg .axis { fill: var(--soft); font-size: 12px } .middle { text-anchor: middle } .end, svg .name { text-anchor: end }
        svg .inside { fill: var(--bg); font-size: 10px; text-anchor: middle; font-weight: 600 } .grid { stroke: var(--rule); stroke-width: 1 } .line { fill: none; stroke-width: 1.8 } .whisker { stroke-width: 2 } .bar { fill: var(--c0) }
        {{string.Join('\n', Enumerable.Range(0, Plot.Colours).Select(k => $".line.c{k}, .whisker.c{k} {{ stroke: var(--c{k}) }} .dot.c{k} {{ fill: var(--c{k}) }} i.c{k} {{ background: var(--c{k}); print-color-adjust: exact; -webkit-print-color-adjust: exact }}"))}}
        </style></head><body>
        {{body}}
        </body></html>

        """;
}
