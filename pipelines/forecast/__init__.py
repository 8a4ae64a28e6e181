"""`kaitian forecast`: the load of every expert and worker in every step, before anything runs."""
