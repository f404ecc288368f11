"""The decoder as torch modules, and the fast inference paths for each device."""
