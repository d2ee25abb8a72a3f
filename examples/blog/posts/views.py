from django.http import HttpRequest, JsonResponse

from posts.models import Post


def posts(request: HttpRequest) -> JsonResponse:
    """The newest twenty posts."""
    rows = Post.objects.values("slug", "title", "published_at")
    return JsonResponse({"posts": list(rows[:20])})
