"""Digits through a bench: configuration, the host loop, what judges and corrects it, plans and replays."""
