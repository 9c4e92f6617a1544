"""From files to events and measurements: FCS, spillover matrices, single cells, tables of measurements."""
