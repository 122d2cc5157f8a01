from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models

from annotation.choices import Role


class PeopleManager(UserManager):
    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **fields
    ):
        return super().create_superuser(username, email, password, **{"role": Role.ADMIN, **fields})


class User(AbstractUser):
    """A person, and the role that says what they may do."""

    role = models.CharField(max_length=16, choices=Role, default=Role.OPERATOR)

    objects = PeopleManager()

    def save(self, *args, **kwargs) -> None:
        # The role alone says who may administer; Django's own two flags follow it.
        self.is_staff = self.is_superuser = self.role == Role.ADMIN
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "is_staff", "is_superuser"}
        super().save(*args, **kwargs)

    def is_at_least(self, role: Role) -> bool:
        return self.is_active and Role(self.role).rank >= role.rank
