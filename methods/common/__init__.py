"""What every method stands on: errors, files, configuration, checkpoints, runs, data sets, the training loop."""
