"""The engines' ratios as bars: one SVG, drawn by hand so that no plotting library is needed."""

from typing import Any, Final
from xml.sax.saxutils import escape

ROW: Final = 22
LEFT: Final = 250
BAR: Final = 420
FONT: Final = 'font-family="sans-serif" font-size="13"'
COLOURS: Final = {"float32": "#4263eb", "bf16": "#0ca678", "int8": "#f59f00"}


def ratio_picture(found: dict[str, Any]) -> str:
    """Bars of times faster than eager PyTorch float32, by method and variant; a line at 1."""
    rows: list[tuple[str, float | None]] = []
    for name, method in found.items():
        if name == "matrix_peak_gflops":
            continue
        rows.append((f"{name}, {method['input']}", None))
        rows += [
            (variant, figures["times_faster_than_eager"])
            for variant, figures in method["variants"].items()
            if figures.get("times_faster_than_eager")
        ]
    longest = max((ratio for _, ratio in rows if ratio), default=1.0)
    height = ROW * (len(rows) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + BAR + 60}" height="{height}" {FONT}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, (label, ratio) in enumerate(rows):
        middle = ROW * (place + 1)
        if ratio is None:
            parts.append(f'<text x="8" y="{middle}" font-weight="bold">{escape(label)}</text>')
            continue
        width = BAR * ratio / longest
        colour = COLOURS[label.rsplit(" ", 1)[1]]
        parts += [
            f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{middle - 12}" width="{width:.1f}" height="15" fill="{colour}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{middle}">{ratio:g} ×</text>',
        ]
    one = LEFT + BAR / longest
    parts.append(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="4" y2="{height - 6}" stroke="#868e96"/></svg>')
    return "\n".join(parts) + "\n"
