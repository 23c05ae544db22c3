"""A clothing retailer: who will lapse, and what will come back."""
