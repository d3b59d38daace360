"""Recognises e-mail addresses, phone numbers, card numbers, IBANs and secrets in text by their form. It knows no names."""
