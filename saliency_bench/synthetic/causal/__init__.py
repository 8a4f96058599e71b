"""avt-causal: clips in which gaze is caused by sight, sound and words, by a known law."""
