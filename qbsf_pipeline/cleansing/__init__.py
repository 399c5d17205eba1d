"""Cleansing before launch: what is wrong with the records of both systems, found and shown, never changed."""
