"""What choreographies do, as a theory with tools: protocols, contracts, refinement, merging, safe update."""
