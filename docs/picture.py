"""Draw docs/report.png, the picture on the front page: the top of the demonstration's report, by headless Chromium.

``python docs/picture.py`` after ``make demo``; needs ``chromium`` on the path. The picture is committed, because the
machines that build the site need not have a browser.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import PIL.Image

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1100, 1150


def main(report: Path) -> None:
    """Take the picture and reduce it to 128 colours, which keeps it below 200 kB."""
    browser = shutil.which("chromium") or sys.exit("There is no chromium on the path.")
    with TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        switches = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={shot}"]
        subprocess.run(
            [browser, *switches, f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={folder}/p", report.as_uri()],
            check=True,
            capture_output=True,
        )
        place = ROOT / "docs" / "report.png"
        PIL.Image.open(shot).convert("RGB").quantize(128).save(place, optimize=True)
        print(place, place.stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "demo" / "report.html").resolve())
