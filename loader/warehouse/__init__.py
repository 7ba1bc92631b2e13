"""Warehouses: sessions and statements; one adapter each."""
