"""What people touch: platform adapters, intake, photos, delivery, phrases."""
