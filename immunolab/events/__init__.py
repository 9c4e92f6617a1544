"""What a tube or a set of cells holds: values, channels, spillover, and the scales they are shown on."""
