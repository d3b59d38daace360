"""The style of a conversation as HTML: light and dark, narrow and wide, on the screen and on paper."""

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2126; --muted: #56606b; --line: #d5dae0; --box: #f4f6f8;
  --user: #0b5cad; --assistant: #17693a; --system: #7a4a00; --tool: #6a3aa2; --other: #56606b; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e5e8eb; --muted: #a0aab4; --line: #343c45; --box: #1e242a;
    --user: #82bbff; --assistant: #7fd49c; --system: #f0c26e; --tool: #cba9ff; --other: #a0aab4; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
dl { margin: 0; padding: .75rem 1rem; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9.5rem, 100%), 1fr));
  gap: .5rem 1.5rem; background: var(--box); border: 1px solid var(--line); border-radius: .5rem; }
dt { font-size: .8rem; color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); font-size: 1rem;
  color: var(--muted); }
article { margin: 1rem 0; padding-left: .85rem; border-left: 3px solid var(--other); }
article.user { border-color: var(--user); }
article.assistant { border-color: var(--assistant); }
article.system { border-color: var(--system); }
article.tool { border-color: var(--tool); }
h3 { margin: 0 0 .15rem; font-size: .95rem; overflow-wrap: anywhere; }
.role { color: var(--other); }
.user .role { color: var(--user); }
.assistant .role { color: var(--assistant); }
.system .role { color: var(--system); }
.tool .role { color: var(--tool); }
h3 time, h3 > span:last-child:not(.role) { margin-left: .5rem; font-weight: normal; font-size: .85rem; color: var(--muted);
  font-variant-numeric: tabular-nums; }
.text, pre { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.text { margin: 0 0 .35rem; }
.note { margin: .15rem 0; color: var(--muted); font-size: .9rem; overflow-wrap: anywhere; }
details { margin: .35rem 0; font-size: .9rem; color: var(--muted); }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary:focus-visible { outline: 2px solid var(--user); outline-offset: 2px; }
code, pre, .start { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .85rem; }
pre { margin: .35rem 0; padding: .6rem .75rem; background: var(--box); border: 1px solid var(--line);
  border-radius: .4rem; color: var(--ink); }
details[open] .start { display: none; }
@page { margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages); font: 9pt sans-serif; } }
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h1, h2, h3 { break-after: avoid; }
  article, dl { break-inside: avoid; }
  .text, pre { orphans: 3; widows: 3; }
}
"""
