"""Several processes: who reads what, who holds which part of the weights, who attends with which heads."""
