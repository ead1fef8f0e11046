"""What comes of a search: the model and its classifier, what they bring, and the folder of both."""
