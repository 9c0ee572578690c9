"""NIR as this project uses it: extension nodes, wiring, files, checks, integers, and the way from a graph to a plan."""
