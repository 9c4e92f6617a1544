"""Single cells: quality, lineage, subsets, proteins, genes, pseudobulk."""
