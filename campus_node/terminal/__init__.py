"""What stands at the counter: a terminal keeps what happened until its campus has it safe."""
