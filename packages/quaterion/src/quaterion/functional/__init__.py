"""Pure tensor functions: similarities, masks, mining and the formula of every loss. No state, torch only."""
