"""The logo, drawn: the ladder of an order book, asks above, bids below, and an order on its way through the spread.

`python -m hftlab.notebook.logo.draw` writes logo-svg.svg and the two pictures that JupyterLab asks for.
"""

from __future__ import annotations

from pathlib import Path

SIZES = (32, 64)
GROUND, ASK, BID, ORDER = "#14213D", "#E69F00", "#56B4E9", "#FFFFFF"
#: Widths of the levels from the best one away, and how clearly each is seen.
LEVELS = ((16, 1.0), (26, 0.85), (36, 0.65))


def svg() -> str:
    """The picture, 64 by 64."""
    bars = []
    for place, (width, opacity) in enumerate(LEVELS):
        for y, colour in ((18 - 7 * place, ASK), (41 + 7 * place, BID)):
            box = f'x="{10 if colour == BID else 54 - width}" y="{y}" width="{width}" height="5" rx="1.5"'
            bars.append(f'<rect {box} fill="{colour}" fill-opacity="{opacity}"/>')
    way = f'<path d="M10 32H50" stroke="{ORDER}" stroke-width="2.6" stroke-linecap="round" stroke-dasharray="1 5"/>'
    tip = f'<path d="M46.5 27L53 32L46.5 37" fill="none" stroke="{ORDER}" stroke-width="3" stroke-linecap="round" '
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">']
    lines += [f'<rect x="1" y="1" width="62" height="62" rx="13" fill="{GROUND}"/>', *bars, way]
    return "\n".join([*lines, tip + 'stroke-linejoin="round"/>', "</svg>", ""])


def write(folder: Path) -> None:
    """Write the three files. It needs vl-convert."""
    import vl_convert

    (folder / "logo-svg.svg").write_text(svg())
    for size in SIZES:
        (folder / f"logo-{size}x{size}.png").write_bytes(vl_convert.svg_to_png(svg(), scale=size / 64))


if __name__ == "__main__":
    write(Path(__file__).parent)
