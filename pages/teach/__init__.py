"""Lessons, questions and sheets: what a teacher gives and a student keeps."""
