"""Where borders are placed: methods, pooling, uncertainty."""
