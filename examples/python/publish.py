"""Publishes muons straight down or up along one string: python publish.py [REDIS_URL] [EVENTS]"""

import math, random, sys, time, uuid
import pyarrow as pa, redis

url, count = (sys.argv[1:] + ["redis://localhost:6379", "10"][len(sys.argv) - 1 :])[:2]
names = {"sensor_id": pa.uint16(), "time": pa.float32(), "charge": pa.float32(), "auxiliary": pa.uint8()}
columns = [("event_id", pa.int64()), *((name, pa.list_(type)) for name, type in names.items())]
truth = [("azimuth", pa.float64()), ("zenith", pa.float64())]
schema = pa.schema(columns + truth, metadata={"nustream.schema": "events/1"})


def muon(event_id):
    string, is_down = random.randrange(78), random.random() < 0.5
    sensors = [string * 60 + dom for dom in (range(10, 50) if is_down else range(49, 9, -1))]
    times = [9900 + i * 17.02 / 0.2998 for i in range(40)]  # 17.02 m apart, at the speed of light in m/ns
    pulses = {"sensor_id": sensors, "time": times, "charge": [1.0] * 40, "auxiliary": [0] * 40}
    return {"event_id": event_id, **pulses, "azimuth": 0.0, "zenith": 0.0 if is_down else math.pi}


sink = pa.BufferOutputStream()
with pa.ipc.new_stream(sink, schema) as writer:
    writer.write_table(pa.Table.from_pylist([muon(i + 1) for i in range(int(count))], schema))
fields = {"batch_id": str(uuid.uuid4()), "batch": sink.getvalue().to_pybytes(), "events": count}
redis.from_url(url).xadd("nustream:{p0}:batches", {**fields, "emitted_at_ms": int(time.time() * 1000)})
print(f"published {count} events as batch {fields['batch_id']}")
