"""The command line of Geostage. It imports nothing of the app: HTTP and Blob Storage are all that it knows."""
