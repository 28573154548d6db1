"""Post a picture and append what is read from it to a CSV file.

python readings_to_csv.py gauge.jpg press-4 readings.csv

The server must know the station, as from this folder: edgevlm serve --stations stations
"""

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path

picture, station, table = sys.argv[1:]
image = "data:;base64," + base64.b64encode(Path(picture).read_bytes()).decode()
headers = {
    "Content-Type": "application/json",
    "Accept": "text/csv",
    "Authorization": f"Bearer {os.environ.get('EDGEVLM_KEY', 'none')}",
}
url = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000") + "/v1/readings"
body = json.dumps({"image": image, "station": station}).encode()
with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as reply:
    header, *rows = reply.read().decode().splitlines(keepends=True)

begun = Path(table).exists()
with open(table, "a", encoding="utf-8", newline="") as file:
    file.writelines(rows if begun else [header, *rows])
