"""A person's tokens of the JSON API: listed, made, revoked."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dbops import confirming
from dbops.access import OpsRequest, actor_of, needs
from dbops.forms import TokenForm
from dbops.pages.tokens import seen_by, tokens_page
from dbops.rights import Role
from dbops.tokens import CannotMakeError, make, revoke


@require_GET
@needs(Role.VIEWER)
def tokens(request: OpsRequest) -> HttpResponse:
    number = request.GET.get("page", "")
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    return render(request, "pages/tokens.html", {"page": tokens_page(request.user, wanted)})


@require_http_methods(["GET", "POST"])
@never_cache
@needs(Role.VIEWER, confirmed=True)
def new_token(request: OpsRequest) -> HttpResponse:
    """The text of the token stands in the answer to the form and nowhere else."""
    form = TokenForm(request.POST or None, known=request.rights.targets)
    if request.method == "GET":
        return render(request, "pages/new_token.html", {"form": form})
    if not form.is_valid():
        return render(request, "pages/new_token.html", {"form": form}, status=422)
    chosen = form.cleaned_data
    try:
        made = make(
            request.user,
            chosen["name"],
            chosen["scopes"],
            chosen["days"],
            actor_of(request),
            targets=list(chosen["targets"]) or None,
        )
    except CannotMakeError as refused:
        return render(request, "pages/new_token.html", {"form": form, "refused": refused}, status=409)
    return render(request, "pages/token_made.html", {"made": made}, status=201)


@require_POST
@needs(Role.NOBODY)
def revocation(request: OpsRequest, token_id: int) -> HttpResponse:
    """Of one's own, also without any role: fewer tokens are never worse. A superuser's of anybody."""
    token = get_object_or_404(seen_by(request.user), pk=token_id)
    if token.owner_id != request.user.pk:
        confirming.require(request)
    messages.info(request, revoke(token, actor_of(request)))
    return redirect("tokens" if request.rights.highest else "account")
