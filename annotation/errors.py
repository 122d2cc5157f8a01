class DomainError(Exception):
    """Something a person asked for that can't be done; its text says what happened and what to do.

    Services raise it (or a subclass); pages show it where the person is, REST answers 409 (or the
    subclass's status) with {"detail": text, "code": code}.
    """

    code = "refused"
    status = 409
