"""The demo model: a small Qwen3-VL that knows colours, shapes and print, and what made it; see README.md."""
