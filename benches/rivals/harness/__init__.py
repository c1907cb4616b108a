"""What a comparison is made of, whatever the engines."""
