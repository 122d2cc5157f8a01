"""Building the journal's records and the PLC's results from verdicts."""

from collections.abc import Mapping

from inspection.line.config import DeploymentConfig, LineConfig
from inspection.line.evidence import EvidenceFile, frame_file, full_scale, map_file
from inspection.line.judge import PartVerdict, Verdict, ViewVerdict, score_rank
from inspection.line.parts import PartJob
from inspection.line.records import Record
from inspection.plc.clock import utc_now
from inspection.plc.link import Answer, PartResult
from inspection.plc.registers import ErrorCode, ResultCode


def view_record(
    view: ViewVerdict, deployment: DeploymentConfig | None, sequence: int, *, keep_frame: bool
) -> tuple[Record, list[EvidenceFile]]:
    """One view's part of the record, and the files that go with it."""
    score, frame = view.score, view.frame
    files: list[EvidenceFile] = []
    stored_frame = frame_file(frame, sequence, view.station) if frame is not None and keep_frame else None
    image = frame.image if frame is not None else None
    record: Record = {
        "station": view.station,
        "verdict": view.verdict.value,
        "score": score.score if score is not None else None,
        "error_code": int(view.error_code),
        "error": view.error,
        "frame_name": frame.name if frame is not None else "",
        "reference": frame.reference if frame is not None else None,
        "frame_path": stored_frame.path if stored_frame is not None else None,
        "image_height": image.shape[0] if image is not None else None,
        "image_width": image.shape[1] if image is not None else None,
        "map_path": None,
        "map_height": None,
        "map_width": None,
        "map_max": None,
        "map_box": None,
        "defect_class": score.defect_class if score is not None else None,
        "closest_ok": score.closest_ok if score is not None else None,
        "captured_at": frame.captured_at.isoformat() if frame is not None else None,
    }
    if stored_frame is not None:
        files.append(stored_frame)
    if score is not None and score.map is not None and score.map.size:
        map_max = (deployment.map_max if deployment else None) or full_scale(score.map)
        stored_map = map_file(score.map, map_max, sequence, view.station)
        files.append(stored_map)
        whole = (0, 0, *image.shape[:2]) if image is not None else None
        record |= {
            "map_path": stored_map.path,
            "map_height": score.map.shape[0],
            "map_width": score.map.shape[1],
            "map_max": map_max,
            "map_box": list(score.box or whole or ()) or None,
        }
    return record, files


def part_record(
    job: PartJob,
    verdict: PartVerdict,
    *,
    config: LineConfig,
    deployment: DeploymentConfig | None,
    sequence: int,
    lot: str,
    times_ms: dict[str, float],
) -> tuple[Record, list[EvidenceFile]]:
    """The journal's record of a part, before it is numbered and hashed, and the files it names."""
    keep = {station.name: station.keep_frames for station in config.stations}
    built = [
        view_record(view, deployment, sequence, keep_frame=keep.get(view.station, True))
        for view in verdict.views
    ]
    record: Record = {
        "kind": "part",
        "line": config.line,
        "sequence": sequence,
        "origin": job.origin,
        "trigger_sequence": job.trigger.sequence if job.trigger is not None else None,
        "serial": job.serial,
        "lot": lot,
        "verdict": verdict.verdict.value,
        "judged_verdict": verdict.verdict.value,
        "error_code": int(verdict.error_code),
        "error": verdict.error,
        "late": False,
        "score": verdict.score,
        "score_rank": score_rank(verdict.score, deployment.ok_scores if deployment else []),
        "defect_class": verdict.defect_class,
        "views": [view for view, _ in built],
        "deployment": deployment.id if deployment else None,
        "model_version": deployment.model_version if deployment else None,
        "ng_at": deployment.ng_at if deployment else None,
        "review_from": deployment.review_from if deployment else None,
        "triggered_at": job.begun_at.isoformat(),
        "judged_at": utc_now().isoformat(),
        **{name: round(value, 3) for name, value in times_ms.items()},
    }
    return record, [file for _, files in built for file in files]


def with_error(record: Record, code: ErrorCode, error: str) -> Record:
    """The record as it counts when something went wrong after the model's word; that word stays in it."""
    return record | {
        "verdict": Verdict.ERROR.value,
        "error_code": int(code),
        "error": error,
        "late": code is ErrorCode.LATE,
    }


def plc_result(
    record: Record, verdict: PartVerdict, deployment: DeploymentConfig | None, bits: Mapping[str, int]
) -> PartResult:
    """What the PLC is to be told of a part."""
    return PartResult(
        result=ResultCode[record["verdict"]],
        error_code=ErrorCode(record["error_code"]),
        ng_stations=verdict.ng_mask(bits),
        defect_class=deployment.classes.get(record["defect_class"] or "", 0) if deployment else 0,
        score=record["score_rank"],
        model_version=deployment.model_version if deployment else 0,
        recipe=deployment.recipe if deployment else 0,
    )


def answer_record(answer: Answer, line: str, sequence: int) -> Record:
    """The journal's record of what the PLC was given."""
    is_given = answer.given is not ResultCode.NONE
    took_s = answer.answered_s - answer.trigger.received_s if answer.answered_s is not None else None
    return {
        "kind": "answer",
        "line": line,
        "sequence": sequence,
        "trigger_sequence": answer.trigger.sequence,
        "given": answer.given.name if is_given else None,
        "error_code": int(answer.error_code),
        "late": answer.error_code is ErrorCode.LATE,
        "answered_at": answer.answered_at.isoformat() if answer.answered_at is not None else None,
        "total_ms": round(1000 * took_s, 3) if took_s is not None else None,
        "reason": answer.reason,
    }
