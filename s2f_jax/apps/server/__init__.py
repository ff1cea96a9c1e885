"""What the live demo and the study share: listening, access control, rate and connection limits."""
