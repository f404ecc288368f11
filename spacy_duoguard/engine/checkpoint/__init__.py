"""Loading and saving: folders, hub repositories, weights and manifests."""
