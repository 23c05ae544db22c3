"""The floor everything stands on: errors, names, clock, types, frozen records. Imports nothing of ours."""
