"""What is read: samples for training, for choosing and for the test, and whether they can be measured."""
