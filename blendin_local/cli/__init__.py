"""The command `blendin`: a package for each verb, and `common`. Nothing else prints."""
