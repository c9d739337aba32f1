"""What a person sees and does in a terminal while something plays."""
