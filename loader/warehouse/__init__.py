"""Warehouses: one package each, found in `loader.warehouse.registry`."""
