"""The page of tokens: a person's own, of a superuser everybody's; those that work first."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import BooleanField, Case, Q, QuerySet, When

from dbops import conf
from dbops.models import ApiToken, clock


@dataclass(frozen=True)
class TokenRow:
    token: ApiToken
    now: datetime

    @property
    def is_usable(self) -> bool:
        return self.token.is_usable(self.now)

    @property
    def words(self) -> str:
        if self.token.revoked_at:
            return "revoked"
        if self.now >= self.token.expires_at:
            return "expired"
        return "works" if self.token.owner.is_active else "its owner may not sign in"

    @property
    def look(self) -> str:
        """As the component of a status has it."""
        return "serving" if self.words == "works" else "stopped"

    @property
    def where(self) -> list[str]:
        return [target.name for target in self.token.targets.all()] if self.token.is_limited else []


@dataclass(frozen=True)
class TokensPage:
    rows: list[TokenRow]
    page: "Page[ApiToken]"
    # Also those of others.
    shows_owners: bool


def tokens_page(user: User, number: int) -> TokensPage:
    now = clock.now()
    shown = Paginator(_in_order(seen_by(user), now), conf.knob("PAGE_SIZE")).get_page(number)
    return TokensPage([TokenRow(token, now) for token in shown], shown, _sees_all(user))


def seen_by(user: User | None) -> QuerySet[ApiToken]:
    """A person's own; of a superuser, and of whoever is at the shell, everybody's."""
    tokens = ApiToken.objects.select_related("owner").prefetch_related("targets")
    return tokens if _sees_all(user) else tokens.filter(owner=user)


def _sees_all(user: User | None) -> bool:
    return user is None or (user.is_active and user.is_superuser)


def _in_order(tokens: QuerySet[ApiToken], now: datetime) -> QuerySet[ApiToken]:
    works = Case(
        When(Q(revoked_at=None, expires_at__gt=now), then=True), default=False, output_field=BooleanField()
    )
    return tokens.order_by(works.desc(), "-pk")
