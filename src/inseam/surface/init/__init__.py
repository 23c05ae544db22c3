"""`inseam init`: a small, complete project to start from."""
