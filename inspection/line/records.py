"""What the journal keeps, as plain JSON: one `part` record a part, and one `answer` record a PLC part.

The part record is on the disk before the PLC is answered. What the PLC was then really given (a result that
became late in between, or a connection that was lost, differs from the verdict) follows as an `answer` record
with the same line and sequence.

part::

    {"kind": "part", "line": "demo", "sequence": 17, "origin": "line" | "api",
     "trigger_sequence": 4711 | null, "serial": "", "lot": "",
     "verdict": "ERROR", "judged_verdict": "OK", "error_code": 5, "error": "...", "late": true,
     "score": 0.12 | null, "score_rank": 8700, "defect_class": null,
     "views": [{"station": "top", "verdict": "OK", "score": 0.12 | null, "error_code": 0, "error": "",
                "frame_name": "a.png", "reference": "123" | null, "frame_path": "..." | null,
                "map_path": "..." | null, "map_height": 64 | null, "map_width": 64 | null,
                "map_max": 1.7 | null, "map_box": [0, 0, 512, 512] | null,
                "image_height": 512 | null, "image_width": 512 | null,
                "defect_class": null, "closest_ok": 456 | null, "captured_at": "..." | null}],
     "deployment": 3 | null, "model_version": 12 | null, "ng_at": 0.5 | null, "review_from": null,
     "triggered_at": "2026-01-01T00:00:00.000000+00:00", "judged_at": "...",
     "acquire_ms": 3.1, "wait_ms": 0.2, "judge_ms": 41.0, "journal_ms": 0.8,
     "number": 33, "previous_hash": "...", "hash": "..."}

answer::

    {"kind": "answer", "line": "demo", "sequence": 17, "trigger_sequence": 4711,
     "given": "OK" | "NG" | "ERROR" | "REVIEW" | null, "error_code": 0, "late": false,
     "answered_at": "..." | null, "total_ms": 48.2 | null, "reason": "",
     "number": 34, "previous_hash": "...", "hash": "..."}

`verdict` is what the part counts as; `judged_verdict` is what the model said of it. Paths are relative to the
line's folder. `journal_ms` is how long the record before this one took to store (a record cannot hold its
own). `total_ms` is from trigger to the PLC's confirmation of the write. `map_box` is top, left, height, width
of the frame that the map covers. A `given` of null means that the PLC was given nothing, or did not confirm
it: `reason` says why.
"""

from typing import Any

Record = dict[str, Any]
