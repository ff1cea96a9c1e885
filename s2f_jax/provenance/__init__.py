"""What a generated video says about how it was made."""
