from django.http import HttpRequest, JsonResponse

from catalog.models import Product


def products(request: HttpRequest) -> JsonResponse:
    """Everything that can be bought, by category and name."""
    rows = Product.objects.filter(is_active=True).values("sku", "slug", "name", "price_cents")
    return JsonResponse({"products": list(rows[:100])})
