from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    dependencies = [("customers", "0003_customer_wants_newsletter")]

    operations = [
        migrations.AddConstraint(
            "customer", models.UniqueConstraint(Lower("email"), name="customer_email_any_case")
        ),
        migrations.AlterField("customer", "email", models.EmailField(max_length=254)),
    ]
