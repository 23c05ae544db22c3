"""What the outside must provide, as small protocols. Adapters are found by entry point and imported by nobody."""
