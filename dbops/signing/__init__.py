"""How people sign in: limits, second factors, sessions, the provider of single sign-on."""
