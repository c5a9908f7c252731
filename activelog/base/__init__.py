"""What everything stands on and what imports nothing of ours: errors, settings, logs, signatures,
and values that several parts share (addresses, ranges of dates, formatting, pictures)."""
