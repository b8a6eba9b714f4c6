"""What is to be made, by key: the selection, the plan, its keys, an estimate of its cost."""
