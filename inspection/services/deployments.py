"""An operating point onto a line, and what became of it."""

import logging

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.errors import DomainError
from annotation.models import User
from annotation.services import audit
from inspection import events
from inspection.bus import liveness, wake
from inspection.choices import DeploymentState
from inspection.models import Deployment, Line
from ml.choices import ModelStage
from ml.models import OperatingPoint

logger = logging.getLogger(__name__)


class DeploymentRefused(DomainError):
    code = "deployment_refused"


def deploy(*, operating_point: OperatingPoint, line: Line, by: User | None) -> Deployment:
    """Asks a line to judge by an operating point from its next part on. Rolling back is deploying an old one.

    The deployment is pending until the line's process has loaded the model, checked it and swapped.

    Raises:
        DeploymentRefused: the model is retired, or its artefact is gone.
    """
    version = operating_point.model_version
    if version.stage == ModelStage.RETIRED:
        raise DeploymentRefused(_("%(version)s is retired and can't be deployed.") % {"version": version})
    if not (version.artefact_path / "card.json").is_file():
        raise DeploymentRefused(
            _("The files of %(version)s are not in the artefact folder, so no line could load it.")
            % {"version": version}
        )
    with transaction.atomic():
        _lock(line.pk)
        line.deployments.filter(state=DeploymentState.PENDING).update(
            state=DeploymentState.SUPERSEDED, ended_at=timezone.now()
        )
        deployment = Deployment.objects.create(line=line, operating_point=operating_point, created_by=by)
        audit.record(
            actor=by,
            action="deployment.created",
            target=deployment,
            details={"line": line.slug, "operating_point": operating_point.pk, "model_version": version.pk},
        )
        transaction.on_commit(lambda: _announce(deployment))
    return deployment


def mark_live(*, deployment_id: int, engine: str) -> bool:
    """The line judges by it now; the one before is superseded.

    A newer one may be pending meanwhile and stays so: until the line takes it, it judges by this one.

    Returns:
        False where that is known already, or where a newer one is live: this one is superseded then.
    """
    with transaction.atomic():
        _lock(Deployment.objects.values_list("line_id", flat=True).get(pk=deployment_id))
        deployment = Deployment.objects.select_related(*events.DEPLOYMENT_RELATED).get(pk=deployment_id)
        if deployment.state == DeploymentState.LIVE:
            _note_engine(deployment, engine)
            return False
        now = timezone.now()
        if deployment.line.deployments.filter(state=DeploymentState.LIVE, pk__gt=deployment_id).exists():
            logger.warning("deployment %d is not made live: a newer one is", deployment_id)
            Deployment.objects.filter(pk=deployment_id, state=DeploymentState.PENDING).update(
                state=DeploymentState.SUPERSEDED, ended_at=now
            )
            return False
        deployment.line.deployments.filter(state=DeploymentState.LIVE).update(
            state=DeploymentState.SUPERSEDED, ended_at=now
        )
        deployment.state, deployment.engine, deployment.error = DeploymentState.LIVE, engine, ""
        deployment.live_at, deployment.ended_at = now, None
        deployment.save(update_fields=["state", "engine", "error", "live_at", "ended_at"])
        transaction.on_commit(lambda: events.publish(events.DeploymentChanged.of(deployment)))
    return True


def _note_engine(deployment: Deployment, engine: str) -> None:
    """The same model may go on on a quicker engine, once this machine has measured it."""
    if engine and deployment.engine != engine:
        deployment.engine = engine
        deployment.save(update_fields=["engine"])
        transaction.on_commit(lambda: events.publish(events.DeploymentChanged.of(deployment)))


def mark_failed(*, deployment_id: int, error: str) -> bool:
    """The line could not use it; the one before stays in force.

    Returns:
        False where it was not waiting any more.
    """
    with transaction.atomic():
        is_first = Deployment.objects.filter(pk=deployment_id, state=DeploymentState.PENDING).update(
            state=DeploymentState.FAILED, error=error, ended_at=timezone.now()
        )
        if not is_first:
            return False
        deployment = Deployment.objects.select_related(*events.DEPLOYMENT_RELATED).get(pk=deployment_id)
        audit.record(
            actor=None, action="deployment.failed", target=deployment, details={"error": error[:400]}
        )
        transaction.on_commit(lambda: events.publish(events.DeploymentChanged.of(deployment)))
    return True


def how_to_start(line: Line) -> str:
    """What a person types to start a line's process."""
    return f"python manage.py run_line {line.slug}"


def outlook(deployment: Deployment) -> str:
    """What happens next with a deployment that was just made, in words."""
    line = deployment.line
    if liveness.line_status(line.slug) is None:
        return _("%(line)s is not running: the deployment waits until it starts (%(command)s).") % {
            "line": line,
            "command": how_to_start(line),
        }
    return _("%(line)s loads and checks the model; it swaps between two parts.") % {"line": line}


def _lock(line_id: int) -> None:
    """Only one transaction at a time changes what a line is to judge by."""
    Line.objects.select_for_update(no_key=True).get(pk=line_id)


def _announce(deployment: Deployment) -> None:
    wake.knock(deployment.line.slug)
    events.publish(events.DeploymentChanged.of(deployment))
