"""What only this book needs: studies of single chapters, figures, verdicts, papermill."""
