"""What every layer is made of: calling, building, tracking, weights, losses; no layer in here."""
