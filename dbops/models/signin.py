"""Who is signed in, from where; and by which account of a provider somebody comes."""

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import models

from dbops.models.clock import WrittenAt


class SignIn(models.Model):
    """What is known of a session of a signed-in person. It goes with its session."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    address = models.CharField(max_length=100, blank=True)
    browser = models.CharField(max_length=300, blank=True)
    since = WrittenAt()
    seen_at = WrittenAt(db_index=True)

    def __str__(self) -> str:
        return f"{self.user_id} from {self.address}"


class Counter(models.Model):
    """What is counted of failed sign-ins, by name, address or person (dbops.signing.counters)."""

    key = models.CharField(max_length=300, primary_key=True)
    value = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class Identity(models.Model):
    """An account of the provider of single sign-on, told by issuer and subject, and by nothing else: neither
    a name nor an address proves who somebody is."""

    issuer = models.TextField()
    subject = models.TextField()
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    since = WrittenAt()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_person_a_subject")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
