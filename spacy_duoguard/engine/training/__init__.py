"""Training the decoder: forward and backward passes in bounded memory."""
