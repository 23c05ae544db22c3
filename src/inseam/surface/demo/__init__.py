"""The whole loop on a simulated retailer: the project, and the tour that runs it."""
