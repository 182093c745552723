"""What several commands share: running MONAI's evaluator, timings, rows and tables, splits of patients, baselines."""
