"""The demo model: a Qwen3-VL of a million weights that names plain colours, and the scripts that trained it."""
