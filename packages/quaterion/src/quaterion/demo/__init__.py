"""The first job: search Python's standard library by what you want to do."""
