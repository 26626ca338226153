"""Draw the README's picture: each bundled photo, its map, and what `ppr saliency infer` makes of it.

python examples/saliency/gallery.py examples/saliency/gallery.jpg
"""

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from PIL import Image

from ppr.methods.common.drawing.sheets import contact_sheet, framed

KINDS = {"saliency": "mask", "cutout": "cutout", "overlay": "overlay", "heatmap": "heatmap", "outline": "outline"}
TILE = (250, 190)


def main() -> None:
    photos = sorted(Path(str(files("ppr.methods.saliency"))).glob("demo/*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        kinds = [argument for kind in KINDS.values() for argument in ("--as", kind)]
        subprocess.run(["ppr", "saliency", "infer", *map(str, photos), *kinds, "-o", folder + "/"], check=True)
        pictures = [path for photo in photos for path in (photo, *(Path(folder) / f"{photo.stem}.{label}.png" for label in KINDS))]
        tiles = [framed(Image.open(path), *TILE) for path in pictures]
    sheet = contact_sheet(tiles, 1 + len(KINDS), gap=6)
    sheet.save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
