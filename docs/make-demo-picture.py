"""Draws the demo's terminal output as docs/demo.svg: python3 docs/make-demo-picture.py < output.txt > docs/demo.svg

    statera demo | python3 docs/make-demo-picture.py > docs/demo.svg
"""
import html
import sys
import textwrap
import unicodedata

WIDTH, SIZE, LINE = 104, 13, 19
rows = []
for line in sys.stdin.read().rstrip("\n").split("\n"):
    indent = "    " if line.startswith("  ") else ""
    rows += [line] if len(line) <= WIDTH else textwrap.wrap(line, WIDTH, subsequent_indent=indent)
rows = ["$ statera demo"] + [row.rstrip() for row in rows]
cell = SIZE * 0.602
wide = int(cell * WIDTH) + 48
tall = LINE * len(rows) + 40
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" role="img" aria-label="Output of statera demo">')
print(f'<rect width="{wide}" height="{tall}" rx="10" fill="#14202b"/>')
print(f'<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="{SIZE}" fill="#d7e0e8">')
for i, row in enumerate(rows):
    colour = ' fill="#7fd1ae"' if row.startswith("$") or "(best)" in row else ' fill="#6c7f90"' if set(row.strip()) <= set("─═") else ""
    if row.strip():
        cells = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in row)
        length = f' textLength="{cells * cell:.1f}" lengthAdjust="spacingAndGlyphs"'
        print(f'<text x="24" y="{30 + i * LINE}"{colour}{length}>{html.escape(row).replace(" ", chr(160))}</text>')
print("</g></svg>")
