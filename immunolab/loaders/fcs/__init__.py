"""FCS files: header, text, data, spillover."""
