"""The bilevel program: inner steps, hypergradients, edge probabilities, and what came out of them."""
