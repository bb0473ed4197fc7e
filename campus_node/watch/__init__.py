"""What went wrong or is about to: alarms of graded severity, who has seen them, and when they were over."""
