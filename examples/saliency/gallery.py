"""Draw the README's picture: each bundled photo, its map, and what `ppr saliency infer` makes of it.

python examples/saliency/gallery.py examples/saliency/gallery.jpg
"""

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from PIL import Image

KINDS = {"saliency": "mask", "cutout": "cutout", "overlay": "overlay", "heatmap": "heatmap", "outline": "outline"}
TILE = (250, 190)


def tile(path: Path) -> Image.Image:
    image = Image.open(path)
    image.thumbnail(TILE)
    canvas = Image.new("RGB", TILE, "white")
    canvas.paste(image, ((TILE[0] - image.width) // 2, (TILE[1] - image.height) // 2), image if image.mode == "RGBA" else None)
    return canvas


def main() -> None:
    photos = sorted(Path(str(files("ppr.methods.saliency"))).glob("demo/*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        kinds = [argument for kind in KINDS.values() for argument in ("--as", kind)]
        subprocess.run(["ppr", "saliency", "infer", *map(str, photos), *kinds, "-o", folder + "/"], check=True)
        rows = [[photo, *(Path(folder) / f"{photo.stem}.{label}.png" for label in KINDS)] for photo in photos]
        sheet = Image.new("RGB", (len(rows[0]) * (TILE[0] + 6) - 6, len(rows) * (TILE[1] + 6) - 6), "white")
        for y, row in enumerate(rows):
            for x, path in enumerate(row):
                sheet.paste(tile(path), (x * (TILE[0] + 6), y * (TILE[1] + 6)))
    sheet.save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
