from django.db import models
from django.db.models.functions import Lower


class Customer(models.Model):
    email = models.EmailField()
    full_name = models.CharField(max_length=120)
    wants_newsletter = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["full_name"]
        constraints = [models.UniqueConstraint(Lower("email"), name="customer_email_any_case")]

    def __str__(self) -> str:
        return self.full_name


class Address(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="addresses")
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=16)
    city = models.CharField(max_length=80)
    country = models.CharField(max_length=2, default="AT")

    class Meta:
        ordering = ["customer", "city"]
        verbose_name_plural = "addresses"

    def __str__(self) -> str:
        return f"{self.street}, {self.postcode} {self.city}"
