"""Prints predictions, the oldest kept first: python read_predictions.py [REDIS_URL] [EVENTS]"""

import sys
import pyarrow as pa, redis

url, count = (sys.argv[1:] + ["redis://localhost:6379", "0"][len(sys.argv) - 1 :])[:2]
client = redis.from_url(url)
cursor, seen = "0", 0
while seen < int(count) or int(count) == 0:  # without EVENTS until interrupted
    for _, entries in client.xread({"nustream:{p0}:predictions": cursor}, count=100, block=1000):
        for cursor, fields in entries:
            with pa.ipc.open_stream(fields[b"predictions"]) as reader:
                model = reader.schema.metadata[b"nustream.model"].decode()
                for row in reader.read_all().to_pylist():
                    seen += 1
                    error = row["angular_error"]
                    known = "" if error is None else f", {error:.3f} rad from the truth"
                    print(f"event {row['event_id']}: zenith {row['zenith']:.3f}, azimuth {row['azimuth']:.3f} ({model}{known})")
