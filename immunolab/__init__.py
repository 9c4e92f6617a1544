"""immunolab: from cytometry and single-cell files to paired shifts of T-cell subsets."""
