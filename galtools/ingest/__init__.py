"""The door for real data: files of other people in, one schema out."""
