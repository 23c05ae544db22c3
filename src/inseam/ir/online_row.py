"""The bytes of online rows and their keys, the same in every store."""
