"""What several tests share: checkpoints, a stand-in for the hub, training data."""
