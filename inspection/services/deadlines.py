"""Whether a line can meet its deadline, told before a part is late."""

from django.utils.translation import gettext as _

from inspection.choices import PartOrigin
from inspection.models import Line
from ml.models import ModelVersion

MEASURED_PARTS = 100


def measured_part_ms(line: Line, version: ModelVersion) -> float | None:
    """What a part's verdict takes on this line with this model: the median of its latest parts.

    None where the model has not judged here yet and so nothing was measured.
    """
    judged = (
        line.parts.filter(
            deployment__operating_point__model_version=version, origin=PartOrigin.LINE, judge_ms__gt=0
        )
        .order_by("-sequence")
        .values_list("judge_ms", flat=True)[:MEASURED_PARTS]
    )
    times = sorted(judged)
    return times[len(times) // 2] if times else None


def deadline_warning(line: Line, version: ModelVersion | None) -> str:
    """In words, that the line's deadline can't be met with a model; empty where it can, or nobody knows."""
    needed_ms = measured_part_ms(line, version) if version else None
    if needed_ms is None or needed_ms < line.deadline_ms:
        return ""
    return _(
        "%(version)s needs %(needed).0f ms a part on this line, but the deadline is %(deadline)d ms: parts "
        "are answered ERROR (late). Give the line more time or deploy a quicker model."
    ) % {"version": version, "needed": needed_ms, "deadline": line.deadline_ms}
