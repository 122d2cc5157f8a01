from annotation.errors import DomainError


class DatasetUnsuitable(DomainError):
    """A dataset that this method can't be trained on; says what it has and what is needed."""

    code = "dataset_unsuitable"


class ParametersRefused(DomainError):
    """Parameters of a method out of range or unknown. `errors` has a sentence a field."""

    code = "parameters_refused"
    status = 400

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__(" ".join(f"{name}: {text}" for name, text in errors.items()))


class WeightsRefused(DomainError):
    """Pretrained weights that a job would start from are not here; says which file, and where it belongs."""

    code = "weights_missing"


class CardRefused(DomainError):
    """A model's card that can't be trained from again; says why."""

    code = "card_refused"


class JobStateRefused(DomainError):
    """The job is not in a state in which this can be done."""

    code = "job_state"


class ModelUnservable(DomainError):
    """A trained model that no engine of this machine serves with the scores it was trained to give."""

    code = "model_unservable"


class NoThresholdPossible(DomainError):
    """A rule that these scores don't allow; says what is missing."""

    code = "no_threshold"


class ThresholdRefused(DomainError):
    code = "threshold_refused"
    status = 400


class DiscoveryRefused(DomainError):
    """Types of defects can't be looked for with this model among these images; says why."""

    code = "discovery_refused"
